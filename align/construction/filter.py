"""The filters, one after the other, each of which can be used alone.

    length      5 to 45 words, ends as a question; asks no one
    hard        models attempt an answer (`align.construction.hard`)
    category    a model confirms it (`align.construction.category`)
    duplicates  near-duplicates; asks no one
    coverage    images that cover all categories; asks no one

A question and its twin stay together: when the unanswerable one goes, its twin goes with it. When the twin
    goes, the question stays without one, or goes too where a twin is wanted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from align.construction.yields import Dropped, drop, generator_of, yield_of
from align.records import Category, DataError, Problem, Question

STAGES = ("length", "hard", "category", "duplicates", "coverage")

Kept = tuple[list[Question], list[Dropped]]
Stage = Callable[[Sequence[Question], "Filtered"], Kept]
"""A stage is given the questions and what the stages before it made of the rest."""


@dataclass
class Filtered:
    """What is left, everything that was not kept, and the yield of each stage."""

    questions: list[Question]
    dropped: list[Dropped] = field(default_factory=list)
    yields: list[dict[str, Any]] = field(default_factory=list)

    @property
    def undecided_categories(self) -> Mapping[str, set[Category]]:
        """For each image the categories of unanswerable questions that no stage could decide yet."""
        found: dict[str, set[Category]] = defaultdict(set)
        for row in self.dropped:
            if row.undecided:
                found[row.image].add(row.category)
        return found


def run_stages(
    questions: Sequence[Question],
    stages: Mapping[str, Stage],
    *,
    require_twin: bool = False,
    after: Callable[[Mapping[str, Any]], None] | None = None,
) -> Filtered:
    """Run the stages in their order.

    Args:
        questions: with each twin that is named.
        require_twin: an unanswerable question that loses its twin goes too.
        after: called with each stage's yield when it is known.

    Raises:
        DataError: see `require_twins`.
    """
    require_twins(questions)
    result = Filtered(list(questions))
    for name, stage in stages.items():
        before = result.questions
        kept, dropped = stage(before, result)
        kept, dropped = with_twins(name, before, kept, dropped, require_twin)
        result.questions = kept
        result.dropped += dropped
        given = [(question.category, generator_of(question)) for question in before]
        result.yields.append(yield_of(name, given, dropped, len(kept)))
        if after is not None:
            after(result.yields[-1])
    return result


def with_twins(
    stage: str,
    before: Sequence[Question],
    kept: Sequence[Question],
    dropped: Sequence[Dropped],
    require_twin: bool,
) -> Kept:
    """What a stage keeps and drops when questions and twins stay together."""
    out = {row.question.id: row for row in dropped if row.question is not None}
    by_id = {question.id: question for question in before}
    follow: dict[str, Dropped] = {}
    for question in before:
        twin = by_id.get(question.twin or "")
        if twin is None or twin.id not in out or question.id in out:
            continue
        state = "is undecided" if out[twin.id].undecided else "was dropped"
        if question.answerable:
            reason, why = "with its question", f"its question {twin.id} {state}: {out[twin.id].reason}"
        elif require_twin:
            reason, why = "with its twin", f"its twin {twin.id} {state}: {out[twin.id].reason}"
        else:
            continue
        follow[question.id] = drop(stage, question, reason, why, undecided=out[twin.id].undecided)
    left = []
    for question in kept:
        if question.id in follow:
            continue
        if question.twin in out:
            question = question.model_copy(update={"twin": None})
        left.append(question)
    order = {question.id: number for number, question in enumerate(before)}
    rows = sorted(
        [*out.values(), *follow.values()], key=lambda row: order[row.question.id if row.question else ""]
    )
    return left, rows


def require_twins(questions: Sequence[Question]) -> None:
    """Check that ids are unique, and that every twin is there, belongs to its question and differs from it.

    Raises `DataError` with every problem.
    """
    by_id = {question.id: question for question in questions}
    problems = [
        Problem(file="questions", row_id=id, message=f"the id {id!r} is given {count} times")
        for id, count in Counter(question.id for question in questions).items()
        if count > 1
    ]
    for question in questions:
        if question.twin is None:
            continue
        twin = by_id.get(question.twin)
        message = None
        if twin is None:
            message = f"{question.id} names the twin {question.twin!r}, which is not in the file"
        elif twin.twin != question.id:
            message = f"{question.id} names the twin {twin.id!r}, whose own twin is {twin.twin!r}"
        elif twin.answerable == question.answerable:
            message = (
                f"{question.id} and its twin {twin.id!r} are both {'un' * (not twin.answerable)}answerable"
            )
        if message is not None:
            problems.append(Problem(file="questions", field="twin", row_id=question.id, message=message))
    if problems:
        raise DataError(problems)


def stages_of(names: Sequence[str]) -> list[str]:
    """The stages to run, in the order given. Raises `ValueError`: an unknown name, one twice, or none."""
    unknown = [name for name in names if name not in STAGES]
    if unknown or not names:
        raise ValueError(f"stages must be of {', '.join(STAGES)}, not {list(names)}")
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"stages has {twice} twice")
    return list(names)
