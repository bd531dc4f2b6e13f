"""Labelled responses, from whatever file holds them: what a judge is measured against.

Three forms are read, told apart by their fields:

- `Verdict` records: what the review page exports (`verdicts.human.jsonl`) and `judge_responses.py` writes.
  They hold no texts; to have a judge judge the same responses, these are given beside them.
- `Graded` records: a benchmark's `samples.jsonl`. Its grader's states are the labels.
- Rows of one's own, JSON Lines or CSV: `question`, `response`, `category` and `refused`, and as many of
  `rationality`, `helpfulness`, `correct`, `annotator`, `image`, `answers`, `caption`, `reason`, `model` and
  `id` as there are. Any other field is kept to group figures by.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from align.judging.judged import Judged
from align.records import (
    Category,
    DataError,
    Graded,
    Problem,
    Question,
    Response,
    Verdict,
    digest_of_text,
    iter_jsonl,
    problems_of,
    stable_id,
)

Place = tuple[str, str, int]
"""Which response: its question, model and sample index."""

NO_IMAGE = "no-image-in-the-labels"


@dataclass
class Labels:
    """Labels as verdicts; `items`: the responses, empty where the file holds none; `facts`: by response."""

    verdicts: list[Verdict] = field(default_factory=list)
    items: list[Judged] = field(default_factory=list)
    facts: dict[Place, dict[str, Any]] = field(default_factory=dict)


class _Row(BaseModel):
    """A row of one's own."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    question: str = Field(min_length=1)
    response: str
    category: Category
    refused: bool | None
    rationality: int | None = Field(None, ge=1, le=10)
    helpfulness: int | None = Field(None, ge=1, le=10)
    correct: bool | None = None
    annotator: str = "labels"
    image: str | None = None
    answers: tuple[str, ...] = ()
    caption: str | None = None
    reason: str | None = None
    model: str = "labelled"
    id: str | None = None

    @field_validator("answers", mode="before")
    @classmethod
    def _listed(cls, answers: Any) -> Any:
        return [each.strip() for each in answers.split("|")] if isinstance(answers, str) else answers


def place_of(record: Verdict | Response) -> Place:
    return record.question_id, record.model, record.sample_index


def read_labels(path: str | Path) -> Labels:
    """Read labelled responses in any of the forms.

    Raises `DataError` with every line and field that can't be read, `FileNotFoundError`.
    """
    path, labels, problems = Path(path), Labels(), []
    seen: Counter[tuple[str, ...]] = Counter()
    for number, row in _rows(path):
        try:
            if isinstance(row, Problem):
                problems.append(row)
            elif "judge" in row:
                labels.verdicts.append(Verdict.model_validate(row))
            elif "grader" in row:
                _add_graded(labels, Graded.model_validate(row))
            else:
                _add_row(labels, _Row.model_validate(row), seen)
        except ValidationError as error:
            problems += problems_of(error, str(path), number, row_id=str(row.get("id", "")) or None)  # type: ignore[union-attr]
    if not problems and not labels.verdicts:
        problems.append(Problem(file=str(path), message="holds no labelled response"))
    if problems:
        raise DataError(problems)
    return labels


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    if path.suffix.lower() != ".csv":
        yield from iter_jsonl(path)
        return
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        for row in reader:
            if None in row or None in row.values():
                text = f"has other columns than the {len(reader.fieldnames or ())} of the first line"
                yield reader.line_num, Problem(file=str(path), line=reader.line_num, message=text)
                continue
            given: dict[str, Any] = {name: value for name, value in row.items() if value != ""}
            # An empty cell is no label; a column that isn't there is an error.
            yield reader.line_num, ({"refused": None} if "refused" in row else {}) | given


def _add_row(labels: Labels, row: _Row, seen: Counter[tuple[str, ...]]) -> None:
    question_id = stable_id(row.image or "", row.question, row.category)
    text = digest_of_text(row.response)
    # One annotator's second label of the same words is of another response; another annotator's is not.
    mine = (question_id, row.model, text, row.annotator)
    occurrence = seen[mine]
    seen[mine] += 1
    texts = (question_id, row.model, text, str(occurrence))
    known = seen.get(("index", *texts))
    if known is None:
        known = seen["next", question_id, row.model]
        seen["next", question_id, row.model] += 1
        seen["index", *texts] = known
        question = Question(
            id=question_id,
            image=row.image or NO_IMAGE,
            question=row.question,
            category=row.category,
            reason=row.reason,
            answers=row.answers,
            caption=row.caption,
            source="labels",
            part=None,
        )
        response = Response(question_id=question_id, model=row.model, text=row.response, sample_index=known)
        labels.items.append(Judged(question, response))
        labels.facts[question_id, row.model, known] = dict(row.model_extra or {}) | {"id": row.id}
    labels.verdicts.append(
        Verdict(
            question_id=question_id,
            model=row.model,
            sample_index=known,
            text_digest=text,
            judge=row.annotator,
            refused=row.refused,
            rationality=row.rationality,
            helpfulness=row.helpfulness,
            correct=row.correct,
            error="not labelled" if row.refused is None else None,
        )
    )


def _add_graded(labels: Labels, row: Graded) -> None:
    question = Question(
        id=row.question_id,
        image=row.image,
        question=row.question,
        category=row.category,
        reason=row.known_reason,
        answers=row.answers,
        source="benchmark",
        part=row.part,
    )
    model = row.condition or "benchmark"
    given = row.response is not None
    response = Response(
        question_id=row.question_id, model=model, text=row.response, error=None if given else row.error
    )
    labels.items.append(Judged(question, response))
    labels.facts[place_of(response)] = {"part": row.part, "condition": row.condition}
    refused = {"abstain": True, "answer": False}.get(row.state)
    labels.verdicts.append(
        Verdict(
            question_id=row.question_id,
            model=model,
            text_digest=digest_of_text(row.response) if row.response is not None else None,
            judge=row.grader,
            refused=refused,
            rationality=None,
            helpfulness=None,
            correct=row.correct if refused is False else None,
            error=None if refused is not None else row.error or f"the grader calls it {row.state}",
        )
    )


def require_images(items: Sequence[Judged], file: str | Path) -> None:
    """Raise `DataError` if the labels name no image, for a judge that is to see it."""
    without = sum(item.question.image == NO_IMAGE for item in items)
    if without:
        text = (
            f"{without} labelled responses name no image, and the judge is shown it: give the field, or "
            "judge.asks.NAME.image=false"
        )
        raise DataError([Problem(file=str(file), field="image", message=text)])
