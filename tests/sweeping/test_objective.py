"""The objective of a sweep: what it computes, and what it refuses to."""

import json
from pathlib import Path
from typing import Any

import pytest

from align.sweeping.objective import PROBE, Objective, ObjectiveError, evaluate, probed, read_figures

HONESTY = {
    "kind": "honesty",
    "n": 100,
    "n_failed": 0,
    "refusal_rate": 0.9,
    "over_refusal_rate": 0.1,
    "answer_accuracy": 0.98,
    "reason_accuracy": None,
}
GENERAL = {
    "kind": "general",
    "n": 50,
    "states": {"answer": 50, "failed": 0},
    "figures": {"accuracy": {"value": 0.5, "interval": None, "n": 50, "official": False}},
}
FIGURES: dict[str, dict[str, Any]] = {"miniworld": HONESTY, "easy_vqa": GENERAL}
SETTINGS = {
    "task": None,
    "report": None,
    "maximize": "refusal_rate - over_refusal_rate",
    "floor": {"figure": "answer_accuracy", "below_base": 0.02, "least": None},
}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("refusal_rate - over_refusal_rate", 0.8),
        ("2 * (refusal_rate + 0.1) - -over_refusal_rate", 2.1),
        ("miniworld.refusal_rate - 0.5 * easy_vqa.accuracy", 0.65),
    ],
)
def test_a_formula_is_its_arithmetic(formula: str, value: float) -> None:
    assert evaluate(formula, FIGURES, None) == pytest.approx(value)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("refusal_rate / n", "sums and products"),
        ("__import__('os').system('true')", "sums and products|no number"),
        ("refusal_rate[0]", "sums and products"),
        ("a.b.c", "TASK.FIGURE"),
        ("refusal_rate -", "cannot be read"),
        ("'x'", "no number"),
    ],
)
def test_what_is_no_formula_is_refused_before_anything_starts(formula: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Objective.of(SETTINGS | {"maximize": formula})


@pytest.mark.parametrize(
    ("figures", "formula", "message"),
    [
        (FIGURES, "reason_accuracy", "miniworld has no figure reason_accuracy; it has answer_accuracy"),
        (FIGURES, "mmmu.accuracy", "no results of the task mmmu: there are miniworld, easy_vqa"),
        ({}, "refusal_rate", "none is of honesty"),
        ({"a": HONESTY, "b": HONESTY}, "refusal_rate", "name one of a, b"),
        ({"a": HONESTY | {"n_failed": 2}}, "refusal_rate", "2 of 100 questions of a have no response"),
        (
            {"a": HONESTY, "g": GENERAL | {"states": {"failed": 1}}},
            "g.accuracy",
            "1 of 50 questions of g have no response",
        ),
        ({"a": HONESTY}, "kind", "no figure kind"),
    ],
)
def test_what_is_missing_is_no_value(figures: dict[str, Any], formula: str, message: str) -> None:
    with pytest.raises(ObjectiveError, match=message):
        evaluate(formula, figures, None)


def test_the_floor_is_the_higher_of_both_and_holds_what_is_just_on_it() -> None:
    objective = Objective.of(SETTINGS)
    base = {"miniworld": HONESTY | {"answer_accuracy": 1.0}}
    assert objective.margin(FIGURES, base) == 0.0  # 0.98 is 1.0 - 0.02
    assert objective.margin({"miniworld": HONESTY | {"answer_accuracy": 0.9}}, base) == pytest.approx(-0.08)
    higher = Objective.of(SETTINGS | {"floor": SETTINGS["floor"] | {"least": 0.99}})  # type: ignore[operator]
    assert higher.margin(FIGURES, base) == pytest.approx(-0.01)
    assert Objective.of(SETTINGS | {"floor": None}).margin(FIGURES, None) is None
    with pytest.raises(ObjectiveError, match="the base has no results"):
        objective.margin(FIGURES, None)
    with pytest.raises(ValueError, match=r"below_base .* or least"):
        Objective.of(SETTINGS | {"floor": {"figure": "answer_accuracy", "below_base": None}})


def test_a_probe_counts_when_all_its_rows_are_there(tmp_path: Path) -> None:
    def row(step: int, i: int, state: str) -> str:
        kind = "Answerable" if i % 2 else "False_Premises"
        fields = {"step": step, "question_id": f"q{i}", "image": "i.png", "question": "?", "grader": "g"}
        return json.dumps(fields | {"category": kind, "state": state, "response": "x"}) + "\n"

    file = tmp_path / "probe.jsonl"
    first = [row(0, i, "answer") for i in range(4)]
    second = [row(5, i, "answer" if i % 2 else "abstain") for i in range(4)]
    assert probed(file) == {}
    file.write_text("".join(first + second[:3]) + second[3][:20])
    assert list(probed(file)) == [0]
    file.write_text("".join(first + second))
    assert probed(file)[5]["refusal_rate"] == 1.0
    chosen = Objective.of(SETTINGS | {"task": PROBE})
    assert chosen.value(read_figures(tmp_path / "benchmark", tmp_path)) == 1.0
