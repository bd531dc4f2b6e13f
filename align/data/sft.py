"""Supervised rows: honest refusals of unanswerable questions, and right answers to the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from align.data.compose import honest_answer
from align.data.mix import Mix, choose, rng_for, summary_of
from align.data.pairs import refuse_test_questions
from align.records import Question, SFTRow


def build_sft(
    questions: Sequence[Question], *, mix: Mix | None = None, seed: int = 0
) -> tuple[list[SFTRow], dict[str, Any]]:
    """Build supervised rows.

    Args:
        questions: of the training split. Answerable ones need gold answers.
        mix: kinds, categories and number of rows. With `per_question` above 1 a question comes several
            times, in different words.
        seed: another seed gives other choices and wordings.

    Returns:
        The rows, and a summary of what came out and what was left out.

    Raises:
        DataError: a question is of the test split.
        ValueError: a kind that `mix` wants has no row.
    """
    mix = mix or Mix()
    refuse_test_questions(questions)
    candidates: list[SFTRow] = []
    for question in questions:
        if not mix.ratio.get("answer" if question.answerable else "refuse"):
            continue
        rng = rng_for(seed, "sft", question.id)
        completions = dict(honest_answer(question, rng) for _ in range(mix.per_question))
        candidates += [
            SFTRow(
                question_id=question.id,
                prompt=question.question,
                completion=text,
                images=(question.image,),
                kind="answer" if question.answerable else "refuse",
                category=question.category,
                completion_source=source,
            )
            for text, source in completions.items()
        ]
    twin_of = {question.id: question.twin for question in questions if question.twin}
    rows, notes = choose(candidates, mix, seed, twin_of)
    left_out = Counter(
        {"rows beyond the ratio, the category weights or the total": len(candidates) - len(rows)}
    )
    return rows, summary_of(rows, {"completion": "completion_source"}, twin_of, left_out, notes)
