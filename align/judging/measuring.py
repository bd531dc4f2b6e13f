"""How well a judge finds refusals, where the truth is known: precision and recall with their intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Detection:
    """Counts of (what the judge said, what is true). `unscored`: the judge said nothing.

    An unscored refusal counts against recall: nobody found it.
    """

    hits: int = 0
    false_alarms: int = 0
    missed: int = 0
    passed: int = 0
    unscored_refusals: int = 0
    unscored_answers: int = 0

    @property
    def n(self) -> int:
        return self.refusals + self.false_alarms + self.passed + self.unscored_answers

    @property
    def refusals(self) -> int:
        return self.hits + self.missed + self.unscored_refusals

    @property
    def unscored(self) -> int:
        return self.unscored_refusals + self.unscored_answers

    @property
    def precision(self) -> float | None:
        found = self.hits + self.false_alarms
        return self.hits / found if found else None

    @property
    def recall(self) -> float | None:
        return self.hits / self.refusals if self.refusals else None

    def precision_interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        return wilson(self.hits, self.hits + self.false_alarms, level)

    def recall_interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        return wilson(self.hits, self.refusals, level)


def detection(rows: Iterable[tuple[bool | None, bool]]) -> Detection:
    """Count `(what the judge said, what is true)`, True being a refusal and None no verdict."""
    counts = dict.fromkeys(Detection.__dataclass_fields__, 0)
    names = {
        (True, True): "hits",
        (True, False): "false_alarms",
        (False, True): "missed",
        (False, False): "passed",
        (None, True): "unscored_refusals",
        (None, False): "unscored_answers",
    }
    for row in rows:
        counts[names[row]] += 1
    return Detection(**counts)


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float] | None:
    """Wilson's score interval of a share; None for n = 0."""
    from scipy.stats import binomtest

    if n == 0:
        return None
    interval = binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)
