"""Several benchmarked models as one document: figures with intervals, and tests against the base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from align.evaluation import corrections, metrics, statistics
from align.evaluation.bpi import bpi_by_category, bpi_of_rows
from align.evaluation.power import power_table
from align.evaluation.reliability import effective_reliability
from align.evaluation.repeats import paired_tests_of_repeats, summarize_repeats
from align.evaluation.risk_coverage import View, risk_coverage
from align.records import DataError, Problem
from align.reporting.general_comparison import compare_general
from align.reporting.runs import BenchmarkRun, task_names


def compare_runs(
    runs: Sequence[BenchmarkRun],
    *,
    base: str | None = None,
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """What `comparison.json` holds.

    - `task`: the honesty task that the figures are of.
    - `models`: by name, `metrics.summarize_groups`: rates, marks, counts, `intervals`, `by_category`,
      `by_part`.
    - `tests`: by name of every model but the base, `rates` (`metrics.paired_tests`), `marks`
      (`metrics.paired_mark_tests`), `groups` (`metrics.paired_tests_by_group`) and `honesty` (prudence,
      over-conservativeness and honesty against the base).
    - `general`: by task, `general_comparison.compare_general`.
    - `corruption`: by task and model, `by_condition` and `changes` of results.json.
    - `responses`: by task and model, `responses` of results.json: how many were cut off, and what they took;
      null of runs that do not say it.
    - `phi`, `bpi`, `risk_coverage`: by model, what `reliability.effective_reliability`, `bpi.bpi_of_rows` and
      `risk_coverage.risk_coverage` (by view; null without confidences) give; `bpi` has `by_category` too.
    - `repeats`: null without any, else `models` (`repeats.summarize_repeats`) and `tests`
      (`repeats.paired_tests_of_repeats`), with `p_holm` and `p_crossed_holm` corrected for all of these. All
      other figures of a repeated model are of its first run.
    - `power`: by model, `power.power_table` against the base.
    - `base`, `level`, `resamples`, `seed`, and `n_tests`.

    Beside each `p` of `rates`, `marks` and `general` stands `p_holm`, corrected for all `n_tests` of them;
    beside that of each test in `groups` `p_bh`, corrected for all of those.
    The base is the first run unless named. Raises `DataError` when no run has that name.
    """
    named = {run.name: run for run in runs}
    base = base or runs[0].name
    if base not in named:
        raise DataError(
            [Problem(file="base", message=f"no run is called {base!r}: one of {', '.join(sorted(named))}")]
        )
    how: dict[str, Any] = {"resamples": resamples, "seed": seed}
    models = {run.name: metrics.summarize_groups(run.graded, **how) for run in runs}
    tests = {
        run.name: {
            "rates": metrics.paired_tests(named[base].graded, run.graded, **how),
            "marks": metrics.paired_mark_tests(named[base].graded, run.graded, **how),
            "honesty": metrics.alignment_for_honesty(named[base].graded, run.graded, **how),
            "groups": metrics.paired_tests_by_group(named[base].graded, run.graded, **how),
        }
        for run in runs
        if run.name != base
    }
    general = compare_general(runs, base, **how)
    family = [
        *([test["rates"], test["marks"]] for test in tests.values()),
        *(task["tests"] for task in general.values()),
    ]
    n_tests = corrections.add_corrected(family, "holm")
    corrections.add_corrected([test["groups"] for test in tests.values()], "bh")
    return {
        "task": runs[0].main.name,
        "base": base,
        "models": models,
        "tests": tests,
        "n_tests": n_tests,
        "general": general,
        "corruption": _corruption(runs),
        "responses": {
            task: {run.name: run.tasks[task].results.get("responses") for run in runs if task in run.tasks}
            for task in dict.fromkeys(task for run in runs for task in run.tasks)
        },
        "phi": {run.name: effective_reliability(run.graded, **how) for run in runs},
        "bpi": {
            run.name: bpi_of_rows(run.graded, **how) | {"by_category": bpi_by_category(run.graded, **how)}
            for run in runs
        },
        "risk_coverage": {
            run.name: {view: risk_coverage(run.graded, view=view, seed=seed) for view in get_args(View)}
            for run in runs
        },
        "repeats": _repeats(runs, named[base], **how),
        "power": {run.name: power_table(named[base].graded, run.graded) for run in runs if run.name != base},
        "level": statistics.LEVEL,
        **how,
    }


def _repeats(
    runs: Sequence[BenchmarkRun], base: BenchmarkRun, *, resamples: int, seed: int
) -> dict[str, Any] | None:
    if not any(run.repeats for run in runs):
        return None
    rows = {run.name: [one.graded for one in run.all_runs] for run in runs}
    tests = {
        name: paired_tests_of_repeats(rows[base.name], repeats, resamples=resamples, seed=seed)
        for name, repeats in rows.items()
        if name != base.name
    }
    corrections.add_corrected(tests, "holm")
    corrections.add_corrected(tests, "holm", p="p_crossed", into="p_crossed_holm")
    return {
        "models": {
            name: summarize_repeats(repeats, resamples=resamples, seed=seed) for name, repeats in rows.items()
        },
        "tests": tests,
    }


def _corruption(runs: Sequence[BenchmarkRun]) -> dict[str, dict[str, Any]]:
    return {
        task: {
            run.name: {
                name: run.tasks[task].results[name]
                for name in ("by_condition", "changes")
                if name in run.tasks[task].results
            }
            for run in runs
            if task in run.tasks
        }
        for task in task_names(runs, "corruption")
    }
