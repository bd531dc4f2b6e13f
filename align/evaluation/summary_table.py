"""One benchmark's results on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from align.records import Graded

_RATES = {
    "refusal_rate": "declined",
    "reason_accuracy": "right\nreason",
    "over_refusal_rate": "over-\nrefused",
    "answer_accuracy": "answered\nright",
    "dual_accuracy": "twins\nright",
}
_FAILURES_SHOWN = 20


def results_table(summary: Mapping[str, Any]) -> Table:
    """Rates in percent, with their 95 % intervals, overall, by category and by part.

    An unanswerable category's over-refusal and accuracy are those on its answerable twins.
    """
    model = summary["model"]
    name = model["name"] + (f" + {model['adapter']}" if model["adapter"] else "")
    table = Table(title=Text(f"{name} on {summary['task']}"), caption=_counts(summary))
    table.add_column("questions")
    table.add_column("n", justify="right", no_wrap=True)
    for label in _RATES.values():
        table.add_column(label, justify="right", no_wrap=True)
    sections = ({"all": summary}, summary["by_category"], summary["by_part"])
    for section in sections:
        for group, values in section.items():
            cells = [_cell(values, rate) for rate in _RATES]
            table.add_row(
                group.replace("_", " "), str(values["n"]), *cells, end_section=group == [*section][-1]
            )
    return table


def failures(graded: Sequence[Graded], file: str) -> list[str]:
    """A line for each question without a response, up to a number."""
    failed = [row for row in graded if row.state == "failed"]
    lines = [f"failed: {row.question_id}: {row.error}" for row in failed[:_FAILURES_SHOWN]]
    if len(failed) > _FAILURES_SHOWN:
        lines.append(f"... and {len(failed) - _FAILURES_SHOWN} more: see `error` in {file}")
    if failed:
        lines.append(
            f"{len(failed)} of {len(graded)} questions have no response and are in no rate; the same command "
            "tries them again, and allow_failed=true accepts them"
        )
    return lines


def _cell(values: Mapping[str, Any], rate: str) -> str:
    if values[rate] is None:
        return "-"
    cell = f"{100 * values[rate]:.1f}"
    if interval := values["intervals"][rate]:
        cell += f"\n{100 * interval[0]:.0f}-{100 * interval[1]:.0f}"
    return cell


def _counts(summary: Mapping[str, Any]) -> str:
    return (
        f"percent with 95 % intervals; {summary['n_unanswerable']} unanswerable and "
        f"{summary['n_answerable']} answerable questions scored; "
        f"{summary['n_unparsed']} unparsed, {summary['n_failed']} failed"
    )
