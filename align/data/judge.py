"""What a response is, for building pairs: exact in the miniature world, by rules for photographs, or by
verdicts where a judge gave them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from align.data.compose import world_of
from align.judging.rules import judge_refusal
from align.miniworld.grader import grade
from align.records import DataError, Problem, Question, Response, Verdict, digest_of_text

Say = Callable[[Question, str], bool | None]
"""Something said about a text that answers a question: True, False, or None when it can't be told."""


def refused(question: Question, text: str) -> bool | None:
    """Does the response decline to answer? None when neither is clear."""
    world = world_of(question)
    if world is None:
        return judge_refusal(text, question.question).refused
    return {"abstain": True, "answer": False}.get(grade(text, *world).state)


def correct(question: Question, text: str) -> bool | None:
    """Is the response a right answer? None when it is no answer, or can't be read.

    Raises `ValueError` for a question about a photograph: without a judge, a right answer in other words
    than the gold answer's would be taken for a wrong one, and be trained against.
    """
    world = world_of(question)
    if world is None:
        raise ValueError(
            f"question {question.id}: rules can't tell whether a free-form answer about a photograph is "
            "wrong; set own_wrong=0"
        )
    return grade(text, *world).correct


@dataclass(frozen=True)
class FromVerdicts:
    """`refused` and `correct` by what a judge said of exactly these texts.

    `counts`: responses with a verdict, without one, and those on which the judge failed; verdicts on a text
    that the response no longer has (`stale`); texts on which the judge gave two verdicts that differ
    (`contradicted`), which count as undecided.
    """

    judge: str
    counts: dict[str, int]
    _refused: dict[tuple[str, str], bool | None] = field(repr=False)
    _correct: dict[tuple[str, str], bool | None] = field(repr=False)

    def refused(self, question: Question, text: str) -> bool | None:
        """Does the response decline to answer? None: the judge failed, or gave no verdict on this text."""
        return self._refused.get((question.id, digest_of_text(text)))

    def correct(self, question: Question, text: str) -> bool | None:
        """Is the response a right answer? None: it is no answer, or the judge did not say."""
        return self._correct.get((question.id, digest_of_text(text)))


def from_verdicts(
    verdicts: Sequence[Verdict],
    responses: Sequence[Response],
    *,
    judge: str | None = None,
) -> FromVerdicts:
    """Look up what a judge said of responses.

    A verdict belongs to a response if question, model and sample are the same, and its text and model digests
    where the verdict has them: a response that was sampled anew is not taken for the one that was judged. A
    text without a verdict is undecided, and so is one on which the judge failed.

    Args:
        verdicts: of one judge, or of several if `judge` names the one that counts.
        responses: those that are built from.

    Raises:
        ValueError: no verdict, several judges and `judge` names none, or `judge` is none of them.
        DataError: verdicts of one name by several judges (their `judge_digest` differs).
    """
    name, chosen = _of_one_judge(verdicts, judge)
    by_place: dict[tuple[str, str, int], list[Verdict]] = {}
    for verdict in chosen:
        by_place.setdefault((verdict.question_id, verdict.model, verdict.sample_index), []).append(verdict)
    said: dict[tuple[str, str], list[Verdict]] = {}
    counts = Counter(dict.fromkeys(("with_verdict", "without_verdict", "failed", "stale", "contradicted"), 0))
    for response in responses:
        if response.text is None:
            continue
        there = by_place.get((response.question_id, response.model, response.sample_index), [])
        fitting = [verdict for verdict in there if is_of(verdict, response)]
        counts["stale"] += bool(there) and not fitting
        counts["with_verdict" if fitting else "without_verdict"] += 1
        if fitting:
            said.setdefault((response.question_id, digest_of_text(response.text)), []).extend(fitting)
    refusals: dict[tuple[str, str], bool | None] = {}
    corrects: dict[tuple[str, str], bool | None] = {}
    for key, fitting in said.items():
        values = {verdict.refused for verdict in fitting}
        counts["failed"] += values == {None}
        counts["contradicted"] += {True, False} <= values
        refusals[key] = _agreed(values)
        corrects[key] = _agreed({verdict.correct for verdict in fitting})
    return FromVerdicts(name, dict(counts), refusals, corrects)


def _of_one_judge(verdicts: Sequence[Verdict], judge: str | None) -> tuple[str, list[Verdict]]:
    names = sorted({verdict.judge for verdict in verdicts})
    if judge is not None and judge not in names:
        raise ValueError(f"no verdict of judge={judge}: there are of {', '.join(names) or 'none'}")
    if judge is None and len(names) != 1:
        raise ValueError(
            "there is no verdict"
            if not names
            else f"the verdicts are of {len(names)} judges ({', '.join(names)}): name one with judge=..."
        )
    name = judge or names[0]
    chosen = [verdict for verdict in verdicts if verdict.judge == name]
    digests = Counter(verdict.judge_digest for verdict in chosen)
    if len(digests) > 1:
        kinds = ", ".join(f"{digest or 'none'} ({n})" for digest, n in digests.items())
        message = f"the verdicts of {name} are by different models or prompts: {kinds}"
        raise DataError([Problem(file="verdicts", field="judge_digest", message=message)])
    return name, chosen


def is_of(verdict: Verdict, response: Response) -> bool:
    """Is the verdict on this text of these weights? A response that was sampled anew is another one."""
    text = digest_of_text(response.text or "")
    return verdict.text_digest in (None, text) and (
        verdict.model_digest is None
        or response.model_digest is None
        or verdict.model_digest == response.model_digest
    )


def _agreed(values: set[bool | None]) -> bool | None:
    """The one value that was given; None when there is none, or two that differ."""
    given = values - {None}
    return next(iter(given)) if len(given) == 1 else None
