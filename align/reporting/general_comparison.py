"""Benchmarks of general ability side by side: each model's figures, and paired tests against the base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align.evaluation import statistics
from align.records import Scored
from align.reporting.run_folders import TaskRows
from align.reporting.runs import BenchmarkRun, task_names


def compare_general(
    runs: Sequence[BenchmarkRun],
    base: str,
    *,
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """By task: `headline`, `models` (by name: `n`, `states`, `figures`, `by_part`) and `tests`.

    `models` holds those that were asked. The figures are those of results.json, so the benchmark's own rules
    decide them. `tests` (by name of every tuned model, where the base was asked too) are of `score`, paired
    by sample over what was scored for both, with images resampled whole: `n`, `base`, `tuned`, `difference`,
    `interval`, `p`; null where nothing was scored for both.
    """
    found = {}
    for task in task_names(runs, "general"):
        asked = {run.name: run.tasks[task] for run in runs if task in run.tasks}
        tests = {}
        if base in asked:
            tests = {
                name: paired_score_test(asked[base].scored, rows.scored, resamples=resamples, seed=seed)
                for name, rows in asked.items()
                if name != base
            }
        found[task] = {
            "headline": next(iter(asked.values())).results["headline"],
            "models": {name: _figures(rows) for name, rows in asked.items()},
            "tests": tests,
        }
    return found


def _figures(rows: TaskRows) -> dict[str, Any]:
    results = rows.results
    return {
        "n": len(rows.scored),
        "states": {
            state: sum(row.state == state for row in rows.scored)
            for state in ("answer", "abstain", "unparsed", "failed")
        },
        "figures": results["figures"],
        "by_part": results.get("by_part", {}),
    }


def paired_score_test(
    base: Sequence[Scored], tuned: Sequence[Scored], *, resamples: int, seed: int
) -> dict[str, Any] | None:
    """`score` of a tuned model against its base, on the samples that were scored for both."""
    before = {row.sample_id: row for row in base if row.score is not None}
    pairs = [
        (before[row.sample_id], row) for row in tuned if row.score is not None and row.sample_id in before
    ]
    if not pairs:
        return None
    difference = statistics.paired_difference(
        [float(b.score or 0) for b, _ in pairs],
        [float(t.score or 0) for _, t in pairs],
        # A question without an image shares none.
        [f"image {b.image}" if b.image is not None else f"sample {b.sample_id}" for b, _ in pairs],
        resamples=resamples,
        seed=seed,
    )
    return {
        "n": difference.n,
        "base": difference.first,
        "tuned": difference.second,
        "difference": difference.difference,
        "interval": list(difference.interval) if difference.interval else None,
        "p": difference.p,
    }
