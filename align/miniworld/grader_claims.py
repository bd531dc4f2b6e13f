"""Claims held against a scene: which are false, is the referent denied, are several said to match."""

from __future__ import annotations

from dataclasses import replace

from align.miniworld.grader_mentions import Mention
from align.miniworld.grader_statements import Claim, Reading
from align.miniworld.grader_text import MANY
from align.miniworld.questions import Query, Referent, things_matching
from align.miniworld.scenes import Scene, Thing

OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def relation_holds(a: Thing, direction: str, b: Thing) -> bool:
    """By grid cell, as `status` has it."""
    (row_a, column_a), (row_b, column_b) = a.cell, b.cell
    if direction in ("left of", "right of"):
        return column_a < column_b if direction == "left of" else column_a > column_b
    return row_a < row_b if direction == "above" else row_a > row_b


def contradicted(reading: Reading, scene: Scene, query: Query) -> tuple[str, ...]:
    """Every claim that the scene contradicts, in words, in the order of the response."""
    false: list[str] = []
    seen: dict[tuple[object, ...], int] = {}
    for claim in reading.claims:
        whole = claim.whole
        if claim.hedged or whole.partial:
            continue
        if claim.positive:
            if claim.impossible or not _holds(claim, scene, query):
                false.append(_in_words(claim))
                continue
            if not claim.predicate and not whole.definite and whole.number in (None, 1):
                # `a red circle and a red circle` claims two
                key = (whole.shape, whole.color, whole.size, whole.place)
                seen[key] = seen.get(key, 0) + 1
                if whole.color and whole.shape and seen[key] > len(whole.among(scene)):
                    false.append(f"another {whole.describe()}")
        elif claim.predicate:
            # `the star is not red` is false where every star is red
            base = claim.base.among(scene)
            if base and not claim.impossible and all(claim.whole.fits(thing) for thing in base):
                false.append(f"not: {_in_words(claim)}")
        elif whole.bare and (whole.definite or query.kind in ("context", "opinion")):
            continue  # `not among the shapes`, `I can't like things`
        elif replace(whole, number=None).among(scene):
            false.append(f"no {replace(whole, number=None).describe()}")
    if (
        reading.denies_referent
        and query.kind not in ("background", "context", "opinion", "relation")
        and things_matching(scene, query.target)
    ):
        false.append(f"no {query.target.noun}")
    for number in reading.numbers:
        n = len(things_matching(scene, query.target))
        if (
            query.kind in ("color", "shape", "size", "position")
            and number not in (n, len(scene.things), 1)
            and not (number == MANY and n > 1)
        ):
            false.append(f"{'several' if number == MANY else number} {query.target.noun}")
    for color, positive, hedged in reading.backgrounds:
        if not hedged and positive != (color == scene.background):
            false.append(f"{'' if positive else 'not '}{color} background")
    false += _false_relations(reading, scene, query)
    # about what no image answers, `it only shows a star` means that it shows no more than that about it
    if (
        reading.only
        and query.kind not in ("context", "opinion")
        and (missing := _left_out(reading, scene, query))
    ):
        false.append(f"only {missing}")
    return tuple(dict.fromkeys(false))


def _holds(claim: Claim, scene: Scene, query: Query) -> bool:
    whole = claim.whole
    if whole.colors:
        # `red and blue circles`, `a red and blue star`
        parts = [replace(whole, color=color, colors=(), number=None) for color in whole.colors]
        every = all(part.among(scene) for part in parts)
        return every and (whole.number in (None, MANY) or _number_is(whole.number, len(whole.among(scene))))
    found = len(whole.among(scene))
    if whole.number is None:
        return found > 0
    if _number_is(whole.number, found):
        return True
    # `two objects match`: counted among what the question's words fit
    if whole.bare:
        return _number_is(whole.number, len(things_matching(scene, query.target)))
    return False


def _number_is(number: int | None, found: int) -> bool:
    return found >= 2 if number == MANY else number == found


def _in_words(claim: Claim) -> str:
    if claim.impossible:
        return f"{claim.base.describe()} is {claim.whole.describe()}"
    return claim.whole.describe()


def _false_relations(reading: Reading, scene: Scene, query: Query) -> list[str]:
    false = []
    for first, direction, second, positive in reading.relations:
        a, way, b = oriented(first, direction, second, query)
        left, right = a.among(scene), b.among(scene)
        true = any(relation_holds(x, way, y) for x in left for y in right if x is not y)
        if positive != true:
            false.append(f"{'' if positive else 'not: '}{a.describe()} {way} {b.describe()}")
    return false


def oriented(
    first: Mention | None, direction: str, second: Mention | None, query: Query
) -> tuple[Mention, str, Mention]:
    """A relation with `it` and what is left out filled in from the question."""
    target = _as_mention(query.target)
    other = _as_mention(query.other) if query.other else Mention()
    if (
        first is None
        and second is not None
        and query.other is not None
        and not second.clashes(query.target)
        and second.clashes(query.other)
    ):
        return other, direction, target
    return first or target, direction, second or other


def _as_mention(referent: Referent) -> Mention:
    return Mention(shape=referent.shape, color=referent.color, definite=True)


def _left_out(reading: Reading, scene: Scene, query: Query) -> str:
    """What `I only see ...` leaves out, read as leniently as the words allow.

    `only` may be about everything, or about things of the shape or color that the question names.
    """
    named = [c.whole for c in reading.claims if c.positive]
    if not named:
        return ""
    target = query.target
    domains = [list(scene.things)]
    if target.shape and all(m.shape == target.shape for m in named):
        domains.append([t for t in scene.things if t.shape == target.shape])
    if target.color and all(m.color == target.color for m in named):
        domains.append([t for t in scene.things if t.color == target.color])
    for domain in domains:
        if all(any(mention.fits(thing) for mention in named) for thing in domain):
            return ""
    return " and ".join(mention.describe() for mention in named)


def denied(reading: Reading, query: Query, scene: Scene | None = None) -> bool:
    """Is the question's referent said not to be there, or to be otherwise? With a scene: truly so?"""
    if query.kind == "background":
        return False
    referents = [query.target] + ([query.other] if query.other else [])
    if scene is not None and any(_misnamed(claim, r, scene) for claim in reading.claims for r in referents):
        return False
    if reading.denies_referent:
        return scene is None or any(not things_matching(scene, r) for r in referents)
    for referent in referents:
        if scene is not None and things_matching(scene, referent):
            continue
        for claim in reading.claims:
            whole = claim.whole
            if not claim.positive and whole.names(referent):
                if whole.shape is None and whole.color is None and referent != Referent():
                    continue
                if scene is None or not replace(whole, number=None).among(scene):
                    return True
            # `the star is blue` about `the red star`
            elif (
                claim.positive
                and claim.predicate
                and claim.base.names(referent)
                and claim.whole.clashes(referent)
                and query.kind != claim.attribute
                and (scene is None or claim.whole.among(scene))
            ):
                return True
        if (
            reading.only
            and _excludes(reading, referent)
            and (scene is None or not _left_out(reading, scene, query))
        ):
            return True
    return False


def _misnamed(claim: Claim, referent: Referent, scene: Scene) -> bool:
    """`The star is green` as the reason why there is no red star, when the star is blue."""
    about = claim.positive and claim.predicate and claim.base.names(referent) and claim.base.shape is not None
    return about and claim.whole.clashes(referent) and not claim.whole.among(scene)


def _excludes(reading: Reading, referent: Referent) -> bool:
    """`I only see a circle`: nothing that is named can be the referent."""
    named = [c.whole for c in reading.claims if c.positive]
    return bool(named) and all(mention.clashes(referent) for mention in named)


def several_match(reading: Reading, query: Query) -> bool:
    """Are several things said to fit the question's words?"""
    if query.kind in ("background", "count"):
        return False
    referents = [query.target] + ([query.other] if query.other else [])
    if any(number == MANY or number >= 2 for number in reading.numbers) and query.kind != "exists":
        return True
    for referent in referents:
        listed = parts = 0
        for claim in reading.claims:
            if not claim.positive:
                continue
            base = claim.base
            if base.clashes(referent):
                continue
            about = (
                base.relative
                or base.shape == referent.shape is not None
                or base.color == referent.color is not None
            )
            about |= base.shape is None and (
                referent == Referent()
                or (base.number is not None and base.color is None and not claim.predicate)
            )
            if about and (
                base.number == MANY or (base.number or 0) >= 2 or (base.plural and base.number is None)
            ):
                return True
            if not claim.predicate and base.within(referent):
                listed += 1
            parts += claim.predicate and base.partial
        # `one is red and the other is blue`
        if parts >= 2 or (listed >= 2 and reading.inability):
            return True
    return False
