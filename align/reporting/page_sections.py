"""What the sections of the page show that its template does not read from the comparison as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align.evaluation.corruption import Condition
from align.records import UNANSWERABLE
from align.reporting.corruption_plot import make_corruption
from align.reporting.curves import corruption_panels, risk_coverage_panel
from align.reporting.wording import CATEGORIES, CORRUPTIONS, RATES

_CHARTS = {
    "refusal_rate": "Unanswerable questions declined",
    "answer_accuracy": "Answerable questions answered right",
    "over_refusal_rate": "Answerable questions declined",
}


def sections(comparison: dict[str, Any]) -> dict[str, Any]:
    """Names of the template and their values; a section without data has an empty or no value."""
    models = comparison["models"]
    order = {name: index for index, name in enumerate(models)}
    # What the whole model does with questions is the view in which a refusal costs coverage.
    risk = {name: views["all"] for name, views in comparison["risk_coverage"].items()}
    costs = [one["c"] for found in comparison["phi"].values() if found["n"] for one in found["phi"]]
    return {
        "marked": any(
            model[mark] is not None or model[f"unscored_{mark}"] is not None
            for model in models.values()
            for mark in ("rationality", "helpfulness")
        ),
        "general_rows": general_rows(comparison["general"]),
        "corruption": {
            task: _corruption(found, order)
            for task, found in comparison["corruption"].items()
            if any("by_condition" in results for results in found.values())
        },
        "shows": _shows(comparison),
        "repeats_crossed": any(
            figures["refusal_rate"]["interval_crossed"]
            for figures in (comparison["repeats"] or {"models": {}})["models"].values()
        ),
        "risk_panel": risk_coverage_panel(risk, order),
        "phi_costs": list(dict.fromkeys(costs)),
    }


def _shows(comparison: dict[str, Any]) -> list[tuple[str, float]]:
    """For each rate the smallest true difference that the questions show, the largest over tuned models."""
    found = []
    for rate, (label, _, _) in RATES.items():
        tables = [table[rate] for table in comparison["power"].values() if table.get(rate)]
        differences = [table["smallest_difference"] for table in tables]
        if differences and None not in differences:
            found.append((label, max(differences)))
    return found


def general_rows(general: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every figure of every benchmark and part (empty: all), with its values `by_model`."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for task, found in general.items():
        for name, model in found["models"].items():
            parts = {"": model["figures"]} | {
                part: of_part["figures"] for part, of_part in model["by_part"].items()
            }
            for part, figures in parts.items():
                for figure, value in figures.items():
                    rows.setdefault((task, part, figure), {})[name] = value
    return [
        {"task": task, "part": part, "figure": figure, "by_model": values}
        for (task, part, figure), values in rows.items()
    ]


def _corruption(results: Mapping[str, Any], order: Mapping[str, int]) -> dict[str, Any]:
    """Charts of the main rates, and the refusal rate by category under the severest conditions."""
    there = {name: result for name, result in results.items() if "by_condition" in result}
    found = make_corruption(there)
    charts = []
    if found is not None:
        drawn = {label: corruption_panels(found, rate, order) for rate, label in _CHARTS.items()}
        charts = [(label, panels) for label, panels in drawn.items() if panels]
    conditions = _severest({name for result in there.values() for name in result["by_condition"]})
    categories: dict[str, dict[str, dict[str, Any]]] = {}
    for category in (c for c in CATEGORIES if c in UNANSWERABLE):
        for name, result in there.items():
            groups = {c: result["by_condition"].get(c, {}) for c in conditions}
            groups = {c: group.get("by_category", {}).get(category) for c, group in groups.items()}
            if any(groups.values()):
                cells: dict[str, Any] = {
                    c: {
                        "value": group["refusal_rate"] if group else None,
                        "interval": group["intervals"]["refusal_rate"] if group else None,
                    }
                    for c, group in groups.items()
                }
                cells["unscored"] = max(group["unscored_rate"] or 0.0 for group in groups.values() if group)
                categories.setdefault(category, {})[name] = cells
    return {"charts": charts, "conditions": conditions, "categories": categories}


def _severest(names: set[str]) -> dict[str, str]:
    """The raw image, the severest condition of each kind, and those without a severity, with their labels."""
    of_kind: dict[str, Condition] = {}
    for name in names:
        condition = Condition.parse(name)
        known = of_kind.get(condition.kind)
        if known is None or (condition.severity or 0) > (known.severity or 0):
            of_kind[condition.kind] = condition
    kinds = ["raw", *CORRUPTIONS, "blank", "no-image"]
    labels = {"raw": "Raw", "blank": "Blank", "no-image": "No image"}
    return {
        of_kind[kind].name: labels.get(kind) or f"{CORRUPTIONS[kind]} {of_kind[kind].severity}"
        for kind in kinds
        if kind in of_kind
    }
