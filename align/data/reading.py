"""What a question file held, and the checks that need all of its rows: images, duplicates, twins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.data.images import MAX_PIXELS, ImageFacts, inspect_images
from align.records import DataError, Problem, Question, Response


@dataclass(frozen=True)
class ParsedRow:
    """A row that could be read as a question. `number` is its place among the file's rows, from 1."""

    number: int
    line: int
    question: Question
    raw: dict[str, Any]


@dataclass
class Reading:
    """What one question file held.

    Attributes:
        questions: the usable questions, in the file's order.
        responses: what rows with `model_answer` say a model answered.
        problems: every reason why a row was not used; a row may have several.
        bad_rows: the numbers of the rows that were not used, from 1.
        n_rows: rows in the file, usable or not.
        complete: False when a part of the file could not be read as rows at all.
        notes: what was accepted although it is unusual, and what else is worth knowing.
        fields: how many rows have each field.
        caption_fields: the fields that captions were taken from, with their numbers of rows.
        unknown_fields: fields that nothing reads, with their numbers of rows.
        images: the facts of each whole image, by its path.
    """

    file: str
    questions: list[Question] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bad_rows: set[int] = field(default_factory=set)
    n_rows: int = 0
    complete: bool = True
    notes: list[str] = field(default_factory=list)
    fields: Counter[str] = field(default_factory=Counter)
    caption_fields: Counter[str] = field(default_factory=Counter)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    images: dict[str, ImageFacts] = field(default_factory=dict)
    _row_of_problem: list[int] = field(default_factory=list)
    _rows_on_line: Counter[int] = field(default_factory=Counter)

    def count_row(self, line: int) -> int:
        """Count a row that begins on a line. Returns its number."""
        self.n_rows += 1
        self._rows_on_line[line] += 1
        return self.n_rows

    def reject(
        self, number: int, line: int, message: str, field_name: str | None = None, row_id: str | None = None
    ) -> None:
        """Put a row out of use, and say why."""
        self.bad_rows.add(number)
        self._row_of_problem.append(number)
        self.problems.append(
            Problem(file=self.file, line=line, field=field_name, row_id=row_id, message=message)
        )

    def reject_row(self, row: ParsedRow, field_name: str, message: str) -> None:
        self.reject(row.number, row.line, message, field_name, row.question.id)

    def finish(self) -> None:
        """Order the problems by row. Where an array stands on one line, the row's number is added to them."""
        ordered = sorted(zip(self._row_of_problem, self.problems, strict=True), key=lambda pair: pair[0])
        self._row_of_problem = [number for number, _ in ordered]
        self.problems = [
            problem
            if self._rows_on_line[problem.line or 0] < 2
            else problem.model_copy(update={"message": f"row {number}: {problem.message}"})
            for number, problem in ordered
        ]
        usable = {question.id for question in self.questions}
        self.responses = [response for response in self.responses if response.question_id in usable]

    def raise_if_bad(self) -> None:
        """Raise `DataError` with every problem, if there is any."""
        if self.problems:
            raise DataError(self.problems)


def with_whole_images(
    reading: Reading,
    rows: list[ParsedRow],
    root: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[ParsedRow]:
    """Decode every image once, and reject each row whose image cannot be used."""
    facts = inspect_images(
        (row.question.image for row in rows),
        root,
        max_pixels=max_pixels,
        follow_links=follow_links,
        progress=progress,
    )
    kept = []
    for row in rows:
        image = row.question.image
        result = facts[image]
        if isinstance(result, ImageFacts):
            reading.images[image] = result
            kept.append(row)
            continue
        name = Path(image).name
        hint = ""
        if result.startswith("missing") and name != image and (Path(root) / name).is_file():
            hint = f"; {name!r} is there: set image_name_only=true to look for the bare names"
        reading.reject_row(row, "image_path" if row.raw.get("image_path") else "image", result + hint)
    return kept


def without_duplicates(reading: Reading, rows: list[ParsedRow]) -> list[ParsedRow]:
    """Keep each question once, and turn model outputs into responses.

    Upstream's output files repeat a question for every model: a row with an answer that repeats a
    question in all its fields is one more response to it, not a duplicate.
    """
    kept: list[ParsedRow] = []
    first_with_id: dict[str, ParsedRow] = {}
    first_with_text: dict[tuple[str, str], ParsedRow] = {}
    samples: Counter[tuple[str, str]] = Counter()
    for row in rows:
        question = row.question
        key = (question.image, " ".join(question.question.casefold().split()))
        first = first_with_text.get(key)
        is_output = row.raw.get("model_answer") is not None or row.raw.get("model_name") is not None
        if first is not None and is_output and first.question == question:
            _add_response(reading, row, samples)
        elif question.id in first_with_id:
            message = f"duplicate id {question.id!r}: line {first_with_id[question.id].line} has it too"
            if first is not None:
                message += ", for the same question about the same image"
            reading.reject_row(row, "id", message)
        elif first is not None:
            message = f"duplicate: line {first.line} asks the same question about the same image"
            reading.reject_row(row, "question", message)
        else:
            first_with_text[key] = first_with_id[question.id] = row
            kept.append(row)
            if is_output:
                _add_response(reading, row, samples)
    return kept


def _add_response(reading: Reading, row: ParsedRow, samples: Counter[tuple[str, str]]) -> None:
    values = {name: row.raw.get(name) for name in ("model_answer", "model_name", "prompt")}
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
            error=None if answer is not None else f"no model_answer in {reading.file}:{row.line}",
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
    questions = []
    for row in rows:
        if row.question.id in usable:
            partner = twin_of.get(row.question.id)
            questions.append(row.question.model_copy(update={"twin": partner if partner in usable else None}))
    return questions
