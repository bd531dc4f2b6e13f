"""Judges, as writing asks them: verdicts on texts that were just written."""

from __future__ import annotations

from collections.abc import Sequence

from align.judging.rules import judge_refusal
from align.records import Question, Verdict


def by_rules(source: str, items: Sequence[tuple[Question, str]]) -> list[Verdict]:
    """Verdicts by `align.judging.rules`: is it a refusal; they give no mark for its reason."""
    verdicts = []
    for question, text in items:
        refused = judge_refusal(text, question.question).refused
        verdicts.append(
            Verdict(
                question_id=question.id,
                model=source,
                judge="rules",
                refused=refused,
                error=None if refused is not None else "the rules find nothing to judge in it",
            )
        )
    return verdicts
