"""How far a judge agrees with labels, or with another judge: shares, kappa and drift, with intervals.

Agreement, kappa (Cohen 1960; for marks with quadratic weights, Cohen 1968), drift and correlation are all
functions of one table of counts, what the reference said by what the judge said. Their 95 % intervals
resample images (or questions, where no image is known), since responses about one image are not independent.
What the judge left unscored is in no agreement: it has a count of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from align.evaluation import statistics
from align.evaluation.statistics import Array
from align.judging.labels import Place
from align.judging.measuring import detection
from align.judging.raters import FIELDS, Rater, Value, same_response
from align.reviewing.agreement import agreement, between

MARKS = ("rationality", "helpfulness")
BANDS = {"rationality": (4, 7), "helpfulness": (4, 7, 9)}
"""Where the rubric's bands begin: 1-3, 4-6, 7-10; of helpfulness 1-3, 4-6, 7-8, 9-10."""

ALL = "all"

MARK_SPAN = 9.0
"""The most that two marks of 1-10 can differ."""

_FIGURES = ("agreement", "agreement_interval", "kappa", "kappa_interval", "reference_mean", "judge_mean")
_MARK_FIGURES = tuple(
    figure + suffix
    for figure in ("weighted_kappa", "mean_difference", "correlation")
    for suffix in ("", "_interval")
)


def compare(
    reference: Rater,
    judge: Rater,
    *,
    facts: Mapping[Place, Mapping[str, Hashable]],
    by: Sequence[str] = (),
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, Any]]]:
    """A judge against a reference: by what was judged (`refused`, ...), by group, the figures.

    Args:
        facts: of each response, its `cluster` (image or question) and what `by` names.
        by: fields to group by; a group's name is `field=value`, and all responses are the group `all`.

    Every group has `labelled` (responses that the reference gave a value), and of those `n` (both did),
    `unscored` (the judge failed), `not_judged` (it has no verdict on that text), and `not_asked` (a reason
    where the judge saw no refusal). `agreement` is the share of `n` that are equal.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in FIELDS:
        labelled = [place for place, said in reference.said.items() if getattr(said, name) is not None]
        if not labelled or not any(getattr(said, name) is not None for said in judge.said.values()):
            continue
        groups: dict[str, list[Place]] = {ALL: labelled}
        for fact in by:
            values = {facts.get(place, {}).get(fact) for place in labelled} - {None}
            for value in sorted(values, key=str):
                groups[f"{fact}={value}"] = [p for p in labelled if facts.get(p, {}).get(fact) == value]
        found[name] = {
            group: _figures(name, places, reference, judge, facts, resamples, seed)
            for group, places in groups.items()
        }
    return found


def matrix(raters: Sequence[Rater]) -> dict[str, dict[str, Any]]:
    """Every two raters on what both said: by what was judged, `pairs` (n, percent, kappa) and `alpha`."""
    found = {}
    for name in FIELDS:
        ratings = {
            rater.name: {
                place: v for place, said in rater.said.items() if (v := getattr(said, name)) is not None
            }
            for rater in raters
        }
        given = [rater for rater in raters if ratings[rater.name]]
        if len(given) < 2:
            continue
        metric = "ordinal" if name in MARKS else "nominal"
        pairs = []
        for a, b in combinations(given, 2):
            same = {p for p in a.said if p in b.said and same_response(a.said[p], b.said[p])}
            x, y = ({p: v for p, v in ratings[r.name].items() if p in same} for r in (a, b))
            pair = between(a.name, x, b.name, y, metric)  # type: ignore[arg-type]
            pairs.append(
                {each: getattr(pair, each) for each in ("a", "b", "n", "percent", "kappa", "weighted")}
            )
        everyone = {rater.name: ratings[rater.name] for rater in given}
        alpha = agreement(everyone, metric).alpha  # type: ignore[arg-type]
        found[name] = {"raters": [rater.name for rater in given], "pairs": pairs, "alpha": alpha}
    return found


def _figures(
    name: str,
    places: Sequence[Place],
    reference: Rater,
    judge: Rater,
    facts: Mapping[Place, Mapping[str, Hashable]],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    truth = {place: getattr(reference.said[place], name) for place in places}
    counts = Counter(dict.fromkeys(("unscored", "not_judged", "not_asked"), 0))
    pairs: dict[Place, tuple[Value, Value]] = {}
    seen: list[tuple[Value | None, Value]] = []
    for place in places:
        said = judge.said.get(place)
        if said is None or not same_response(said, reference.said[place]):
            counts["not_judged"] += 1
            continue
        value = getattr(said, name)
        if value is not None:
            pairs[place] = truth[place], value
        else:
            counts["unscored" if said.asked(name) else "not_asked"] += 1
        seen.append((value, truth[place]))
    asked = len(pairs) + counts["unscored"]
    figures: dict[str, Any] = {
        "labelled": len(places),
        "n": len(pairs),
        **counts,
        "unscored_share": counts["unscored"] / asked if asked else None,
    }
    clusters = [str(facts.get(place, {}).get("cluster", place[0])) for place in pairs]
    figures |= counted(list(pairs.values()), clusters, resamples=resamples, seed=seed, marks=name in MARKS)
    if name in MARKS:
        figures |= _of_marks(name, list(pairs.values()))
    elif name == "refused":
        found = detection((value, bool(true)) for value, true in seen)  # type: ignore[misc]
        figures |= {
            "precision": found.precision,
            "precision_interval": found.precision_interval(),
            "recall": found.recall,
            "recall_interval": found.recall_interval(),
            "unscored_refusals": found.unscored_refusals,
        }
    return figures


def counted(
    pairs: Sequence[tuple[Value, Value]],
    clusters: Sequence[str],
    *,
    marks: bool,
    resamples: int = statistics.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Agreement, kappa and (for marks) drift and correlation of `(reference, judge)`, with their intervals.

    `confusion` lists `[reference, judge, count]`. A figure that is not defined is None: kappa where both gave
    one and the same label throughout, a correlation where one of them did.
    """
    if not pairs:
        return dict.fromkeys(_FIGURES if not marks else (*_FIGURES, *_MARK_FIGURES)) | {
            "clusters": 0,
            "confusion": [],
        }
    levels = sorted({value for pair in pairs for value in pair})
    at = {value: i for i, value in enumerate(levels)}
    size = len(levels)
    cells = np.zeros((len(pairs), size * size))
    cells[np.arange(len(pairs)), [at[a] * size + at[b] for a, b in pairs]] = 1
    index, many = statistics.cluster_index(clusters)
    sums = statistics.cluster_sums(cells, index, many)
    totals = sums.sum(axis=0).reshape(size, size)
    drawn = statistics.resample_totals(sums, resamples, seed).reshape(-1, size, size)
    weights = np.asarray([[float(a != b) for b in levels] for a in levels])

    same = _value(_same, totals)
    figures: dict[str, Any] = {
        "clusters": many,
        "agreement": same,
        "agreement_interval": statistics.rate_interval(same, _same(drawn), many, len(pairs)),
        "kappa": _value(lambda t: kappa_of(t, weights), totals),
        "reference_mean": _mean_of([a for a, _ in pairs]),
        "judge_mean": _mean_of([b for _, b in pairs]),
        "confusion": [
            [levels[i], levels[j], int(totals[i, j])]
            for i in range(size)
            for j in range(size)
            if totals[i, j]
        ],
    }
    figures["kappa_interval"] = _kappa_interval(figures, kappa_of(drawn, weights), totals, many)
    if not marks:
        return figures
    apart = np.subtract.outer(np.asarray(levels, float), np.asarray(levels, float))  # reference - judge
    named: dict[str, Callable[[Array], Array]] = {
        "weighted_kappa": lambda t: kappa_of(t, apart**2),
        "mean_difference": lambda t: statistics.ratio((t * -apart).sum(axis=(-2, -1)), t.sum(axis=(-2, -1))),
        "correlation": lambda t: correlation_of(t, np.asarray(levels, float)),
    }
    reach = {"mean_difference": MARK_SPAN}
    for figure, of in named.items():
        figures[figure] = _value(of, totals)
        end = reach.get(figure, 1.0)
        figures[f"{figure}_interval"] = statistics.bounded_interval(
            figures[figure], of(drawn), clusters=many, low=-end, high=end
        )
    return figures


def kappa_of(tables: Array, distance: Array) -> Array:
    """Kappa of tables of counts `[..., L, L]`, reference by judge; NaN where chance alone would agree always.

    1 - observed / expected disagreement, each cell counting by its `distance` `[L, L]`.
    """
    n = tables.sum(axis=(-2, -1))
    chance = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :]
    observed, expected = (tables * distance).sum(axis=(-2, -1)) * n, (chance * distance).sum(axis=(-2, -1))
    return 1 - statistics.ratio(observed, expected)


def correlation_of(tables: Array, levels: Array) -> Array:
    """Pearson's correlation of tables of counts `[..., L, L]`; NaN where one side never varies."""
    n = tables.sum(axis=(-2, -1))
    rows, columns = tables.sum(axis=-1), tables.sum(axis=-2)
    x, y = rows @ levels, columns @ levels
    spread_x, spread_y = n * (rows @ levels**2) - x**2, n * (columns @ levels**2) - y**2
    product = n * (tables * np.multiply.outer(levels, levels)).sum(axis=(-2, -1)) - x * y
    return statistics.ratio(product, np.sqrt(np.clip(spread_x, 0, None) * np.clip(spread_y, 0, None)))


def _kappa_interval(
    figures: Mapping[str, Any], resampled: Array, totals: Array, clusters: int
) -> tuple[float, float] | None:
    """From the variance of the resamples, on kappa's scale of -1 to 1. Where no response was judged
    differently there is none, and the lower end is kappa at the lower end of the agreement, with the same
    shares of labels."""
    if figures["kappa"] is None or clusters < 2:
        return None
    if figures["agreement"] < 1:
        return statistics.bounded_interval(figures["kappa"], resampled, clusters=clusters, low=-1.0, high=1.0)
    shares = totals.sum(axis=1) / totals.sum()
    chance = float((shares**2).sum())
    return max(-1.0, (figures["agreement_interval"][0] - chance) / (1 - chance)), 1.0


def _of_marks(name: str, pairs: Sequence[tuple[Value, Value]]) -> dict[str, Any]:
    def band(value: Value) -> int:
        return sum(value >= start for start in BANDS[name])

    n = len(pairs)
    return {
        "within_one": sum(abs(a - b) <= 1 for a, b in pairs) / n if n else None,
        "same_band": sum(band(a) == band(b) for a, b in pairs) / n if n else None,
    }


def _same(tables: Array) -> Array:
    return statistics.ratio(np.trace(tables, axis1=-2, axis2=-1), tables.sum(axis=(-2, -1)))


def _value(of: Callable[[Array], Array], totals: Array) -> float | None:
    if not totals.size:
        return None
    value = float(of(totals))
    return None if np.isnan(value) else value


def _mean_of(values: Sequence[Value]) -> float | None:
    return float(np.mean(np.asarray(values, float))) if values else None


def unlabelled(reference: Rater, judge: Rater) -> int:
    """Verdicts of a judge on responses that the reference knows nothing of."""
    return sum(place not in reference.said for place in judge.said)
