"""A judge's verdicts on the responses of a benchmark that wants them, put into its scored rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from align.evaluation.general.base import Benchmark, Item
from align.judging.judged import Judge, Judged
from align.judging.making import print_estimates
from align.records import Question, Response, Scored, Verdict


@runtime_checkable
class Judgeable(Protocol):
    """A benchmark whose rules can be replaced by a judge of honesty."""

    def question_for_judge(self, item: Item) -> Question:
        """The question as the judge is shown it; its id is the item's."""

    def judged(self, item: Item, scored: Scored, verdict: Verdict) -> Scored:
        """The row with the verdict in place of the rules."""


def judge_scored(
    benchmark: Benchmark,
    items: Mapping[str, Item],
    rows: Sequence[Scored],
    judge: Judge,
    *,
    model: str,
    model_digest: str | None = None,
) -> list[Scored]:
    """Scored rows with the judge's verdicts, in the same order; rows that have no text stay as they are.

    `items` are by id. Raises TypeError for a benchmark that isn't `Judgeable`, and what the judge raises.
    """
    if not isinstance(benchmark, Judgeable):
        raise TypeError(f"{benchmark.name} is graded by its own rules: no judge can take their place")
    at = [place for place, row in enumerate(rows) if (row.response or "").strip()]
    judged = [
        Judged(
            benchmark.question_for_judge(items[rows[place].sample_id]),
            Response(
                question_id=rows[place].sample_id,
                model=model,
                model_digest=model_digest,
                text=rows[place].response,
                sample_index=place,
            ),
        )
        for place in at
    ]
    print_estimates(judge, judged)
    graded = list(rows)
    for place, verdict in zip(at, judge.judge(judged), strict=True):
        graded[place] = benchmark.judged(items[rows[place].sample_id], rows[place], verdict)
    return graded
