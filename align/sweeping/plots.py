"""The plots of a sweep's page as coordinates in SVG units: the page draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from align.reporting import wording
from align.sweeping.analysis import SEED, Effect, in_order, number, rates_of, setting
from align.sweeping.summary import LABELS, Summary, figure_text, value_text

MANY = 8
"""More values of an axis than this are a scale and not a list."""

PLANE_WIDTH, PLANE_HEIGHT = 460, 400
LEFT, RIGHT, TOP, BOTTOM = 50, 18, 20, 50
_ENDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Scale:
    """Maps the values of one axis to 0-1. `ticks` are (position, label)."""

    ticks: tuple[tuple[float, str], ...]
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    down: bool = False
    places: dict[str, float] | None = None

    def at(self, value: float | str) -> float | None:
        if self.places is not None:
            return self.places.get(str(value))
        found = number(value) if isinstance(value, str) else value
        if found is None:
            return None
        if self.log:
            share = math.log(found / self.low) / math.log(self.high / self.low)
        else:
            share = (found - self.low) / (self.high - self.low)
        return 1 - share if self.down else share


def setting_scale(values: Sequence[str]) -> Scale:
    """Of the values of one setting: in a row, or on a scale where they are many numbers."""
    distinct = in_order(set(values))
    numbers = [found for value in distinct if (found := number(value)) is not None]
    if len(distinct) > MANY and len(numbers) == len(distinct):
        low, high = min(numbers), max(numbers)
        log = low > 0 and high / low > 50
        middle = math.sqrt(low * high) if log else (low + high) / 2
        ticks = ((0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}"))
        return Scale(ticks, low, high, log)
    step = 1 / max(1, len(distinct) - 1)
    places = {value: (i * step if len(distinct) > 1 else 0.5) for i, value in enumerate(distinct)}
    return Scale(tuple((place, value) for value, place in places.items()), places=places)


def figure_scale(name: str, values: Sequence[float]) -> Scale:
    """Of a figure: the range of its values, better ones up."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.005, high + 0.005
    down = name in wording.RATES and wording.RATES[name][2] == "down"
    text = value_text if name == "objective" else lambda value: figure_text(name, value)
    ends = ((0.0, text(high if down else low)), (1.0, text(low if down else high)))
    return Scale(ends, low, high, down=down)


@dataclass(frozen=True)
class ParallelAxis:
    x: float
    label: str
    hint: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class ParallelLine:
    rank: int
    path: str
    kind: str
    opacity: float
    said: str


@dataclass(frozen=True)
class Parallel:
    width: int
    height: int
    top: int
    bottom: int
    axes: list[ParallelAxis]
    lines: list[ParallelLine]


def make_parallel(summary: Summary) -> Parallel | None:
    """Every measured job as a line over its settings and figures; None where there is none."""
    ranked = [(rank, o) for rank, o in enumerate(summary.outcomes, start=1) if o.measured]
    if not ranked:
        return None
    width, height, top, bottom, side = 960, 380, 58, 26, 78
    keys = [axis for axis in summary.axes if axis != SEED] or summary.axes
    shown = ("refusal_rate", "over_refusal_rate", "answer_accuracy")
    # A figure that a job lacks would leave a gap in its line.
    names = [f for f in shown if all(o.shown(summary.task).get(f) is not None for _, o in ranked)]
    scales: list[tuple[str, str, Scale]] = [
        (key, "", setting_scale([setting(outcome, key) for _, outcome in ranked])) for key in keys
    ]
    for name in names:
        values = [outcome.shown(summary.task)[name] for _, outcome in ranked]
        scale = figure_scale(name, values)
        scales.append((LABELS[name], "less is up" if scale.down else "", scale))
    objectives = [outcome.objective for _, outcome in ranked if outcome.objective is not None]
    scales.append(("Objective", "", figure_scale("objective", objectives)))

    def x_of(i: int) -> float:
        return round(side + i * (width - 2 * side) / max(1, len(scales) - 1), 1)

    def y_of(share: float) -> float:
        return round(height - bottom - share * (height - top - bottom), 1)

    best = summary.best.outcomes if summary.best is not None else ()
    least, most = min(objectives), max(objectives)
    lines = []
    for rank, outcome in ranked:
        assert outcome.objective is not None
        values = [setting(outcome, key) for key in keys]
        points = [scale.at(v) for v, (_, _, scale) in zip(values, scales, strict=False)]
        results = outcome.shown(summary.task)
        figures = [results[name] for name in names] + [outcome.objective]
        points += [scale.at(v) for v, (_, _, scale) in zip(figures, scales[len(keys) :], strict=True)]
        path = " ".join(
            f"{'L' if i else 'M'}{x_of(i)} {y_of(share)}"
            for i, share in enumerate(points)
            if share is not None
        )
        kind = "infeasible" if outcome.verdict == "infeasible" else "best" if outcome in best else "plain"
        share = (outcome.objective - least) / (most - least) if most > least else 1.0
        said = f"{rank}: {outcome.job.label}, {value_text(outcome.objective)}"
        lines.append(ParallelLine(rank, path, kind, round(0.35 + 0.55 * share, 2), said))
    return Parallel(
        width,
        height,
        top,
        bottom,
        [
            ParallelAxis(x_of(i), label, hint, tuple((y_of(p), text) for p, text in scale.ticks))
            for i, (label, hint, scale) in enumerate(scales)
        ],
        # The best on top of the others.
        sorted(lines, key=lambda line: (line.kind == "best", -line.rank)),
    )


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    label: str
    kind: str
    said: str


@dataclass(frozen=True)
class ParetoPlane:
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    dots: list[Dot]
    front: str


def make_pareto(summary: Summary) -> ParetoPlane | None:
    """Refusal of unanswerable questions against that of answerable ones, and the jobs on the Pareto front."""
    ranks = {o.job.id: rank for rank, o in enumerate(summary.outcomes, start=1)}
    known = [(o, rates) for o in summary.outcomes if (rates := rates_of(o, summary.task)) is not None]
    if not known:
        return None
    overs = [over for _, (_, over) in known]
    end = next((end for end in _ENDS if max(overs) <= end), 1.0)
    refusals = [refusal for _, (refusal, _) in known]
    start = math.floor(min(refusals) * 10) / 10 if min(refusals) > 0.5 else 0.0
    start = min(start, 0.9)

    def x_of(rate: float) -> float:
        return round(LEFT + min(rate, end) / end * (PLANE_WIDTH - LEFT - RIGHT), 1)

    def y_of(rate: float) -> float:
        share = max(0.0, (rate - start) / (1 - start))
        return round(TOP + (1 - share) * (PLANE_HEIGHT - TOP - BOTTOM), 1)

    dots = []
    front = {outcome.job.id for outcome in summary.front}
    for outcome, (refusal, over) in reversed(known):
        kind = "on" if outcome.job.id in front else "off"
        kind += " infeasible" if outcome.verdict == "infeasible" else ""
        said = (
            f"{ranks[outcome.job.id]}: {outcome.job.label}, declines {wording.percent(refusal)} of the "
            f"unanswerable, {wording.percent(over)} of the answerable"
        )
        dots.append(Dot(x_of(over), y_of(refusal), str(ranks[outcome.job.id]), kind, said))
    steps: list[str] = []
    for outcome in summary.front:
        rates = rates_of(outcome, summary.task)
        assert rates is not None
        x, y = x_of(rates[1]), y_of(rates[0])
        steps.append(f"H{x} V{y}" if steps else f"M{x} {PLANE_HEIGHT - BOTTOM} V{y}")
    if steps:
        steps.append(f"H{PLANE_WIDTH - RIGHT}")
    return ParetoPlane(
        [(x_of(end * k / 4), f"{100 * end * k / 4:g}%") for k in range(5)],
        [(y_of(start + (1 - start) * k / 4), f"{100 * (start + (1 - start) * k / 4):g}%") for k in range(5)],
        dots,
        " ".join(steps),
    )


@dataclass(frozen=True)
class EffectPlot:
    """One axis: a dot for each job, and the mean of each value with the range of its configurations."""

    axis: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    dots: list[tuple[float, float, str]]
    means: list[tuple[float, float, float, float, str]]


def make_effect(effect: Effect) -> EffectPlot:
    """The effect of one axis on the objective, in a drawing of 300 x 220."""
    scale = setting_scale([value for value, _, _ in effect.points])
    listed = scale.places is not None
    values = [objective for _, objective, _ in effect.points]
    worst, most = min(values), max(values)
    pad = (most - worst) * 0.08 or 0.01
    low, high = worst - pad, most + pad

    def x_of(value: str) -> float:
        share = scale.at(value)
        assert share is not None
        inset = 34 if listed else 6
        return round(40 + inset + share * (248 - 2 * inset), 1)

    def y_of(value: float) -> float:
        return round(186 - (value - low) / (high - low) * 174, 1)

    ticks = (
        [(x_of(text), text) for _, text in scale.ticks]
        if listed
        else [(round(46 + place * 236, 1), text) for place, text in scale.ticks]
    )
    means = []
    if listed:
        for level in effect.levels:
            said = f"{level.value}: mean {value_text(level.mean)} of {level.jobs} jobs"
            means.append((x_of(level.value), y_of(level.mean), y_of(level.least), y_of(level.greatest), said))
    return EffectPlot(
        effect.axis,
        ticks,
        [
            (y_of(worst + (most - worst) * k / 3), value_text(worst + (most - worst) * k / 3))
            for k in range(4)
        ],
        [(x_of(value), y_of(objective), verdict) for value, objective, verdict in effect.points],
        means,
    )
