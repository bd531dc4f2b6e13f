"""Risk against coverage: is a model surest where it is right?

Answers are taken in the order of the model's confidence, and risk is the share of wrong ones among those
taken: risk(k) is that of the k surest, coverage(k) = k / N (El-Yaniv and Wiener 2010).

Two views:

- `answered`: answerable questions that the model answered. N is their number, an error is a wrong answer.
- `all`: all scored questions, and N is their number. Taken are the model's answers; an error is a wrong
  answer, and any answer to an unanswerable question. A declined question is never taken, nor is one with an
  unparsed response, so coverage ends at the share of questions that the model answers (`max_coverage`):
  what it declines by itself and what a threshold on its confidence would hold back are one thing here. A
  refusal's own probability says nothing of an answer, so it plays no part.

Equal confidences can't be told apart: within such a group the curve is the mean over all orders of it, and a
threshold (coverage at a risk) takes the whole group or none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from align.evaluation import statistics
from align.evaluation.statistics import Array
from align.records import Graded

Confidence = Literal["sequence", "token"]
"""`sequence`: log-probability of the response; `token`: its mean over the response's tokens."""
View = Literal["answered", "all"]

RISKS = (0.01, 0.05, 0.1, 0.2)
AREA_RESAMPLES = 500
"""Each takes a pass over all answers; the variance, which is all that is used, is sure enough to 3 %."""


def risk_coverage(
    graded: Sequence[Graded],
    *,
    view: View = "answered",
    confidence: Confidence = "sequence",
    risks: Sequence[float] = RISKS,
    points: int = 200,
    resamples: int = AREA_RESAMPLES,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Curve, area and coverage at given risks. None where no response has a confidence.

    - `area`: under risk over coverage by the trapezoid rule, from 1 / N to the last point; less is better,
      and depends on how much is covered. `mean_risk` is the area by the range of coverage that it is over,
      which is what to compare beside `max_coverage` where models decline. Both with `..._interval` (95 %,
      by image). `mean_risk_random`: the risk at full coverage, that of a confidence which tells nothing.
    - `coverage_at_risk`: a list of `risk`, and `coverage`, the largest coverage of which the risk is at most
      that. 0 where there is none; a dip below by luck counts, as in the definition.
    - `curve`: at most `points` of `[coverage, risk]`.
    - `n`: N, `n_answers` taken at the end, `n_errors`; left out: `n_without_confidence` (answers),
      `n_ungraded` (answers of which the grader can't tell if they are right).
    """
    asked = [
        row
        for row in graded
        if row.state != "failed" and (view == "all" or (row.answerable and row.state == "answer"))
    ]
    judged = [row for row in asked if not _ungraded(row)]
    # Of what is no answer, the confidence is not asked.
    sure = [_confidence(row, confidence) if row.state == "answer" else None for row in judged]
    kept = [(row, c) for row, c in zip(judged, sure, strict=True) if c is not None or row.state != "answer"]
    taken = np.array([i for i, (_, c) in enumerate(kept) if c is not None], np.intp)
    if not taken.size:
        return None
    surety = np.array([kept[i][1] for i in taken], np.float64)
    errors = np.array([not (kept[i][0].answerable and kept[i][0].correct) for i in taken], np.float64)
    index, clusters = statistics.cluster_index([row.image for row, _ in kept])
    questions = np.bincount(index, minlength=clusters).astype(np.float64)

    order = np.argsort(-surety, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(surety[order])), taken.size - 1)  # last of each tie
    curve = Curve(errors[order], index[taken][order], ends, questions)
    area, mean_risk = curve.areas(np.ones((1, clusters)))[:, 0]
    drawn = _resampled(curve, clusters, resamples, seed)
    images = len(set(index[taken].tolist()))
    coverage, risk = curve.coverage_and_risk()
    return {
        "view": view,
        "confidence": confidence,
        "area": float(area),
        "area_interval": _interval(float(area), drawn[0], images),
        "mean_risk": float(mean_risk),
        "mean_risk_interval": _interval(float(mean_risk), drawn[1], images),
        "mean_risk_random": float(errors.mean()),
        "max_coverage": float(coverage[-1]),
        "coverage_at_risk": [{"risk": r, "coverage": curve.coverage_at(r)} for r in risks],
        "curve": _thinned(coverage, risk, points),
        "n": len(kept),
        "n_answers": int(taken.size),
        "n_errors": int(errors.sum()),
        "n_without_confidence": len(judged) - len(kept),
        "n_ungraded": len(asked) - len(judged),
    }


class Curve:
    """Answers in falling order of confidence: `errors` `[A]` (0/1), `image` `[A]`, `ends` the last of each
    group of equal confidence `[T]`; `questions` is how many of N each image has, `[C]`."""

    def __init__(
        self, errors: Array, image: NDArray[np.intp], ends: NDArray[np.intp], questions: Array
    ) -> None:
        self.errors, self.image, self.ends, self.questions = errors, image, ends, questions

    def coverage_and_risk(self) -> tuple[Array, Array]:
        """At each k = 1 .. A: `[A]` each. Inside a tie, the mean over all of its orders."""
        n = self.questions.sum()
        taken, wrong = self.ends + 1.0, np.cumsum(self.errors)[self.ends]
        k = np.arange(1, self.errors.size + 1)
        expected = np.interp(k, np.append(0.0, taken), np.append(0.0, wrong))
        return k / n, expected / k

    def coverage_at(self, risk: float) -> float:
        """The largest coverage that a threshold reaches with at most this risk."""
        taken, wrong = self.ends + 1.0, np.cumsum(self.errors)[self.ends]
        good = wrong <= risk * taken + 1e-9
        return float(taken[good].max() / self.questions.sum()) if good.any() else 0.0

    def areas(self, weights: Array) -> Array:
        """Area and mean risk when image c counts `weights[b, c]` times: `[B, C]` -> `[2, B]`.

        Copies of an image tie with each other, and so are taken in the mean over all orders too. NaN where
        no answer is drawn.
        """
        drawn = weights[:, self.image]  # [B, A]
        taken = np.cumsum(drawn, axis=1)[:, self.ends]  # [B, T]
        wrong = np.cumsum(drawn * self.errors, axis=1)[:, self.ends]
        n = weights @ self.questions  # [B]
        before = np.concatenate([np.zeros((len(weights), 1)), taken[:, :-1]], axis=1)
        wrong_before = np.concatenate([np.zeros((len(weights), 1)), wrong[:, :-1]], axis=1)
        inside = taken - before
        of_tie = statistics.ratio(wrong - wrong_before, inside)
        of_tie[inside == 0] = 0
        # Sum over the k of a tie of (wrong_before + (k - before) of_tie) / k: two harmonic numbers.
        harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, int(taken.max()) + 1)))
        steps = harmonic[taken.astype(np.intp)] - harmonic[before.astype(np.intp)]
        risks = (of_tie * inside + (wrong_before - before * of_tie) * steps).sum(axis=1)
        answers = taken[:, -1]
        first = np.take_along_axis(of_tie, np.argmax(inside > 0, axis=1)[:, None], axis=1)[:, 0]
        last = statistics.ratio(wrong[:, -1], answers)
        trapezoids = risks - (first + last) / 2
        area = statistics.ratio(trapezoids, n)
        area[answers == 0] = np.nan
        mean_risk = np.where(answers > 1, statistics.ratio(trapezoids, answers - 1), last)
        return np.stack([area, mean_risk])


def _ungraded(row: Graded) -> bool:
    return row.answerable and row.state == "answer" and row.correct is None


def _confidence(row: Graded, confidence: Confidence) -> float | None:
    if row.logprob is None or confidence == "sequence":
        return row.logprob
    return row.logprob / row.tokens if row.tokens else None


def _resampled(curve: Curve, clusters: int, resamples: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    chunk = max(1, 1_000_000 // max(clusters, curve.errors.size))
    parts = [
        curve.areas(statistics.resample_weights(clusters, min(chunk, resamples - start), rng))
        for start in range(0, resamples, chunk)
    ]
    return np.concatenate(parts, axis=1)


def _interval(value: float, resampled: Array, images: int) -> list[float] | None:
    interval = statistics.bounded_interval(value, resampled, clusters=images)
    return list(interval) if interval else None


def _thinned(coverage: Array, risk: Array, points: int) -> list[list[float]]:
    """Evenly in coverage, but the first tenth of the points on the first few answers, where risk jumps."""
    at = np.arange(coverage.size)
    if coverage.size > points:
        start = np.arange(points // 10)
        rest = np.linspace(points // 10, coverage.size - 1, points - start.size)
        at = np.concatenate([start, np.rint(rest).astype(np.intp)])
    return [[float(coverage[i]), float(risk[i])] for i in at]
