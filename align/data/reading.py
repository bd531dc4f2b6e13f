"""What question files held: records, and for every row that was not used the reason."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.data.images import ImageFacts
from align.data.near_duplicates import Fingerprint
from align.records import DataError, Pair, Problem, Question, Response


@dataclass(frozen=True)
class ParsedRow:
    """A row that could be read as a question. `number` is its place among all rows, from 1.

    `output` is what the row says that a model answered: `model_answer`, `model_name`, `prompt`, if any.
    """

    number: int
    line: int
    question: Question
    image_field: str = "image"
    output: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        return self.question.id

    @property
    def images(self) -> tuple[str, ...]:
        return (self.question.image,)


@dataclass(frozen=True)
class PairRow:
    """A row that could be read as a preference pair."""

    number: int
    line: int
    pair: Pair
    image_field: str = "image"

    @property
    def id(self) -> str:
        return self.pair.question_id

    @property
    def images(self) -> tuple[str, ...]:
        return self.pair.images


@dataclass
class Reading:
    """What question files held.

    Attributes:
        file: the file, or the files one after the other.
        questions: the usable questions, in the files' order.
        pairs: the usable preference pairs, of a source that has them in place of questions.
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
        held_out: rows that were kept out since they show a held-out image, as problems that name the row:
            they are no error of the file.
    """

    file: str
    questions: list[Question] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
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
    held_out: list[Problem] = field(default_factory=list)
    _row_of_problem: list[int] = field(default_factory=list)
    _rows_on_line: Counter[tuple[str, int]] = field(default_factory=Counter)
    _files: list[tuple[int, str]] = field(default_factory=list)
    _place_of: dict[str, tuple[int, int]] = field(default_factory=dict)

    def begin_file(self, path: str | Path) -> None:
        """The rows counted from here on are those of this file."""
        self._files.append((self.n_rows + 1, str(path)))

    def file_of(self, number: int) -> str:
        """The file that a row is in."""
        at = bisect_right(self._files, number, key=lambda begin: begin[0])
        return self._files[at - 1][1] if at else self.file

    def count_row(self, line: int) -> int:
        """Count a row that begins on a line. Returns its number."""
        self.n_rows += 1
        self._rows_on_line[self.file_of(self.n_rows), line] += 1
        return self.n_rows

    def reject(
        self, number: int, line: int, message: str, field_name: str | None = None, row_id: str | None = None
    ) -> None:
        """Put a row out of use, and say why."""
        file = self.file_of(number)
        self.reject_as(
            number, Problem(file=file, line=line, field=field_name, row_id=row_id, message=message)
        )

    def reject_as(self, number: int, problem: Problem) -> None:
        """Put a row out of use for a problem that has its place already."""
        self.bad_rows.add(number)
        self._row_of_problem.append(number)
        self.problems.append(problem)

    def reject_row(self, row: ParsedRow | PairRow, field_name: str, message: str) -> None:
        self.reject(row.number, row.line, message, field_name, row.id)

    def reject_questions(self, reasons: Mapping[str, str], field_name: str) -> None:
        """Put questions that had been usable out of use, by id, and say why."""
        for id_, message in reasons.items():
            number, line = self._place_of[id_]
            self.reject(number, line, message, field_name, id_)
        kept = [q for q in self.questions if q.id not in reasons]
        left = {q.id for q in kept}
        lost = sum(q.twin is not None and q.twin not in left for q in kept)
        self.questions = [
            q.model_copy(update={"twin": None}) if q.twin is not None and q.twin not in left else q
            for q in kept
        ]
        self._note_lost_twins(lost)
        self.finish()

    def hold_out(self, reasons: Mapping[str, str]) -> None:
        """Keep questions and pairs out by the image that they show, and say why in `held_out`."""
        records = [(q.id, (q.image,)) for q in self.questions] + [
            (pair.question_id, pair.images) for pair in self.pairs
        ]
        for id_, images in records:
            why = next((reasons[image] for image in images if image in reasons), None)
            if why is not None:
                number, line = self._place_of[id_]
                self.held_out.append(
                    Problem(file=self.file_of(number), line=line, field="image", row_id=id_, message=why)
                )
        self.pairs = [pair for pair in self.pairs if not any(i in reasons for i in pair.images)]
        kept = [question for question in self.questions if question.image not in reasons]
        left = {question.id for question in kept}
        self._note_lost_twins(sum(q.twin is not None and q.twin not in left for q in kept))
        self.questions = [
            q.model_copy(update={"twin": None}) if q.twin is not None and q.twin not in left else q
            for q in kept
        ]
        self.responses = [response for response in self.responses if response.question_id in left]

    def name_groups(self, groups: Sequence[Sequence[str]], digests: Mapping[str, str]) -> None:
        """Give questions whose image has near-duplicates one `metadata["group"]` for each group."""
        name_of = {
            image: min(digests[member] for member in group)[:16] for group in groups for image in group
        }
        self.questions = [
            question.model_copy(update={"metadata": question.metadata | {"group": name_of[question.image]}})
            if question.image in name_of
            else question
            for question in self.questions
        ]

    def fingerprints(self) -> dict[str, Fingerprint]:
        """By image, where they were asked for."""
        return {name: f.fingerprint for name, f in self.images.items() if f.fingerprint is not None}

    def remember_places(self, rows: list[ParsedRow] | list[PairRow]) -> None:
        self._place_of |= {row.id: (row.number, row.line) for row in rows}

    def _note_lost_twins(self, count: int) -> None:
        if count:
            self.notes.append(f"{count} question(s) lost their twin, which is not used")

    def place(self, row: ParsedRow, other: ParsedRow) -> str:
        """Where another row is, for a message about a row."""
        file = self.file_of(other.number)
        return f"line {other.line}" if file == self.file_of(row.number) else f"{file}:{other.line}"

    def finish(self) -> None:
        """Order the problems by row. Where an array stands on one line, the row's number is added to them."""
        ordered = sorted(zip(self._row_of_problem, self.problems, strict=True), key=lambda pair: pair[0])
        self._row_of_problem = [number for number, _ in ordered]
        self.problems = [
            problem
            if self._rows_on_line[problem.file, problem.line or 0] < 2
            or problem.message.startswith(f"row {number}: ")
            else problem.model_copy(update={"message": f"row {number}: {problem.message}"})
            for number, problem in ordered
        ]
        usable = {question.id for question in self.questions}
        self.responses = [response for response in self.responses if response.question_id in usable]

    def raise_if_bad(self) -> None:
        """Raise `DataError` with every problem, if there is any."""
        if self.problems:
            raise DataError(self.problems)
