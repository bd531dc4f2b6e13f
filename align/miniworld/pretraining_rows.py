"""What the tiny model is trained on: question and answer rows about a scene.

Three kinds of row. **Answers** to what the scene shows. **Inventions**: sure answers to plain questions
that the scene cannot answer, which is the dishonest habit of real models. **Honesty on request**: when
the prompt itself asks to say what cannot be told, the row does so, truthfully. So the model knows how to
decline, as real models do, and never does it unasked; preference training has a habit to change, not a
language to teach. (In an earlier trial a base that had never produced such words could not be aligned by
preference alone; that was not measured again here.)
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from align.miniworld import honest
from align.miniworld.questions import (
    DIRECTIONS,
    SEEING_KINDS,
    Kind,
    Query,
    Referent,
    false_premise_queries,
    phrase,
    referents_to,
    status,
    topic_query,
    vague_queries,
)
from align.miniworld.scenes import COLORS, HELD_OUT, SHAPES, Scene

# {q}: the question. None of these stands in any benchmark question.
HONESTY_REQUESTS = (
    "If the image does not show it, say so. {q}",
    "Say so if you can't tell. {q}",
    "Only answer if the image can tell. {q}",
    "Do not guess. {q}",
    "If you can't know, say why. {q}",
    "{q} Say why if you can't tell.",
    "{q} Do not guess.",
    "{q} Answer only if the image shows it.",
)
DESCRIBE = ("Describe the image.", "What do you see?", "What does the image show?", "What is in the image?")

# Looking up a color or a shape is learned in minutes; presence, number and place take most of the training.
_ANSWERABLE_WEIGHTS: dict[Kind, float] = {
    "color": 1,
    "shape": 1,
    "size": 1,
    "position": 3,
    "count": 5,
    "exists": 4,
    "relation": 2,
    "background": 0.3,
}
_UNANSWERABLE = ("False_Premises", "Vague_Description", "Context_Dependent", "Subjective_or_Philosophical")


@dataclass(frozen=True)
class Row:
    """`group` is the query's kind, or `describe`, `invent` or `request`: what accuracy is reported by."""

    group: str
    question: str
    answer: str


def pretraining_rows(
    scene: Scene, rng: random.Random, *, count: int, inventions: float, requests: float
) -> list[Row]:
    """`count` rows about a scene, with the shares of inventions and of honesty on request in 0-1."""
    rows: list[Row] = []
    while len(rows) < count:
        draw = rng.random()
        if draw < inventions:
            query = unanswerable_query(scene, rng)
            if query:
                rows.append(Row("invent", phrase(query, rng), honest.invention(scene, query, rng)))
        elif draw < inventions + requests:
            if rng.random() < 0.4:
                query = answerable_query(scene, rng)
                text = query and honest.answer(scene, query)
            else:
                query = unanswerable_query(scene, rng)
                text = query and honest.refusal(scene, query, rng)
            if query and text:
                rows.append(Row("request", rng.choice(HONESTY_REQUESTS).format(q=phrase(query, rng)), text))
        elif draw > 0.97:
            text = f"I see {honest.naming(scene.things)} on a {scene.background} background."
            rows.append(Row("describe", rng.choice(DESCRIBE), text))
        else:
            query = answerable_query(scene, rng)
            if query:
                rows.append(Row(query.kind, phrase(query, rng), honest.answer(scene, query)))
    return rows


def answerable_query(scene: Scene, rng: random.Random) -> Query | None:
    """A random answerable query, or None when the draw happens to fit nothing in this scene."""
    kind = rng.choices(list(_ANSWERABLE_WEIGHTS), weights=list(_ANSWERABLE_WEIGHTS.values()))[0]
    thing = rng.choice(scene.things)
    if kind == "background":
        return Query(kind)
    if kind in ("count", "exists"):
        names = [Referent(shape=thing.shape), Referent(color=thing.color)]
        if rng.random() < 0.5:  # about what may well be absent
            names = [Referent(shape=rng.choice(SHAPES)), Referent(color=rng.choice(COLORS))]
        if kind == "exists" and rng.random() < 0.4:
            # Half of what is named in full differs in one word only from what is there.
            names = rng.choice(
                (
                    [Referent(thing.shape, thing.color)],
                    [Referent(thing.shape, rng.choice(COLORS)), Referent(rng.choice(SHAPES), thing.color)],
                )
            )
            # Never true in training: who is asked about them learns to say no to the words.
            names = [name for name in names if (name.shape, name.color) not in HELD_OUT]
            if not names:
                return None
        elif kind == "count":
            names.append(Referent())
        return Query(kind, rng.choice(names))
    if kind == "relation":
        other = rng.choice(scene.things)
        query = Query(
            kind,
            Referent(thing.shape, thing.color),
            Referent(other.shape, other.color),
            rng.choice(DIRECTIONS),
        )
        return query if other is not thing and status(scene, query).value else None
    query = Query(kind, rng.choice(referents_to(thing, kind)))
    return query if status(scene, query).value else None


def unanswerable_query(scene: Scene, rng: random.Random) -> Query | None:
    """A random unanswerable query, or None when the drawn category has none in this scene."""
    category = rng.choices(_UNANSWERABLE, weights=(4, 4, 1, 1))[0]
    if category == "False_Premises":
        queries = false_premise_queries(scene)
        return rng.choice([q for q in queries if (q.target.shape, q.target.color) not in HELD_OUT])
    if category == "Vague_Description":
        # By kind first: otherwise position, which nearly always differs, would crowd out the rest.
        queries = vague_queries(scene)
        kinds = sorted({query.kind for query in queries}, key=SEEING_KINDS.index)
        if not kinds:
            return None
        kind = rng.choice(kinds)
        return rng.choice([query for query in queries if query.kind == kind])
    return topic_query(scene, category, rng)  # type: ignore[arg-type]
