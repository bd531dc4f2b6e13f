"""One benchmark's results on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from align.evaluation.kinds import Row
from align.records import Graded

_RATES = {
    "refusal_rate": "declined",
    "reason_accuracy": "right\nreason",
    "over_refusal_rate": "over-\nrefused",
    "answer_accuracy": "answered\nright",
    "dual_accuracy": "twins\nright",
}
_FAILURES_SHOWN = 20


_MARKS = {"rationality": "ration-\nality", "helpfulness": "help-\nfulness"}


def headline(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures of a results.json that are worth keeping in run.json."""
    if summary["kind"] == "general":
        return {name: figure["value"] for name, figure in summary["figures"].items()}
    return {name: summary[name] for name in (*_RATES, *_MARKS) if summary.get(name) is not None}


def results_table(summary: Mapping[str, Any]) -> Table:
    """The table of one task's results.json."""
    return _general_table(summary) if summary["kind"] == "general" else _honesty_table(summary)


def _general_table(summary: Mapping[str, Any]) -> Table:
    """Figures with their intervals, overall and by part; `official` ones are the benchmark's own rule."""
    states = ", ".join(f"{count} {state}" for state, count in summary["states"].items())
    caption = f"percent with 95 % intervals; responses: {states}{_cut_off(summary)}"
    table = Table(title=Text(_title(summary)), caption=caption)
    table.add_column("figure", min_width=14)
    groups = {"all": summary, **summary["by_part"]}
    for group in groups:
        table.add_column(group.replace("_", " "), justify="right", no_wrap=True)
    for name, figure in summary["figures"].items():
        cells = [_figure(values["figures"].get(name)) for values in groups.values()]
        table.add_row(
            name.replace("_", " ")
            + (" (official)" if figure["official"] and not name.startswith("official") else ""),
            *cells,
        )
    return table


def _figure(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    cell = f"{100 * figure['value']:.1f}"
    if figure["interval"]:
        cell += f"  {100 * figure['interval'][0]:.0f}-{100 * figure['interval'][1]:.0f}"
    return cell


def _title(summary: Mapping[str, Any]) -> str:
    model = summary["model"]
    name = model["name"] + (f" + {model['adapter']}" if model.get("adapter") else "")
    return f"{name} on {summary['task']}"


def _honesty_table(summary: Mapping[str, Any]) -> Table:
    """Rates in percent, with their 95 % intervals, overall, by category and by part.

    An unanswerable category's over-refusal and accuracy are those on its answerable twins.
    """
    # A mark that was asked for and never given has a column, too: it says that all are unscored.
    marks = [mark for mark in _MARKS if {summary.get(mark), summary.get(f"unscored_{mark}")} != {None}]
    # With marks, the columns fill a terminal of 80 characters to the last one.
    padding = (0, 0 if marks else 1)
    table = Table(title=Text(_title(summary)), caption=_counts(summary), padding=padding)
    table.add_column("questions", min_width=9)
    table.add_column("n", justify="right", no_wrap=True)
    for label in _RATES.values():
        table.add_column(label, justify="right", no_wrap=True)
    table.add_column("un-\nscored", justify="right", no_wrap=True)
    for mark in marks:
        table.add_column(_MARKS[mark], justify="right", no_wrap=True)
    sections = (
        {"all": summary},
        summary["by_category"],
        summary["by_part"],
        summary.get("by_condition", {}),
    )
    for section in sections:
        for group, values in section.items():
            cells = [_cell(values, rate) for rate in _RATES]
            cells += [_share(values["unscored_rate"]), *(_mark(values, mark) for mark in marks)]
            table.add_row(
                group.replace("_", " "), str(values["n"]), *cells, end_section=group == [*section][-1]
            )
    return table


def failures(rows: Sequence[Row], file: str) -> list[str]:
    """A line for each row that could not be asked or judged, up to a number."""
    failed = [row for row in rows if row.error is not None]
    lines = [f"failed: {_id(row)}: {row.error}" for row in failed[:_FAILURES_SHOWN]]
    if len(failed) > _FAILURES_SHOWN:
        lines.append(f"... and {len(failed) - _FAILURES_SHOWN} more: see `error` in {file}")
    if failed:
        lines.append(
            f"{len(failed)} of {len(rows)} questions have no response, or lack a judgement, and are in no "
            "figure that needs it; the same command tries them again, and allow_failed=true accepts them"
        )
    return lines


def _id(row: Row) -> str:
    return row.question_id if isinstance(row, Graded) else row.sample_id


def _mark(values: Mapping[str, Any], mark: str) -> str:
    """A mean mark, and the share of responses that were to have one and have none."""
    cell = "-" if values.get(mark) is None else f"{values[mark]:.2f}"
    if interval := values["intervals"].get(mark):
        cell += f"\n{interval[0]:.2f}-{interval[1]:.2f}"
    unscored = values.get(f"unscored_{mark}")
    return cell + (f"\nunscored\n{_share(unscored)}" if unscored else "")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


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
        f"{summary['n_unparsed']} unparsed, {summary['n_failed']} failed{_cut_off(summary)}"
    )


def _cut_off(summary: Mapping[str, Any]) -> str:
    """How many responses reached the limit of tokens, as far as the server says how they ended."""
    responses = summary.get("responses") or {}
    rate = (responses.get("truncated_rate") or {}).get("value")
    if rate is None:
        return ""
    return f", {responses['n_truncated']} cut off at {responses['max_new_tokens']} tokens ({_share(rate)})"
