"""What the corruption benchmark says: figures under every condition, and their change from the raw image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align.evaluation.corrections import add_corrected
from align.evaluation.corruption import NO_IMAGE, RAW, SEVERITIES, Condition
from align.evaluation.metrics import paired_mark_tests, paired_tests, paired_tests_by_group, summarize_groups
from align.records import UNANSWERABLE, Graded


def summarize_corruption(rows: Sequence[Graded]) -> dict[str, Any]:
    """`metrics.summarize_groups` of `raw`, and of every condition under `by_condition`.

    `changes` holds, for every other condition, each tested figure against that of `raw` on the questions that
    were scored under both: `n`, the figure under both (`raw`, `corrupted`), `difference` (corrupted - raw),
    its 95 % `interval` and `p` (by image: `metrics.paired_tests`), and `p_holm`, corrected for the number of
    conditions. None where no question has the figure. `by_category` in it has the same of `refusal_rate` for
    each unanswerable category, corrected for conditions times categories.

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
    by_condition = {condition: summarize_groups(group) for condition, group in groups.items()}
    raw = groups.pop(RAW)
    changes = {condition: _changes(raw, group) for condition, group in groups.items()}
    for figure in next(iter(changes.values()), {}):
        add_corrected([of_condition[figure] for of_condition in changes.values()])
    return {**by_condition[RAW], "by_condition": by_condition, "changes": changes}


def _order(name: str) -> tuple[int, int]:
    condition = Condition.parse(name)
    kinds = [RAW, *SEVERITIES]
    place = kinds.index(condition.kind) if condition.kind in kinds else len(kinds) + (name == NO_IMAGE)
    return place, condition.severity or 0


def _changes(raw: Sequence[Graded], group: Sequence[Graded]) -> dict[str, Any]:
    tests = {**paired_tests(raw, group), **paired_mark_tests(raw, group)}
    by_category = paired_tests_by_group(raw, group)["by_category"]
    changes: dict[str, Any] = {figure: _change(test) for figure, test in tests.items()}
    changes["by_category"] = {
        category: {"refusal_rate": _change(by_category[category]["refusal_rate"])}
        for category in UNANSWERABLE
        if category in by_category
    }
    return changes


def _change(test: dict[str, Any] | None) -> dict[str, Any] | None:
    if test is None:
        return None
    same = ("n", "difference", "interval", "p")
    return {"raw": test["base"], "corrupted": test["tuned"], **{name: test[name] for name in same}}
