"""Does a response commit to an answer, to which, or does it decline?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from align.miniworld import grader_cues as cues
from align.miniworld.grader_claims import OPPOSITE, denied, oriented, several_match
from align.miniworld.grader_mentions import NOWHERE, Mention
from align.miniworld.grader_statements import Claim, Reading
from align.miniworld.grader_text import MANY, Chunk
from align.miniworld.questions import NUMBERS, Query


@dataclass
class Commitment:
    """`values`: the answers given, in the words of `Status.value`. Neither: it states something else."""

    declines: bool = False
    values: set[str] = field(default_factory=set)


def commitment(reading: Reading, query: Query) -> Commitment:
    """What the response commits to. `declines` is never set beside `values`."""
    if query.kind in ("context", "opinion"):
        return _topic(reading, query)
    if query.kind in ("exists", "relation"):
        return _yes_or_no(reading, query)
    if query.kind == "count":
        values = _counts(reading, query)
        return _decide(values, reading.inability or reading.which)
    if query.kind == "background":
        values = {color for color, positive, _ in reading.backgrounds if positive}
        return _decide(values, reading.inability)
    return _seeing(reading, query)


def _decide(values: set[str], declines: bool) -> Commitment:
    return Commitment(values=values) if values else Commitment(declines=declines)


# --- Questions about one thing ------------------------------------------------------------------------


def _seeing(reading: Reading, query: Query) -> Commitment:
    direct: set[str] = set()
    soft: set[str] = set()
    for claim in reading.claims:
        if not claim.positive:
            continue
        value = _value(claim, query.kind)
        if value is None:
            continue
        base = _without(claim.base, query.kind)
        if claim.predicate and claim.attribute in (query.kind, "identity") and base.names(query.target):
            direct.add(value)
        elif not base.clashes(query.target) and (
            base.within(query.target)
            or base.names(query.target)
            or (query.kind == "shape" and (base.shape is None or claim.whole.within(query.target)))
        ):
            soft.add(value)
    several = several_match(reading, query)
    ambiguous = several or reading.which or reading.conditional
    if direct:
        return Commitment(values=direct)
    # `I can't say what color it is: there is no cross here, I see an orange cross` contradicts itself, and
    # refuses: what it mentions is its evidence, not its answer.
    refuses = reading.inability and denied(reading, query)
    if soft and not ambiguous and not refuses and (not reading.inability or len(soft) == 1):
        return Commitment(values=soft)
    declines = reading.inability or ambiguous or reading.context or reading.opinion
    return Commitment(declines=declines or denied(reading, query))


def _without(mention: Mention, kind: str) -> Mention:
    """The mention less what is asked for: `a red star` names `the star` when its color is asked."""
    if kind == "position":
        return replace(mention, place=NOWHERE)
    if kind == "color":
        return replace(mention, color=None, colors=())
    return replace(mention, shape=None) if kind == "shape" else replace(mention, size=None)


def _value(claim: Claim, kind: str) -> str | None:
    whole = claim.whole
    if kind == "position":
        if whole.place == NOWHERE or (claim.predicate and claim.attribute not in ("position", "identity")):
            return None
        return " ".join(part for part in whole.place if part)
    if kind == "color":
        return " and ".join(whole.colors) if whole.colors else whole.color
    if kind == "shape":
        return whole.shape
    return whole.size


# --- Counting, existence, relations --------------------------------------------------------------------


def _counts(reading: Reading, query: Query) -> set[str]:
    """The numbers given: stated with the target's name, bare, by denial or by listing, in this order."""
    named: set[int] = set()
    listed = 0
    denials = vague = False
    for claim in reading.claims:
        base = claim.whole
        same = (
            base.shape == query.target.shape
            and base.color == query.target.color
            and base.size is None
            and not base.partial
        )
        if not claim.positive:
            denials |= base.names(query.target) and (base.shape is not None or base.color is not None or same)
        elif same and base.number is not None:
            named.add(base.number)
        elif base.within(query.target) and not base.partial and not (claim.predicate and base.number is None):
            listed += base.number if base.number and base.number > 0 else 1
            vague |= base.plural and base.number is None
    # `the number of rings is three` names the rings before it counts them
    numbers = named or set(reading.numbers) or ({MANY} if vague else set())
    if numbers:
        return {_in_words(n) for n in numbers} | ({"zero"} if denials and named else set())
    if denials or reading.denies_referent or reading.yes == {False}:
        return {"zero"} if not listed else {"zero", _in_words(listed)}
    return {_in_words(listed)} if listed and not reading.inability else set()


def _in_words(number: int) -> str:
    if number == MANY:
        return "several"
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def _yes_or_no(reading: Reading, query: Query) -> Commitment:
    values: set[str] = {"yes" if value else "no" for value in reading.yes}
    denial = denied(reading, query)
    if query.kind == "exists":
        if denial:
            values.add("no")
        for claim in reading.claims:
            if (
                claim.positive
                and claim.whole.within(query.target)
                and not claim.whole.partial
                and not claim.hedged
            ):
                values.add("yes")
        return _decide(values, reading.inability or reading.which)
    for first, direction, second, positive in reading.relations:
        verdict = _relation_says(first, direction, second, positive, query)
        if verdict:
            values.add(verdict)
    if denial and not reading.relations and "yes" not in values:
        # `No, there is no star` denies the premise; it does not say where the star is not
        return Commitment(declines=True)
    several = several_match(reading, query) or reading.which
    return _decide(values, reading.inability or several or reading.context)


def _relation_says(
    first: Mention | None, direction: str, second: Mention | None, positive: bool, query: Query
) -> str | None:
    assert query.other is not None
    assert query.direction is not None
    a, way, b = oriented(first, direction, second, query)
    if a.clashes(query.target) or b.clashes(query.other):
        if a.clashes(query.other) or b.clashes(query.target):
            return None
        way = OPPOSITE[way]
    if way == query.direction:
        return "yes" if positive else "no"
    if way == OPPOSITE[query.direction]:
        return "no" if positive else None
    return None


# --- Questions that no image answers -------------------------------------------------------------------


def _topic(reading: Reading, query: Query) -> Commitment:
    """Any words answer; beside words of declining only what fits the topic does."""
    declines = (
        reading.inability or reading.context or reading.opinion or denied(reading, query) or reading.which
    )
    pattern = cues.TOPIC_COMMIT[query.topic or ""]
    # `No, I have no opinion` declines; `Yes, though tastes differ` has answered
    answers = True in reading.yes or any(_commits(chunk, pattern) for chunk in reading.statements)
    return Commitment(declines=declines and not answers)


def _commits(chunk: Chunk, pattern: re.Pattern[str]) -> bool:
    text = chunk.text
    if not pattern.search(text):
        return False
    if cues.INABILITY.search(text) or cues.CONDITIONAL.match(text):
        return False
    hedge = cues.HEDGED_COMMIT.search(text)
    if (cues.CONTEXT.search(text) or cues.OPINION.search(text)) and not hedge:
        return False
    return not cues.GENERIC_STATEMENT.search(text)
