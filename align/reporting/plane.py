"""The over-refusal / refusal plane as coordinates: the page draws them as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 460, 400  # SVG units
LEFT, RIGHT, TOP, BOTTOM = 50, 18, 20, 50
_X_ENDS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_LABEL_STEP = 18.0


@dataclass(frozen=True)
class Point:
    """A model in the plane, in SVG units; intervals as the ends of the lines through the point."""

    name: str
    index: int
    x: float
    y: float
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True)
class Plane:
    """Axes, the line of blind refusal (both kinds of question declined alike), and the models."""

    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    diagonal: tuple[float, float, float, float]
    points: list[Point]


def make_plane(models: dict[str, dict[str, Any]]) -> Plane | None:
    """Lay out the models that have both rates; None when there are none.

    The over-refusal axis starts at 0 and ends at the first of 10, 20, 40 ... 100 % that holds all intervals.
    """
    shown = {
        name: model
        for name, model in models.items()
        if model["refusal_rate"] is not None and model["over_refusal_rate"] is not None
    }
    if not shown:
        return None
    needed = max(_bounds(model, "over_refusal_rate")[1] for model in shown.values())
    end = next((end for end in _X_ENDS if needed <= end), 1.0)

    def x_of(rate: float) -> float:
        return round(LEFT + min(rate, end) / end * (WIDTH - LEFT - RIGHT), 1)

    def y_of(rate: float) -> float:
        return round(TOP + (1 - rate) * (HEIGHT - TOP - BOTTOM), 1)

    label_ys = _spread({name: y_of(model["refusal_rate"]) for name, model in shown.items()})
    points = []
    for index, name in enumerate(models):
        if name not in shown:
            continue
        model = shown[name]
        x_low, x_high = _bounds(model, "over_refusal_rate")
        y_low, y_high = _bounds(model, "refusal_rate")
        left = x_of(x_high) > WIDTH * 0.72
        points.append(
            Point(
                name=name,
                index=index,
                x=x_of(model["over_refusal_rate"]),
                y=y_of(model["refusal_rate"]),
                x_ends=(x_of(x_low), x_of(x_high)),
                y_ends=(y_of(y_low), y_of(y_high)),
                label_x=x_of(x_low) - 8 if left else x_of(x_high) + 8,
                label_y=label_ys[name],
                anchor="end" if left else "start",
            )
        )
    return Plane(
        x_ticks=[(x_of(end * k / 4), f"{100 * end * k / 4:g}%") for k in range(5)],
        y_ticks=[(y_of(k / 4), f"{25 * k}%") for k in range(5)],
        diagonal=(x_of(0), y_of(0), x_of(end), y_of(end)),
        points=points,
    )


def _bounds(model: dict[str, Any], rate: str) -> tuple[float, float]:
    bounds = model["intervals"][rate]
    return (bounds[0], bounds[1]) if bounds else (model[rate], model[rate])


def _spread(ys: dict[str, float]) -> dict[str, float]:
    """Label heights near the given ones, at least a line apart, inside the drawing."""
    order = sorted(ys, key=lambda name: ys[name])
    placed: dict[str, float] = {}
    top = float(TOP) + 8
    for name in order:
        placed[name] = top = max(top, ys[name])
        top += _LABEL_STEP
    bottom = float(HEIGHT - BOTTOM) - 12
    for name in reversed(order):
        placed[name] = bottom = min(bottom, placed[name])
        bottom -= _LABEL_STEP
    return placed
