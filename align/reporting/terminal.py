"""The comparison as a table in the terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from align.reporting import wording


def comparison_table(comparison: dict[str, Any]) -> Table:
    """One row a model: each rate with its 95 % interval, and how it differs from the base.

    A difference is colored when it is significant (Holm-corrected McNemar test at 5 %): green for the
    better, red for the worse.
    """
    base = comparison["base"]
    first = comparison["models"][base]
    table = Table(
        title=f"{first['n_unanswerable']:,} unanswerable and {first['n_answerable']:,} answerable questions",
        caption=f"95% intervals in brackets; differences from {wording.display(base)} in points",
        show_lines=True,
        box=box.HORIZONTALS,
        padding=(0, 1, 0, 0),
    )
    table.add_column("model", no_wrap=True)
    for label, _, direction in wording.RATES.values():
        table.add_column(f"{label} {'↑' if direction == 'up' else '↓'}", justify="right")
    for name, model in comparison["models"].items():
        tests = comparison["tests"].get(name, {"rates": {}})["rates"]
        # Text, not markup: a run's name is the user's and may hold brackets.
        cells = [Text(wording.display(name), style="bold")]
        cells += [_cell(model, rate, tests.get(rate)) for rate in wording.RATES]
        table.add_row(*cells)
    return table


def _cell(model: dict[str, Any], rate: str, test: dict[str, Any] | None) -> Text:
    cell = Text(wording.percent(model[rate]), style="bold")
    if model["intervals"][rate]:
        cell.append(f"\n[{wording.interval(model['intervals'][rate])}]", style="not bold dim")
    if test:
        cell.append(f"\n{wording.points(test['difference'])}", style=f"not bold {_style(rate, test)}")
    return cell


def _style(rate: str, test: dict[str, Any]) -> str:
    tone = wording.change_tone(rate, test)
    return {"good": "green", "bad": "red", "none": "dim"}[tone]
