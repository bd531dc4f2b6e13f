"""How honesty changes with what can be seen: the corruption benchmark's curves as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from align.evaluation.corruption import BLANK, NO_IMAGE, RAW, Condition
from align.records import ANSWERABLE, UNANSWERABLE
from align.reporting.wording import CATEGORIES

SHOWN = (("refusal_rate", "over_refusal_rate"), ("reason_accuracy", "answer_accuracy"))
"""A rate of unanswerable questions, and beside it the one that stands for it on answerable questions."""

OF_ANSWERABLE = tuple(rate for _, rate in SHOWN)
RATES = (*(rate for rate, _ in SHOWN), *OF_ANSWERABLE)


@dataclass(frozen=True)
class Mark:
    """A rate (0-1) under a condition, its 95 % interval, and of how many questions.

    `severity` is 0 for `raw`, and None for a condition without one.
    """

    condition: str
    severity: int | None
    value: float
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class Series:
    """A model's rate against severity, from `raw` on. `category` None: all unanswerable questions."""

    model: str
    rate: str
    kind: str
    category: str | None
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Level:
    """A model's rate under `blank` or `no-image`: no curve, a level that curves can be held against."""

    model: str
    rate: str
    category: str | None
    mark: Mark


@dataclass(frozen=True)
class Corruption:
    """What the results of one or several models have to show. `models` are those that have any."""

    models: tuple[str, ...]
    kinds: tuple[str, ...]
    categories: tuple[str, ...]
    rates: tuple[str, ...]
    series: tuple[Series, ...]
    levels: tuple[Level, ...]

    def curve(self, model: str, rate: str, kind: str, category: str | None = None) -> Series | None:
        """The series of just this; None where nothing was measured."""
        wanted = (model, rate, kind, category)
        return next((s for s in self.series if (s.model, s.rate, s.kind, s.category) == wanted), None)

    def level(self, model: str, rate: str, condition: str, category: str | None = None) -> Level | None:
        """The level of just this; None where nothing was measured."""
        wanted = (model, rate, category, condition)
        return next(
            (v for v in self.levels if (v.model, v.rate, v.category, v.mark.condition) == wanted), None
        )


def make_corruption(results: Mapping[str, Mapping[str, Any]]) -> Corruption | None:
    """Curves and levels of models by name, from their results.json of the corruption benchmark.

    Rates of unanswerable questions come for all of them and by category, those of answerable ones under the
    category `Answerable`. A rate that was not measured (the reason, where no grader reads it) is left out.
    None without a model.
    """
    series: list[Series] = []
    levels: list[Level] = []
    for model, result in results.items():
        by_condition: Mapping[str, Any] = result["by_condition"]
        conditions = [Condition.parse(name) for name in by_condition]
        kinds = dict.fromkeys(c.kind for c in conditions if c.severity is not None)
        for rate in RATES:
            for category in (ANSWERABLE,) if rate in OF_ANSWERABLE else (None, *UNANSWERABLE):
                for kind in kinds:
                    steps = [Condition(RAW), *(c for c in conditions if c.kind == kind)]
                    marks = [_mark(by_condition, condition, rate, category) for condition in steps]
                    there = tuple(mark for mark in marks if mark is not None)
                    if len(there) > 1:
                        series.append(Series(model, rate, kind, category, there))
                for condition in conditions:
                    if condition.kind in (BLANK, NO_IMAGE):
                        mark = _mark(by_condition, condition, rate, category)
                        if mark is not None:
                            levels.append(Level(model, rate, category, mark))
    shown: list[Series | Level] = [*series, *levels]
    if not shown:
        return None
    found_rates, found = {s.rate for s in shown}, {s.category for s in shown}
    return Corruption(
        models=tuple(dict.fromkeys(s.model for s in shown)),
        kinds=tuple(dict.fromkeys(s.kind for s in series)),
        categories=tuple(category for category in CATEGORIES if category in found),
        rates=tuple(rate for rate in RATES if rate in found_rates),
        series=tuple(series),
        levels=tuple(levels),
    )


def _mark(
    by_condition: Mapping[str, Any], condition: Condition, rate: str, category: str | None
) -> Mark | None:
    summary = by_condition[condition.name]
    # The rates of all answerable questions are the summary's own.
    if category is not None and category != ANSWERABLE:
        summary = summary["by_category"].get(category)
    if summary is None or summary[rate] is None:
        return None
    bounds = summary["intervals"][rate]
    return Mark(
        condition=condition.name,
        severity=0 if condition.kind == RAW else condition.severity,
        value=summary[rate],
        interval=None if bounds is None else (bounds[0], bounds[1]),
        n=summary["n_answerable" if rate in OF_ANSWERABLE else "n_unanswerable"],
    )
