"""Several benchmarked models as one document: rates with intervals, and tests against the base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align.evaluation import metrics, statistics
from align.records import DataError, Problem
from align.reporting.runs import BenchmarkRun


def compare_runs(
    runs: Sequence[BenchmarkRun],
    *,
    base: str | None = None,
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """What `comparison.json` holds.

    - `models`: by name, `metrics.summarize_groups`: rates, counts, `intervals`, `by_category`, `by_part`.
    - `tests`: by name of every model but the base, `rates` (`metrics.paired_tests`, with `p_holm`: the
      McNemar p-value corrected for all tests of this document) and `honesty` (prudence,
      over-conservativeness and honesty against the base).
    - `base`, `level`, `resamples`, `seed`.

    The base is the first run unless named. Raises `DataError` when no run has that name.
    """
    named = {run.name: run for run in runs}
    base = base or runs[0].name
    if base not in named:
        raise DataError(
            [Problem(file="base", message=f"no run is called {base!r}: one of {', '.join(sorted(named))}")]
        )
    models = {run.name: metrics.summarize_groups(run.graded, resamples=resamples, seed=seed) for run in runs}
    tests = {
        run.name: {
            "rates": metrics.paired_tests(named[base].graded, run.graded, resamples=resamples, seed=seed),
            "honesty": metrics.alignment_for_honesty(named[base].graded, run.graded),
        }
        for run in runs
        if run.name != base
    }
    done = [test for name in tests for test in tests[name]["rates"].values() if test is not None]
    for test, p in zip(done, statistics.holm([test["p_mcnemar"] for test in done]), strict=True):
        test["p_holm"] = p
    return {
        "base": base,
        "models": models,
        "tests": tests,
        "level": statistics.LEVEL,
        "resamples": resamples,
        "seed": seed,
    }
