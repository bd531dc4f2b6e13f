"""The agreement of judges as tables: `(title, columns, rows)`, for a terminal or a Markdown file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box, table
from rich.text import Text

from align.judging.agreement import MARKS

Table = tuple[str, list[str], list[list[str]]]


def agreement_tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """The tables of a report of `evaluate/judge_agreement.py`."""
    reference = report["reference"]
    for judge, measures in report["against_reference"].items():
        for name, groups in measures.items():
            yield (
                f"{judge} against {reference}: {name}",
                _columns(name),
                [_row(name, group, figures) for group, figures in groups.items()],
            )
        if "refused" in measures:
            rows = [[group, *_confused(figures)] for group, figures in measures["refused"].items()]
            columns = [
                "",
                "both: declines",
                f"only {judge}",
                f"only {reference}",
                "both: does not",
                "unscored",
            ]
            yield f"{judge} against {reference}: which way they differ", columns, rows
    for name, found in report["matrix"].items():
        if len(found["raters"]) > 2:
            yield _matrix(name, found)
    if report.get("consistency"):
        yield _consistency(report["consistency"])
    if report.get("used"):
        columns = sorted({column for used in report["used"].values() for column in used})
        rows = [[judge, *(_amount(used.get(c)) for c in columns)] for judge, used in report["used"].items()]
        yield "what judging took", ["judge", *columns], rows


def _columns(name: str) -> list[str]:
    columns = ["", "labelled", "n", "unscored", "not judged", "agreement", "kappa"]
    if name in MARKS:
        return [*columns, "weighted kappa", "drift", "correlation", "within one", "same band"]
    return [*columns, "precision", "recall"] if name == "refused" else columns


def _row(name: str, group: str, figures: Mapping[str, Any]) -> list[str]:
    cells = [
        group,
        str(figures["labelled"]),
        str(figures["n"]),
        f"{figures['unscored']} ({figures['unscored_share']:.1%})" if figures["unscored"] else "0",
        str(figures["not_judged"]),
        _with(figures, "agreement", "{:.1%}"),
        _with(figures, "kappa"),
    ]
    if name in MARKS:
        cells += [_with(figures, each) for each in ("weighted_kappa",)]
        cells += [_with(figures, "mean_difference", "{:+.2f}"), _with(figures, "correlation")]
        cells += [_share(figures[each]) for each in ("within_one", "same_band")]
    elif name == "refused":
        cells += [_with(figures, each) for each in ("precision", "recall")]
    return cells


def _confused(figures: Mapping[str, Any]) -> list[str]:
    counts = {(a, b): n for a, b, n in figures["confusion"]}
    cells = [counts.get(key, 0) for key in ((True, True), (False, True), (True, False), (False, False))]
    return [str(each) for each in (*cells, figures["unscored"])]


def _matrix(name: str, found: Mapping[str, Any]) -> Table:
    raters = found["raters"]
    cells = {(a, a): "" for a in raters}
    for pair in found["pairs"]:
        kappa = pair["weighted"] if name in MARKS else pair["kappa"]
        shown = "-" if pair["percent"] is None else f"{pair['percent']:.1f}% (n {pair['n']})"
        cells[pair["b"], pair["a"]] = shown
        cells[pair["a"], pair["b"]] = "-" if kappa is None else f"{kappa:.3f}"
    rows = [[a, *(cells[a, b] for b in raters)] for a in raters]
    alpha = "-" if found["alpha"] is None else f"{found['alpha']:.3f}"
    kappa = "weighted kappa" if name in MARKS else "kappa"
    title = f"{name}: agreement below the diagonal, {kappa} above; Krippendorff's alpha {alpha}"
    return title, ["", *raters], rows


def _consistency(found: Mapping[str, Any]) -> Table:
    rows = [
        [
            name,
            str(figures["n"]),
            _share(figures["same"]),
            str(figures["one_unscored"]),
            _share(figures.get("within_one")),
            "-" if figures.get("mean_difference") is None else f"{figures['mean_difference']:.2f}",
        ]
        for name, figures in found["by"].items()
    ]
    columns = ["", "comparisons", "same", "only one gave it", "within one", "mean difference"]
    return f"{found['judge']} against itself in {found['passes']} passes, {found['decoding']}", columns, rows


def _with(figures: Mapping[str, Any], name: str, form: str = "{:.3f}") -> str:
    value, interval = figures[name], figures[f"{name}_interval"]
    if value is None:
        return "-"
    shown = form.format(value)
    return shown if interval is None else f"{shown} [{form.format(interval[0])}, {form.format(interval[1])}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _amount(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4f}"


def terminal_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> table.Table:
    """A table that fits a terminal of 80 characters: intervals under their values, names a word a line."""
    made = table.Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False
    )
    for i, column in enumerate(columns):
        made.add_column(Text(column.replace(" ", "\n")), justify="right" if i else "left", overflow="fold")
    for name, *cells in rows:
        shown = name.replace("=", "=\n").replace("_", "\n")
        made.add_row(Text(shown), *(Text(cell.replace(" [", "\n[").replace(", ", ",\n ")) for cell in cells))
    return made
