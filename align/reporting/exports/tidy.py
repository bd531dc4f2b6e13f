"""Every figure of a comparison as one row: for pandas, R, or a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from align.evaluation.counting import FIGURES, UNSCORED
from align.reporting.tables import to_csv

COLUMNS = ("model", "task", "group", "metric", "value", "low", "high", "n")
Row = dict[str, Any]


def tidy_csv(comparison: Mapping[str, Any]) -> str:
    """`tidy_rows` as CSV, with a header."""
    return to_csv(COLUMNS, list(tidy_rows(comparison)))


def tidy_rows(comparison: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each figure of each model, task and group.

    `group` is `all`, `category/NAME`, `part/NAME`, `condition/NAME` (with `/category/NAME` behind it), or
    `repeats` (over all runs of a repeated model; the other figures are of its first). `low` and `high` are
    the 95 % interval, `n` the responses (or pairs of twins) that a figure is over; empty: not known. Figures
    that are not defined are left out. Tests against the base have the metrics `difference/NAME`, with their
    interval, and `p/NAME`, corrected for all tests of the document (in groups: for the false discovery rate).
    """
    task = comparison["task"]
    for name, model in comparison["models"].items():
        for group, summary in _groups(model):
            yield from _summary(name, task, group, summary)
        for one in comparison["phi"][name]["phi"]:
            n = comparison["phi"][name]["n"]
            yield from _row(name, task, "all", f"phi_{one['c']:g}", one["phi"], one["interval"], n)
        index = comparison["bpi"][name]
        yield from _row(name, task, "all", "bpi", index["bpi"], index["interval"], index["n"])
        for category, one in index["by_category"].items():
            where = f"category/{category}"
            yield from _row(name, task, where, "bpi", one["bpi"], one["interval"], one["n"])
        for view, found in comparison["risk_coverage"][name].items():
            if found is not None:
                for metric in ("area", "mean_risk"):
                    interval = found[f"{metric}_interval"]
                    yield from _row(
                        name, task, "all", f"{metric}_{view}", found[metric], interval, found["n"]
                    )
                coverage = found["max_coverage"]
                yield from _row(name, task, "all", f"max_coverage_{view}", coverage, None, found["n"])
    for name, tests in comparison["tests"].items():
        for metric, test in {**tests["rates"], **tests["marks"]}.items():
            yield from _test(name, task, "all", metric, test, "p_holm")
        for kind, label in (("by_category", "category"), ("by_part", "part")):
            for group, of_group in tests["groups"][kind].items():
                for metric, test in of_group.items():
                    yield from _test(name, task, f"{label}/{group}", metric, test, "p_bh")
        honesty = tests["honesty"]
        for metric, n in (("prudence", "n_unknown"), ("over_conservativeness", "n_known"), ("honesty", "n")):
            interval = honesty["intervals"][metric]
            yield from _row(name, task, "all", metric, honesty[metric], interval, honesty[n])
    yield from _repeats(comparison)
    for answered, of_runs in comparison["responses"].items():
        for name, responses in of_runs.items():
            if responses:
                figure = responses["truncated_rate"]
                value, interval = figure["value"], figure["interval"]
                yield from _row(name, answered, "all", "truncated_rate", value, interval, figure["n"])
    for general, found in comparison["general"].items():
        for name, model in found["models"].items():
            parts = [("all", model), *((f"part/{part}", of) for part, of in model["by_part"].items())]
            for group, of_group in parts:
                for metric, figure in of_group["figures"].items():
                    value, interval = figure["value"], figure["interval"]
                    yield from _row(name, general, group, metric, value, interval, figure["n"])
        for name, test in found["tests"].items():
            yield from _test(name, general, "all", "accuracy", test, "p_holm")
    for corruption, of_models in comparison["corruption"].items():
        for name, results in of_models.items():
            for condition, summary in results.get("by_condition", {}).items():
                yield from _summary(name, corruption, f"condition/{condition}", summary)
                for category, group in summary["by_category"].items():
                    where = f"condition/{condition}/category/{category}"
                    yield from _summary(name, corruption, where, group)


def _groups(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "all", model
    yield from ((f"category/{name}", group) for name, group in model["by_category"].items())
    yield from ((f"part/{name}", group) for name, group in model["by_part"].items())


def _summary(model: str, task: str, group: str, summary: Mapping[str, Any]) -> Iterator[Row]:
    for metric in FIGURES:
        interval = summary["intervals"][metric]
        yield from _row(model, task, group, metric, summary[metric], interval, _n(metric, summary))
    for metric in UNSCORED:
        yield from _row(model, task, group, metric, summary[metric], None, None)


def _n(metric: str, summary: Mapping[str, Any]) -> int | None:
    """The denominator of a figure, as far as the summary's counts tell it."""
    if metric in ("rationality", "helpfulness", "helpfulness_unanswerable"):
        return summary[f"n_{metric}"]
    return {
        "refusal_rate": summary["n_unanswerable"],
        "reason_accuracy": summary["n_unanswerable"] - summary["n_reason_ungraded"],
        "over_refusal_rate": summary["n_answerable"],
        "answer_accuracy": summary["n_answerable"] - summary["n_answer_ungraded"],
        "dual_accuracy": summary["n_twins"],
        "unparsed_rate": summary["n"] - summary["n_failed"],
        "unscored_rate": summary["n"],
    }.get(metric)


def _repeats(comparison: Mapping[str, Any]) -> Iterator[Row]:
    repeats = comparison["repeats"]
    if repeats is None:
        return
    task = comparison["task"]
    for name, figures in repeats["models"].items():
        for metric, figure in figures.items():
            value, interval = figure["value"], figure["interval"]
            yield from _row(name, task, "repeats", metric, value, interval, figure["n"])
            crossed = figure["interval_crossed"]
            if crossed:
                yield from _row(name, task, "repeats", f"{metric}/with seeds", value, crossed, figure["n"])
            yield from _row(
                name, task, "repeats", f"sd/{metric}", figure["sd"], None, len(figure["by_repeat"])
            )
    for name, tests in repeats["tests"].items():
        for metric, test in tests.items():
            yield from _test(name, task, "repeats", metric, test, "p_holm")


def _test(
    model: str, task: str, group: str, metric: str, test: Mapping[str, Any] | None, p: str
) -> Iterator[Row]:
    if test is not None:
        n = test["n"]
        yield from _row(model, task, group, f"difference/{metric}", test["difference"], test["interval"], n)
        yield from _row(model, task, group, f"p/{metric}", test[p], None, n)


def _row(
    model: str, task: str, group: str, metric: str, value: Any, interval: Any, n: int | None
) -> Iterator[Row]:
    if value is not None:
        low, high = interval or (None, None)
        yield dict(zip(COLUMNS, (model, task, group, metric, value, low, high, n), strict=True))
