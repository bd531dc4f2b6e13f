"""What the corruption benchmark says: rates under every condition, and their change from the raw image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from align.evaluation import statistics
from align.evaluation.corruption import NO_IMAGE, RAW, SEVERITIES, Condition
from align.evaluation.metrics import paired_tests, summarize_groups
from align.records import UNANSWERABLE, Graded


def summarize_corruption(rows: Sequence[Graded]) -> dict[str, Any]:
    """`metrics.summarize_groups` of `raw`, and of every condition under `by_condition`.

    `changes` holds, for every other condition, each tested rate against that of `raw` on the questions that
    were scored under both: `n`, both rates, `difference` (condition - raw) with its 95 % `interval` and `p`
    (bootstrap of images), and `p_holm`, corrected for the number of conditions. None where no question has
    the rate. `by_category` in it has the same of `refusal_rate` for each unanswerable category, corrected for
    conditions times categories.

    What is answerable is so by the raw image: declining such a question when nothing can be seen is right,
    and yet counts in `over_refusal_rate`.

    Raises `ValueError` for rows without a condition, and without rows of `raw`.
    """
    by_name: dict[str, list[Graded]] = {}
    for row in rows:
        if row.condition is None:
            raise ValueError(f"question {row.question_id} has no condition: it is of another benchmark")
        by_name.setdefault(row.condition, []).append(row)
    if RAW not in by_name:
        raise ValueError(f"there is no row of the condition `{RAW}`, which the others are held against")
    groups = {condition: by_name[condition] for condition in sorted(by_name, key=_order)}
    raw = groups[RAW]
    by_condition = {condition: summarize_groups(group) for condition, group in groups.items()}
    changes = {condition: _changes(raw, group) for condition, group in groups.items() if condition != RAW}
    for of_rate in _tests_of_each_rate(changes):
        for test, p in zip(of_rate, statistics.holm([test["p"] for test in of_rate]), strict=True):
            test["p_holm"] = p
    return {**by_condition[RAW], "by_condition": by_condition, "changes": changes}


def _order(name: str) -> tuple[int, int]:
    condition = Condition.parse(name)
    kinds = [RAW, *SEVERITIES]
    place = kinds.index(condition.kind) if condition.kind in kinds else len(kinds) + (name == NO_IMAGE)
    return place, condition.severity or 0


def _changes(raw: Sequence[Graded], group: Sequence[Graded]) -> dict[str, Any]:
    changes: dict[str, Any] = {
        rate: test
        and {
            "n": test["n"],
            "raw": test["base"],
            "corrupted": test["tuned"],
            "difference": test["difference"],
            "interval": test["interval"],
            "p": test["p_bootstrap"],
        }
        for rate, test in paired_tests(raw, group).items()
    }
    changes["by_category"] = {
        category: {"refusal_rate": _refusal_change(raw, group, category)}
        for category in UNANSWERABLE
        if any(row.category == category for row in raw)
    }
    return changes


def _refusal_change(raw: Sequence[Graded], group: Sequence[Graded], category: str) -> dict[str, Any] | None:
    before, after = (
        {r.question_id: r for r in rows if r.category == category and r.state != "failed"}
        for rows in (raw, group)
    )
    common = [id for id in before if id in after]
    if not common:
        return None
    difference = statistics.paired_difference(
        [float(before[id].state == "abstain") for id in common],
        [float(after[id].state == "abstain") for id in common],
        [before[id].image for id in common],
    )
    return {
        "n": difference.n,
        "raw": difference.first,
        "corrupted": difference.second,
        "difference": difference.difference,
        "interval": list(difference.interval),
        "p": difference.p,
    }


def _tests_of_each_rate(changes: Mapping[str, Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """The tests that were made of one rate: they are corrected together."""
    rates: dict[str, list[dict[str, Any]]] = {}
    for of_condition in changes.values():
        for rate, test in of_condition.items():
            if rate == "by_category":
                tests = [t["refusal_rate"] for t in test.values()]
                rates.setdefault("by_category", []).extend(t for t in tests if t)
            elif test:
                rates.setdefault(rate, []).append(test)
    return list(rates.values())
