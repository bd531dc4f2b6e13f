"""Both-ways preference pairs.

A `refuse` pair prefers an honest refusal of an unanswerable question to what a model made up. An `answer`
pair prefers the right answer to a question that can be answered to a refusal of it. With the first kind
alone, preference training teaches to refuse everything; the paper mixes in general preference pairs against
that (`retain`), which come from a file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from align.data.candidates import SAME, Candidate, CandidateMaker
from align.data.chosen import ENOUGH, ChosenSides
from align.data.judge import Say
from align.data.ledger import Ledger
from align.data.lengths import Bounded, bounded_choice, length_bias
from align.data.mix import BEYOND, Mix, choose, summary_of
from align.data.policies import Policy, hardness
from align.data.responses import SortedResponses, sort_responses
from align.records import DataError, HonestAnswer, Pair, Problem, Question, Response

LENGTH = "set aside for max_length_auc"


def build_pairs(
    questions: Sequence[Question],
    responses: Sequence[Response],
    *,
    refused: Say,
    correct: Say | None = None,
    answers: Sequence[HonestAnswer] | None = None,
    retain: Mapping[str, Pair] | None = None,
    policy: Policy | None = None,
    mix: Mix | None = None,
    seed: int = 0,
    ledger: Ledger | None = None,
) -> tuple[list[Pair], dict[str, Any]]:
    """Build pairs from questions and models' sampled responses.

    Args:
        questions: of the training split. Answerable ones need gold answers.
        responses: of any questions. One that failed (`error`), or that can't be judged, is never data; it is
            counted.
        refused: whether a response is a refusal (`align.data.judge`).
        correct: whether an answer is right, needed for `policy.own_wrong`. A wrong answer makes its question
            harder.
        answers: chosen sides; None composes them.
        retain: general preference pairs by their key in the ledger (`align.data.retain`).
        policy: which rejected sides are taken.
        mix: kinds, categories and number of pairs.
        seed: another seed gives other choices and wordings.
        ledger: is told of every row that does not become output; None makes one.

    Returns:
        The pairs, and a summary of what came out and what was left out.

    Raises:
        DataError: a question is of the test split.
        ValueError: settings that contradict each other or the input: `own_wrong` without `correct` or without
            a response to an answerable question, an own model that isn't known, `retain` without its weight
            in the ratio or the reverse, a kind that `mix` wants and that has no pair, or a `max_length_auc`
            that can't be reached.
    """
    mix, policy, ledger = mix or Mix(), policy or Policy(), ledger or Ledger()
    if policy.own_wrong > 0 and correct is None:
        raise ValueError("own_wrong needs `correct`, which says whether an answer is right")
    require_retain(mix, bool(retain))
    refuse_test_questions(questions)
    by_id = {question.id: question for question in questions}
    ledger.open("questions", by_id)
    said = sort_responses(
        by_id,
        responses,
        refused=refused,
        correct=correct,
        policy=policy,
        ledger=ledger,
    )
    if policy.own_wrong > 0 and not any(q.id in said.seen for q in questions if q.answerable):
        raise ValueError(
            "own_wrong needs the model's responses to answerable questions, and there is none: "
            "sample them (data_prep/sample_responses.py with answerable=true), or set own_wrong=0"
        )
    if policy.own_wrong > 0 and not said.graded:
        raise ValueError(
            "own_wrong needs to know which answers are right, and it is known of none: have them judged with "
            "`correct`, or set own_wrong=0"
        )
    sides = ChosenSides(by_id, answers, policy.missing_answers, ledger)
    maker = CandidateMaker(said, sides, policy, mix, seed)
    candidates: list[Candidate] = []
    for question in questions:
        made, reason = maker.candidates(question, by_id.get(question.twin or ""))
        candidates += made
        if reason is not None:
            ledger.leave_out("questions", question.id, reason)
    candidates += [Candidate(pair, retain=key) for key, pair in (retain or {}).items()]

    twin_of = {question.id: question.twin for question in questions if question.twin}
    hard = hardness(said.dishonest) if policy.order == "hardest_first" else None
    notes: list[str] = []

    def choice(from_: Sequence[Candidate]) -> list[Candidate]:
        nonlocal notes
        chosen, notes = choose(from_, mix, seed, twin_of, hard)
        return chosen

    bounded: Bounded | None = None
    aside: Sequence[Candidate] = ()
    if policy.max_length_auc is None:
        taken = choice(candidates)
    else:
        taken, aside, bounded = bounded_choice(candidates, policy.max_length_auc, choice, seed)
    _settle(ledger, candidates, taken, aside, said, sides, maker.said_the_same)

    pairs = [candidate.pair for candidate in taken]
    fields = {"chosen": "chosen_source", "rejected": "rejected_source"}
    summary = summary_of(pairs, fields, twin_of, notes)
    summary["length"] = {"all": length_bias(pairs).as_dict()} | {
        kind: length_bias([pair for pair in pairs if pair.kind == kind]).as_dict()
        for kind in summary["kinds"]
    }
    if bounded is not None:
        summary["length_bound"] = bounded.as_dict()
    summary["responses"] = dict(said.counts)
    summary["inputs"] = ledger.counts()
    return pairs, summary


def refuse_test_questions(questions: Sequence[Question]) -> None:
    """Raise `DataError` if any question is of the test split."""
    problems = [
        Problem(
            file="questions", field="split", row_id=q.id, message="a test question is never training data"
        )
        for q in questions
        if q.split == "test"
    ]
    if problems:
        raise DataError(problems)


def require_retain(mix: Mix, given: bool) -> None:
    """Raise `ValueError` if the ratio wants `retain` rows that were not given, or the reverse."""
    wanted = mix.ratio.get("retain", 0) > 0
    if wanted and not given:
        raise ValueError(
            "mix.ratio.retain wants general preference rows, and there is none: give retain=FILE"
        )
    if given and not wanted:
        raise ValueError(
            "retain=FILE is given and mix.ratio.retain is 0, so no row of it would be used: set one"
        )


def _settle(
    ledger: Ledger,
    candidates: Sequence[Candidate],
    taken: Sequence[Candidate],
    aside: Sequence[Candidate],
    said: SortedResponses,
    sides: ChosenSides,
    same: Collection[str],
) -> None:
    """Give every row that the pairs do not hold its reason, and balance the account."""
    in_output, set_aside = set(map(id, taken)), set(map(id, aside))
    not_taken = [candidate for candidate in candidates if id(candidate) not in in_output]
    why = {id(c): LENGTH if id(c) in set_aside else BEYOND for c in not_taken}
    used_questions = {candidate.question_id for candidate in taken if candidate.retain is None}
    used = {
        name: {key for candidate in taken if (key := getattr(candidate, field)) is not None}
        for name, field in (("responses", "response"), ("answers", "answer"), ("retain", "retain"))
    }
    for candidate in not_taken:
        if candidate.retain is None and candidate.question_id not in used_questions:
            ledger.leave_out("questions", candidate.question_id, why[id(candidate)])
        for name, key in (
            ("responses", candidate.response),
            ("answers", candidate.answer),
            ("retain", candidate.retain),
        ):
            if key is not None and key not in used[name]:
                ledger.leave_out(name, key, why[id(candidate)])
    ledger.settle("questions", used_questions)
    gone = {
        id_: f"its question was left out: {reason}" for id_, reason in ledger.reasons("questions").items()
    }
    for shelf in (said.inventions, said.refusals, said.wrong):
        for question_id, entry in shelf.entries():
            if entry.key is not None and entry.key not in used["responses"]:
                reason = SAME if entry.key in same else gone.get(question_id, ENOUGH)
                ledger.leave_out("responses", entry.key, reason)
    sides.explain_unused(used["answers"], gone, ledger)
    for name in ("responses", "answers", "retain"):
        ledger.settle(name, used[name])
