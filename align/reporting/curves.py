"""Line charts as coordinates: the page draws them as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from align.reporting.corruption_plot import Corruption, Level, Series
from align.reporting.wording import percent

WIDTH, HEIGHT = 300, 220  # SVG units
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 34
LEVELS = {"blank": "blank", "no-image": "none"}
_ENDS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Dot:
    """A measured point: where it is, the ends of its interval (None: it has none), and what it says."""

    x: float
    y: float
    ends: tuple[float, float] | None
    said: str


@dataclass(frozen=True)
class Line:
    """A model's line through its dots. `index` is the model's place among all, for its color."""

    model: str
    index: int
    path: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Panel:
    """One chart: ticks as `(place, label)`, and its lines."""

    title: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[Line]


@dataclass(frozen=True)
class Axes:
    """From data to SVG units. `x` runs over `x_range`, `y` from 0 to `top`."""

    x_range: tuple[float, float]
    top: float = 1.0

    def x(self, value: float) -> float:
        low, high = self.x_range
        return round(LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        return round(TOP + (1 - min(value, self.top) / self.top) * (HEIGHT - TOP - BOTTOM), 1)

    def y_ticks(self) -> list[tuple[float, str]]:
        return [(self.y(self.top * k / 4), f"{100 * self.top * k / 4:g}%") for k in range(5)]

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        return "M" + " L".join(f"{self.x(x)} {self.y(y)}" for x, y in points)


def top_of(values: Sequence[float]) -> float:
    """The first of 10, 20, 40 ... 100 % that holds all values."""
    most = max(values, default=1.0)
    return next((end for end in _ENDS if most <= end), 1.0)


def corruption_panels(found: Corruption, rate: str, order: Mapping[str, int]) -> list[Panel]:
    """A chart for each kind of corruption: a rate against severity, then a blank image and none at all.

    `order` gives each model's place. All charts of a rate have one scale.
    """
    category = None if rate in ("refusal_rate", "reason_accuracy") else "Answerable"
    curves = [s for s in found.series if s.rate == rate and s.category == category]
    levels = [v for v in found.levels if v.rate == rate and v.category == category]
    if not curves:
        return []
    marks = [mark for s in curves for mark in s.marks] + [v.mark for v in levels]
    severest = max(mark.severity or 0 for mark in marks)
    extra = [name for name in LEVELS if any(v.mark.condition == name for v in levels)]
    places = {name: severest + 1.2 * (k + 1) for k, name in enumerate(extra)}
    ends = [m.interval[1] if m.interval else m.value for m in marks]
    axes = Axes((-0.2, max([severest, *places.values()]) + 0.2), top_of(ends))
    ticks = [(axes.x(0), "raw")] + [(axes.x(k), str(k)) for k in range(1, severest + 1)]
    ticks += [(axes.x(place), LEVELS[name]) for name, place in places.items()]
    panels = []
    for kind in found.kinds:
        lines = []
        for one in (s for s in curves if s.kind == kind):
            own = [v for v in levels if v.model == one.model]
            lines.append(_line(axes, one, own, places, order))
        panels.append(Panel(kind, ticks, axes.y_ticks(), lines))
    return panels


def risk_coverage_panel(
    found: Mapping[str, Mapping[str, Any] | None], order: Mapping[str, int]
) -> Panel | None:
    """Risk over coverage, a line a model; None where no model has a confidence.

    `found` is by model what `risk_coverage.risk_coverage` gave. The steps of the first few answers say
    little: a line starts at 2 % of the questions, or at its first point after that.
    """
    curves = {
        name: [(x, y) for x, y in one["curve"] if x >= 0.02] or one["curve"]
        for name, one in found.items()
        if one is not None
    }
    if not curves:
        return None
    axes = Axes((0, 1), top_of([y for points in curves.values() for _, y in points]))
    lines = []
    for name, points in curves.items():
        x, y = points[-1]
        said = f"all {percent(x)} that it answers: {percent(y)} wrong"
        dots = (Dot(axes.x(x), axes.y(y), None, said),)
        lines.append(Line(name, order[name], axes.path(points), dots))
    x_ticks = [(axes.x(k / 4), f"{25 * k}%") for k in range(5)]
    return Panel("", x_ticks, axes.y_ticks(), lines)


def _line(
    axes: Axes, series: Series, levels: Sequence[Level], places: Mapping[str, float], order: Mapping[str, int]
) -> Line:
    # Models stand a little beside each other, so that equal ones can both be seen.
    aside = 0.09 * (order[series.model] - (len(order) - 1) / 2)
    at = [(mark, (mark.severity or 0) + aside) for mark in series.marks]
    at += [(level.mark, places[level.mark.condition] + aside) for level in levels]
    dots = tuple(
        Dot(
            axes.x(x),
            axes.y(mark.value),
            (axes.y(mark.interval[0]), axes.y(mark.interval[1])) if mark.interval else None,
            f"{mark.condition}: {percent(mark.value)} of {mark.n:,}",
        )
        for mark, x in at
    )
    path = axes.path([((mark.severity or 0) + aside, mark.value) for mark in series.marks])
    return Line(series.model, order[series.model], path, dots)
