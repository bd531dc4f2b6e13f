"""What a repetition found, for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from align.reproducing.differences import Difference, Inputs
from align.reproducing.results import Comparison, Figure, Rows, count_statuses

_VERDICTS = {
    "equal": "reproduced: every figure and every row is equal",
    "within": "reproduced within the intervals: no figure is outside the 95 % interval that it had",
    "different": "not reproduced: see what is different",
    None: "there was nothing to compare: the run left neither results nor rows",
}


def as_json(
    inputs: Inputs, environment: Sequence[Difference], comparison: Comparison | None
) -> dict[str, Any]:
    """Everything, with the verdict; no verdict where nothing was run."""
    found: dict[str, Any] = {
        "inputs": {
            "same": inputs.same,
            "differ": [asdict(each) for each in inputs.differ],
            "unchecked": inputs.unchecked,
        },
        "environment": [asdict(each) for each in environment],
    }
    if comparison is not None:
        found |= {
            "verdict": comparison.verdict,
            "figures": count_statuses(comparison.figures),
            "changed_figures": [asdict(f) for f in comparison.figures if f.status != "equal"],
            "rows": [asdict(rows) | {"same": rows.same} for rows in comparison.rows],
            "digests": comparison.files,
        }
    return found


def before_lines(inputs: Inputs, environment: Sequence[Difference]) -> list[str]:
    """What differs before the run, a line each."""
    lines = [f"inputs: {inputs.same} the same, {len(inputs.differ)} changed"]
    lines += [f"  changed: {each}" for each in inputs.differ]
    if inputs.unchecked:
        lines.append(f"  compared after the run: {', '.join(inputs.unchecked)}")
    for kind, name in (("package", "packages"), ("code", "code"), ("hardware", "hardware")):
        found = [each for each in environment if each.kind == kind]
        lines.append(f"{name}: {'the same' if not found else f'{len(found)} difference(s)'}")
        lines += [f"  {each}" for each in found]
    return lines


def figures_table(figures: Sequence[Figure], most: int = 40) -> Table | None:
    """The figures that are not equal; None where all are."""
    changed = [figure for figure in figures if figure.status != "equal"]
    if not changed:
        return None
    title = f"{len(changed)} of {len(figures)} figures are not equal"
    table = Table(title=title if len(changed) <= most else f"{title}; the first {most}", title_justify="left")
    for name in ("figure", "was", "95 % interval", "is", ""):
        table.add_column(name, justify="left" if name == "figure" else "right", overflow="fold")
    for figure in changed[:most]:
        interval = "" if figure.interval is None else f"{figure.interval[0]:.4g} to {figure.interval[1]:.4g}"
        cells = [figure.name, _number(figure.was), interval, _number(figure.now), figure.status]
        table.add_row(*(Text(cell, style="red" if figure.status == "different" else "") for cell in cells))
    return table


def after_lines(comparison: Comparison) -> list[str]:
    """What came out, a line each."""
    counts = count_statuses(comparison.figures)
    lines = []
    if comparison.figures:
        lines.append(
            f"figures: {counts['equal']} equal, {counts['within']} within their interval, "
            f"{counts['different']} different"
        )
    for rows in comparison.rows:
        lines += _rows_lines(rows)
    for name, same in comparison.files.items():
        lines.append(f"digest of {name}: {'the same' if same else 'another'}")
    lines.append(_VERDICTS[comparison.verdict])
    return lines


def _rows_lines(rows: Rows) -> list[str]:
    if rows.note is not None and not rows.was:
        return [f"rows of {rows.name}: {rows.note}"]
    parts = [f"{rows.equal} of {rows.was} equal"]
    for count, text in (
        (rows.texts, "with another text"),
        (rows.grades, "with another grade"),
        (rows.others, "with another field"),
        (rows.only_was, "no longer there"),
        (rows.only_now, "new"),
    ):
        if count:
            parts.append(f"{count} {text}")
    lines = [f"rows of {rows.name}: {', '.join(parts)}"]
    if rows.note is not None:
        lines.append(f"  note: {rows.note}")
    for example in rows.examples:
        changes = (f"{k}: {_short(v[0])} -> {_short(v[1])}" for k, v in example.items() if k != "row")
        lines.append(f"  {example['row']}: {'; '.join(changes)}")
    return lines


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.6g}"


def _short(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"
