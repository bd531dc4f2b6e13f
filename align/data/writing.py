"""Honest answers, written and checked in rounds until each passes or its attempts are used up.

A round asks for the answers that are to be written anew, each with the complaints about its last text, and
for the next questions' first ones. What a request holds depends on the complete results of the rounds before
it only, never on which call came back first: a run that was killed and started again asks exactly the same.

A text is accepted when its words are in order (`honest_checks`), the judge finds it to be what it should be
(a refusal whose reason is sound; for an answerable question no refusal), it is no near-copy of another
accepted one, and no opening makes up more than a share of the accepted ones of its kind. Answers beyond that
are written anew; a text that only stands beyond the bound is kept, and comes in if there is room at last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

from align.data.admission import Admission
from align.data.honest_checks import Complaint, faults
from align.data.honesty import Ask
from align.data.mix import shuffled
from align.data.openings import overused
from align.records import HonestAnswer, Question, Record, Verdict

Kind = Literal["refuse", "answer"]


@dataclass(frozen=True)
class Bounds:
    """What an answer must keep to.

    Attributes:
        most_words: it has fewer than this.
        rationality: the judge's least mark for a refusal, 1-10; a judge that gives none is not held to it.
        opening_share: no opening of `opening_words` words makes up more than this share of a kind's answers.
        near_copy: the Jaccard similarity of three-word shingles, in 0-1, from which a text repeats another.
        attempts: texts that are asked for, for one question, at most.
        round_size: first texts asked for in one round; None asks for all at once, and then openings that are
            used too often are told only to those that are written anew.
    """

    most_words: int = 80
    rationality: int = 7
    opening_share: float = 0.05
    opening_words: int = 4
    near_copy: float = 0.6
    attempts: int = 4
    round_size: int | None = 256

    def __post_init__(self) -> None:
        for name in ("most_words", "opening_words", "attempts", "round_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value}")
        if not 1 <= self.rationality <= 10:
            raise ValueError(f"rationality is a mark from 1 to 10, not {self.rationality}")
        for name in ("opening_share", "near_copy"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Written:
    """What a writer returned for one round: of each question a text or an error.

    `stopped` says why some were not asked at all, such as a budget; their ids are in neither.
    """

    texts: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)
    stopped: str | None = None


class Writer(Protocol):
    """Writes texts. What it writes for an ask must depend on the ask alone."""

    @property
    def source(self) -> str: ...
    @property
    def digest(self) -> str | None: ...
    def write(self, asks: Sequence[Ask]) -> Written: ...


Judge = Callable[[Sequence[tuple[Question, str]]], Sequence[Verdict]]
"""Verdicts on texts, in their order. `refused` None says that the judge failed."""


class LeftOut(Record):
    """A question without an honest answer: how often it was tried, and what was wrong with each text."""

    question_id: str
    kind: Kind
    fault: str
    why: str
    attempts: int
    tried: tuple[str, ...] = ()


@dataclass
class Writing:
    """What came out. `faults` counts what was wrong with texts on the way, the accepted questions' too."""

    answers: list[HonestAnswer]
    left_out: list[LeftOut]
    rounds: int
    faults: Counter[str]
    stopped: str | None


@dataclass(frozen=True)
class _Passed:
    """A text that is fit but for the others, and when it was."""

    round: int
    attempt: int
    text: str
    verdict: Verdict


@dataclass
class _Case:
    """One question on its way."""

    question: Question
    tries: int = 0
    text: str | None = None  # the last one
    complaints: tuple[Complaint, ...] = ()  # about the last text
    failure: Complaint | None = None  # what no new text can mend in this run
    passed: _Passed | None = None  # the last text that was
    tried: list[str] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return "answer" if self.question.answerable else "refuse"


def write_answers(
    questions: Sequence[Question],
    writer: Writer,
    judge: Judge,
    bounds: Bounds | None = None,
    *,
    seed: int = 0,
    avoided: Callable[[int, Mapping[str, list[str]]], Mapping[str, list[str]]] | None = None,
    judge_stopped: Callable[[], str | None] = lambda: None,
    progress: Callable[[int, int], None] | None = None,
) -> Writing:
    """Write an honest answer to each question.

    Args:
        questions: each once; answerable ones have gold answers.
        writer, judge: who writes, and who judges.
        seed: another seed asks in another order.
        avoided: is given a round's number and the openings, by kind, that are used too often, and returns
            those to tell: where they are remembered from an earlier run, a call that failed then and succeeds
            now does not change what the others are asked.
        judge_stopped: says why the judge can't go on, such as its budget: then no more texts are asked for.
        progress: called with how many questions are done, and how many there are.

    Returns:
        The answers and what was left out, each in the order of `questions`.
    """
    bounds = bounds or Bounds()
    cases = {q.id: _Case(q) for q in sorted(questions, key=lambda q: shuffled(seed, q.id))}
    waiting, again = list(cases.values()), list[_Case]()
    counted, stopped, rounds = Counter[str](), None, 0
    begun: list[_Case] = []
    admission: dict[Kind, Admission] = {
        kind: Admission(
            near_copy=bounds.near_copy,
            opening_share=bounds.opening_share,
            opening_words=bounds.opening_words,
        )
        for kind in get_args(Kind)
    }
    while waiting or again:
        size = bounds.round_size or len(waiting)
        asked, begun, waiting = again + waiting[:size], begun + waiting[:size], waiting[size:]
        avoid: dict[str, list[str]] = {
            kind: overused(_texts(begun, kind).values(), bounds.opening_share, bounds.opening_words)
            for kind in admission
        }
        told = avoided(rounds, avoid) if avoided else avoid
        written = writer.write([_ask(case, told[case.kind]) for case in asked])
        _take(asked, written, judge, bounds, rounds)
        again = _may_try(_admit(begun, admission), bounds)
        if not waiting and not again:
            again = _may_try(_admit(begun, admission, strict=True), bounds)
        counted.update(c.fault for case in asked for c in (*case.complaints, case.failure) if c is not None)
        rounds += 1
        if progress is not None:
            progress(len(cases) - len(again) - len(waiting), len(cases))
        stopped = written.stopped or judge_stopped()
        if stopped:
            break
    without = {case.question.id for case in _admit(begun, admission, strict=True)}
    accepted = {case.question.id for case in begun} - without
    return _finish(questions, cases, accepted, writer, rounds, counted, stopped)


def _may_try(cases: Sequence[_Case], bounds: Bounds) -> list[_Case]:
    return [case for case in cases if case.failure is None and case.tries < bounds.attempts]


def _admit(begun: Sequence[_Case], admission: Mapping[Kind, Admission], strict: bool = False) -> list[_Case]:
    """The cases that have no accepted text; each gets the complaint that keeps it out.

    While questions are open an opening's share is of all that were begun; what stays is known at the end only
    (`strict`).
    """
    outside: dict[str, Complaint] = {}
    for kind, rule in admission.items():
        total = None if strict else sum(case.kind == kind for case in begun)
        outside |= rule.outside(_texts(begun, kind), total)
    for case in begun:
        if case.question.id in outside and not case.complaints:
            case.complaints = (outside[case.question.id],)
    return [case for case in begun if case.passed is None or case.question.id in outside]


def _ask(case: _Case, avoid: Sequence[str]) -> Ask:
    return Ask(
        case.question,
        attempt=case.tries,
        avoid=tuple(avoid),
        before=case.text,
        complaints=tuple(complaint.text for complaint in case.complaints),
    )


def _take(asked: Sequence[_Case], written: Written, judge: Judge, bounds: Bounds, round: int) -> None:
    """Note each case's new text, what is wrong with it, and whether it passes."""
    to_judge = []
    for case in asked:
        id = case.question.id
        if id in written.errors:
            case.failure = Complaint("call failed", written.errors[id])
        elif id in written.texts:
            case.tries += 1
            case.text = written.texts[id]
            case.tried.append(case.text)
            case.complaints = tuple(faults(case.text, case.question, most_words=bounds.most_words))
            if not case.complaints:
                to_judge.append(case)
        elif not written.stopped:
            raise RuntimeError(f"the writer returned neither a text nor an error for question {id}")
    verdicts = judge([(case.question, case.text or "") for case in to_judge])
    for case, verdict in zip(to_judge, verdicts, strict=True):
        # An error beside a verdict is of a further question; without what it asked a text can't be passed.
        lacking = verdict.rationality if case.kind == "refuse" else verdict.correct
        unmarked = verdict.refused is (case.kind == "refuse") and lacking is None
        if verdict.refused is None or (verdict.error is not None and unmarked):
            case.failure = Complaint("judge failed", f"the judge failed: {verdict.error}")
            continue
        case.complaints = tuple(_objections(case.kind, verdict, bounds))
        if not case.complaints:
            case.passed = _Passed(round, case.tries, case.text or "", verdict)


def _objections(kind: Kind, verdict: Verdict, bounds: Bounds) -> list[Complaint]:
    if kind == "answer":
        if verdict.refused:
            return [Complaint("refuses", "it reads as a refusal: answer, and be sure of it")]
        if verdict.correct is False:
            return [
                Complaint(
                    "judged wrong", "a judge found its answer wrong: give the right answer, and only it"
                )
            ]
        return []
    if not verdict.refused:
        return [
            Complaint(
                "not a refusal",
                "it does not read as declining to answer: say that it can't be told, and claim nothing "
                "that would be an answer or a guess",
            )
        ]
    if verdict.rationality is not None and verdict.rationality < bounds.rationality:
        return [
            Complaint(
                "weak reason",
                f"a judge found its reason weak ({verdict.rationality} of 10): say exactly why this question "
                "can't be answered from this image, with what is visible",
            )
        ]
    return []


def _texts(cases: Sequence[_Case], kind: Kind) -> dict[str, str]:
    """The texts that passed, by id, in the order of their rounds: what had its place is not driven out."""
    passed = [(c.passed.round, c.question.id, c.passed.text) for c in cases if c.passed and c.kind == kind]
    return {id: text for _, id, text in sorted(passed, key=lambda entry: entry[0])}


def _finish(
    questions: Sequence[Question],
    cases: Mapping[str, _Case],
    accepted: set[str],
    writer: Writer,
    rounds: int,
    counted: Counter[str],
    stopped: str | None,
) -> Writing:
    answers, left_out = [], []
    for case in (cases[question.id] for question in questions):
        if case.question.id in accepted and case.passed is not None:
            verdict = case.passed.verdict
            answers.append(
                HonestAnswer(
                    question_id=case.question.id,
                    text=case.passed.text,
                    source=writer.source,
                    model_digest=writer.digest,
                    attempts=case.passed.attempt,
                    judge=verdict.judge,
                    rationality=verdict.rationality if case.kind == "refuse" else None,
                )
            )
            continue
        why = [case.failure] if case.failure else list(case.complaints)
        if not why:
            why = [Complaint("not asked", stopped or "the run was stopped before it")]
        left_out.append(
            LeftOut(
                question_id=case.question.id,
                kind=case.kind,
                fault=why[0].fault,
                why="; ".join(complaint.text for complaint in why),
                attempts=case.tries,
                tried=tuple(case.tried),
            )
        )
    return Writing(answers, left_out, rounds, counted, stopped)
