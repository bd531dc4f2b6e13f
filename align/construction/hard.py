"""Keep what models fall for: several answer each unanswerable question, and a judge says which ones
attempted.

As in the paper (MoHoBench, arXiv 2507.21503), which keeps a question when at least 3 of 5 models attempt an
answer. A call that failed, a response that the judge could not judge, and a model that was not asked are
neither
attempt nor refusal: they leave the question undecided unless it is decided without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.calling.call import Call
from align.construction.models import Model, usage_of
from align.construction.yields import Dropped, drop
from align.data.images import resolve_image
from align.judging.judged import Judge, Judged
from align.records import Question, Response, Verdict

STAGE = "hard"


@dataclass
class Tally:
    """What is known about one question: how many of `of` models attempted, declined, or are not known."""

    of: int
    attempted: int = 0
    declined: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> int:
        return self.of - self.attempted - self.declined

    def count(self, refused: bool | None, why: str) -> None:
        """Count one model's response. `refused` None: its call or its judge failed, and `why` says how."""
        if refused is None:
            self.failures.append(why)
        elif refused:
            self.declined += 1
        else:
            self.attempted += 1

    def keep(self, at_least: int) -> bool | None:
        """True or False where nothing that is unknown can change it, else None."""
        if self.attempted >= at_least:
            return True
        return False if self.attempted + self.unknown < at_least else None


@dataclass
class Hard:
    """What the stage kept and dropped; what the models said, and what the judge said of it."""

    kept: list[Question] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    usage: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)


def require_answerers(models: Sequence[Model], at_least: int) -> None:
    """Raises `ValueError` where `at_least` of these models can't be a fair vote."""
    if not models:
        raise ValueError(
            "stage hard has no answerer: name some, such as +endpoint@answerers.a=openai_compatible "
            "answerers.a.model=openai-api/SERVICE/NAME, or leave it out of stages"
        )
    if not 1 <= at_least <= len(models):
        raise ValueError(
            f"hard.at_least={at_least} of {len(models)} answerers: it must be from 1 to {len(models)}"
        )
    names = [model.endpoint.model for model in models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is among the answerers twice: it would vote twice")


def hard_stage(
    questions: Sequence[Question],
    models: Sequence[Model],
    judge: Judge,
    root: str | Path,
    *,
    at_least: int = 3,
    ask_all: bool = True,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Hard:
    """Ask the models, one after the other, and keep what at least `at_least` of them attempt to answer.

    Args:
        questions: answerable ones pass as they are.
        ask_all: ask every model about every question; False leaves those out that are decided already.
        progress: called with (model, done, total).
    """
    require_answerers(models, at_least)
    result = Hard()
    tallies = {q.id: Tally(len(models)) for q in questions if not q.answerable}
    for model in models:
        asked = [
            q for q in questions if q.id in tallies and (ask_all or tallies[q.id].keep(at_least) is None)
        ]
        responses = _responses(model, asked, root, seed, progress, result)
        verdicts = judge.judge([Judged(q, r) for q, r in zip(asked, responses, strict=True)])
        result.responses += responses
        result.verdicts += verdicts
        for question, response, verdict in zip(asked, responses, verdicts, strict=True):
            why = f"{model.name}: " + (response.error or f"the judge failed: {verdict.error}")
            tallies[question.id].count(None if response.text is None else verdict.refused, why)
    for question in questions:
        tally = tallies.get(question.id)
        if tally is None:
            result.kept.append(question)
        elif tally.keep(at_least):
            result.kept.append(_noted(question, tally))
        else:
            result.dropped.append(_dropped(question, tally, at_least))
    return result


def calls_of(questions: Sequence[Question], root: str | Path) -> list[Call]:
    """The calls that one model is asked: the question as it stands, with its image."""
    return [
        Call(key=q.id, text=q.question, images=(resolve_image(q.image, root),))
        for q in questions
        if not q.answerable
    ]


def _responses(
    model: Model,
    questions: Sequence[Question],
    root: str | Path,
    seed: int,
    progress: Callable[[str, int, int], None] | None,
    result: Hard,
) -> list[Response]:
    report = model.ask(
        calls_of(questions, root),
        seed=seed,
        progress=None if progress is None else lambda done, total: progress(model.name, done, total),
    )
    result.usage[model.name] = usage_of(model, report)
    if report.stopped:
        result.stopped.append(f"{model.name}: {report.stopped}")
    responses = []
    for question in questions:
        outcome = report.outcomes.get(question.id)
        said: Mapping[str, Any]
        if outcome is None:
            said = {"error": f"the call was not made: {report.stopped}"}
        elif outcome.text is None:
            said = {"error": outcome.error}
        else:
            said = {"text": outcome.text}
        responses.append(
            Response(
                question_id=question.id,
                model=model.endpoint.model,
                model_digest=report.digest,
                decoding=vars(model.decoding),
                **said,
            )
        )
    return responses


def _noted(question: Question, tally: Tally) -> Question:
    note = {
        "attempted": tally.attempted,
        "declined": tally.declined,
        "unknown": tally.unknown,
        "of": tally.of,
    }
    return question.model_copy(update={"metadata": question.metadata | {"hard": note}})


def _dropped(question: Question, tally: Tally, at_least: int) -> Dropped:
    counts = (
        f"{tally.attempted} of {tally.of} models attempted an answer and {tally.declined} declined; "
        f"{at_least} attempts are wanted"
    )
    if tally.keep(at_least) is None:
        why = f"{counts}. Not known of {tally.unknown}: " + "; ".join(tally.failures)
        return drop(STAGE, question, "calls failed", why, undecided=True)
    return drop(STAGE, question, "too few attempts", counts)
