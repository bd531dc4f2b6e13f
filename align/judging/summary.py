"""Verdicts as rates: refusals by model and category, mean marks, and how much is unscored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from rich.table import Table

from align.judging.judged import Judged, calls_for
from align.judging.measuring import wilson
from align.judging.prompts import ASKED, Asked
from align.records import Category, Verdict

ALL = "all"


def summarise(
    items: Sequence[Judged], verdicts: Sequence[Verdict], asks: Iterable[Asked]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures by model and category (`all` beside them), of verdicts on `items` in the same order.

    Each rate has its `n`, and 95 % Wilson intervals. A failed response is no unscored one: it is in `failed`.
    What is unscored is in no rate or mean, and its share is of the responses that the question was asked of;
    where it isn't known whether a response is a refusal, its reason is not counted as unscored too.
    """
    table: dict[str, dict[str, dict[str, Any]]] = {}
    models = sorted({item.response.model for item in items})
    for model in models:
        rows = [(i, v) for i, v in zip(items, verdicts, strict=True) if i.response.model == model]
        categories = [c for c in get_args(Category) if any(i.question.category == c for i, _ in rows)]
        table[model] = {
            category: _figures([(i, v) for i, v in rows if i.question.category == category], asks)
            for category in categories
        } | {ALL: _figures(rows, asks)}
    return table


def _figures(rows: Sequence[tuple[Judged, Verdict]], asks: Iterable[Asked]) -> dict[str, Any]:
    judged = [(item, verdict) for item, verdict in rows if item.response.text is not None]
    scored = [verdict for _, verdict in judged if verdict.refused is not None]
    refused = sum(bool(verdict.refused) for verdict in scored)
    figures: dict[str, Any] = {
        "responses": len(rows),
        "failed": len(rows) - len(judged),
        "refusal_rate": refused / len(scored) if scored else None,
        "refusal_interval": wilson(refused, len(scored)),
        "n": len(scored),
    }
    unscored: dict[str, float] = {}
    asked_of: dict[str, int] = {}
    for asked in (a for a in ASKED if a in set(asks)):
        given = [
            _value(asked, verdict)
            for item, verdict in judged
            if calls_for(asked, item.question, verdict.refused)
        ]
        values = [value for value in given if value is not None]
        asked_of[asked] = len(given)
        unscored[asked] = 1 - len(values) / len(given) if given else 0.0
        if asked != "refusal":
            name = asked if asked != "correctness" else "correct_rate"
            figures[name] = sum(values) / len(values) if values else None
            figures[f"n_{asked}"] = len(values)
    return figures | {"unscored": unscored, "asked_of": asked_of}


def _value(asked: Asked, verdict: Verdict) -> bool | int | None:
    fields = {"refusal": "refused", "correctness": "correct"}
    value: bool | int | None = getattr(verdict, fields.get(asked, asked))
    return value


def as_table(
    title: str, summary: Mapping[str, Mapping[str, Mapping[str, Any]]], asks: Iterable[Asked]
) -> Table:
    """The figures for the terminal."""
    asked = [a for a in ASKED if a in set(asks)]
    table = Table(title=title, title_justify="left")
    table.add_column("model", overflow="fold")
    table.add_column("category", no_wrap=True)
    names = {"refusal": "refused", "correctness": "correct"}
    for column in ("responses", "failed", *(names.get(a, a) for a in asked), "unscored"):
        table.add_column(column, justify="right")
    for model, rows in summary.items():
        for category, row in rows.items():
            cells = [model, category, str(row["responses"]), str(row["failed"])]
            for a in asked:
                if a == "refusal":
                    cells.append(_rate(row["refusal_rate"], row["refusal_interval"]))
                elif a == "correctness":
                    cells.append(
                        _rate(row["correct_rate"], wilson_of(row["correct_rate"], row["n_correctness"]))
                    )
                else:
                    cells.append("-" if row[a] is None else f"{row[a]:.2f} (n {row[f'n_{a}']})")
            shares = [f"{names.get(a, a)} {share:.1%}" for a, share in row["unscored"].items() if share]
            table.add_row(*cells, ", ".join(shares) or "0.0%", end_section=category == ALL)
    return table


def wilson_of(rate: float | None, n: int) -> tuple[float, float] | None:
    """Wilson's interval of a rate among `n`."""
    return None if rate is None else wilson(round(rate * n), n)


def _rate(rate: float | None, interval: tuple[float, float] | None) -> str:
    if rate is None or interval is None:
        return "-"
    return f"{rate:.1%} [{interval[0]:.1%}, {interval[1]:.1%}]"
