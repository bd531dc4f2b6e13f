"""The leaderboard as a table of words: for the terminal, Markdown and LaTeX."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from align.reporting import wording
from align.reporting.leaderboard import Board, Column, Group, figure_of
from align.reporting.reference_rows import Reference

_LABELS = {name: label for name, (label, _, _) in wording.RATES.items()} | {
    name: label for name, (label, _) in wording.MARKS.items()
}


def label_of(board: Board, column: Column) -> str:
    """A column's heading: the metric, which way is better, and the task where there are several."""
    label = _LABELS.get(column.metric, "BPI" if column.metric == "bpi" else column.metric.replace("_", " "))
    label += " ↓" if column.better_is_less else " ↑"
    several = len({each.task for each in board.columns}) > 1
    return f"{column.task}: {label}" if several else label


def headings(board: Board) -> list[str]:
    return ["", "run", "model", "size", *(label_of(board, column) for column in board.columns)]


def table_rows(board: Board, *, intervals: bool = True) -> list[dict[str, Any]]:
    """Rows by heading, one group after the other, then reported rows; `_kind` says which sort a row is of.

    Reported rows are there if MoHoBench or MMMU are among the columns: they have nothing to say of others.
    """
    names = headings(board)
    rows: list[dict[str, Any]] = []
    ranked = [group for group in board.groups if group.ground is not None]
    for group in board.groups:
        for place in group.places:
            entry = place.entry
            rank = "" if place.rank is None else str(place.rank)
            if place.best != place.worst:
                rank += f" ({place.best}–{place.worst})"
            if len(ranked) > 1 and place.rank is not None:
                rank = f"{group.name}{rank}"
            model = entry.model if entry.adapter is None else f"{entry.model} + {entry.adapter}"
            cells = [rank, entry.name, model, size_text(entry.parameters)]
            cells += [_cell(board, group, place.entry, column, intervals) for column in board.columns]
            rows.append(dict(zip(names, cells, strict=True)) | {"_kind": f"group {group.name}"})
    if board.reference is not None and reported_fit(board):
        for row in board.reference.rows:
            figures = row.figures()
            cells = ["reported", row.method, row.model, size_text(row.parameters)]
            for column in board.columns:
                name = {"mohobench": column.metric, "mmmu": "mmmu"}.get(column.task, "")
                value = figures.get(name)
                cells.append("" if value is None else reported_text(column, value))
            rows.append(dict(zip(names, cells, strict=True)) | {"_kind": "reported"})
    return rows


def reported_fit(board: Board) -> bool:
    """Whether the columns are of the benchmarks that reported figures are of."""
    return any(column.task in ("mohobench", "mmmu") for column in board.columns)


def reported_rows(reference: Reference) -> tuple[list[str], list[dict[str, Any]]]:
    """Reported figures as a table of their own: `(headings, rows)`."""
    columns = [Column("mohobench", metric, "honesty") for metric in _REPORTED]
    columns = [c for c in columns if any(c.metric in row.figures() for row in reference.rows)]
    names = {c.metric: _LABELS.get(c.metric, c.metric.upper()) for c in columns}
    rows = []
    for row in reference.rows:
        figures = row.figures()
        cells = {
            names[c.metric]: reported_text(c, figures[c.metric]) if c.metric in figures else ""
            for c in columns
        }
        rows.append({"method": row.method, "model": row.model, "size": size_text(row.parameters)} | cells)
    return ["method", "model", "size", *names.values()], rows


_REPORTED = ("refusal_rate", "over_refusal_rate", "rationality", "helpfulness", "bpi", "mmmu")


def notes_of(board: Board) -> list[str]:
    """What has to be known to read the table."""
    notes = [
        f"sorted by {board.sort.key}; a rank's range is what the 95 % intervals allow",
        *board.notes,
    ]
    if board.reference is not None:
        notes.append(f"reported ({board.reference.source}): {board.reference.about}")
    return notes


def terminal_tables(board: Board) -> list[Table]:
    """The leaderboard, and reported figures below it where they have no columns in it."""
    tables = [_table(headings(board), table_rows(board))]
    if board.reference is not None and not reported_fit(board):
        names, rows = reported_rows(board.reference)
        tables.append(
            _table(names, [row | {"_kind": "reported"} for row in rows], title="reported, not re-run")
        )
    return tables


def _table(names: list[str], rows: list[dict[str, Any]], title: str | None = None) -> Table:
    table = Table(box=box.HORIZONTALS, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for name in names:
        table.add_column(Text(name), justify="left" if name in _WORDS else "right", overflow="fold")
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        style = "dim" if row["_kind"] == "reported" else ""
        cells = [Text(str(row[name]), style=style) for name in names]
        table.add_row(*cells, end_section=after is not None and after["_kind"] != row["_kind"])
    return table


_WORDS = ("run", "model", "method")


def size_text(parameters: float | None) -> str:
    """`7B`, `2.6M`."""
    if parameters is None:
        return ""
    for scale, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= scale:
            return f"{parameters / scale:.3g}{unit}"
    return f"{parameters:.0f}"


def value_text(column: Column, value: float) -> str:
    return wording.percent(value) if column.form == "percent" else f"{value:.2f}"


def reported_text(column: Column, value: float) -> str:
    """A reported figure with the digits that were reported."""
    return f"{100 * value:.10g}%" if column.form == "percent" else f"{value:.2f}"


def _cell(board: Board, group: Group, entry: Any, column: Column, intervals: bool) -> str:
    figure = figure_of(entry, column)
    if figure is None:
        return ""
    value, interval, _ = figure
    text = value_text(column, value)
    if column.task != board.sort.task and board.other_ground(group, entry, column):
        text += "†"
    if interval is not None and intervals:
        scale, form = (100, "{:.1f}") if column.form == "percent" else (1, "{:.2f}")
        text += f" ({form.format(scale * interval[0])}–{form.format(scale * interval[1])})"
    return text
