"""How far raters agree: percent, Cohen's kappa, Krippendorff's alpha. Plain numbers in, plain numbers out.

A figure that is not defined is None, never 0 or 1: kappa and alpha of raters who all gave one and the same
label are 0/0, since nothing shows that they would have differed on another item.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

Metric = Literal["nominal", "ordinal"]
Ratings = Mapping[str, Hashable]
"""One rater's label of each item."""


@dataclass(frozen=True)
class PairAgreement:
    """Two raters on the `n` items that both rated. `weighted`: kappa with quadratic weights, ordinal only."""

    a: str
    b: str
    n: int
    percent: float | None
    kappa: float | None
    weighted: float | None = None


@dataclass(frozen=True)
class Agreement:
    """Any number of raters.

    Attributes:
        n: items that at least two rated.
        pairs: each two of them.
        percent, kappa, weighted: means over the pairs for which the figure is defined, each pair alike. With
            two raters they are those of the pair.
        alpha: Krippendorff's, over all raters at once, whoever rated what.
    """

    n: int
    pairs: tuple[PairAgreement, ...]
    percent: float | None
    kappa: float | None
    weighted: float | None
    alpha: float | None


def agreement(raters: Mapping[str, Ratings], metric: Metric = "nominal") -> Agreement:
    """The agreement of all raters on one scale."""
    pairs = tuple(between(a, raters[a], b, raters[b], metric) for a, b in combinations(sorted(raters), 2))
    times = Counter(item for ratings in raters.values() for item in ratings)
    units = [[r[item] for r in raters.values() if item in r] for item, count in times.items() if count > 1]
    return Agreement(
        n=len(units),
        pairs=pairs,
        percent=_mean([pair.percent for pair in pairs]),
        kappa=_mean([pair.kappa for pair in pairs]),
        weighted=_mean([pair.weighted for pair in pairs]),
        alpha=krippendorff_alpha(units, metric),
    )


def between(a: str, first: Ratings, b: str, second: Ratings, metric: Metric = "nominal") -> PairAgreement:
    """Two raters on the items that both rated; percent is 0-100."""
    shared = [item for item in first if item in second]
    x, y = [first[item] for item in shared], [second[item] for item in shared]
    same = sum(i == j for i, j in zip(x, y, strict=True))
    return PairAgreement(
        a=a,
        b=b,
        n=len(shared),
        percent=100 * same / len(shared) if shared else None,
        kappa=cohen_kappa(x, y),
        weighted=cohen_kappa(x, y, quadratic=True) if metric == "ordinal" else None,
    )


def cohen_kappa(x: Sequence[Hashable], y: Sequence[Hashable], *, quadratic: bool = False) -> float | None:
    """Cohen's kappa (1960), or with quadratic weights (1968), for which labels must be numbers.

    None where chance alone would agree always (or there is nothing): 0/0.
    """
    if len(x) != len(y):
        raise ValueError(f"two raters of the same items, but {len(x)} and {len(y)} labels")
    n = len(x)

    def distance(i: Hashable, j: Hashable) -> float:
        return (i - j) ** 2 if quadratic else float(i != j)  # type: ignore[operator]

    left, right = Counter(x), Counter(y)
    observed = sum(distance(i, j) for i, j in zip(x, y, strict=True)) * n
    expected = sum(distance(i, j) * left[i] * right[j] for i in left for j in right)
    return 1 - observed / expected if expected else None


def krippendorff_alpha(units: Sequence[Sequence[Hashable]], metric: Metric = "nominal") -> float | None:
    """Krippendorff's alpha (Computing Krippendorff's Alpha-Reliability, 2011), nominal or ordinal.

    `units` holds the labels that each item got, from two raters or more; who gave them does not matter, and
    items may have different numbers of raters. None where all labels are one and the same.
    """
    coincidences: Counter[tuple[Hashable, Hashable]] = Counter()
    for labels in units:
        if len(labels) < 2:
            continue
        for i, j in permutations(range(len(labels)), 2):
            coincidences[labels[i], labels[j]] += 1 / (len(labels) - 1)  # type: ignore[assignment]
    totals: Counter[Hashable] = Counter()
    for (label, _), weight in coincidences.items():
        totals[label] += weight
    n = sum(totals.values())
    distance = _distances(totals, metric)
    observed = math.fsum(weight * distance[pair] for pair, weight in coincidences.items())
    expected = math.fsum(totals[i] * totals[j] * distance[i, j] for i, j in permutations(totals, 2))
    return 1 - (n - 1) * observed / expected if expected else None


def _distances(totals: Mapping[Hashable, float], metric: Metric) -> dict[tuple[Hashable, Hashable], float]:
    """The squared difference of each two labels; ordinal: by how many labels lie between them."""
    if metric == "nominal":
        return {(i, j): float(i != j) for i in totals for j in totals}
    ranked = sorted(totals)  # type: ignore[type-var]
    result = {}
    for a, i in enumerate(ranked):
        for b, j in enumerate(ranked):
            low, high = min(a, b), max(a, b)
            between = math.fsum(totals[label] for label in ranked[low : high + 1])
            result[i, j] = (between - (totals[i] + totals[j]) / 2) ** 2
    return result


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if defined else None
