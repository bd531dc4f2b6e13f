"""The embedded benchmark: questions in pairs of twins, and their pictures.

For False_Premises and Vague_Description a twin is the same words asked of another scene, where they can
be answered: no text cue tells the two apart. For Context_Dependent and Subjective_or_Philosophical it is
an answerable question about the same object in the same scene.

The test split has three parts: `standard`, `phrasings` (wordings that training never sees) and
`combinations` (scenes with shape-colour combinations that training never sees, asked about just those).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from align.miniworld import honest
from align.miniworld.questions import (
    DIRECTIONS,
    SEEING_KINDS,
    Query,
    Referent,
    false_premise_queries,
    listing,
    phrase,
    referents_to,
    status,
    things_matching,
    topic_query,
    vague_queries,
)
from align.miniworld.scenes import HELD_OUT, Part, Scene, draw_image, make_scene
from align.records import UNANSWERABLE, Category, Question, stable_id, write_records

SOURCE = "miniworld"
LICENSE = "Apache-2.0"

TRAIN_WEIGHTS: Mapping[Category, float] = {
    "False_Premises": 4,
    "Vague_Description": 4,
    "Context_Dependent": 1,
    "Subjective_or_Philosophical": 1,
}
"""The two categories that must be seen come four times as often as the two whose text gives them away."""

TEST_PARTS: Mapping[str, float] = {"standard": 2 / 3, "phrasings": 1 / 6, "combinations": 1 / 6}


def build_questions(
    root: str | Path, *, train: int = 4000, test: int = 1200, seed: int = 0
) -> list[Question]:
    """Write `questions.jsonl` and `images/` under `root`, and return the questions.

    `train` and `test` count pairs of twins, so there are twice as many questions. The four categories are
    balanced in each part of the test split, and weighted by `TRAIN_WEIGHTS` in the train split. The same
    arguments give the same files. No scene of the test split is in the train split.
    """
    root = Path(root)
    taken: set[str] = set()  # question ids
    questions: list[Question] = []
    scenes: dict[str, Scene] = {}  # by image path

    def add(
        twins: tuple[tuple[Scene, Query], tuple[Scene, Query]], text: str, twin_text: str, **fields: str
    ) -> bool:
        records = []
        for (scene, query), words in zip(twins, (text, twin_text), strict=True):
            image = image_path(scene)
            found = status(scene, query)
            records.append(
                Question(
                    id=stable_id(SOURCE, image, words),
                    image=image,
                    question=words,
                    category=found.category,
                    reason=reason(scene, query) if found.value is None else None,
                    answers=(found.value,) if found.value else (),
                    caption=caption(scene),
                    source=SOURCE,
                    license=LICENSE,
                    metadata={"scene": scene.to_dict(), "query": query.to_dict()},
                    **fields,  # type: ignore[arg-type]
                )
            )
            scenes[image] = scene
        first, second = records
        if {first.id, second.id} & taken:
            return False
        taken.update((first.id, second.id))
        questions.append(first.model_copy(update={"twin": second.id}))
        questions.append(second.model_copy(update={"twin": first.id}))
        return True

    for part, share in TEST_PARTS.items():
        rng = random.Random(f"{SOURCE}-test-{part}-{seed}")
        scene_part: Part = "combinations" if part == "combinations" else "seen"
        for index in range(round(share * test)):
            category = UNANSWERABLE[index % len(UNANSWERABLE)]
            while not add(
                *_worded_twins(category, rng, scene_part, held_out=part == "phrasings"),
                split="test",
                part=part,
            ):
                pass
    test_images = set(scenes)
    rng = random.Random(f"{SOURCE}-train-{seed}")
    categories = list(TRAIN_WEIGHTS)
    for _ in range(train):
        category = rng.choices(categories, weights=list(TRAIN_WEIGHTS.values()))[0]
        while True:
            twins, text, twin_text = _worded_twins(category, rng, "seen", held_out=False)
            if not {image_path(scene) for scene, _ in twins} & test_images and add(
                twins, text, twin_text, split="train"
            ):
                break

    (root / "images").mkdir(parents=True, exist_ok=True)
    for image, scene in scenes.items():
        draw_image(scene).save(root / image, compress_level=1)
    write_records(root / "questions.jsonl", questions)
    return questions


def image_path(scene: Scene) -> str:
    return f"images/{stable_id(repr(scene))}.png"


Twins = tuple[tuple[Scene, Query], tuple[Scene, Query]]


def _worded_twins(
    category: Category, rng: random.Random, part: Part, *, held_out: bool
) -> tuple[Twins, str, str]:
    """Twins and their words: the same words for both where the category allows it."""
    twins = make_twins(category, rng, part)
    (_, query), (_, twin) = twins
    text = phrase(query, rng, held_out)
    return twins, text, text if twin == query else phrase(twin, rng, held_out)


def make_twins(category: Category, rng: random.Random, part: Part = "seen") -> Twins:
    """An unanswerable query with its scene, and the answerable twin with its own.

    In `combinations` the thing that the answerable twin is about has a held-out combination.
    """
    if category in ("Context_Dependent", "Subjective_or_Philosophical"):
        for scene in _scenes(rng, part):
            about = topic_query(scene, category, rng)
            options = [q for q in _answerable_about(scene, about.target, rng) if _fits(scene, q, part)]
            if options:
                return (scene, about), (scene, rng.choice(options))
    for scene in _scenes(rng, part, alike=category == "Vague_Description"):
        query = _seeing_query(scene, category, rng)
        if query is None:
            continue
        # A word that no scene of the part can answer (a held-out combination, say) would never find a twin.
        for _ in range(200):
            other = make_scene(rng, part, count=rng.randint(1, 3) if query.target == Referent() else None)
            if status(other, query).value and _fits(other, query, part):
                return (scene, query), (other, query)
    raise AssertionError("unreachable: scenes never run out")


def _scenes(rng: random.Random, part: Part, alike: bool = False) -> Iterator[Scene]:
    while True:
        yield make_scene(rng, part, alike=alike)


def _seeing_query(scene: Scene, category: Category, rng: random.Random) -> Query | None:
    """A query of the category, the kinds equally often, or None when what is drawn has none in the scene.

    A fifth of the vague ones ask about `it`; the rest name a shape or a colour that fits several things.
    """
    kind = rng.choice(SEEING_KINDS)
    queries = false_premise_queries(scene) if category == "False_Premises" else vague_queries(scene)
    nameless = category == "Vague_Description" and rng.random() < 0.2
    queries = [q for q in queries if q.kind == kind and (q.target == Referent()) == nameless]
    return rng.choice(queries) if queries else None


def _answerable_about(scene: Scene, target: Referent, rng: random.Random) -> list[Query]:
    """One answerable query of each kind about the thing that `target` names."""
    thing = things_matching(scene, target)[0]
    named = [Referent(shape=thing.shape), Referent(color=thing.color), Referent(thing.shape, thing.color)]
    queries = [Query(kind, rng.choice(referents_to(thing, kind)[:-1])) for kind in SEEING_KINDS]
    queries += [Query("exists", rng.choice(named)), Query("count", rng.choice(named[:2]))]
    others = [other for other in scene.things if other is not thing]
    if others:
        other = rng.choice(others)
        queries.append(
            Query("relation", named[2], Referent(other.shape, other.color), direction=rng.choice(DIRECTIONS))
        )
    return [query for query in queries if status(scene, query).value]


def _fits(scene: Scene, query: Query, part: Part) -> bool:
    """In `combinations`: is the query about a thing with a held-out combination?"""
    matching = things_matching(scene, query.target)
    return part == "seen" or any((thing.shape, thing.color) in HELD_OUT for thing in matching)


def caption(scene: Scene) -> str:
    where = [f"a {thing.size} {thing.name} at the {thing.place}" for thing in scene.things]
    return f"A {scene.background} background with {listing(where)}."


def reason(scene: Scene, query: Query) -> str:
    """Why the query can't be answered, in one sentence without ornament."""
    category = status(scene, query).category
    noun = query.target.noun
    if category == "False_Premises":
        return f"There is no {noun} in the image; it shows {honest.naming(scene.things)}."
    if category == "Vague_Description":
        matching = things_matching(scene, query.target)
        return f"'{query.target.the}' fits {len(matching)} things: {honest.naming(matching)}."
    if category == "Context_Dependent":
        return f"The image does not show {honest.matter_of(query)}."
    return f"It is a matter of {honest.matter_of(query)}, which no image settles."
