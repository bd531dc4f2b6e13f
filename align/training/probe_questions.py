"""The fixed handful of questions that an honesty probe asks, none of them trained on or benchmarked.

A probe decides when training stops and which checkpoint is kept. So its questions are kept away from the
test split: figures of a benchmark that had a say in its own subject would flatter it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from align.data.images import inspect_images
from align.miniworld.dataset import build_questions
from align.records import (
    UNANSWERABLE,
    DataError,
    Pair,
    Problem,
    Question,
    SFTRow,
    read_records,
    stable_id,
    write_records,
)

_SEED = 1_000_003
"""Added to the probe's seed, so that it is none that a data set of the miniature world is likely to have."""


def find_probe_questions(
    probe: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    rows: Sequence[Pair | SFTRow],
    folder: str | Path,
) -> tuple[list[Question], Path] | None:
    """The questions to probe with and the root of their images; None where there is nothing to probe with.

    With `probe["questions"]` null: fresh questions of the miniature world, kept in `folder`, if the training
    rows are the miniature world's own, and None if they are others. Otherwise a file of questions, with its
    images under `probe["root"]` (null: `data["root"]`). `rows` are the rows to train on. Every process of a
    launch may call it, the main one first.

    Raises `ValueError` or `DataError` for a file that cannot be probed with.
    """
    counts = {"unanswerable": probe["unanswerable"], "answerable": probe["answerable"], "seed": probe["seed"]}
    if probe["questions"] is not None:
        root = Path(probe["root"] or data["root"])
        return read_probe_questions(probe["questions"], root, rows=rows, **counts), root
    home = data.get("generate_in")
    if home is None or Path(data["root"]) != Path(home):
        return None
    known = Path(home) / "questions.jsonl"
    avoid = read_records(known, Question) if known.is_file() else []
    return fresh_miniworld_questions(folder, rows=rows, avoid=avoid, **counts), Path(folder)


def fresh_miniworld_questions(
    folder: str | Path,
    *,
    unanswerable: int,
    answerable: int,
    seed: int,
    rows: Sequence[Pair | SFTRow] = (),
    avoid: Sequence[Question] = (),
) -> list[Question]:
    """Draw questions of the miniature world as in its train split, and write them to `folder`.

    No question has an id or an image of `rows` (trained on) or of `avoid` (the data set with its test split).
    Wordings and shape-colour combinations are those of training: the held-out ones are the benchmark's.
    Writes `folder/questions.jsonl` and `folder/images`; the same arguments give the same files.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as drawn:
        # The rarest category has a tenth of the pairs and must fill a quarter of the places.
        pairs = 5 * max(unanswerable, answerable, 8)
        pool = build_questions(drawn, train=pairs, test=0, seed=_SEED + seed)
        fresh = _not_taken(pool, rows, avoid)
        chosen = draw(fresh, unanswerable=unanswerable, answerable=answerable, seed=seed)
        chosen = [question.model_copy(update={"split": "validation"}) for question in chosen]
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for image in sorted({question.image for question in chosen}):
            if not (folder / image).exists():
                shutil.copyfile(Path(drawn) / image, folder / image)
    file = folder / "questions.jsonl"
    if not file.exists() or read_records(file, Question) != chosen:
        write_records(file, chosen)
    return chosen


def read_probe_questions(
    file: str | Path,
    root: str | Path,
    *,
    unanswerable: int,
    answerable: int,
    seed: int,
    rows: Sequence[Pair | SFTRow] = (),
) -> list[Question]:
    """Draw questions to probe with from a file: its validation split, or all of it if it has no splits.

    Questions that are trained on, or whose image is, are left out. Raises `ValueError` if the file has splits
    and none is `validation`, or if nothing is left, and `DataError` for malformed rows and unusable images.
    """
    questions = read_records(file, Question)
    splits = {question.split for question in questions}
    if splits != {None}:
        questions = [question for question in questions if question.split == "validation"]
        if not questions:
            raise ValueError(
                f"probe.questions={file} has no validation split, and a probe may not use the test split, "
                "whose figures it would flatter: give data_prep/ingest.py "
                "split='{train: 0.7, validation: 0.1, test: 0.2}', or a file of questions without splits"
            )
    fresh = _not_taken(questions, rows, ())
    if not fresh:
        raise ValueError(
            f"probe.questions={file}: all {len(questions)} questions are trained on, or their images are. "
            "Give questions about other images"
        )
    chosen = draw(fresh, unanswerable=unanswerable, answerable=answerable, seed=seed)
    facts = inspect_images([question.image for question in chosen], root)
    problems = [
        Problem(file=str(file), field="image", row_id=question.id, message=str(facts[question.image]))
        for question in chosen
        if isinstance(facts[question.image], str)
    ]
    if problems:
        raise DataError(problems)
    return chosen


def draw(questions: Sequence[Question], *, unanswerable: int, answerable: int, seed: int) -> list[Question]:
    """Up to so many questions of each kind: categories by turns, each question with its twin if there is one.

    The choice depends on the seed and the questions' ids, not on their order. Fewer are returned where there
    are not enough.
    """
    ordered = sorted(questions, key=lambda question: stable_id(str(seed), question.id))
    by_id = {question.id: question for question in ordered}
    candidates = [question for question in ordered if question.answerable]

    def twin_of(question: Question) -> Question | None:
        twin = by_id.get(question.twin or "")
        return twin if twin is not None and twin.answerable else None

    queues = {
        category: deque(
            sorted((q for q in ordered if q.category == category), key=lambda q: twin_of(q) is None)
        )
        for category in UNANSWERABLE
    }
    declined: list[Question] = []
    answered: dict[str, Question] = {}
    while any(queues.values()) and len(declined) < unanswerable:
        for queue in queues.values():
            if queue and len(declined) < unanswerable:
                question = queue.popleft()
                declined.append(question)
                twin = twin_of(question)
                if twin is not None and len(answered) < answerable:
                    answered[twin.id] = twin
    for question in candidates:
        if len(answered) >= answerable:
            break
        answered.setdefault(question.id, question)
    return [*declined, *answered.values()]


def _not_taken(
    questions: Sequence[Question], rows: Sequence[Pair | SFTRow], avoid: Sequence[Question]
) -> list[Question]:
    ids: Collection[str] = {row.question_id for row in rows} | {question.id for question in avoid}
    images = {image for row in rows for image in row.images} | {question.image for question in avoid}
    return [question for question in questions if question.id not in ids and question.image not in images]
