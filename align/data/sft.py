"""Supervised rows: honest refusals of unanswerable questions, right answers to the others, general rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from align.data.candidates import NO_WEIGHT
from align.data.chosen import ChosenSides
from align.data.ledger import Ledger
from align.data.mix import BEYOND, Mix, choose, rng_for, summary_of
from align.data.pairs import refuse_test_questions, require_retain
from align.data.policies import MissingAnswers
from align.records import Category, HonestAnswer, PairKind, Question, SFTRow


@dataclass(frozen=True)
class _Candidate:
    row: SFTRow
    answer: str | None = None
    retain: str | None = None

    @property
    def question_id(self) -> str:
        return self.row.question_id

    @property
    def kind(self) -> PairKind:
        return self.row.kind

    @property
    def category(self) -> Category | None:
        return self.row.category


def build_sft(
    questions: Sequence[Question],
    *,
    answers: Sequence[HonestAnswer] | None = None,
    missing_answers: MissingAnswers = "leave_out",
    retain: Mapping[str, SFTRow] | None = None,
    hardness: Mapping[str, float] | None = None,
    mix: Mix | None = None,
    seed: int = 0,
    ledger: Ledger | None = None,
) -> tuple[list[SFTRow], dict[str, Any]]:
    """Build supervised rows.

    Args:
        questions: of the training split. Answerable ones need gold answers.
        answers: completions; None composes them.
        missing_answers: what happens to an unanswerable question that `answers` lacks.
        retain: general rows by their key in the ledger (`align.data.retain`).
        hardness: by question id; the hardest are taken first (`align.data.policies.hardness`).
        mix: kinds, categories and number of rows. With `per_question` above 1 a question comes several
            times, in different words.
        seed: another seed gives other choices and wordings.
        ledger: is told of every row that does not become output; None makes one.

    Returns:
        The rows, and a summary of what came out and what was left out.

    Raises:
        DataError: a question is of the test split.
        ValueError: a kind that `mix` wants has no row, or `retain` without its weight, or the reverse.
    """
    mix, ledger = mix or Mix(), ledger or Ledger()
    require_retain(mix, bool(retain))
    refuse_test_questions(questions)
    by_id = {question.id: question for question in questions}
    ledger.open("questions", by_id)
    sides = ChosenSides(by_id, answers, missing_answers, ledger)
    candidates: list[_Candidate] = []
    for question in questions:
        reason = _reason_to_leave_out(question, mix, sides)
        if reason is not None:
            ledger.leave_out("questions", question.id, reason)
            continue
        candidates += _rows_of(question, sides, mix, seed)
    candidates += [_Candidate(row, retain=key) for key, row in (retain or {}).items()]
    twin_of = {question.id: question.twin for question in questions if question.twin}
    taken, notes = choose(candidates, mix, seed, twin_of, hardness)
    _settle(ledger, candidates, taken, sides)
    rows = [candidate.row for candidate in taken]
    summary = summary_of(rows, {"completion": "completion_source"}, twin_of, notes)
    return rows, summary | {"inputs": ledger.counts()}


def _reason_to_leave_out(question: Question, mix: Mix, sides: ChosenSides) -> str | None:
    kind = "answer" if question.answerable else "refuse"
    if not mix.ratio.get(kind):
        return f"the ratio wants no {kind} rows"
    if not question.answerable and not mix.categories.get(question.category):
        return NO_WEIGHT
    return "no honest answer in answers" if sides.missing(question) else None


def _rows_of(question: Question, sides: ChosenSides, mix: Mix, seed: int) -> list[_Candidate]:
    rng = rng_for(seed, "sft", question.id)
    # One text may be drawn twice: then the question comes once less.
    written = [sides.write(question, rng, index) for index in range(mix.per_question)]
    return [
        _Candidate(
            SFTRow(
                question_id=question.id,
                prompt=question.question,
                completion=chosen.text,
                images=(question.image,),
                kind="answer" if question.answerable else "refuse",
                category=question.category,
                completion_source=chosen.source,
            ),
            answer=chosen.key,
        )
        for chosen in {chosen.text: chosen for chosen in written}.values()
    ]


def _settle(
    ledger: Ledger, candidates: Sequence[_Candidate], taken: Sequence[_Candidate], sides: ChosenSides
) -> None:
    """Give every row that the output does not hold its reason, and balance the account."""
    used_questions = {candidate.question_id for candidate in taken if candidate.retain is None}
    used_answers = {candidate.answer for candidate in taken if candidate.answer is not None}
    used_retain = {candidate.retain for candidate in taken if candidate.retain is not None}
    for candidate in candidates:
        if candidate.retain is not None:
            if candidate.retain not in used_retain:
                ledger.leave_out("retain", candidate.retain, BEYOND)
            continue
        if candidate.question_id not in used_questions:
            ledger.leave_out("questions", candidate.question_id, BEYOND)
        if candidate.answer is not None and candidate.answer not in used_answers:
            ledger.leave_out("answers", candidate.answer, BEYOND)
    gone = {
        id_: f"its question was left out: {reason}" for id_, reason in ledger.reasons("questions").items()
    }
    sides.explain_unused(used_answers, gone, ledger)
    ledger.settle("questions", used_questions)
    ledger.settle("answers", used_answers)
    ledger.settle("retain", used_retain)
