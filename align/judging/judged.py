"""What every judge does: takes responses with their questions and gives one verdict on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from align.judging.prompts import Asked
from align.records import Question, Response, Verdict, digest_of_text


@dataclass(frozen=True)
class Judged:
    """A response and the question that it answers."""

    question: Question
    response: Response

    def __post_init__(self) -> None:
        if self.question.id != self.response.question_id:
            raise ValueError(
                f"the response is to question {self.response.question_id}, not to {self.question.id}"
            )


class Judge(Protocol):
    """A judge of responses.

    `digest` changes with whatever could change its verdicts. `asks` is what it judges: a verdict that lacks
    something of that, though the response calls for it, is unscored there.
    """

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def asks(self) -> frozenset[Asked]: ...

    def judge(self, items: Sequence[Judged]) -> list[Verdict]:
        """One verdict an item, in the same order. An item that could not be judged has `error`, no marks."""
        ...

    def repeated(self, number: int) -> Judge:
        """The judge for the `number`th time: anew, and not told what was said before. 0: itself."""
        ...


def verdict_on(item: Judged, judge: Judge, **said: Any) -> Verdict:
    """A verdict that names exactly which response it judges, and by whom."""
    response = item.response
    return Verdict(
        question_id=response.question_id,
        model=response.model,
        model_digest=response.model_digest,
        sample_index=response.sample_index,
        text_digest=None if response.text is None else digest_of_text(response.text),
        judge=judge.name,
        judge_digest=judge.digest,
        **said,
    )


def not_a_text(item: Judged) -> str | None:
    """Why there is nothing to judge in a response: its call failed, or it is empty."""
    if item.response.text is None:
        return f"there is no response to judge: {item.response.error}"
    return None if item.response.text.strip() else "there is no response to judge: it is empty"


def judge_texts(judge: Judge, writer: str) -> Callable[[Sequence[tuple[Question, str]]], list[Verdict]]:
    """A judge of texts that are no model's sampled responses; `writer` is who wrote them."""

    def judge_all(items: Sequence[tuple[Question, str]]) -> list[Verdict]:
        return judge.judge(
            [Judged(q, Response(question_id=q.id, model=writer, text=text)) for q, text in items]
        )

    return judge_all


def calls_for(asked: Asked, question: Question, refused: bool | None) -> bool:
    """Is this asked of a response?

    A reason is rated of refusals only, and right or wrong is an answer to a question with gold answers; the
    rest is asked of every response.
    """
    if asked == "rationality":
        return refused is True
    if asked == "correctness":
        return refused is False and bool(question.answers)
    return True
