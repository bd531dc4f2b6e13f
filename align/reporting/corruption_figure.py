"""The corruption benchmark's curves as a picture: rates against severity, a column a kind of corruption."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from align.evaluation.corruption import BLANK, NO_IMAGE
from align.records import ANSWERABLE
from align.reporting.corruption_plot import SHOWN, Corruption, Mark, make_corruption
from align.reporting.wording import CATEGORIES

# Okabe and Ito's colors, told apart with any color vision, darker where they are read as text on white.
STYLES: dict[str, tuple[str, str]] = {
    "False_Premises": ("#C24E00", "o"),
    "Vague_Description": ("#9A6A00", "s"),
    "Context_Dependent": ("#0072B2", "^"),
    "Subjective_or_Philosophical": ("#A0588A", "D"),
    ANSWERABLE: ("#222222", "o"),
}
KINDS = {"gaussian": "Gaussian noise", "shot": "Shot noise", "contrast": "Low contrast"}
LEVELS = {BLANK: "blank", NO_IMAGE: "no\nimage"}
_AXIS = {
    "refusal_rate": "declined",
    "reason_accuracy": "declined for the right reason\n(answerable: answered right)",
}
_FAR, _LABEL_STEP = 0.06, 0.062  # between lines of one severity, on the x axis; between labels, on the y axis


def plot_corruption(results: Mapping[str, Any], path: str | Path, *, name: str | None = None) -> None:
    """Draw a model's results.json of the corruption benchmark to `path`, a .png or .svg file.

    The file appears under its name only when it is complete. `name` is the title; left out, it is the label
    of the model. Raises `ValueError` for another kind of file, or for results without a rate.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"{path} is not drawn: its name must end in .png or .svg")
    title = name or results["model"]["label"]
    data = make_corruption({title: results})
    if data is None:
        raise ValueError(f"{path} is not drawn: the results hold no rate that was measured")
    stream = io.BytesIO()
    # Files of the same results are the same: no date in them, no random ids.
    with matplotlib.rc_context({"svg.hashsalt": "corruption", "svg.fonttype": "none"}):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        draw(data, title).savefig(stream, format=path.suffix[1:], dpi=150, metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(stream.getvalue())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def draw(data: Corruption, model: str) -> Figure:
    """One model's curves: rows of rates, columns of kinds, and a column for `blank` and `no-image`."""
    rows = [pair for pair in SHOWN if any(rate in data.rates for rate in pair)]
    there = {v.mark.condition for v in data.levels if v.model == model}
    levels = [condition for condition in LEVELS if condition in there]
    widths = [3.0] * len(data.kinds) + [0.75 * len(levels)] * bool(levels)
    figure = Figure(figsize=(sum(widths) + 2.9, 3.0 * len(rows) + 0.9))
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        len(rows), len(widths), squeeze=False, sharey=True, gridspec_kw={"width_ratios": widths}
    )
    for axes, pair in zip(grid, rows, strict=True):
        ends: dict[str, float] = {}
        for axis, kind in zip(axes, data.kinds, strict=False):
            _frame(axis, KINDS.get(kind, kind) if pair is rows[0] else "")
            for category, rate, dodge in _lines(data, pair):
                series = data.curve(model, rate, kind, category)
                if series is not None:
                    _curve(axis, series.marks, category, dodge)
                    ends[category] = series.marks[-1].value
            axis.set_xticks(range(6), ["raw", "1", "2", "3", "4", "5"])
            axis.set_xlim(-0.4, 5.4)
        if levels:
            _frame(axes[-1], "Nothing to see" if pair is rows[0] else "")
            for category, rate, dodge in _lines(data, pair):
                for x, condition in enumerate(levels):
                    level = data.level(model, rate, condition, category)
                    if level is not None:
                        _level(axes[-1], x + 2.2 * dodge, level.mark, category)
                        ends[category] = level.mark.value
            axes[-1].set_xticks(range(len(levels)), [LEVELS[condition] for condition in levels])
            axes[-1].set_xlim(-0.5, len(levels) - 0.5)
        axes[0].set_ylabel(_AXIS[pair[0]], fontsize=9)
        _name_lines(axes[-1], ends)
    for axis in grid[-1][: len(data.kinds)]:
        axis.set_xlabel("severity", fontsize=9)
    n = {mark.n for s in data.series if s.model == model for mark in s.marks}
    asked = f"{min(n)}" if len(n) == 1 else f"{min(n)}–{max(n)}"
    figure.suptitle(
        f"{model}: what it says when it sees less",
        x=0.01,
        ha="left",
        fontsize=12,
        weight="bold",
        parse_math=False,  # a name may hold dollar signs
    )
    figure.text(
        0.01,
        0.012,
        f"Dashed: answerable questions. Bars: 95 % intervals. Questions a line: {asked}.",
        fontsize=8,
        color="#555555",
    )
    figure.subplots_adjust(
        left=0.9 / figure.get_figwidth(),
        right=1 - 1.95 / figure.get_figwidth(),
        top=1 - 0.75 / figure.get_figheight(),
        bottom=0.78 / figure.get_figheight(),
        wspace=0.1,
        hspace=0.22,
    )
    return figure


def _lines(data: Corruption, pair: tuple[str, str]) -> list[tuple[str, str, float]]:
    """Category, rate and sideways shift of each line of a row: bars of one severity must not cover others."""
    lines = [(c, pair[1] if c == ANSWERABLE else pair[0]) for c in data.categories]
    middle = (len(lines) - 1) / 2
    return [(category, rate, (i - middle) * _FAR) for i, (category, rate) in enumerate(lines)]


def _frame(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_ylim(-0.03, 1.03)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axis.tick_params(length=0, labelsize=8, colors="#444444")
    axis.grid(axis="y", color="#E3E3E3", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color("#BBBBBB")


def _bars(marks: Sequence[Mark]) -> list[list[float]]:
    bounds = [mark.interval or (mark.value, mark.value) for mark in marks]
    return [
        [max(0.0, mark.value - low) for mark, (low, _) in zip(marks, bounds, strict=True)],
        [max(0.0, high - mark.value) for mark, (_, high) in zip(marks, bounds, strict=True)],
    ]


def _curve(axis: Axes, marks: Sequence[Mark], category: str, dodge: float) -> None:
    color, marker = STYLES[category]
    xs = [(mark.severity or 0) + dodge for mark in marks]
    container = axis.errorbar(
        xs,
        [mark.value for mark in marks],
        yerr=_bars(marks),
        color=color,
        marker=marker,
        markersize=4.5,
        linewidth=1.8,
        elinewidth=0.9,
        linestyle="--" if category == ANSWERABLE else "-",
        clip_on=False,
    )
    for bar in container[2]:
        bar.set_alpha(0.55)


def _level(axis: Axes, x: float, mark: Mark, category: str) -> None:
    color, _ = STYLES[category]
    axis.hlines(mark.value, x - 0.11, x + 0.11, color=color, linewidth=2.4, clip_on=False)
    axis.errorbar([x], [mark.value], yerr=_bars([mark]), color=color, elinewidth=0.9, alpha=0.55, fmt="none")


def _name_lines(axis: Axes, ends: Mapping[str, float]) -> None:
    """Each line's name beside its end, in its color, apart from the others."""
    order = sorted(ends, key=lambda category: ends[category])
    placed: list[float] = []
    for category in order:
        placed.append(max(ends[category], placed[-1] + _LABEL_STEP if placed else -0.02))
    ceiling = 1.02
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = ceiling = min(placed[i], ceiling)
        ceiling -= _LABEL_STEP
    right = axis.get_xlim()[1]
    for category, y in zip(order, placed, strict=True):
        color, _ = STYLES[category]
        axis.annotate(
            CATEGORIES[category][0],
            xy=(right, ends[category]),
            xycoords="data",
            xytext=(14, y),
            textcoords=("offset points", "data"),
            color=color,
            fontsize=9,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.7,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 0,
            },
        )
