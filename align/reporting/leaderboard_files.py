"""The leaderboard as files: JSON, Markdown, LaTeX and plots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from align.reporting.leaderboard import Board, Column, find_column, known_columns, tidy_rows
from align.reporting.leaderboard_plots import plot_plane, plot_sizes
from align.reporting.leaderboard_view import headings, notes_of, reported_fit, reported_rows, table_rows
from align.reporting.tables import to_latex, to_markdown

_HONESTY = ("bpi", "dual_accuracy", "refusal_rate")
_HELP = ("helpfulness", "answer_accuracy")


def board_json(board: Board, plots: dict[str, Any]) -> dict[str, Any]:
    """The whole leaderboard: runs by group with ranks, every figure as a row, notes, what the plots found."""
    return {
        "sort": board.sort.key,
        "groups": {
            group.name: {
                "ground": asdict(group.ground) if group.ground is not None else None,
                "runs": [
                    {
                        "run": place.entry.name,
                        "folder": str(place.entry.folder),
                        "rank": place.rank,
                        "rank_best": place.best,
                        "rank_worst": place.worst,
                        "parameters": place.entry.parameters,
                        "size_from": place.entry.size_from,
                    }
                    for place in group.places
                ],
            }
            for group in board.groups
        },
        "figures": tidy_rows(board),
        "plots": plots,
        "notes": notes_of(board),
    }


def markdown(board: Board, plots: dict[str, Any]) -> str:
    """The tables, the notes and the plots."""
    parts = ["# Leaderboard\n", to_markdown(headings(board), table_rows(board))]
    if board.reference is not None and not reported_fit(board):
        parts += ["\n## Reported, not re-run\n", to_markdown(*reported_rows(board.reference))]
    parts += ["", *(f"- {note}" for note in notes_of(board)), ""]
    parts += [f"![{name}]({name}.png)" for name in plots]
    return "\n".join(parts) + "\n"


def latex(board: Board) -> str:
    """Tables for a paper, which needs `booktabs`."""
    caption = f"Sorted by {board.sort.key}. " + ". ".join(board.notes)
    parts = [to_latex(headings(board), table_rows(board), caption=caption.strip())]
    if board.reference is not None and not reported_fit(board):
        names, rows = reported_rows(board.reference)
        parts.append(to_latex(names, rows, caption=f"{board.reference.source}: {board.reference.about}"))
    return "\n".join(parts)


def write_plots(
    board: Board, folder: Path, *, honesty: str | None, against: Sequence[str] | None
) -> dict[str, Any]:
    """Draw what can be drawn. Returns, by plot, what it found: correlations, or who is on the Pareto front.

    Raises `DataError` for a metric that no run has.
    """
    known = known_columns(board)
    y = find_column(honesty, known) if honesty else _first(known, _HONESTY)
    if y is None:
        return {}
    plots: dict[str, Any] = {}
    sizes = [y] if honesty else list(dict.fromkeys([_first(known, ("refusal_rate",), y.task) or y, y]))
    for column in sizes:
        name = f"size-{_slug(column)}"
        plots[name] = plot_sizes(board, column, folder / name)
    for column in [find_column(name, known) for name in against] if against else _against(board, known, y):
        name = f"honesty-{_slug(column)}"
        plots[name] = plot_plane(board, column, y, folder / name)
    return {name: found for name, found in plots.items() if found is not None}


def _against(board: Board, known: Sequence[Column], y: Column) -> list[Column]:
    help = _first(known, _HELP, y.task)
    headlines = {
        (name, task.headline)
        for group in board.groups
        for place in group.places
        for name, task in place.entry.tasks.items()
        if task.kind == "general"
    }
    return [*([help] if help else []), *(c for c in known if (c.task, c.metric) in headlines)]


def _first(known: Sequence[Column], metrics: Sequence[str], task: str | None = None) -> Column | None:
    for metric in metrics:
        for column in known:
            if column.kind == "honesty" and column.metric == metric and task in (None, column.task):
                return column
    return None


def _slug(column: Column) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", column.key)
