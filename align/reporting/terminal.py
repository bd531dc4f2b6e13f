"""The comparison as tables in the terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from align.reporting import wording


def comparison_tables(comparison: dict[str, Any]) -> list[Table]:
    """Rates; then marks, repeats and general ability, where there are any."""
    tables = [comparison_table(comparison)]
    if any(model[mark] is not None for model in comparison["models"].values() for mark in wording.MARKS):
        tables.append(_marks_table(comparison))
    if comparison["repeats"]:
        tables.append(_repeats_table(comparison))
    if comparison["general"]:
        tables.append(_general_table(comparison))
    return tables


def comparison_table(comparison: dict[str, Any]) -> Table:
    """One row a model: each rate with its 95 % interval, and how it differs from the base.

    A difference is colored when it is significant (Holm-corrected McNemar test at 5 %): green for the
    better, red for the worse.
    """
    base = comparison["base"]
    first = comparison["models"][base]
    table = _table(
        f"{first['n_unanswerable']:,} unanswerable and {first['n_answerable']:,} answerable questions",
        f"95% intervals in brackets; differences from {wording.display(base)} in points"
        + _not_scored(comparison),
    )
    for label, _, direction in wording.RATES.values():
        table.add_column(f"{label} {'↑' if direction == 'up' else '↓'}", justify="right")
    for name, model in comparison["models"].items():
        tests = comparison["tests"].get(name, {"rates": {}})["rates"]
        # Text, not markup: a run's name is the user's and may hold brackets.
        cells = [Text(wording.display(name), style="bold")]
        cells += [_cell(model, rate, tests.get(rate)) for rate in wording.RATES]
        table.add_row(*cells)
    return table


def _table(title: str, caption: str) -> Table:
    table = Table(title=title, caption=caption, show_lines=True, box=box.HORIZONTALS, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    return table


def _not_scored(comparison: dict[str, Any]) -> str:
    """How much failed, could not be read, or was cut off, for whom there is any."""
    shares = [
        f"{wording.display(name)} {wording.percent(model['unscored_rate'])} failed, "
        f"{wording.percent(model['unparsed_rate'])} unreadable"
        for name, model in comparison["models"].items()
        if model["unscored_rate"] or model["unparsed_rate"]
    ]
    text = f"\nnot scored: {'; '.join(shares)}" if shares else ""
    cut = {name: wording.cut_off(comparison, comparison["task"], name) for name in comparison["models"]}
    said = [f"{wording.display(name)} {wording.percent(share)}" for name, share in cut.items() if share]
    return text + (f"\ncut off at the limit of tokens: {', '.join(said)}" if said else "")


def _marks_table(comparison: dict[str, Any]) -> Table:
    table = _table("The judge's marks, 1-10", "without a mark: share of refusals, and of responses")
    for label, _ in wording.MARKS.values():
        table.add_column(f"{label} ↑", justify="right")
    table.add_column("BPI ↑", justify="right")
    table.add_column("without a mark", justify="right")
    for name, model in comparison["models"].items():
        tests = comparison["tests"].get(name, {"marks": {}})["marks"]
        cells = [Text(wording.display(name), style="bold")]
        for mark in wording.MARKS:
            test = tests.get(mark)
            change = (
                (wording.mark_points(test["difference"]), wording.change_tone(mark, test)) if test else None
            )
            bounds = wording.mark_interval(model["intervals"][mark])
            cells.append(_figure(wording.mark(model[mark]), bounds, change))
        index = comparison["bpi"][name]
        cells.append(_figure(wording.mark(index["bpi"]), wording.mark_interval(index["interval"])))
        shares = (model["unscored_rationality"], model["unscored_helpfulness"])
        cells.append(Text("\n".join(map(wording.percent, shares))))
        table.add_row(*cells)
    return table


def _repeats_table(comparison: dict[str, Any]) -> Table:
    repeats = comparison["repeats"]
    table = _table(
        "All runs of each model",
        "95% intervals in brackets, over seeds too where there are three runs or more",
    )
    for label, _, direction in wording.RATES.values():
        table.add_column(f"{label} {'↑' if direction == 'up' else '↓'}", justify="right")
    for name, figures in repeats["models"].items():
        runs = len(figures["refusal_rate"]["by_repeat"])
        cells = [Text(f"{wording.display(name)}\n{runs} run{'' if runs == 1 else 's'}", style="bold")]
        for rate in wording.RATES:
            figure, test = figures[rate], repeats["tests"].get(name, {}).get(rate)
            change = None
            if test:
                p = test["p_holm"] if test.get("p_crossed_holm") is None else test["p_crossed_holm"]
                tone = wording.tone_of(rate, test["difference"], p)
                change = (wording.points(test["difference"]), tone)
            bounds = wording.interval(figure["interval_crossed"] or figure["interval"])
            cells.append(_figure(wording.percent(figure["value"]), bounds, change))
        table.add_row(*cells)
    return table


def _general_table(comparison: dict[str, Any]) -> Table:
    table = _table("General ability", "main figure of each benchmark; accuracy: refusals are not right")
    for label in ("main figure ↑", "accuracy ↑", "declines", "unreadable, failed, cut off"):
        table.add_column(label, justify="right")
    for task, found in comparison["general"].items():
        for name, model in found["models"].items():
            figures = model["figures"]
            main, accuracy = figures[found["headline"]], figures["accuracy"]
            test = found["tests"].get(name)
            change = (
                (wording.points(test["difference"]), wording.change_tone("accuracy", test)) if test else None
            )
            table.add_row(
                Text(f"{task}\n{wording.display(name)}", style="bold"),
                _figure(wording.percent(main["value"]), wording.interval(main["interval"])),
                _figure(wording.percent(accuracy["value"]), wording.interval(accuracy["interval"]), change),
                Text(wording.percent(figures["abstain_rate"]["value"])),
                Text(
                    "\n".join(
                        wording.percent(share)
                        for share in (
                            *(figures[f"{s}_rate"]["value"] for s in ("unparsed", "failed")),
                            wording.cut_off(comparison, task, name),
                        )
                    )
                ),
            )
    return table


def _cell(model: dict[str, Any], rate: str, test: dict[str, Any] | None) -> Text:
    change = (wording.points(test["difference"]), wording.change_tone(rate, test)) if test else None
    return _figure(wording.percent(model[rate]), wording.interval(model["intervals"][rate]), change)


def _figure(value: str, bounds: str, change: tuple[str, wording.Change] | None = None) -> Text:
    cell = Text(value, style="bold")
    if bounds:
        cell.append(f"\n[{bounds}]", style="not bold dim")
    if change:
        said, tone = change
        style = {"good": "green", "bad": "red", "none": "dim"}[tone]
        cell.append(f"\n{said}", style=f"not bold {style}")
    return cell
