"""The main figures of a comparison as a few tables of text: what Markdown and LaTeX print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from align.reporting import wording

Row = dict[str, str | None]


@dataclass(frozen=True)
class SummaryTable:
    """`columns` name the cells of `rows`; `note` says how to read them."""

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    note: str


def summary_tables(comparison: Mapping[str, Any]) -> list[SummaryTable]:
    """Rates, rates by category, marks, general ability and repeats, those that there are.

    A cell is `97.4 [96.3, 98.2]`, in percent (marks: 1-10, BPI and phi: as they are), with a star where the
    difference from the base is significant at 5 % after correction.
    """
    made = [_rates(comparison), *_categories(comparison), *_marks(comparison)]
    return [*made, *_general(comparison), *_repeats(comparison)]


def _rates(comparison: Mapping[str, Any]) -> SummaryTable:
    rows = []
    for name, model in comparison["models"].items():
        tests = comparison["tests"].get(name, {"rates": {}})["rates"]
        row: Row = {"Model": wording.display(name)}
        for rate, (label, _, direction) in wording.RATES.items():
            cell = _percent(model[rate], model["intervals"][rate], tests.get(rate))
            row[f"{label} {_arrow(direction)}"] = cell
        row["Unreadable"], row["Failed"] = _percent(model["unparsed_rate"]), _percent(model["unscored_rate"])
        row["Cut off"] = _percent(wording.cut_off(comparison, comparison["task"], name))
        rows.append(row)
    first = comparison["models"][comparison["base"]]
    title = f"Honesty on {comparison['task']}: {first['n_unanswerable']:,} unanswerable and "
    title += f"{first['n_answerable']:,} answerable questions"
    return SummaryTable(title, tuple(rows[0]), rows, _note(comparison))


def _categories(comparison: Mapping[str, Any]) -> list[SummaryTable]:
    first = comparison["models"][comparison["base"]]["by_category"]
    shown = [category for category in wording.CATEGORIES if category in first and category != "Answerable"]
    if not shown:
        return []
    rows = []
    for name, model in comparison["models"].items():
        row: Row = {"Model": wording.display(name)}
        for category in shown:
            group = model["by_category"][category]
            cell = _percent(group["refusal_rate"], group["intervals"]["refusal_rate"])
            row[wording.category_label(category)] = cell
        row["Failed"] = _percent(model["unscored_rate"])
        rows.append(row)
    return [
        SummaryTable(
            f"Declined by category on {comparison['task']}",
            tuple(rows[0]),
            rows,
            "95% intervals in brackets.",
        )
    ]


def _marks(comparison: Mapping[str, Any]) -> list[SummaryTable]:
    models = comparison["models"]
    if all(model[mark] is None for model in models.values() for mark in wording.MARKS):
        return []
    rows = []
    for name, model in models.items():
        tests = comparison["tests"].get(name, {"marks": {}})["marks"]
        row: Row = {"Model": wording.display(name)}
        for mark, (label, _) in wording.MARKS.items():
            row[f"{label} ↑"] = _mark(model[mark], model["intervals"][mark], tests.get(mark))
        index = comparison["bpi"][name]
        row["BPI ↑"] = _mark(index["bpi"], index["interval"])
        row["Refusals without a mark"] = _percent(model["unscored_rationality"])
        row["Responses without a mark"] = _percent(model["unscored_helpfulness"])
        rows.append(row)
    return [SummaryTable("The judge's marks, 1-10", tuple(rows[0]), rows, _note(comparison))]


def _general(comparison: Mapping[str, Any]) -> list[SummaryTable]:
    rows = []
    for task, found in comparison["general"].items():
        for name, model in found["models"].items():
            figures = model["figures"]
            head = figures[found["headline"]]
            accuracy = figures["accuracy"]
            test = found["tests"].get(name)
            row: Row = {"Benchmark": task, "Model": wording.display(name)}
            row["Main figure"] = f"{found['headline']} {_percent(head['value'], head['interval'])}"
            row["Accuracy ↑"] = _percent(accuracy["value"], accuracy["interval"], test)
            for label, figure in (
                ("Declines", "abstain_rate"),
                ("Unreadable", "unparsed_rate"),
                ("Failed", "failed_rate"),
            ):
                row[label] = _percent(figures[figure]["value"])
            row["Cut off"] = _percent(wording.cut_off(comparison, task, name))
            rows.append(row)
    return [SummaryTable("General ability", tuple(rows[0]), rows, _note(comparison))] if rows else []


def _repeats(comparison: Mapping[str, Any]) -> list[SummaryTable]:
    repeats = comparison["repeats"]
    if repeats is None:
        return []
    rows = []
    for name, figures in repeats["models"].items():
        tests = repeats["tests"].get(name, {})
        runs = len(figures["refusal_rate"]["by_repeat"])
        row: Row = {"Model": wording.display(name), "Runs": str(runs)}
        for rate, (label, _, direction) in wording.RATES.items():
            figure = figures[rate]
            interval = figure["interval_crossed"] or figure["interval"]
            cell = _percent(figure["value"], interval, tests.get(rate))
            row[f"{label} {_arrow(direction)}"] = cell
        row["Failed"] = _percent(figures["unscored_rate"]["value"])
        rows.append(row)
    note = "95% intervals in brackets, over images, and over seeds too from three runs on. " + _star(
        comparison
    )
    return [SummaryTable("All runs of each model", tuple(rows[0]), rows, note)]


def _note(comparison: Mapping[str, Any]) -> str:
    return "95% intervals in brackets. " + (_star(comparison) if comparison["tests"] else "")


def _star(comparison: Mapping[str, Any]) -> str:
    base = wording.display(comparison["base"])
    return f"*: differs from {base} (5%, corrected for the number of tests)."


def _arrow(direction: str) -> str:
    return "↑" if direction == "up" else "↓"


def _percent(value: float | None, interval: Any = None, test: Mapping[str, Any] | None = None) -> str:
    if value is None:
        return "–"
    text = f"{100 * value:.1f}" + ("*" if _significant(test) else "")
    return text + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


def _mark(value: float | None, interval: Any = None, test: Mapping[str, Any] | None = None) -> str:
    if value is None:
        return "–"
    text = f"{value:.2f}" + ("*" if _significant(test) else "")
    return text + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _significant(test: Mapping[str, Any] | None) -> bool:
    if not test:
        return False
    p = test.get("p_crossed_holm")
    p = test["p_holm"] if p is None else p
    return p is not None and p < 0.05
