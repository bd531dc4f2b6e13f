"""The plots of a leaderboard: size against honesty, and honesty against help and general ability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from align.reporting import wording
from align.reporting.leaderboard import Board, Column, Group, figure_of
from align.reporting.leaderboard_view import size_text

# Okabe and Ito's colors, which people with color blindness tell apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_GREY = "#767676"
_MARKERS = "osD^vP"


@dataclass(frozen=True)
class Point:
    """A run in a plot. Intervals are the ends of the bars; None: none."""

    name: str
    x: float
    y: float
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None


def correlation(x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
    """Pearson's r with Fisher's 95 % interval (1921), which takes 4 points; None where it is not defined."""
    n = len(x)
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return {"r": None, "interval": None, "n": n}
    r = float(np.corrcoef(x, y)[0, 1])
    return {"r": r, "interval": fisher_interval(r, n), "n": n}


def fisher_interval(r: float, n: int) -> list[float] | None:
    """95 % interval of a correlation of `n` independent points; None for fewer than 4, or for r = ±1."""
    if n < 4 or abs(r) >= 1:
        return None
    half = 1.959964 / math.sqrt(n - 3)
    return [math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)]


def pareto_front(points: Sequence[Point], *, x_up: bool = True, y_up: bool = True) -> list[Point]:
    """The points that no other is at least as good as in both and better in one, in the order of x."""
    a, b = (1 if x_up else -1), (1 if y_up else -1)

    def beaten(p: Point) -> bool:
        return any(a * q.x >= a * p.x and b * q.y >= b * p.y and (q.x, q.y) != (p.x, p.y) for q in points)

    return sorted((p for p in points if not beaten(p)), key=lambda p: p.x)


def size_points(group: Group, column: Column) -> list[Point]:
    """Runs of known size; x is the number of parameters."""
    found = []
    for place in group.places:
        figure = figure_of(place.entry, column)
        if figure is not None and place.entry.parameters:
            found.append(Point(place.entry.name, place.entry.parameters, figure[0], y_ends=figure[1]))
    return found


def plane_points(board: Board, group: Group, x: Column, y: Column) -> list[Point]:
    """Runs with both figures, those on the group's own questions only."""
    found = []
    for place in group.places:
        first, second = figure_of(place.entry, x), figure_of(place.entry, y)
        comparable = not any(board.other_ground(group, place.entry, column) for column in (x, y))
        if first is not None and second is not None and comparable:
            found.append(Point(place.entry.name, first[0], second[0], first[1], second[1]))
    return found


def plot_sizes(board: Board, column: Column, path: Path) -> dict[str, Any] | None:
    """Size against a figure of honesty, `path`.png and .svg. Returns correlations by group; None: no points.

    r is of the figure with the logarithm of the size, since sizes span orders of magnitude; `r_linear` is
    with the size itself. The paper does not say which its r is.
    """
    groups = [(group, size_points(group, column)) for group in board.groups if group.ground is not None]
    groups = [(group, points) for group, points in groups if points]
    if not groups:
        return None
    figure, axes = _axes()
    found: dict[str, Any] = {}
    names: list[tuple[float, float, str, str]] = []
    lines = []
    for i, (group, points) in enumerate(groups):
        _draw(axes, points, i, f"group {group.name}" if len(groups) > 1 else "runs", names)
        sizes, values = [p.x for p in points], [p.y for p in points]
        found[group.name] = correlation(np.log10(sizes).tolist(), values)
        found[group.name]["r_linear"] = correlation(sizes, values)["r"]
        lines.append(_correlation_text(found[group.name], f"group {group.name}: " if len(groups) > 1 else ""))
    if board.reference is not None:
        reported = [
            Point(f"{row.model}", row.parameters, row.figures()[column.metric])
            for row in board.reference.rows
            if row.parameters and row.method == "vanilla" and column.metric in row.figures()
        ]
        if reported:
            _draw_reported(axes, reported, f"reported, not re-run: {board.reference.source}", names)
        size = board.reference.size_correlation
        if size is not None and column.metric == "refusal_rate":
            ends = fisher_interval(size.r, size.n)
            reach = f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""
            lines.append(f"paper: r = {size.r:.2f}{reach}, n = {size.n}")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: size_text(value))
    axes.minorticks_off()
    axes.margins(x=0.15)
    axes.set_xlabel("parameters")
    _value_axis(axes, column, "y")
    axes.set_title("\n".join(lines), fontsize=8.5, loc="left")
    _finish(figure, axes, names, path)
    return found


def plot_plane(board: Board, x: Column, y: Column, path: Path) -> dict[str, list[str]] | None:
    """Two figures against each other, with the Pareto front of each group: returns who is on it.

    None: no run has both.
    """
    groups = [(g, plane_points(board, g, x, y)) for g in board.groups if g.ground is not None]
    groups = [(group, points) for group, points in groups if points]
    if not groups:
        return None
    figure, axes = _axes()
    fronts: dict[str, list[str]] = {}
    names: list[tuple[float, float, str, str]] = []
    for i, (group, points) in enumerate(groups):
        front = pareto_front(points, x_up=not x.better_is_less, y_up=not y.better_is_less)
        fronts[group.name] = [point.name for point in front]
        if len(front) > 1:
            axes.plot(
                [p.x for p in front],
                [p.y for p in front],
                color=_COLORS[i % len(_COLORS)],
                linewidth=1,
                alpha=0.6,
                linestyle="--",
                zorder=1,
            )
        _draw(axes, points, i, f"group {group.name}" if len(groups) > 1 else "runs", names)
    if board.reference is not None:
        pairs = [(row, row.figures()) for row in board.reference.rows]
        reported = [
            Point(f"{row.model} {row.method}", figures[_reported(x)], figures[_reported(y)])
            for row, figures in pairs
            if _reported(x) in figures and _reported(y) in figures
        ]
        if reported:
            _draw_reported(axes, reported, f"reported, not re-run: {board.reference.source}", [])
    _value_axis(axes, x, "x")
    _value_axis(axes, y, "y")
    axes.set_title("dashed: no run is better in both", fontsize=9, loc="left")
    _finish(figure, axes, names, path)
    return fronts


def _reported(column: Column) -> str:
    """Under which name others report a figure; that of another benchmark than theirs they don't."""
    if column.task == "mmmu":
        return "mmmu"
    return column.metric if column.kind == "honesty" else ""


def _axes() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _draw(axes: Any, points: Sequence[Point], i: int, label: str, names: list[Any]) -> None:
    color = _COLORS[i % len(_COLORS)]
    for k, point in enumerate(points):
        axes.errorbar(
            point.x,
            point.y,
            xerr=_arms(point.x, point.x_ends),
            yerr=_arms(point.y, point.y_ends),
            fmt=_MARKERS[i % len(_MARKERS)],
            color=color,
            markersize=6,
            elinewidth=1,
            label=label if k == 0 else None,
            zorder=3,
        )
        names.append((point.x, point.y, point.name, color))


def _draw_reported(axes: Any, points: Sequence[Point], label: str, names: list[Any]) -> None:
    xs, ys = [p.x for p in points], [p.y for p in points]
    axes.scatter(xs, ys, facecolors="none", edgecolors=_GREY, s=28, label=label, zorder=2)
    names += [(point.x, point.y, point.name, _GREY) for point in points]


def _arms(value: float, ends: tuple[float, float] | None) -> list[list[float]] | None:
    return None if ends is None else [[max(0.0, value - ends[0])], [max(0.0, ends[1] - value)]]


def _value_axis(axes: Any, column: Column, which: str) -> None:
    name = wording.RATES.get(column.metric, ("", column.metric.replace("_", " "), ""))[1]
    name = wording.MARKS[column.metric][1] if column.metric in wording.MARKS else name
    if column.better_is_less:
        name += " (less is better)"
    (axes.set_xlabel if which == "x" else axes.set_ylabel)(f"{column.task}: {name}", fontsize=9)
    if column.form == "percent":
        axis = axes.xaxis if which == "x" else axes.yaxis
        axis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")


def _correlation_text(found: dict[str, Any], prefix: str) -> str:
    if found["r"] is None:
        return f"{prefix}r is not defined, n = {found['n']}"
    reach = f" [{found['interval'][0]:.2f}, {found['interval'][1]:.2f}]" if found["interval"] else ""
    return f"{prefix}r = {found['r']:.2f}{reach}, n = {found['n']}"


def _finish(figure: Any, axes: Any, names: Sequence[tuple[float, float, str, str]], path: Path) -> None:
    for x, y, name, color in _spread(figure, axes, names):
        # parse_math off: a run's name may hold a dollar sign.
        left = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[0] > 0.8
        text = axes.annotate(
            name,
            (x, y),
            xytext=(-7 if left else 7, 4),
            ha="right" if left else "left",
            textcoords="offset points",
            fontsize=7.5,
            color=color,
            zorder=4,
        )
        text.set_parse_math(False)
    if len(set(axes.get_legend_handles_labels()[1])) > 1:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("png", "svg"):
        # The date would make every file another one.
        more: dict[str, Any] = {"metadata": {"Date": None}} if ending == "svg" else {"dpi": 160}
        partial = path.with_name(f".{path.name}.{ending}")
        figure.savefig(partial, format=ending, **more)
        partial.replace(path.with_suffix(f".{ending}"))


def _spread(
    figure: Any, axes: Any, names: Sequence[tuple[float, float, str, str]]
) -> list[tuple[float, float, str, str]]:
    """Where names go so that they don't lie over each other: in data units, moved up where needed."""
    figure.draw_without_rendering()
    to_pixels, to_data = axes.transData, axes.transData.inverted()
    height = 11 * figure.dpi / 72
    placed: list[tuple[float, float, float]] = []
    result = []
    for x, y, name, color in sorted(names, key=lambda each: each[1]):
        px, py = to_pixels.transform((x, y))
        width = len(name) * 4.3 * figure.dpi / 72
        while any(abs(py - oy) < height and px < ox + ow and ox < px + width for ox, oy, ow in placed):
            py += height / 2
        placed.append((px, py, width))
        moved = to_data.transform((px, py))
        result.append((float(moved[0]), float(moved[1]), name, color))
    return result
