"""Intervals and paired tests for figures measured on questions that share images.

Questions about one image are not independent: a model that misreads an image tends to fail on all of its
questions. So every interval resamples whole images (the cluster bootstrap), never single questions, and the
test between two models swaps them image by image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom, binomtest, norm, t

from align.evaluation.corrections import holm as holm  # kept here for those that import it from here

RESAMPLES = 2000
LEVEL = 0.95

Array = NDArray[np.float64]

# --- Resampling images -----------------------------------------------------------------------------------


def cluster_index(labels: Sequence[str]) -> tuple[NDArray[np.intp], int]:
    """Number the clusters in the order of their names: `(index of each row's cluster [N], how many)`."""
    number = {label: i for i, label in enumerate(sorted(set(labels)))}
    return np.fromiter((number[label] for label in labels), np.intp, len(labels)), len(number)


def cluster_sums(counts: Array, index: NDArray[np.intp], clusters: int) -> Array:
    """Sum the rows of each cluster: `[N, J]` -> `[C, J]`."""
    sums = np.zeros((clusters, counts.shape[1]))
    for column in range(counts.shape[1]):
        sums[:, column] = np.bincount(index, counts[:, column], clusters)
    return sums


def resample_weights(clusters: int, rows: int, rng: np.random.Generator) -> Array:
    """How often each cluster is drawn, in `rows` bootstrap samples of as many clusters: `[rows, C]`."""
    # Counting draws is ten times as fast as drawing counts (`rng.multinomial`).
    drawn = rng.integers(clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
    counted = np.bincount(drawn.ravel(), minlength=rows * clusters)
    return counted.reshape(rows, clusters).astype(np.float64)


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
    starts = range(0, resamples, chunk)
    return np.concatenate(
        [resample_weights(clusters, min(chunk, resamples - start), rng) @ sums for start in starts]
    )


def ratio(numerator: Array, denominator: Array) -> Array:
    """Elementwise quotient, NaN where the denominator is zero."""
    return np.divide(
        numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=np.asarray(denominator) > 0
    )


# --- Intervals -------------------------------------------------------------------------------------------


def percentile_interval(resampled: Array, level: float = LEVEL) -> tuple[float, float] | None:
    """The middle `level` of the resampled values; None when no resample has a value.

    Resamples without a value (an empty denominator) say nothing and are left out. Covers too little with
    few images and near the ends of a scale: `bounded_interval` is for figures that have a scale.
    """
    kept = resampled[~np.isnan(resampled)]
    if not kept.size:
        return None
    tail = 50 * (1 - level)
    low, high = np.percentile(kept, [tail, 100 - tail])
    return float(low), float(high)


def bounded_interval(
    value: float | None,
    resampled: Array,
    *,
    clusters: int,
    low: float = 0.0,
    high: float = 1.0,
    most: float | None = None,
    level: float = LEVEL,
) -> tuple[float, float] | None:
    """Interval of a figure on a scale from `low` to `high`, measured on `clusters` images.

    The cluster bootstrap gives the variance (times C / (C - 1), which a bootstrap of C lacks), and with it
    the number of independent yes/no questions that would be as sure: `v (1 - v) / variance` for the share
    `v` of the scale, at most `most`. The interval is the exact binomial one (Clopper-Pearson 1934) at that
    number, made smaller by (z / t)^2 with C - 1 degrees of freedom, since few images tell little of the
    variance: Korn and Graubard (1998), with a bootstrap for the variance. The percentiles of the resamples
    cover too little near the ends of a scale, which is where a good model is, and with few images
    (`benchmarks/statistics_simulation.py` measures both).

    Where all images say the same there is no variance to go by. Then at most the share
    `q = 1 - (tail)^(1 / C)` of images can be unlike those seen, and lie anywhere on the scale: the interval
    reaches that share of the way to either end. For a rate of 0 or 1 this is Clopper-Pearson with one
    question an image.

    None without a value, and for a single image, which tells nothing of how images differ.
    """
    kept = resampled[~np.isnan(resampled)]
    if value is None or clusters < 2 or not kept.size:
        return None
    return interval_of_variance(
        value,
        float(kept.var()) * clusters / (clusters - 1),
        clusters=clusters,
        freedom=clusters - 1,
        low=low,
        high=high,
        most=most,
        level=level,
    )


def interval_of_variance(
    value: float,
    variance: float,
    *,
    clusters: int,
    freedom: float,
    low: float = 0.0,
    high: float = 1.0,
    most: float | None = None,
    level: float = LEVEL,
) -> tuple[float, float]:
    """`bounded_interval` from a variance that is known with so many degrees of freedom."""
    share, tail = (value - low) / (high - low), (1 - level) / 2
    variance /= (high - low) ** 2
    alike = variance < 1e-20
    if min(share, 1 - share) < 1e-12 or (alike and most is None):
        unlike = 1 - tail ** (1 / clusters)
        return value - unlike * (value - low), value + unlike * (high - value)
    effective = float("inf") if alike else share * (1 - share) / variance
    effective = min(effective, most) if most is not None else effective
    effective *= float((norm.ppf(tail) / t.ppf(tail, freedom)) ** 2)
    events = share * effective
    lowest = float(beta.ppf(tail, events, effective - events + 1))
    highest = float(beta.ppf(1 - tail, events + 1, effective - events))
    return low + lowest * (high - low), low + highest * (high - low)


def rate_interval(
    value: float | None, resampled: Array, clusters: int, n: int, level: float = LEVEL
) -> tuple[float, float] | None:
    """`bounded_interval` of a rate in 0-1 measured on `n` questions: never as if on more than `n`."""
    return bounded_interval(value, resampled, clusters=clusters, most=float(n), level=level)


# --- Two models on the same questions --------------------------------------------------------------------


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

    Takes questions as independent, and so finds differences that are not there when one model does better
    on all questions of one image and worse on all of another; `sign_flip` does not.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape:
        raise ValueError(f"paired outcomes need one value a question from each: got {a.size} and {b.size}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return McNemar(int(a.size), only_a, only_b, mcnemar_of_counts(only_a, only_b))


def mcnemar_of_counts(only_first: int, only_second: int) -> float:
    """The exact McNemar test's two-sided p from its two counts; 1 where both are 0."""
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def sign_flip(differences: Array, *, draws: int = 20_000, seed: int = 0) -> float:
    """Two-sided p of the total of `differences`, one an image `[C]`, when either model could be either.

    If the models do not differ, an image's difference could as well have had the other sign. p is the share
    of all 2^C ways to choose the signs whose total is at least as far from zero (Fisher's randomisation test
    by image). With one yes/no question an image it is the exact McNemar test. Exact for whole numbers (sums
    of outcomes or marks); for others, `draws` random ways are taken and the observed one is counted in.
    """
    sizes = np.abs(differences[differences != 0])
    if not sizes.size:
        return 1.0
    whole = np.rint(sizes)
    if np.allclose(sizes, whole, rtol=0, atol=1e-9):
        return _exact_sign_flip(whole.astype(np.int64), round(abs(float(differences.sum()))))
    observed = abs(float(differences.sum())) - 1e-9
    rng = np.random.default_rng(seed)
    chunk, extreme = max(1, 4_000_000 // sizes.size), 0
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        signs = rng.integers(0, 2, size=(rows, sizes.size), dtype=np.int8)
        extreme += int((np.abs(2 * (signs @ sizes) - sizes.sum()) >= observed).sum())
    return (extreme + 1) / (draws + 1)


def _exact_sign_flip(sizes: NDArray[np.int64], observed: int) -> float:
    """The distribution of the sum of the positive ones, size by size: `T`, where the total is 2 T - sum."""
    total = int(sizes.sum())
    chances = np.ones(1)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        longer = np.zeros(chances.size + int(size * count))
        for k, chance in enumerate(binom.pmf(np.arange(count + 1), count, 0.5)):
            if chance:
                longer[k * size : k * size + chances.size] += chance * chances
        chances = longer
    extreme = np.abs(2 * np.arange(total + 1) - total) >= observed
    return float(min(1.0, max(chances[extreme].sum(), np.finfo(float).tiny)))


@dataclass(frozen=True)
class PairedDifference:
    """Figure of the second minus figure of the first, on the same `n` questions of `clusters` images.

    `p` is `sign_flip`: the one to report. `p_bootstrap` is twice the smaller share of resamples on either
    side of zero, never below 2 / (resamples + 1), because no bootstrap can show less.
    """

    n: int
    clusters: int
    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    p: float
    p_bootstrap: float


def paired_difference(
    first: Sequence[float] | Array,
    second: Sequence[float] | Array,
    clusters: Sequence[str],
    *,
    span: float = 1.0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """Compare two models question by question, clustered: both are resampled on the same images.

    `first` and `second` hold one outcome a question (0/1, or any score), `clusters` its image; `span` is the
    greatest difference that two outcomes can have. Raises ValueError without questions or with lengths that
    differ.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not (a.shape == b.shape == (len(clusters),)):
        raise ValueError(
            f"got {a.size} and {b.size} outcomes and {len(clusters)} clusters: one of each a question"
        )
    if not a.size:
        raise ValueError("no question was scored for both models: there is nothing to compare")
    index, count = cluster_index(clusters)
    sums = cluster_sums(np.stack([a, b, np.ones_like(a)], axis=1), index, count)
    totals = resample_totals(np.stack([sums[:, 1] - sums[:, 0], sums[:, 2]], axis=1), resamples, seed)
    return difference_of_sums(sums, totals, span=span)


def difference_of_sums(sums: Array, totals: Array, *, span: float = 1.0) -> PairedDifference:
    """A paired difference from the sums of each image, `[C, 3]`: of the first, of the second, questions.

    `totals` is `[B, 2]`: the resampled totals of second - first, and of questions.
    """
    sums = sums[sums[:, 2] > 0]
    first, second, n = sums.sum(axis=0)
    differences = sums[:, 1] - sums[:, 0]
    resampled = ratio(totals[:, 0], totals[:, 1])
    resampled = resampled[~np.isnan(resampled)]
    below, above = int((resampled <= 0).sum()), int((resampled >= 0).sum())
    return PairedDifference(
        n=int(n),
        clusters=len(sums),
        first=float(first / n),
        second=float(second / n),
        difference=float((second - first) / n),
        interval=difference_interval(differences, sums[:, 2], span=span),
        p=sign_flip(differences),
        p_bootstrap=min(1.0, 2 * (min(below, above) + 1) / (resampled.size + 1)),
    )


def difference_interval(
    differences: Array, questions: Array, *, span: float = 1.0, level: float = LEVEL
) -> tuple[float, float] | None:
    """Interval of a mean paired difference, from each image's total difference and number of questions `[C]`.

    Student's t with C - 1 degrees of freedom on the variance between images (what a bootstrap of images
    tends to), after one question more in favour of each model: Agresti and Min (2005) for paired rates,
    with the variance of clusters. Without these two the interval covers too little where models seldom
    differ. Where they never differ, at most the share `q = 1 - (tail)^(1 / C)` of images can be unlike
    those seen, and differ by `span` at most: the interval is -q span to q span.

    None for a single image.
    """
    clusters, n, tail = differences.size, float(questions.sum()), (1 - level) / 2
    if clusters < 2:
        return None
    if not differences.any():
        reach = float(1 - tail ** (1 / clusters)) * span
        return -reach, reach
    mean = float(differences.sum()) / n
    residuals = differences - mean * questions
    squares = clusters / (clusters - 1) * float(residuals @ residuals) + 1
    reach = float(t.ppf(1 - tail, clusters - 1)) * squares**0.5 / (n + 2)
    centre = mean * n / (n + 2)
    return max(centre - reach, -span), min(centre + reach, span)
