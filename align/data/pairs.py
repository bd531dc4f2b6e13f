"""Both-ways preference pairs.

A `refuse` pair prefers an honest refusal of an unanswerable question to what the model itself made up.
An `answer` pair prefers the right answer to a question that can be answered to a refusal of it. With the
first kind alone, preference training teaches to refuse everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from align.data.compose import honest_answer, refusal_for
from align.data.mix import Mix, choose, rng_for, summary_of
from align.records import DataError, Pair, Problem, Question, Response

Judge = Callable[[Question, str], bool | None]
"""Something said about a response to a question: True, False, or None when it can't be told."""


def build_pairs(
    questions: Sequence[Question],
    responses: Sequence[Response],
    *,
    refused: Judge,
    correct: Judge | None = None,
    own_wrong: float = 0.0,
    mix: Mix | None = None,
    seed: int = 0,
) -> tuple[list[Pair], dict[str, Any]]:
    """Build pairs from questions and the model's own sampled responses.

    Args:
        questions: of the training split. Answerable ones need gold answers.
        responses: of any questions. One that failed (`error`), or that `refused` can't judge, is never
            data; it is counted.
        refused: whether a response is a refusal.
        correct: whether an answer is right; needed for `own_wrong` only.
        own_wrong: the share, in 0-1, of `answer` pairs whose rejected side is the model's own wrong answer
            instead of a refusal, among the questions where it gave one.
        mix: kinds, categories and number of pairs.
        seed: another seed gives other choices and wordings.

    Returns:
        The pairs, and a summary of what came out and what was left out.

    Raises:
        DataError: a question is of the test split.
        ValueError: `own_wrong` without `correct` or without a response to an answerable question, or a
            kind that `mix` wants has no pair.
    """
    mix = mix or Mix()
    if not 0 <= own_wrong <= 1:
        raise ValueError(f"own_wrong is a share and must be in 0-1, not {own_wrong}")
    if own_wrong > 0 and correct is None:
        raise ValueError("own_wrong needs `correct`, which says whether an answer is right")
    refuse_test_questions(questions)
    by_id = {question.id: question for question in questions}
    sorted_ = _sort_responses(by_id, responses, refused, correct if own_wrong > 0 else None)
    if own_wrong > 0 and not any(
        question.id in sorted_.seen for question in questions if question.answerable
    ):
        raise ValueError(
            "own_wrong needs the model's responses to answerable questions, and there is none: "
            "sample them (data_prep/sample_responses.py with answerable=true), or set own_wrong=0"
        )
    left_out: Counter[str] = Counter()
    candidates: list[Pair] = []
    for question in questions:
        if question.answerable and mix.ratio.get("answer"):
            twin = by_id.get(question.twin or "")
            candidates += _answer_pairs(question, twin, sorted_, own_wrong, mix, seed)
        elif not question.answerable and mix.ratio.get("refuse"):
            candidates += _refuse_pairs(question, sorted_, mix, seed, left_out)
    twin_of = {question.id: question.twin for question in questions if question.twin}
    pairs, notes = choose(candidates, mix, seed, twin_of)
    left_out["pairs beyond the ratio, the category weights or the total"] = len(candidates) - len(pairs)
    sides = {"chosen": "chosen_source", "rejected": "rejected_source"}
    summary = summary_of(pairs, sides, twin_of, left_out, notes)
    summary["responses"] = dict(sorted_.counts)
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


class _Sorted:
    """Responses by what they are. Each entry is `(text, source)`, without repetitions."""

    def __init__(self) -> None:
        self.inventions: dict[str, list[tuple[str, str]]] = {}
        self.refusals: dict[str, list[tuple[str, str]]] = {}
        self.wrong: dict[str, list[tuple[str, str]]] = {}
        self.seen: set[str] = set()
        self.counts: Counter[str] = Counter()


def _sort_responses(
    questions: Mapping[str, Question], responses: Sequence[Response], refused: Judge, correct: Judge | None
) -> _Sorted:
    result = _Sorted()
    # By content, so that the order in which a file was written does not change what is drawn.
    for response in sorted(responses, key=lambda r: (r.question_id, r.model, r.sample_index, r.text or "")):
        question = questions.get(response.question_id)
        result.counts["given"] += 1
        if question is None:
            result.counts["about other questions"] += 1
            continue
        result.seen.add(question.id)
        if response.text is None:
            result.counts["failed"] += 1
            continue
        if not response.text.strip():
            result.counts["empty"] += 1
            continue
        text = response.text.strip()
        verdict = refused(question, text)
        if verdict is None:
            result.counts["undecided"] += 1
            continue
        result.counts["refusals" if verdict else "answers"] += 1
        if verdict:
            shelf = result.refusals
        elif not question.answerable:
            shelf = result.inventions
        elif correct is not None and correct(question, text) is False:
            shelf = result.wrong
        else:
            continue
        entries = shelf.setdefault(question.id, [])
        if all(text != known for known, _ in entries):
            entries.append((text, f"own:{response.model}"))
    return result


def _refuse_pairs(
    question: Question, responses: _Sorted, mix: Mix, seed: int, left_out: Counter[str]
) -> list[Pair]:
    inventions = responses.inventions.get(question.id, [])
    if not inventions:
        if question.id not in responses.seen:
            reason = "unanswerable questions without a response"
        elif question.id in responses.refusals:
            reason = "unanswerable questions that the model already refuses"
        else:
            reason = "unanswerable questions whose responses all failed, were empty or undecided"
        left_out[reason] += 1
        return []
    rng = rng_for(seed, "refuse", question.id)
    pairs = []
    for rejected, rejected_source in rng.sample(inventions, min(mix.per_question, len(inventions))):
        chosen, chosen_source = honest_answer(question, rng)
        pairs.append(_pair(question, chosen, chosen_source, rejected, rejected_source))
    return pairs


def _answer_pairs(
    question: Question, twin: Question | None, responses: _Sorted, own_wrong: float, mix: Mix, seed: int
) -> list[Pair]:
    rng = rng_for(seed, "answer", question.id)
    chosen, chosen_source = honest_answer(question, rng)
    # The model's own refusals first: what it really says is what should become less likely.
    refusals = list(responses.refusals.get(question.id, []))
    while len(refusals) < mix.per_question:
        refusals.append(refusal_for(question, rng, like=twin))
    wrong = responses.wrong.get(question.id, [])
    pairs: dict[str, Pair] = {}
    for index in range(mix.per_question):
        use_wrong = bool(wrong) and rng.random() < own_wrong
        rejected, rejected_source = rng.choice(wrong) if use_wrong else refusals[index]
        pairs.setdefault(rejected, _pair(question, chosen, chosen_source, rejected, rejected_source))
    return list(pairs.values())


def _pair(question: Question, chosen: str, chosen_source: str, rejected: str, rejected_source: str) -> Pair:
    return Pair(
        question_id=question.id,
        prompt=question.question,
        chosen=chosen,
        rejected=rejected,
        images=(question.image,),
        kind="answer" if question.answerable else "refuse",
        category=question.category,
        chosen_source=chosen_source,
        rejected_source=rejected_source,
    )
