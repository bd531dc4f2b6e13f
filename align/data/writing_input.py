"""Which questions honest answers are written for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from align.data.writing import Kind
from align.records import DataError, Problem, Question


def questions_to_answer(
    questions: Sequence[Question], kinds: Sequence[str], limit: int | None = None
) -> list[Question]:
    """The questions of the wanted kinds, the first `limit` of them.

    Raises:
        DataError: an id is given twice; an answerable question has no gold answer; a question is of the
            miniature world, whose exact texts need no writing.
        ValueError: an unknown kind, or no question of the wanted ones.
    """
    unknown = sorted(set(kinds) - set(get_args(Kind)))
    if unknown or not kinds:
        raise ValueError(f"kinds must be of {', '.join(get_args(Kind))}, not {list(kinds)}")
    wanted = [q for q in questions if ("answer" if q.answerable else "refuse") in kinds][:limit]
    if not wanted:
        raise ValueError(f"no question of the kinds {', '.join(kinds)} among {len(questions)}")
    times = Counter(question.id for question in wanted)
    problems = []
    for question in wanted:
        message = None
        if times[question.id] > 1:
            message = f"is given twice or more often ({times[question.id]} times)"
        elif "scene" in question.metadata and "query" in question.metadata:
            message = "is of the miniature world: build_sft.py and build_pairs.py have exact texts for it"
        elif question.answerable and not question.answers:
            message = "is Answerable and has no gold answer in `answers`: give one, or set kinds=[refuse]"
        if message is not None:
            problems.append(Problem(file="questions", row_id=question.id, message=f"{question.id} {message}"))
    if problems:
        raise DataError(problems)
    return wanted
