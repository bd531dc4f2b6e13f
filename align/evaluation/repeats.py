"""Seeds as repeats: several runs of one model over the same questions.

Two kinds of repeats, and two questions to them. Repeats that differ in the seed of decoding are one model's
responses drawn again: their mean is that model's rate, and what is uncertain is the choice of images
(`interval`, `p`), which takes the chance of decoding along. Repeats that differ in the seed of training are
several models of one method: to say that the method is better, the seeds are a sample as much as the images
are (`interval_crossed`, `p_crossed`, from three repeats on).

Both are beside the plain spread over the repeats: each one's figure, least, greatest and standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, t

from align.evaluation import statistics
from align.evaluation.against_base import TESTED
from align.evaluation.counting import AT, FIGURES, MARK_SCALE, MARKS, Tally
from align.evaluation.statistics import Array
from align.records import Graded

FEWEST_CROSSED = 3
"""With two repeats the spread over seeds has one degree of freedom: an interval would say nothing."""


def summarize_repeats(
    repeats: Sequence[Sequence[Graded]],
    *,
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Each rate and mean mark over repeats of one model.

    - `value`: the counts of all repeats together; `n`: its denominator.
    - `interval` (95 %): images resampled, with all repeats of their questions. What other images would give
      with these seeds.
    - `interval_crossed`: what other images and other seeds would give (`_over_both`). None for fewer than
      three repeats.
    - `by_repeat`, and their `mean`, `least`, `greatest` and `sd` (None where fewer than two have a value).

    Raises ValueError without a repeat, or when one lacks a question of another.
    """
    tallies = _aligned(repeats)
    names = list(FIGURES)
    sums = np.stack([_figure_sums(tally, names) for tally in tallies])  # [S, C, F, 2]
    drawn = _drawn(sums, resamples, seed)  # [B, S, F, 2]
    per_repeat = [tally.values(tally.counts.sum(axis=0)) for tally in tallies]
    together = tallies[0].values(np.sum([tally.counts.sum(axis=0) for tally in tallies], axis=0))
    return {
        name: _figure(name, together[name], [v[name] for v in per_repeat], sums[:, :, f], drawn[:, :, f])
        for f, name in enumerate(names)
    }


def _figure(
    name: str, value: float | None, by_repeat: list[float | None], sums: Array, drawn: Array
) -> dict[str, Any]:
    """`sums` `[S, C, 2]`, `drawn` `[B, S, 2]`: numerator and denominator."""
    low, high = MARK_SCALE if name in MARKS else (0.0, 1.0)
    responses = sums[:, :, 1].sum(axis=0)
    images = int((responses > 0).sum())
    most = None if name in MARKS else float(responses.sum())
    of_images = statistics.ratio(drawn[:, :, 0].sum(axis=1), drawn[:, :, 1].sum(axis=1))
    interval = statistics.bounded_interval(value, of_images, clusters=images, low=low, high=high, most=most)
    there = [rate for rate in by_repeat if rate is not None]
    crossed = None
    if value is not None and images > 1 and len(there) == len(by_repeat) >= FEWEST_CROSSED:
        half = _over_both(_variance(of_images, images), images, [there])
        # The variance of the normal distribution with this half-width.
        variance = (half / float(norm.ppf((1 + statistics.LEVEL) / 2))) ** 2
        crossed = statistics.interval_of_variance(
            value, variance, clusters=images, freedom=np.inf, low=low, high=high, most=most
        )
    return {
        "value": value,
        "n": int(responses.sum()),
        "interval": list(interval) if interval else None,
        "interval_crossed": list(crossed) if crossed else None,
        **_spread(by_repeat),
    }


def paired_tests_of_repeats(
    base: Sequence[Sequence[Graded]],
    tuned: Sequence[Sequence[Graded]],
    names: Sequence[str] = TESTED,
    *,
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Any] | None]:
    """Test two models or methods with repeats: per question, mean over repeats against mean over repeats.

    The numbers of repeats may differ, and no repeat of one belongs to one of the other. Each rate gives `n`
    questions that count for both in at least one repeat, `clusters`, `base`, `tuned` and `difference` (of
    the means), `interval` and `p` over images (`statistics.sign_flip`), `interval_crossed` and `p_crossed`
    over images and repeats (`_over_both`, from three repeats of each on, else None), and the spread over the
    repeats of each, `base_repeats` and `tuned_repeats`. None where no question counts for both.

    `p` is exact where every question counts in every repeat; else from ten random ways to choose the signs
    for each of `resamples`.

    Raises ValueError as `summarize_repeats` does.
    """
    first, second = _aligned(base), _aligned(tuned)
    at = {row.question_id: i for i, row in enumerate(second[0].rows)}
    common = [(i, at[row.question_id]) for i, row in enumerate(first[0].rows) if row.question_id in at]
    mine, theirs = np.array(common, np.intp).reshape(-1, 2).T
    images, clusters = first[0].cluster, first[0].clusters
    tests: dict[str, dict[str, Any] | None] = {}
    for name in names:
        before, after = _outcomes(first, name, mine), _outcomes(second, name, theirs)  # [S, Q]
        counts = ~np.isnan(before).all(axis=0) & ~np.isnan(after).all(axis=0)
        if not counts.any():
            tests[name] = None
            continue
        tests[name] = _test(
            name, before[:, counts], after[:, counts], images[mine][counts], clusters, 10 * resamples, seed
        )
    return tests


def _test(
    name: str, before: Array, after: Array, images: Any, clusters: int, draws: int, seed: int
) -> dict[str, Any]:
    """`before` `[S, Q]`, `after` `[S', Q]`: outcomes, NaN where one doesn't count; `images` `[Q]`."""
    low, high = MARK_SCALE if name in MARKS else (0.0, 1.0)
    first, second = np.nanmean(before, axis=0), np.nanmean(after, axis=0)
    questions = np.ones_like(first)
    sums = statistics.cluster_sums(np.stack([second - first, questions], axis=1), images, clusters)
    sums = sums[sums[:, 1] > 0]
    differences, n = sums[:, 0], float(questions.sum())
    interval = statistics.difference_interval(differences, sums[:, 1], span=high - low)
    spread = _spread_of(before), _spread_of(after)
    difference = float(second.mean() - first.mean())
    found = {
        "n": int(n),
        "clusters": len(sums),
        "base": float(first.mean()),
        "tuned": float(second.mean()),
        "difference": difference,
        "interval": list(interval) if interval else None,
        # Whole numbers where every question counts in every repeat: then the test is exact.
        "p": statistics.sign_flip(differences * (len(before) * len(after)), draws=draws, seed=seed),
        "interval_crossed": None,
        "p_crossed": None,
        "base_repeats": spread[0],
        "tuned_repeats": spread[1],
    }
    by_repeat = [[rate for rate in side["by_repeat"] if rate is not None] for side in spread]
    if len(sums) < 2 or min(map(len, by_repeat)) < FEWEST_CROSSED:
        return found
    # One question more in favour of each model, as in `difference_interval`.
    residuals = differences - difference * sums[:, 1]
    squares = len(sums) / (len(sums) - 1) * float(residuals @ residuals) + 1
    of_images, centre, span = squares / (n + 2) ** 2, difference * n / (n + 2), high - low

    def reach(p: float) -> float:
        return _over_both(of_images, len(sums), by_repeat, p)

    half = reach(1 - statistics.LEVEL)
    found["interval_crossed"] = [max(centre - half, -span), min(centre + half, span)]
    # p is where the interval just reaches zero; below the least it is not worked out.
    least = 1e-12
    within = abs(centre) < reach(least)
    found["p_crossed"] = float(brentq(lambda p: reach(p) - abs(centre), least, 1.0)) if within else least
    return found


def _variance(resampled: Array, images: int) -> float:
    return float(resampled[~np.isnan(resampled)].var()) * images / (images - 1)


def _over_both(
    of_images: float, images: int, by_repeat: Sequence[Sequence[float]], p: float = 1 - statistics.LEVEL
) -> float:
    """Half the width of the 1 - `p` interval over images and repeats.

    Its square is the sum of the squares of Student's half-widths over images (variance `of_images`, C - 1
    degrees of freedom) and over each model's repeats (S - 1): MOVER (Zou and Donner 2008). The variance over
    repeats holds some of that over images again, so it errs on the wide side. A bootstrap of images and
    repeats covers too little with three repeats, of which it sees 10 different samples only.
    """
    half = float(t.ppf(p / 2, images - 1)) ** 2 * of_images
    for rates in by_repeat:
        half += float(t.ppf(p / 2, len(rates) - 1)) ** 2 * float(np.var(rates, ddof=1)) / len(rates)
    return half**0.5


def _aligned(repeats: Sequence[Sequence[Graded]]) -> list[Tally]:
    """Each repeat's counts, its rows in the order of the first one's questions."""
    if not repeats or not repeats[0]:
        raise ValueError("no repeat with a graded response: give one list of rows for each run")
    order = [row.question_id for row in repeats[0]]
    tallies = []
    for number, rows in enumerate(repeats, start=1):
        at = {row.question_id: row for row in rows}
        if different := at.keys() ^ set(order):
            some = min(different)
            there, lacking = (1, number) if some in set(order) else (number, 1)
            raise ValueError(
                f"question {some} is in repeat {there} and not in repeat {lacking}: repeats must be of the "
                "same questions"
            )
        if len(rows) != len(order):
            raise ValueError(f"repeat {number} has a question twice: give one response a question")
        tallies.append(Tally.of([at[id] for id in order]))
    return tallies


def _figure_sums(tally: Tally, names: Sequence[str]) -> Array:
    """Numerator and denominator of each figure by image: `[C, F, 2]`."""
    columns = [AT[column] for name in names for column in FIGURES[name]]
    sums = statistics.cluster_sums(tally.counts[:, columns], tally.cluster, tally.clusters)
    return sums.reshape(tally.clusters, len(names), 2)


def _drawn(sums: Array, resamples: int, seed: int) -> Array:
    """Bootstrap of images, the same in every repeat: `[S, C, F, 2]` -> `[B, S, F, 2]`."""
    repeats, clusters, figures, _ = sums.shape
    flat = sums.transpose(1, 0, 2, 3).reshape(clusters, -1)
    return statistics.resample_totals(flat, resamples, seed).reshape(resamples, repeats, figures, 2)


def _outcomes(tallies: Sequence[Tally], name: str, rows: Any) -> Array:
    """Each repeat's outcome on each question, `[S, Q]`: NaN where it doesn't count there."""
    top, bottom = (AT[column] for column in FIGURES[name])
    return np.stack(
        [statistics.ratio(tally.counts[rows, top], tally.counts[rows, bottom]) for tally in tallies]
    )


def _spread_of(outcomes: Array) -> dict[str, Any]:
    return _spread([None if np.isnan(row).all() else float(np.nanmean(row)) for row in outcomes])


def _spread(by_repeat: list[float | None]) -> dict[str, Any]:
    there = [rate for rate in by_repeat if rate is not None]
    return {
        "by_repeat": by_repeat,
        "mean": float(np.mean(there)) if there else None,
        "least": min(there, default=None),
        "greatest": max(there, default=None),
        "sd": float(np.std(there, ddof=1)) if len(there) > 1 else None,
    }
