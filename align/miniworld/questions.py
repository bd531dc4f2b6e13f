"""Questions about scenes: what they ask, in which words, and what the image has to say about it.

A `Query` is the meaning of a question. What makes one unanswerable is never written into it: it is
derived from the scene (`status`), so that the same words are answerable about one scene and
unanswerable about another. That is what makes twins, and why no text cue tells them apart.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

from align.miniworld.scenes import COLORS, SHAPES, Scene, Thing
from align.miniworld.wording import CONTEXT_TOPICS, OPINION_TOPICS, PHRASINGS
from align.records import Category

Kind = Literal[
    "color", "shape", "size", "position", "count", "exists", "relation", "background", "context", "opinion"
]
SEEING_KINDS: tuple[Kind, ...] = ("color", "shape", "size", "position")
"""Kinds that presuppose one referent, and turn unanswerable where there is none or several."""

Direction = Literal["left of", "right of", "above", "below"]
DIRECTIONS: tuple[Direction, ...] = ("left of", "right of", "above", "below")


@dataclass(frozen=True)
class Referent:
    """`the red star`, `the star`, `the red thing`, or (with neither) whatever there is: `it`."""

    shape: str | None = None
    color: str | None = None

    def matches(self, thing: Thing) -> bool:
        return self.shape in (None, thing.shape) and self.color in (None, thing.color)

    @property
    def noun(self) -> str:
        """Without an article: `red star`, `star`, `red object`, `object`."""
        return " ".join(word for word in (self.color, self.shape or "object") if word)

    @property
    def the(self) -> str:
        return f"the {self.noun}" if self.shape or self.color else "it"

    def a(self) -> str:
        return with_article(self.noun)


@dataclass(frozen=True)
class Query:
    """The meaning of a question.

    `other` and `direction` belong to relations, `topic` to context and opinion questions.
    """

    kind: Kind
    target: Referent = Referent()
    other: Referent | None = None
    direction: Direction | None = None
    topic: str | None = None

    def to_dict(self) -> dict[str, Any]:
        plain = {k: dict(vars(v)) if isinstance(v, Referent) else v for k, v in vars(self).items()}
        return {key: value for key, value in plain.items() if value is not None}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Query:
        other = value.get("other")
        return cls(
            kind=value["kind"],
            target=Referent(**value.get("target", {})),
            other=Referent(**other) if other else None,
            direction=value.get("direction"),
            topic=value.get("topic"),
        )


@dataclass(frozen=True)
class Status:
    """What a scene has to say about a query: its category and, when answerable, the exact answer.

    `value` is a word (`red`, `star`, `large`, `top left`, `yes`, `no`) or a number in words.
    """

    category: Category
    value: str | None = None


NUMBERS = ("zero", "one", "two", "three", "four", "five")


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")


def listing(items: list[str] | tuple[str, ...], last: str = "and") -> str:
    """`a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def things_matching(scene: Scene, referent: Referent) -> tuple[Thing, ...]:
    return tuple(thing for thing in scene.things if referent.matches(thing))


def attribute(kind: Kind, thing: Thing) -> str:
    """What a question of a seeing kind asks of a thing."""
    return {"color": thing.color, "shape": thing.shape, "size": thing.size, "position": thing.place}[kind]


def status(scene: Scene, query: Query) -> Status:
    """Is the query answerable about this scene, and with what; or which category is it?"""
    if query.kind == "context":
        return Status("Context_Dependent")
    if query.kind == "opinion":
        return Status("Subjective_or_Philosophical")
    if query.kind == "background":
        return Status("Answerable", scene.background)
    matching = things_matching(scene, query.target)
    if query.kind == "count":
        return Status("Answerable", NUMBERS[len(matching)])
    if query.kind == "exists":
        return Status("Answerable", "yes" if matching else "no")
    if query.kind == "relation":
        assert query.other is not None
        assert query.direction is not None
        others = things_matching(scene, query.other)
        if not matching or not others:
            return Status("False_Premises")
        answers = {_holds(a, query.direction, b) for a in matching for b in others}
        if len(answers) > 1 or len(matching) > 1 or len(others) > 1:
            return Status("Vague_Description")
        return Status("Answerable", "yes" if answers.pop() else "no")
    if not matching:
        return Status("False_Premises")
    if len(matching) > 1:
        return Status("Vague_Description")
    return Status("Answerable", attribute(query.kind, matching[0]))


def _holds(a: Thing, direction: Direction, b: Thing) -> bool:
    """By grid cell, so that the answer does not hang on a pixel."""
    (row_a, column_a), (row_b, column_b) = a.cell, b.cell
    return {
        "left of": column_a < column_b,
        "right of": column_a > column_b,
        "above": row_a < row_b,
        "below": row_a > row_b,
    }[direction]


def where_of(query: Query) -> str:
    """A relation's direction in words: `to the left of`, `above`; empty for other kinds."""
    return ("to the " if query.direction in ("left of", "right of") else "") + (query.direction or "")


# --- Words -------------------------------------------------------------------------------------------


def phrasings(query: Query, held_out: bool = False) -> tuple[str, ...]:
    """The templates that ask this query, for training or held out."""
    if query.kind == "context":
        _, train, unseen = CONTEXT_TOPICS[query.topic or ""]
    elif query.kind == "opinion":
        _, train, unseen = OPINION_TOPICS[query.topic or ""]
    else:
        train, unseen = PHRASINGS[query.kind]
    return unseen if held_out else train


def phrase(query: Query, rng: random.Random, held_out: bool = False) -> str:
    """The query in words."""
    template = rng.choice(phrasings(query, held_out))
    return template.format(
        the=query.target.the,
        noun=query.target.noun,
        a=query.target.a(),
        plural=plural(query.target.noun),
        other=query.other.the if query.other else "",
        direction=where_of(query),
    )


# --- Choosing queries about a scene --------------------------------------------------------------------


def referents_to(thing: Thing, kind: Kind) -> list[Referent]:
    """How a question of this kind may name a thing without giving its answer away."""
    by_shape, by_color = Referent(shape=thing.shape), Referent(color=thing.color)
    if kind == "color":
        return [by_shape, Referent()]
    if kind == "shape":
        return [by_color, Referent()]
    return [by_shape, by_color, Referent(thing.shape, thing.color), Referent()]


def answerable_queries(scene: Scene, kind: Kind) -> list[Query]:
    """Every answerable query of a kind about a scene; `exists` and `count` also ask about what is absent."""
    if kind == "background":
        return [Query("background")]
    if kind in ("exists", "count"):
        targets = [Referent(shape=s) for s in SHAPES] + [Referent(color=c) for c in COLORS]
        if kind == "exists":
            targets += [Referent(s, c) for s in SHAPES for c in COLORS]
        else:
            targets.append(Referent())
        return [Query(kind, target) for target in targets]
    if kind == "relation":
        return [
            query
            for a in scene.things
            for b in scene.things
            if a is not b
            for direction in DIRECTIONS
            if status(
                scene,
                query := Query("relation", Referent(a.shape, a.color), Referent(b.shape, b.color), direction),
            ).value
        ]
    queries = {Query(kind, referent) for thing in scene.things for referent in referents_to(thing, kind)}
    return sorted((q for q in queries if status(scene, q).category == "Answerable"), key=repr)


def false_premise_queries(scene: Scene) -> list[Query]:
    """Queries of the seeing kinds whose referent the scene does not show.

    Either nothing of that shape or colour is there, or the thing is there in another colour.
    """
    queries = []
    shapes_seen = {thing.shape for thing in scene.things}
    colors_seen = {thing.color for thing in scene.things}
    for kind in SEEING_KINDS:
        if kind != "shape":
            queries += [Query(kind, Referent(shape=s)) for s in SHAPES if s not in shapes_seen]
        if kind != "color":
            queries += [Query(kind, Referent(color=c)) for c in COLORS if c not in colors_seen]
        if kind in ("size", "position"):
            queries += [
                Query(kind, Referent(thing.shape, color))
                for thing in scene.things
                for color in COLORS
                if not things_matching(scene, Referent(thing.shape, color))
            ]
    return sorted(set(queries), key=repr)


def vague_queries(scene: Scene) -> list[Query]:
    """Queries of the seeing kinds whose referent fits several things that differ in what is asked."""
    queries = {
        Query(kind, referent)
        for thing in scene.things
        for kind in SEEING_KINDS
        for referent in referents_to(thing, kind)
    }

    def differs(query: Query) -> bool:
        return len({attribute(query.kind, thing) for thing in things_matching(scene, query.target)}) > 1

    return sorted(
        (q for q in queries if status(scene, q).category == "Vague_Description" and differs(q)), key=repr
    )


def topic_query(scene: Scene, category: Category, rng: random.Random) -> Query:
    """A Context_Dependent or Subjective_or_Philosophical query about one of the scene's things."""
    thing = rng.choice(scene.things)
    target = rng.choice(
        [Referent(shape=thing.shape), Referent(thing.shape, thing.color), Referent(color=thing.color)]
    )
    if category == "Context_Dependent":
        return Query("context", target, topic=rng.choice(sorted(CONTEXT_TOPICS)))
    return Query("opinion", target, topic=rng.choice(sorted(OPINION_TOPICS)))
