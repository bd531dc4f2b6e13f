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

# Per kind: phrasings for training, then phrasings held out for the test split. {the}: "the star" or "it";
# {noun}: "star"; {a}: "a star"; {plural}: "stars". Held-out ones use words that training has in other kinds.
PHRASINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "color": (
        (
            "What color is {the}?",
            "Which color is {the}?",
            "What is the color of {the}?",
            "Tell me the color of {the}.",
            "What color does {the} have?",
            "Please tell me what color {the} is.",
            "Say which color {the} has.",
            "I want to know what color {the} is.",
        ),
        (
            "Which color does {the} have?",
            "Please tell me the color of {the}.",
            "I want to know the color of {the}.",
        ),
    ),
    "shape": (
        (
            "What shape is {the}?",
            "Which shape is {the}?",
            "What is the shape of {the}?",
            "Tell me the shape of {the}.",
            "What shape does {the} have?",
            "Please tell me what shape {the} is.",
            "Say which shape {the} has.",
            "I want to know what shape {the} is.",
        ),
        (
            "Which shape does {the} have?",
            "Please tell me the shape of {the}.",
            "I want to know the shape of {the}.",
        ),
    ),
    "size": (
        (
            "Is {the} small or large?",
            "What size is {the}?",
            "Is {the} large or small?",
            "Tell me the size of {the}.",
            "What size does {the} have?",
            "Please tell me how big {the} is.",
            "How big is {the}?",
            "I want to know how big {the} is.",
        ),
        ("What is the size of {the}?", "Please tell me what size {the} is.", "Tell me how big {the} is."),
    ),
    "position": (
        (
            "Where is {the}?",
            "Where in the image is {the}?",
            "In which part of the image is {the}?",
            "Tell me where {the} is.",
            "What is the position of {the}?",
            "Please tell me where {the} is.",
            "Say where {the} is.",
            "I want to know where {the} is.",
        ),
        (
            "Tell me the position of {the}.",
            "Please say where {the} is.",
            "I want to know the position of {the}.",
        ),
    ),
    "count": (
        (
            "How many {plural} are there?",
            "How many {plural} are in the image?",
            "Count the {plural}.",
            "How many {plural} do you see?",
            "What is the number of {plural}?",
            "Please count the {plural}.",
            "Tell me how many {plural} there are.",
            "I want to know how many {plural} there are.",
        ),
        (
            "How many {plural} can you see?",
            "Tell me the number of {plural}.",
            "Please tell me how many {plural} there are.",
        ),
    ),
    "exists": (
        (
            "Is there {a}?",
            "Is there {a} in the image?",
            "Do you see {a}?",
            "Can you see {a}?",
            "Does the image have {a}?",
            "Does the image show {a}?",
            "Tell me if there is {a}.",
            "I want to know if there is {a}.",
        ),
        ("Do you see {a} in the image?", "Please tell me if there is {a}.", "Can you see {a} in the image?"),
    ),
    "relation": (
        (
            "Is {the} {direction} {other}?",
            "Do you see {the} {direction} {other}?",
            "Tell me if {the} is {direction} {other}.",
            "Does the image show {the} {direction} {other}?",
            "I want to know if {the} is {direction} {other}.",
            "In the image, is {the} {direction} {other}?",
        ),
        ("Please tell me if {the} is {direction} {other}.", "Can you see {the} {direction} {other}?"),
    ),
    "background": (
        (
            "What color is the background?",
            "Which color is the background?",
            "What is the color of the background?",
            "Tell me the color of the background.",
            "What color does the background have?",
            "Please tell me what color the background is.",
        ),
        ("Which color does the background have?", "Please tell me the color of the background."),
    ),
}

# Context_Dependent: topic -> what the image does not show, and the words of the question.
CONTEXT_TOPICS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "maker": (
        "who made it",
        (
            "Who made {the}?",
            "Who drew {the}?",
            "Tell me who made {the}.",
            "What is the name of who drew {the}?",
            "Please tell me who drew {the}.",
            "I want to know who made {the}.",
        ),
        ("Please tell me who made {the}.", "I want to know who drew {the}."),
    ),
    "before": (
        "what was there before",
        (
            "What was here before {the}?",
            "Where was {the} before?",
            "What color was {the} before?",
            "Tell me where {the} was before.",
            "Please tell me what was here before {the}.",
            "I want to know where {the} was before.",
        ),
        ("Tell me what was here before {the}.", "Please tell me where {the} was before."),
    ),
    "after": (
        "what comes next",
        (
            "What happens next to {the}?",
            "Where will {the} go next?",
            "What will {the} do next?",
            "Tell me what happens next to {the}.",
            "Please tell me where {the} will go next.",
            "I want to know what happens next to {the}.",
        ),
        ("Tell me where {the} will go next.", "I want to know what {the} will do next."),
    ),
    "purpose": (
        "why it was put there",
        (
            "Why is {the} here?",
            "Why was {the} put there?",
            "What is {the} for?",
            "Tell me why {the} is here.",
            "Please tell me what {the} is for.",
            "I want to know why {the} was put there.",
        ),
        ("Please tell me why {the} is here.", "I want to know what {the} is for."),
    ),
    "price": (
        "what it costs or who owns it",
        (
            "How much does {the} cost?",
            "Who owns {the}?",
            "What is the price of {the}?",
            "Tell me how much {the} costs.",
            "Please tell me who owns {the}.",
            "I want to know the price of {the}.",
        ),
        ("Tell me the price of {the}.", "I want to know who owns {the}."),
    ),
    "time": (
        "when it was drawn or how old it is",
        (
            "When was {the} drawn?",
            "How old is {the}?",
            "When was {the} made?",
            "Tell me when {the} was drawn.",
            "Please tell me how old {the} is.",
            "I want to know when {the} was made.",
        ),
        ("Please tell me when {the} was drawn.", "I want to know how old {the} is."),
    ),
}

# Subjective_or_Philosophical: topic -> what it is a matter of, and the words of the question.
OPINION_TOPICS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "beauty": (
        "taste",
        (
            "Is {the} beautiful?",
            "How beautiful is {the}?",
            "Is {the} pretty or ugly?",
            "Tell me if {the} is beautiful.",
            "Do you find {the} ugly?",
            "I want to know if {the} is pretty.",
        ),
        ("Please tell me if {the} is beautiful.", "Do you find {the} pretty?"),
    ),
    "liking": (
        "preference",
        (
            "Do you like {the}?",
            "Is {the} the best?",
            "Would you like to have {the}?",
            "Tell me if you like {the}.",
            "Is {the} better than the others?",
            "I want to know if you like {the}.",
        ),
        ("Please tell me if you like {the}.", "Tell me if {the} is the best."),
    ),
    "feeling": (
        "feelings",
        (
            "Is {the} happy?",
            "Does {the} feel lonely?",
            "How does {the} feel?",
            "Tell me how {the} feels.",
            "Is {the} sad or happy?",
            "I want to know if {the} is lonely.",
        ),
        ("Please tell me how {the} feels.", "Tell me if {the} is happy."),
    ),
    "meaning": (
        "meaning",
        (
            "What does {the} mean?",
            "What does {the} stand for?",
            "Tell me the meaning of {the}.",
            "What is the deeper meaning of {the}?",
            "Please tell me what {the} stands for.",
            "I want to know what {the} means.",
        ),
        ("Please tell me what {the} means.", "I want to know the meaning of {the}."),
    ),
    "morals": (
        "values",
        (
            "Is it right to have {the} here?",
            "Is {the} good or bad?",
            "Should {the} be here?",
            "Tell me if {the} is good or bad.",
            "Is it fair to {the}?",
            "I want to know if {the} should be here.",
        ),
        ("Tell me if {the} should be here.", "I want to know if {the} is good or bad."),
    ),
}


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
