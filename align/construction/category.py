"""A model checks that a question is what it is said to be, and that a twin is answerable and its answer
right.

The check of the category is the paper's second filter (MoHoBench, arXiv 2507.21503), with a definition that
the checker is given. A check that failed decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic

from align.calling.call import Call, Unusable
from align.construction.examples import Guides
from align.construction.models import Model, usage_of
from align.construction.prompts import CHECK, check_answer_text, check_text
from align.construction.yields import Dropped, drop
from align.data.images import resolve_image
from align.judging.fencing import Fenced, Unfit
from align.judging.parsing import Unparsable, parse_flag
from align.records import Question

STAGE = "category"


class CategoryCheck(pydantic.BaseModel):
    """The form of a reply about an unanswerable question."""

    model_config = pydantic.ConfigDict(extra="forbid")

    id: str
    reason: str
    answerable: bool
    fits: bool


class AnswerCheck(pydantic.BaseModel):
    """The form of a reply about an answerable question."""

    model_config = pydantic.ConfigDict(extra="forbid")

    id: str
    own_answer: str
    reason: str
    answerable: bool
    right: bool


@dataclass
class Checked:
    """What the stage kept and dropped."""

    kept: list[Question] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    usage: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Asked:
    call: Call
    tag: str
    last: str  # the second flag of a reply, next to `answerable`


def category_stage(
    questions: Sequence[Question],
    model: Model,
    guides: Guides,
    root: str | Path,
    *,
    answers: bool = True,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Checked:
    """Keep the questions that the checker confirms.

    Args:
        answers: also check the answerable questions; False lets them pass as they are.
        progress: called with (model, done, total).
    """
    result = Checked()
    asked, unfit = _all_asked(questions, guides, root, answers)

    def accept(call: Call, text: str) -> None:
        one = asked[call.key]
        for label in ("answerable", one.last):
            try:
                parse_flag(text, label, one.tag)
            except Unparsable as error:
                raise Unusable(str(error)) from error

    report = model.ask(
        [one.call for one in asked.values()],
        accept=accept,
        seed=seed,
        progress=None if progress is None else lambda done, total: progress(model.name, done, total),
    )
    result.usage[model.name] = usage_of(model, report)
    if report.stopped:
        result.stopped.append(f"{model.name}: {report.stopped}")
    for question in questions:
        if question.id in unfit:
            result.dropped.append(drop(STAGE, question, "cannot be shown", unfit[question.id]))
        elif question.id not in asked:
            result.kept.append(question)
        else:
            outcome = report.outcomes.get(question.id)
            if outcome is None or outcome.text is None:
                why = report.stopped if outcome is None else outcome.error
                result.dropped.append(
                    drop(STAGE, question, "check failed", why or "the call was not made", undecided=True)
                )
                continue
            one = asked[question.id]
            found = _objection(
                question,
                parse_flag(outcome.text, "answerable", one.tag),
                parse_flag(outcome.text, one.last, one.tag),
            )
            if found is None:
                result.kept.append(question)
            else:
                result.dropped.append(
                    drop(STAGE, question, found, f"{model.endpoint.model}: {outcome.text.strip()}")
                )
    return result


def calls_of(questions: Sequence[Question], guides: Guides, root: str | Path, answers: bool) -> list[Call]:
    """The calls that the checker is asked."""
    return [one.call for one in _all_asked(questions, guides, root, answers)[0].values()]


def _all_asked(
    questions: Sequence[Question], guides: Guides, root: str | Path, answers: bool
) -> tuple[dict[str, _Asked], dict[str, str]]:
    """What is asked, by question; and why some cannot be."""
    asked: dict[str, _Asked] = {}
    unfit: dict[str, str] = {}
    for question in questions:
        if question.answerable and not answers:
            continue
        schema: type[pydantic.BaseModel]
        try:
            text, quoted, schema, last = _ask(question, guides)
        except Unfit as error:
            unfit[question.id] = str(error)
            continue
        images = (resolve_image(question.image, root),)
        call = Call(key=question.id, text=text, images=images, system=CHECK, schema=schema)
        asked[question.id] = _Asked(call, quoted.tag, last)
    return asked, unfit


def _ask(question: Question, guides: Guides) -> tuple[str, Fenced, type[pydantic.BaseModel], str]:
    if question.answerable:
        return *check_answer_text(question), AnswerCheck, "right"
    return *check_text(question, guides), CategoryCheck, "fits"


def _objection(question: Question, answerable: bool, last: bool) -> str | None:
    if question.answerable:
        return None if answerable and last else "wrong answer" if answerable else "not answerable"
    return None if last and not answerable else "answerable" if answerable else "not of its category"
