"""What a generator writes for one image and category, read strictly and checked by rules.

A text that is not exactly the form, or breaks a rule, is a `Fault`: it is written anew, or dropped and
listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pydantic

from align.construction.examples import Example
from align.data.near_copies import shingles, similarity
from align.judging.matching import matches, normalise

FORM = "not the form"
LENGTH = "length"
NO_QUESTION = "not a question"
COPY = "copy of an example"
GIVEN_AWAY = "answer in its question"
TWIN = "twin repeats the question"
MAKING = "speaks of its making"
CODES = (FORM, LENGTH, NO_QUESTION, COPY, GIVEN_AWAY, TWIN, MAKING)
"""The faults, as yields name them."""

_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n\s*```\Z", re.DOTALL | re.IGNORECASE)
_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_MAKING = re.compile(
    r"\b(?:caption|unanswerable|(?:image|picture) description|false premise|context[- ]dependent)\b",
    re.IGNORECASE,
)
_MOST_ANSWER_WORDS = 12


@dataclass(frozen=True)
class Rules:
    """What holds for a question and for its twin.

    Attributes:
        least_words, most_words: the paper's 5 and 45, both included.
        copy: the Jaccard similarity of three-word shingles, in 0-1, from which a question is a copy of an
            example.
    """

    least_words: int = 5
    most_words: int = 45
    copy: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.least_words <= self.most_words:
            raise ValueError(
                f"least_words={self.least_words} and most_words={self.most_words}: give 1 or more, and no "
                "more least words than most words"
            )
        if not 0 < self.copy <= 1:
            raise ValueError(f"copy is a similarity and must be above 0 and at most 1, not {self.copy}")


class Draft(pydantic.BaseModel):
    """What a generator writes: also the schema where an endpoint has structured output."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    caption: str
    question: str
    reason: str
    twin_question: str
    twin_answers: list[str]

    @pydantic.field_validator("caption", "question", "reason", "twin_question")
    @classmethod
    def _one_line(cls, text: str) -> str:
        text = " ".join(text.split())
        if not text:
            raise ValueError("it is empty")
        return text

    @pydantic.field_validator("twin_answers")
    @classmethod
    def _short_answers(cls, answers: list[str]) -> list[str]:
        answers = list(dict.fromkeys(" ".join(answer.split()) for answer in answers))
        if not answers or not all(normalise(answer) for answer in answers):
            raise ValueError("give one answer or more, and none without a word")
        if any(len(answer.split()) > _MOST_ANSWER_WORDS for answer in answers):
            raise ValueError(f"an answer has more than {_MOST_ANSWER_WORDS} words: it must be short")
        return answers


class Fault(Exception):
    """Why a draft cannot be used. `code` is one of `CODES`."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        super().__init__(f"{code}: {why}")


def read_draft(text: str) -> Draft:
    """The draft that a text is: one JSON object, alone or in a code fence, after thinking aloud at most.

    Nothing is repaired and nothing is searched for in prose. Raises `Fault`.
    """
    text = _THINKING.sub("", text).strip()
    fenced = _FENCE.match(text)
    try:
        value = json.loads(fenced[1] if fenced else text, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:
        shown = text if len(text) <= 80 else text[:79] + "…"
        raise Fault(FORM, f"no JSON object ({error}): {shown!r}") from error
    try:
        return Draft.model_validate(value)
    except pydantic.ValidationError as error:
        found = error.errors()[0]
        field = ".".join(map(str, found["loc"])) or "the text"
        raise Fault(FORM, f"`{field}`: {found['msg']}") from error


def check_draft(draft: Draft, examples: Sequence[Example], rules: Rules) -> None:
    """Check a draft against the rules. `examples` are all that the writer might know. Raises `Fault`."""
    for name, question in (("question", draft.question), ("twin_question", draft.twin_question)):
        fault = next(faults_of(question, rules), None)
        if fault is not None:
            raise Fault(fault.code, f"`{name}`: {str(fault).partition(': ')[2]}")
        for example in examples:
            if any(
                alike(question, other) >= rules.copy for other in (example.question, example.twin_question)
            ):
                raise Fault(COPY, f"`{name}` repeats the example {example.id}: {question!r}")
        if _MAKING.search(question):
            raise Fault(MAKING, f"`{name}` must speak of the image only: {question!r}")
    if normalise(draft.question) == normalise(draft.twin_question):
        raise Fault(TWIN, f"both are {draft.question!r}: one text cannot be both")
    given = next((answer for answer in draft.twin_answers if gives_away(draft.twin_question, answer)), None)
    if given is not None:
        raise Fault(GIVEN_AWAY, f"`twin_question` holds its answer {given!r}: {draft.twin_question!r}")


def faults_of(question: str, rules: Rules) -> Iterator[Fault]:
    """What is wrong with a question by itself: its length, and that it ends as a question."""
    words = len(question.split())
    if not rules.least_words <= words <= rules.most_words:
        yield Fault(
            LENGTH, f"{words} words, where {rules.least_words} to {rules.most_words} are wanted: {question!r}"
        )
    if not question.rstrip("\"'”’ ").endswith("?"):
        yield Fault(NO_QUESTION, f"it does not end with a question mark: {question!r}")


def alike(one: str, other: str) -> float:
    """Jaccard similarity of the three-word shingles of two questions, in 0-1."""
    return similarity(_shingles(one), _shingles(other))


def gives_away(question: str, answer: str) -> bool:
    """Does a question hold its own answer? One that offers alternatives ("closed or open?") does not."""
    if normalise(answer) in (["yes"], ["no"]):
        return False
    return matches(question, [answer]) and "or" not in normalise(question)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError("a key is given twice")
    return dict(pairs)


# The examples are compared with every draft.
_shingles = lru_cache(maxsize=4096)(shingles)
