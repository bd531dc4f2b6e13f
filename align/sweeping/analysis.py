"""What the jobs of a sweep say together: configurations over their seeds, the effect of each axis, the best.

A job with the luckiest seed is not the best method. So jobs that differ in nothing but `seed` are one
configuration, judged by its mean; and what is called best is the best configuration of which no job is below
the floor or failed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.evaluation.repeats import FEWEST_CROSSED, paired_tests_of_repeats
from align.records import Graded, read_records
from align.sweeping.job import job_folder
from align.sweeping.objective import PROBE, Objective
from align.sweeping.outcomes import Outcome

SEED = "seed"
DEFAULT = "(default)"
"""The value of an axis in a job that does not name it."""


@dataclass(frozen=True)
class Configuration:
    """Jobs that differ in their seed only. `mean` and `sd` are of the objective, over measured jobs."""

    settings: dict[str, str]
    outcomes: tuple[Outcome, ...]

    @property
    def label(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.settings.items()) or "all jobs"

    @property
    def values(self) -> list[float]:
        return [
            outcome.objective
            for outcome in self.outcomes
            if outcome.objective is not None and outcome.measured
        ]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def eligible(self) -> bool:
        """Whether it may be called best: measured, and no job of it below the floor, failed or pruned.

        Jobs that are still to come do not count against it.
        """
        return bool(self.values) and all(o.verdict in ("feasible", "unfinished") for o in self.outcomes)


@dataclass(frozen=True)
class Level:
    """One value of an axis: over the configurations that have it, each a mean over its seeds."""

    value: str
    configurations: int
    jobs: int
    mean: float
    least: float
    greatest: float
    seed_sd: float | None


@dataclass(frozen=True)
class Effect:
    """What an axis does to the objective. `points` are (value, objective, verdict) of each measured job."""

    axis: str
    levels: tuple[Level, ...]
    points: tuple[tuple[str, float, str], ...]


def axes_of(outcomes: Sequence[Outcome]) -> list[str]:
    """The settings in which the jobs differ, in the order in which they were given."""
    keys = list(dict.fromkeys(key for outcome in outcomes for key in outcome.job.settings()))
    return [key for key in keys if len({outcome.job.settings().get(key) for outcome in outcomes}) > 1]


def setting(outcome: Outcome, axis: str) -> str:
    return outcome.job.settings().get(axis, DEFAULT)


def configurations(outcomes: Sequence[Outcome], axes: Sequence[str]) -> list[Configuration]:
    """The jobs by what they share beside the seed, best first; after them those that may not be best."""
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    without = [axis for axis in axes if axis != SEED]
    for outcome in outcomes:
        groups.setdefault(tuple(setting(outcome, axis) for axis in without), []).append(outcome)
    found = [
        Configuration(dict(zip(without, key, strict=True)), tuple(members)) for key, members in groups.items()
    ]
    return sorted(found, key=lambda c: (not c.eligible, c.mean is None, -(c.mean or 0.0)))


def best_of(found: Sequence[Configuration]) -> Configuration | None:
    return found[0] if found and found[0].eligible else None


def best_job(configuration: Configuration) -> Outcome:
    """The job of a configuration whose objective is highest."""
    feasible = [outcome for outcome in configuration.outcomes if outcome.verdict == "feasible"]
    return max(feasible, key=lambda outcome: outcome.objective or -math.inf)


def effects(found: Sequence[Configuration], axes: Sequence[str]) -> list[Effect]:
    """The effect of each axis but the seed, over the configurations that were measured."""
    made = []
    for axis in axes:
        if axis == SEED:
            continue
        levels = []
        for value in in_order({c.settings[axis] for c in found}):
            members = [c for c in found if c.settings[axis] == value and c.values]
            if not members:
                continue
            means = [statistics.fmean(c.values) for c in members]
            spreads = [c.sd**2 for c in members if c.sd is not None]
            levels.append(
                Level(
                    value,
                    len(members),
                    sum(len(c.values) for c in members),
                    statistics.fmean(means),
                    min(means),
                    max(means),
                    math.sqrt(statistics.fmean(spreads)) if spreads else None,
                )
            )
        points = [
            (c.settings[axis], outcome.objective, outcome.verdict)
            for c in found
            for outcome in c.outcomes
            if outcome.measured and outcome.objective is not None
        ]
        if levels:
            made.append(Effect(axis, tuple(levels), tuple(points)))
    return made


def pareto_front(outcomes: Sequence[Outcome], task: str | None) -> list[Outcome]:
    """Jobs that no other one beats in refusal and over-refusal both, by rising over-refusal."""
    known = [(o, *rates) for o in outcomes if (rates := rates_of(o, task)) is not None]
    front = [
        (over, -refusal, o)
        for o, refusal, over in known
        if not any(
            r >= refusal and v <= over and (r > refusal or v < over)
            for other, r, v in known
            if other is not o
        )
    ]
    return [outcome for _, _, outcome in sorted(front, key=lambda entry: entry[:2])]


def rates_of(outcome: Outcome, task: str | None) -> tuple[float, float] | None:
    """Refusal and over-refusal of a measured job; None where one of them is not known."""
    results = outcome.shown(task)
    refusal, over = results.get("refusal_rate"), results.get("over_refusal_rate")
    return None if refusal is None or over is None or not outcome.measured else (refusal, over)


def in_order(values: set[str]) -> list[str]:
    """Numbers by size, then words by name."""
    return sorted(values, key=lambda value: (number(value) is None, number(value) or 0.0, value))


def number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def best_against_next(
    out: str | Path, found: Sequence[Configuration], objective: Objective, task: str | None
) -> dict[str, Any] | None:
    """Paired tests of the best configuration against the next one, over questions and seeds.

    None without two configurations of three measured seeds each, or where the objective is the probe's.
    """
    eligible = [c for c in found if c.eligible]
    if len(eligible) < 2 or task is None or objective.task == PROBE:
        return None
    first, second = eligible[:2]
    if any(o.shown(task).get("kind") != "honesty" for c in (first, second) for o in c.outcomes if o.measured):
        return None
    if min(len(first.values), len(second.values)) < FEWEST_CROSSED:
        return None

    def rows(configuration: Configuration) -> list[list[Graded]]:
        measured = [outcome.job for outcome in configuration.outcomes if outcome.measured]
        files = [job_folder(out, job) / "benchmark" / task / "samples.jsonl" for job in measured]
        return [read_records(file, Graded) for file in files]

    names = ("refusal_rate", "over_refusal_rate", "answer_accuracy")
    tests = paired_tests_of_repeats(rows(second), rows(first), names)
    return {
        "best": first.label,
        "next": second.label,
        "tests": {
            name: {key: test[key] for key in ("difference", "interval_crossed", "p_crossed")}
            for name, test in tests.items()
            if test is not None
        },
    }
