"""Figures of a benchmark of general ability: rates with intervals from a bootstrap of whole images."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from align.evaluation import statistics
from align.records import Graded, Scored

Figure = dict[str, Any]
"""`value` (0-1, null without anything to divide by), `interval` ([low, high] or null), `n` (how many rows
have a part in it) and `official` (whether it follows the benchmark's own rule)."""

_NO_VARIANCE = 1e-12
STATES = ("answer", "abstain", "unparsed", "failed")


def figure(
    value: float | None, interval: Sequence[float] | None, n: int, *, official: bool = False
) -> Figure:
    """One figure of results.json."""
    return {
        "value": value,
        "interval": None if interval is None else list(interval),
        "n": n,
        "official": official,
    }


def clusters_of(rows: Sequence[Scored | Graded]) -> list[str]:
    """What is resampled together: a row's image, or the row itself where there is none."""
    return [
        f"\x1f{row.sample_id}" if isinstance(row, Scored) and row.image is None else str(row.image)
        for row in rows
    ]


def rates(
    clusters: Sequence[str],
    fractions: Mapping[str, tuple[ArrayLike, ArrayLike]],
    official: Collection[str] = (),
    *,
    balanced: Collection[str] = (),
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> dict[str, Figure]:
    """Ratios of sums over rows, each with its 95 % interval.

    Args:
        clusters: the cluster of each row (`clusters_of`).
        fractions: by name, what each row adds to the numerator and to the denominator. Accuracy is
            `(score, 1)`; F1 is `(2 TP, predicted + actual)`, which is a ratio of sums like the others.
        official: the names of figures by the benchmark's own rule.
        balanced: the names of figures that vary less than those of independent rows, since every cluster
            has its share of each kind of row by design, as half of an image's questions have the label yes.
            Without it, no interval is narrower than that of as many independent rows.

    The interval is that of `statistics.rate_interval`; see there for how it behaves near 0 and 1. `n` counts
    rows whose denominator is not zero.
    """
    names = list(fractions)
    columns = [np.asarray(side, np.float64) for name in names for side in fractions[name]]
    if any(column.shape != (len(clusters),) for column in columns):
        raise ValueError(f"every numerator and denominator needs one value a row, {len(clusters)} in all")
    counts = np.stack(columns, axis=1) if columns else np.zeros((len(clusters), 0))
    index, many = statistics.cluster_index(clusters)
    sums = statistics.cluster_sums(counts, index, many)
    totals, draws = sums.sum(axis=0), statistics.resample_totals(sums, resamples, seed)
    made = {}
    for i, name in enumerate(names):
        top, bottom = 2 * i, 2 * i + 1
        value = float(totals[top] / totals[bottom]) if totals[bottom] > 0 else None
        n = int((counts[:, bottom] > 0).sum())
        drawn = statistics.ratio(draws[:, top], draws[:, bottom])
        # Images that are all alike show no variance; that is no certainty.
        varies = value is not None and bool(np.nanvar(drawn) > _NO_VARIANCE)
        interval = statistics.rate_interval(
            value,
            drawn,
            clusters=int((sums[:, bottom] > 0).sum()),
            n=sys.maxsize if name in balanced and varies else n,
        )
        made[name] = figure(value, interval, n, official=name in official)
    return made


def common_figures(scored: Sequence[Scored]) -> dict[str, Figure]:
    """The figures that every benchmark has.

    `accuracy` is the mean score of all samples that did not fail; abstentions and unparsed responses count as
    they are scored. `accuracy_when_answering` is over the answers to samples that have an answer.
    `abstain_rate` and `unparsed_rate` are shares of the samples that did not fail, `failed_rate` of all.
    `official` is the mean of the benchmark's own score, null where there is none.
    """
    score = np.array([0.0 if row.score is None else row.score for row in scored])
    own = np.array([0.0 if row.official is None else row.official for row in scored])
    state = np.array([row.state for row in scored], dtype=object)
    ran = (state != "failed").astype(float)
    answered = (state == "answer") & np.array([not row.should_abstain for row in scored], bool)
    return rates(
        clusters_of(scored),
        {
            "accuracy": (score, ran),
            "accuracy_when_answering": (score * answered, answered),
            "abstain_rate": (state == "abstain", ran),
            "unparsed_rate": (state == "unparsed", ran),
            "failed_rate": (state == "failed", np.ones(len(scored))),
            "official": (own, np.array([row.official is not None for row in scored], float)),
        },
        official={"official"},
    )
