"""Intervals and paired tests for rates measured on questions that share images.

Questions about one image are not independent: a model that misreads an image tends to fail on all of its
questions. So every interval resamples whole images (the cluster bootstrap), never single questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binomtest

RESAMPLES = 2000
LEVEL = 0.95

Array = NDArray[np.float64]


def cluster_index(labels: Sequence[str]) -> tuple[NDArray[np.intp], int]:
    """Number the clusters: `(index of each row's cluster [N], how many clusters)`."""
    if not labels:
        return np.zeros(0, np.intp), 0
    _, index = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)
    return index.astype(np.intp), int(index.max()) + 1


def cluster_sums(counts: Array, index: NDArray[np.intp], clusters: int) -> Array:
    """Sum the rows of each cluster: `[N, J]` -> `[C, J]`."""
    sums = np.zeros((clusters, counts.shape[1]))
    np.add.at(sums, index, counts)
    return sums


def resample_totals(sums: Array, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Totals of `resamples` bootstrap samples of clusters: `[C, J]` -> `[B, J]`.

    A sample draws C clusters with replacement. What stands in one row of `sums` is drawn together, so
    columns of several models or groups stay paired. Memory is bounded: weights are made in chunks.
    """
    clusters = sums.shape[0]
    if clusters == 0:
        return np.zeros((resamples, sums.shape[1]))
    rng = np.random.default_rng(seed)
    chunk = max(1, 2_000_000 // clusters)
    parts = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        # Counting draws is ten times as fast as drawing counts (`rng.multinomial`).
        drawn = rng.integers(clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)
        parts.append(weights.astype(np.float64) @ sums)
    return np.concatenate(parts)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Elementwise quotient, NaN where the denominator is zero."""
    return np.divide(
        numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=np.asarray(denominator) > 0
    )


def percentile_interval(resampled: Array, level: float = LEVEL) -> tuple[float, float] | None:
    """The middle `level` of the resampled values; None when no resample has a value.

    Resamples without a value (an empty denominator) say nothing and are left out.
    """
    kept = resampled[~np.isnan(resampled)]
    if not kept.size:
        return None
    tail = 50 * (1 - level)
    low, high = np.percentile(kept, [tail, 100 - tail])
    return float(low), float(high)


def rate_interval(
    value: float | None, resampled: Array, clusters: int, n: int, level: float = LEVEL
) -> tuple[float, float] | None:
    """Interval of a rate in 0-1 that was measured on `n` questions of `clusters` images.

    The cluster bootstrap gives the variance, and with it the number of independent questions that
    would be as sure: `value (1 - value) / variance`, at most `n`. The interval is the exact binomial one
    (Clopper-Pearson 1934) at that number: Korn and Graubard (1998), with a bootstrap for the variance.
    The percentiles of the resamples themselves cover too little near 0 and 1, which is where a good model
    is (0.87 instead of 0.95 at 99 % on 100 images of 4 questions, in simulation); at exactly 0 or 1 they
    would claim certainty. There the number of independent questions is taken to be that of the images.

    None without a rate, and for a single image, which tells nothing of how images differ.
    """
    if value is None or clusters < 2:
        return None
    if value in (0.0, 1.0):
        effective = float(clusters)
    else:
        variance = float(np.nanvar(resampled))
        effective = min(float(n), value * (1 - value) / variance) if variance else float(n)
    events, tail = value * effective, (1 - level) / 2
    low = 0.0 if value == 0.0 else float(beta.ppf(tail, events, effective - events + 1))
    high = 1.0 if value == 1.0 else float(beta.ppf(1 - tail, events + 1, effective - events))
    return low, high


@dataclass(frozen=True)
class McNemar:
    """Exact McNemar test (McNemar 1947) on paired yes/no outcomes.

    `only_first` and `only_second` count the pairs in which just one of the two says yes; the others do
    not bear on the question whether the rates differ.
    """

    n: int
    only_first: int
    only_second: int
    p: float


def mcnemar(first: Sequence[bool] | NDArray[np.bool_], second: Sequence[bool] | NDArray[np.bool_]) -> McNemar:
    """Do two models differ on the same questions? Two-sided, exact at any count.

    Takes questions as independent; `paired_difference` does not.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape:
        raise ValueError(f"paired outcomes need one value a question from each: got {a.size} and {b.size}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    discordant = only_a + only_b
    p = float(binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0
    return McNemar(int(a.size), only_a, only_b, p)


@dataclass(frozen=True)
class PairedDifference:
    """Rate of the second minus rate of the first, on the same questions, with its bootstrap interval.

    `p` is two-sided: twice the smaller share of resamples on either side of zero, never below
    2 / (resamples + 1), because no bootstrap can show less.
    """

    n: int
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    p: float


def paired_difference(
    first: Sequence[float] | Array,
    second: Sequence[float] | Array,
    clusters: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """Paired bootstrap, clustered: both models are resampled on the same images.

    `first` and `second` hold one outcome a question (0/1, or any score), `clusters` its image.
    Raises ValueError without questions or with lengths that differ.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not (a.shape == b.shape == (len(clusters),)):
        raise ValueError(
            f"got {a.size} and {b.size} outcomes and {len(clusters)} clusters: one of each a question"
        )
    if not a.size:
        raise ValueError("no question was scored for both models: there is nothing to compare")
    index, count = cluster_index(clusters)
    totals = resample_totals(
        cluster_sums(np.stack([b - a, np.ones_like(a)], axis=1), index, count), resamples, seed
    )
    resampled = totals[:, 0] / totals[:, 1]
    interval = percentile_interval(resampled)
    assert interval is not None  # every resample holds at least one question
    below, above = int((resampled <= 0).sum()), int((resampled >= 0).sum())
    p = min(1.0, 2 * (min(below, above) + 1) / (resamples + 1))
    return PairedDifference(int(a.size), float(a.mean()), float(b.mean()), float((b - a).mean()), interval, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being one of many (Holm 1979), in the given order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = floor
    return adjusted
