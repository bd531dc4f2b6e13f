"""The checks that need all rows of a reading: images, duplicates, twins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from align.data.images import MAX_PIXELS, ImageFacts, inspect_images
from align.data.reading import PairRow, ParsedRow, Reading
from align.records import Question, Response

AnyRow = TypeVar("AnyRow", ParsedRow, PairRow)


def with_whole_images(
    reading: Reading,
    rows: list[AnyRow],
    root: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    fingerprints: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[AnyRow]:
    """Decode every image once, and reject each row whose image cannot be used."""
    facts = inspect_images(
        (image for row in rows for image in row.images),
        root,
        max_pixels=max_pixels,
        follow_links=follow_links,
        fingerprints=fingerprints,
        progress=progress,
    )
    kept = []
    for row in rows:
        bad = [(image, result) for image in row.images if isinstance(result := facts[image], str)]
        for image, why in bad:
            name = Path(image).name
            if why.startswith("missing") and name != image and (Path(root) / name).is_file():
                why += f"; {name!r} is there: set image_name_only=true to look for the bare names"
            reading.reject_row(row, row.image_field, why)
        if not bad:
            kept.append(row)
        for image in row.images:
            if isinstance(result := facts[image], ImageFacts):
                reading.images[image] = result
    return kept


def without_duplicates(reading: Reading, rows: list[ParsedRow]) -> list[ParsedRow]:
    """Keep each question once, and turn model outputs into responses.

    The same words about the same image may be asked in two parts of a split, which are reported apart.

    Upstream's output files repeat a question for every model: a row with an answer that repeats a
    question in all its fields is one more response to it, not a duplicate.
    """
    kept: list[ParsedRow] = []
    first_with_id: dict[str, ParsedRow] = {}
    first_with_text: dict[tuple[str, str, str | None], ParsedRow] = {}
    samples: Counter[tuple[str, str]] = Counter()
    for row in rows:
        question = row.question
        key = (question.image, " ".join(question.question.casefold().split()), question.part)
        first = first_with_text.get(key)
        if first is not None and row.output is not None and first.question == question:
            _add_response(reading, row, samples)
        elif question.id in first_with_id:
            place = reading.place(row, first_with_id[question.id])
            message = f"duplicate id {question.id!r}: {place} has it too"
            if first is not None:
                message += ", for the same question about the same image"
            reading.reject_row(row, "id", message)
        elif first is not None:
            place = reading.place(row, first)
            message = f"duplicate: {place} asks the same question about the same image"
            reading.reject_row(row, "question", message)
        else:
            first_with_text[key] = first_with_id[question.id] = row
            kept.append(row)
            if row.output is not None:
                _add_response(reading, row, samples)
    return kept


def _add_response(reading: Reading, row: ParsedRow, samples: Counter[tuple[str, str]]) -> None:
    values = {name: (row.output or {}).get(name) for name in ("model_answer", "model_name", "prompt")}
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            reading.reject_row(row, name, f"expected a text, found {type(value).__name__}")
            return
    answer, model = values["model_answer"], values["model_name"] or "unknown"
    key = (row.question.id, model)
    reading.responses.append(
        Response(
            question_id=row.question.id,
            model=model,
            text=answer,
            error=None
            if answer is not None
            else f"no model_answer in {reading.file_of(row.number)}:{row.line}",
            decoding={"prompt": values["prompt"]} if values["prompt"] is not None else {},
            sample_index=samples[key],
        )
    )
    samples[key] += 1


def with_mutual_twins(reading: Reading, rows: list[ParsedRow]) -> list[Question]:
    """Check that twins exist, differ in answerability and belong to each other; name each in both.

    When the twin's own row was rejected the question keeps its place without a twin, and a note says so.
    """
    by_id = {row.question.id: row.question for row in rows}
    rejected_ids = {problem.row_id for problem in reading.problems if problem.row_id}
    twin_of: dict[str, str] = {}
    lost = 0
    for row in rows:
        question, twin_id = row.question, row.question.twin
        if twin_id is None:
            continue
        twin = by_id.get(twin_id)
        if twin is None:
            if twin_id in rejected_ids:
                lost += 1
            else:
                reading.reject_row(row, "twin", f"no question has the id {twin_id!r}")
        elif twin.answerable == question.answerable:
            what = "answerable" if twin.answerable else "unanswerable"
            reading.reject_row(row, "twin", f"{twin_id!r} is {what} too: twins must differ in that")
        elif twin_of.get(twin_id, question.id) != question.id:
            reading.reject_row(row, "twin", f"{twin_id!r} already is the twin of {twin_of[twin_id]!r}")
        elif twin_of.get(question.id, twin_id) != twin_id:
            message = f"{twin_of[question.id]!r} names this question as its twin, so {twin_id!r} cannot be"
            reading.reject_row(row, "twin", message)
        else:
            twin_of[question.id], twin_of[twin_id] = twin_id, question.id
    usable = {row.question.id for row in rows if row.number not in reading.bad_rows}
    lost += sum(1 for id_ in usable if id_ in twin_of and twin_of[id_] not in usable)
    if lost:
        reading.notes.append(f"{lost} question(s) lost their twin, since the twin's row was rejected")
    reading.remember_places(rows)
    questions = []
    for row in rows:
        if row.question.id in usable:
            partner = twin_of.get(row.question.id)
            questions.append(row.question.model_copy(update={"twin": partner if partner in usable else None}))
    return questions
