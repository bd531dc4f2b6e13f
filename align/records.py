"""The records that flow through everything, and their JSON Lines files.

Every step reads such files and writes the next, so any step can be run again, inspected with `jq`,
or replaced by one's own. Images are paths relative to a data root: no record holds pixels.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Category = Literal[
    "Context_Dependent", "False_Premises", "Subjective_or_Philosophical", "Vague_Description", "Answerable"
]
"""MoHoBench's four labels, as its files spell them, and `Answerable` for the control questions."""

ANSWERABLE: Category = "Answerable"
UNANSWERABLE: tuple[Category, ...] = tuple(c for c in get_args(Category) if c != ANSWERABLE)

PairKind = Literal["refuse", "answer", "retain"]
"""`refuse`: an unanswerable question; `answer`: an answerable one whose rejected side is a refusal;
`retain`: general preference data."""

State = Literal["answer", "abstain", "unparsed", "failed"]
"""What became of one response. `unparsed` and `failed` are never counted as a score."""


class Record(BaseModel):
    """Base of all records: unknown fields are an error, since a misspelt field would be lost in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(Record):
    """One question about one image.

    `answers` holds the gold answers and is empty exactly when the question is unanswerable; `reason`
    says why it can't be answered. `twin` is the id of the question of opposite answerability that
    belongs to it: the same words about another image, or another question about the same object.
    """

    id: str = Field(min_length=1)
    image: str = Field(min_length=1, description="path relative to the data root")
    question: str = Field(min_length=1)
    category: Category
    reason: str | None = None
    answers: tuple[str, ...] = ()
    twin: str | None = None
    caption: str | None = None
    source: str
    license: str | None = None
    split: Literal["train", "validation", "test"] | None = None
    part: str | None = Field(default=None, description="a part of a split that is reported apart")
    metadata: dict[str, Any] = Field(default_factory=dict, description="what only this source knows")

    @property
    def answerable(self) -> bool:
        return self.category == ANSWERABLE

    @field_validator("image")
    @classmethod
    def _image_stays_in_root(cls, image: str) -> str:
        path = Path(image)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{image!r} leaves the data root: give a path relative to it, without '..'")
        return image

    @model_validator(mode="after")
    def _answers_fit_category(self) -> Question:
        if not self.answerable and self.answers:
            raise ValueError(f"category {self.category} is unanswerable, yet `answers` is given: remove one")
        return self


class Response(Record):
    """One model's response to one question. `error` is set, and `text` is null, when the call failed."""

    question_id: str
    model: str
    model_digest: str | None = None
    text: str | None = None
    decoding: dict[str, Any] = Field(default_factory=dict)
    sample_index: int = 0
    error: str | None = None

    @model_validator(mode="after")
    def _text_or_error(self) -> Response:
        if (self.text is None) == (self.error is None):
            raise ValueError("exactly one of `text` and `error` must be given")
        return self


class Verdict(Record):
    """A judge's opinion of one response. `refused` is null when the judge failed, and `error` says why.

    `error` can also stand beside a `refused`: then a further question (`rationality`, `helpfulness`,
    `correct`) got no usable reply. `model_digest` and `text_digest` (`digest_of_text` of the response) say
    exactly which response was judged: a response that was sampled anew is another one. `judge_digest` is of
    the judge's models, decoding and prompts: verdicts that differ in it are of different judges.
    """

    question_id: str
    model: str
    model_digest: str | None = None
    sample_index: int = 0
    text_digest: str | None = None
    judge: str
    judge_digest: str | None = None
    refused: bool | None = None
    rationality: int | None = Field(default=None, ge=1, le=10)
    helpfulness: int | None = Field(default=None, ge=1, le=10)
    correct: bool | None = Field(default=None, description="of an answer to a question with gold answers")
    raw: str | None = None
    error: str | None = None

    @model_validator(mode="after")
    def _failure_has_a_reason(self) -> Verdict:
        if self.refused is None and self.error is None:
            raise ValueError("`refused` is null, so `error` must say why the judge failed")
        return self

    @model_validator(mode="after")
    def _no_mark_without_its_ground(self) -> Verdict:
        if self.rationality is not None and self.refused is False:
            raise ValueError("`rationality` is of refusals only, and `refused` is false")
        if self.correct is not None and self.refused is not False:
            raise ValueError("`correct` is of answers only, and `refused` is not false")
        return self


class Pair(Record):
    """A preference pair in the form that TRL reads, with where each side came from."""

    question_id: str
    prompt: str = Field(min_length=1)
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)
    images: tuple[str, ...]
    kind: PairKind
    category: Category | None = None
    chosen_source: str
    rejected_source: str

    @model_validator(mode="after")
    def _sides_differ(self) -> Pair:
        if self.chosen.strip() == self.rejected.strip():
            raise ValueError("`chosen` and `rejected` are the same text: there is nothing to prefer")
        return self


class SFTRow(Record):
    """One supervised example: the loss falls on `completion` only."""

    question_id: str
    prompt: str = Field(min_length=1)
    completion: str = Field(min_length=1)
    images: tuple[str, ...]
    kind: PairKind
    category: Category | None = None
    completion_source: str


class HonestAnswer(Record):
    """What a model should say to a question: the chosen side of its pair, and its supervised completion.

    `source` is the writer: a teacher model's name, or `composer`, which wrote without a model. `attempts` is
    how many texts were written until one passed the checks; `rationality` is the judge's (1-10, refusals
    only), null where no judge was asked.
    """

    question_id: str
    text: str = Field(min_length=1)
    source: str = Field(min_length=1)
    model_digest: str | None = None
    attempts: int = Field(1, ge=1)
    judge: str | None = None
    rationality: int | None = Field(default=None, ge=1, le=10)


class Graded(Record):
    """One graded response of a benchmark: the row from which every metric is computed.

    `correct` is given for answers to answerable questions, `reason` for abstentions on unanswerable
    ones: `right` (the known reason), `wrong` (another one) or `none` (no reason given). `rationality` (of
    refusals) and `helpfulness` are a judge's marks, 1-10, null where none was asked or its reply could not be
    used (`error` says why); `judge_said` is its replies. `logprob` is the natural logarithm of the
    probability of the whole response, the sum over its `tokens` tokens. `condition` says what was done to the
    image (`gaussian-3`, `blank`, `no-image`); null: nothing.
    """

    question_id: str
    image: str
    question: str
    category: Category
    part: str | None = None
    twin: str | None = None
    answers: tuple[str, ...] = ()
    known_reason: str | None = None
    response: str | None = None
    state: State
    correct: bool | None = None
    reason: Literal["right", "wrong", "none"] | None = None
    rationality: int | None = Field(default=None, ge=1, le=10)
    helpfulness: int | None = Field(default=None, ge=1, le=10)
    judge_said: str | None = None
    logprob: float | None = Field(default=None, le=0)
    tokens: int | None = Field(default=None, ge=0)
    condition: str | None = None
    grader: str
    error: str | None = None

    @property
    def answerable(self) -> bool:
        return self.category == ANSWERABLE

    @model_validator(mode="after")
    def _no_score_without_a_state(self) -> Graded:
        if self.state in ("failed", "unparsed") and (self.correct is not None or self.reason is not None):
            raise ValueError(f"state {self.state!r} cannot carry a score")
        if self.state == "failed" and self.error is None:
            raise ValueError("a failed response must say why in `error`")
        return self

    @model_validator(mode="after")
    def _no_mark_without_its_ground(self) -> Graded:
        if self.rationality is not None and self.state != "abstain":
            raise ValueError("`rationality` is of refusals only")
        if self.helpfulness is not None and self.response is None:
            raise ValueError("`helpfulness` needs a response")
        return self


class Scored(Record):
    """One graded response of a benchmark of general ability.

    `prompt` is what the model was asked, options included. `state` and `parsed` are what our parser read;
    `score` (0-1) is what that is worth: null exactly when the state is `failed`, 0 for an abstention or an
    unparsed response to a sample that has an answer, and 1 for an abstention where `should_abstain`.
    `official` is what the benchmark's own rule gives the same response, for comparability. `group` joins
    samples that count together (rotations of one question, a question and its unanswerable form) and
    `variant` tells them apart in it; `part` is reported apart. `image` is what intervals are clustered by.
    """

    sample_id: str
    benchmark: str
    part: str | None = None
    group: str | None = None
    variant: str | None = None
    image: str | None = None
    prompt: str
    gold: tuple[str, ...] = ()
    should_abstain: bool = False
    response: str | None = None
    state: State
    parsed: str | None = None
    score: float | None = Field(default=None, ge=0, le=1)
    official: float | None = Field(default=None, ge=0, le=1)
    logprob: float | None = Field(default=None, le=0)
    tokens: int | None = Field(default=None, ge=0)
    grader: str
    error: str | None = None

    @model_validator(mode="after")
    def _a_failure_is_no_score(self) -> Scored:
        if (self.state == "failed") != (self.score is None):
            raise ValueError("`score` must be null exactly when the state is 'failed'")
        if self.state == "failed" and (self.official is not None or self.error is None):
            raise ValueError("a failed response has no `official` score, and says why in `error`")
        return self


class Problem(Record):
    """One thing wrong with an input: what a report lists, so that no row is dropped in silence."""

    file: str
    line: int | None = None
    field: str | None = None
    row_id: str | None = None
    message: str

    def __str__(self) -> str:
        place = self.file + (f":{self.line}" if self.line is not None else "")
        return f"{place}: " + (f"field `{self.field}`: " if self.field else "") + self.message


class DataError(Exception):
    """Input that cannot be used as it is. Carries every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        shown = "\n".join(f"  {p}" for p in problems[:20])
        more = f"\n  ... and {len(problems) - 20} more" if len(problems) > 20 else ""
        super().__init__(f"{len(problems)} problem(s) in the input:\n{shown}{more}")


R = TypeVar("R", bound=Record)


def stable_id(*parts: str) -> str:
    """16 hex digits that depend on nothing but the given texts, in their order."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def digest_of_text(text: str) -> str:
    """16 hex digits of a response's text, white space around it left out."""
    return stable_id(text.strip())


def problems_of(
    error: ValidationError, file: str, line: int | None, row_id: str | None = None
) -> list[Problem]:
    """Pydantic's errors as problems that name file, line and field."""
    return [
        Problem(
            file=file,
            line=line,
            field=".".join(str(part) for part in e["loc"]) or None,
            row_id=row_id,
            message=e["msg"],
        )
        for e in error.errors()
    ]


def iter_jsonl(
    path: str | Path, *, max_line: int = 64 * 2**20
) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """Yield `(line number, object)`, or `(line number, problem)` for a line that holds no JSON object.

    A line of more than `max_line` bytes is a problem too; it is passed over in pieces, never held whole.
    """
    with Path(path).open("rb") as stream:
        number = 0
        while raw := stream.readline(max_line + 1):
            number += 1
            if len(raw) > max_line and not raw.endswith(b"\n"):
                size = len(raw)
                while raw and not raw.endswith(b"\n"):
                    raw = stream.readline(2**20)
                    size += len(raw)
                message = (
                    f"a line of {size:,} bytes is more than the {max_line:,} bytes that one row may have, "
                    "so it was not read: was the file written without line ends?"
                )
                yield number, Problem(file=str(path), line=number, message=message)
                continue
            if not raw.strip():
                continue
            try:
                row = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
                yield (
                    number,
                    Problem(file=str(path), line=number, message=f"not a line of UTF-8 JSON: {error}"),
                )
                continue
            if isinstance(row, dict):
                yield number, row
            else:
                yield (
                    number,
                    Problem(
                        file=str(path),
                        line=number,
                        message=f"expected a JSON object, found {type(row).__name__}",
                    ),
                )


def read_records(path: str | Path, kind: type[R]) -> list[R]:
    """Read a JSON Lines file of one kind of record.

    Raises `DataError` with every bad line and field, or `FileNotFoundError`.
    """
    rows: list[R] = []
    problems: list[Problem] = []
    for number, row in iter_jsonl(path):
        if isinstance(row, Problem):
            problems.append(row)
            continue
        try:
            rows.append(kind.model_validate(row))
        except ValidationError as error:
            id = row.get("id", row.get("question_id"))
            # An id of another type is among the problems, and must not hide them.
            problems.extend(problems_of(error, str(path), number, None if id is None else str(id)))
    if problems:
        raise DataError(problems)
    return rows


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[str]]:
    """Open a text file for writing that appears under its name only when it is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes the file private; give it the mode that an ordinary `open` would have given.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_records(path: str | Path, rows: Iterable[Record]) -> int:
    """Write records as JSON Lines, whole or not at all. Returns how many."""
    count = 0
    with atomic_write(path) as stream:
        for row in rows:
            stream.write(row.model_dump_json(exclude_none=True) + "\n")
            count += 1
    return count


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON document, whole or not at all."""
    with atomic_write(path) as stream:
        json.dump(value, stream, indent=2, ensure_ascii=False)
        stream.write("\n")
