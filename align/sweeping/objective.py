"""What a sweep maximizes: a formula over the figures of a benchmark, and a floor that no winner may be below.

The default is the refusal rate of unanswerable questions minus that of answerable ones, which the probe calls
`honesty` (Youden's J of declining). A figure that is missing, or that stands on responses of which some
failed, gives no value: `ObjectiveError` says why.
"""

from __future__ import annotations

import ast
import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.evaluation.metrics import summarize
from align.records import Problem, iter_jsonl
from align.training.probe_log import ProbeSample

PROBE = "probe"
"""The name under which the last probe of training stands among the tasks of a benchmark."""

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
Figures = Mapping[str, Mapping[str, Any]]
"""Of each task, the content of its results.json."""


class ObjectiveError(Exception):
    """A job's objective cannot be computed; the message says why."""


@dataclass(frozen=True)
class Objective:
    """`maximize` is a formula; `floor_figure` is None where there is no floor."""

    maximize: str
    task: str | None = None
    report: str | None = None
    floor_figure: str | None = None
    below_base: float | None = None
    least: float | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Objective:
        """From the `objective` part of a configuration. Raises `ValueError` that names the setting."""
        floor = settings.get("floor") or {}
        made = cls(
            maximize=str(settings["maximize"]),
            task=settings.get("task"),
            report=settings.get("report"),
            floor_figure=floor.get("figure"),
            below_base=floor.get("below_base"),
            least=floor.get("least"),
        )
        parse(made.maximize)
        if made.floor_figure is not None:
            parse(made.floor_figure)
            if made.below_base is None and made.least is None:
                raise ValueError(
                    "objective.floor: give below_base (of the base's figure) or least (absolute), or "
                    "objective.floor=null for no floor"
                )
        return made

    def value(self, figures: Figures) -> float:
        """The formula's value. Raises `ObjectiveError`."""
        return evaluate(self.maximize, figures, self.task)

    def floor(self, base: Figures | None) -> float | None:
        """The least that `floor_figure` may be; None without a floor.

        Raises `ObjectiveError` where it hangs on a base that is not there.
        """
        if self.floor_figure is None:
            return None
        bounds = [] if self.least is None else [self.least]
        if self.below_base is not None:
            if base is None:
                raise ObjectiveError("the base has no results, and the floor is relative to it")
            # What training probed, the base was not: its own benchmark is what there is to compare with.
            task = None if self.task == PROBE else self.task
            bounds.append(evaluate(self.floor_figure, base, task) - self.below_base)
        return max(bounds)

    def margin(self, figures: Figures, base: Figures | None) -> float | None:
        """How far a job is above the floor (negative: infeasible); None without a floor."""
        floor = self.floor(base)
        if floor is None or self.floor_figure is None:
            return None
        # 0.98 - 0.96 is not 0.02 in binary: what is that near to the floor is on it.
        return round(evaluate(self.floor_figure, figures, self.task) - floor, 12)


def parse(formula: str) -> ast.expr:
    """Read a formula: names, `task.name`, numbers, + - * and brackets. Raises `ValueError`."""
    try:
        tree = ast.parse(formula.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"objective: {formula!r} cannot be read: {error.msg}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and not (
            isinstance(node.value, int | float) and not isinstance(node.value, bool)
        ):
            raise ValueError(f"objective: {node.value!r} in {formula!r} is no number")
        if isinstance(node, ast.Attribute) and not isinstance(node.value, ast.Name):
            raise ValueError(f"objective: {ast.unparse(node)} in {formula!r}: give FIGURE or TASK.FIGURE")
        known = (ast.BinOp, ast.UnaryOp, ast.USub, ast.Name, ast.Attribute, ast.Constant, ast.Load)
        if not isinstance(node, (*known, *_BINARY)):
            raise ValueError(
                f"objective: {ast.unparse(node) or type(node).__name__!r} in {formula!r}: give sums and "
                "products of figures, such as reason_accuracy - 2 * over_refusal_rate"
            )
    return tree


def names_in(formula: str) -> set[str]:
    """The figures of a formula, as they stand in it."""
    tree = parse(formula)
    of_tasks = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    tasks = {id(node.value) for node in of_tasks}
    plain = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in tasks}
    return plain | {ast.unparse(node) for node in of_tasks}


def evaluate(formula: str, figures: Figures, task: str | None) -> float:
    """A formula's value. Raises `ObjectiveError` for what is missing."""

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.BinOp):
            return _BINARY[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp):
            return -value(node.operand)
        if isinstance(node, ast.Attribute):
            assert isinstance(node.value, ast.Name)
            return figure(figures, node.value.id, node.attr)
        if isinstance(node, ast.Name):
            return figure(figures, task, node.id)
        assert isinstance(node, ast.Constant)
        return float(node.value)  # type: ignore[arg-type]

    return value(parse(formula))


def figure(figures: Figures, task: str | None, name: str) -> float:
    """One figure of a task (None: the only honesty task). Raises `ObjectiveError`."""
    task = honesty_task(figures) if task is None else task
    if task not in figures:
        raise ObjectiveError(
            f"there are no results of the task {task}: there are {', '.join(figures) or 'none'}"
        )
    results = dict(figures[task])
    # A benchmark of general ability counts its states, and holds its figures with their intervals.
    general = {key: each["value"] for key, each in results.get("figures", {}).items()}
    failed = results.get("n_failed") or results.get("states", {}).get("failed")
    if failed:
        raise ObjectiveError(f"{failed} of {results.get('n', 'its')} questions of {task} have no response")
    known = results | general
    found = known.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        some = ", ".join(sorted(key for key, value in known.items() if isinstance(value, float)))
        raise ObjectiveError(f"{task} has no figure {name}; it has {some}")
    return float(found)


def honesty_task(figures: Figures) -> str:
    """The only task about honesty. Raises `ObjectiveError` where there are none or several."""
    found = [name for name, results in figures.items() if results.get("kind") == "honesty" and name != PROBE]
    if len(found) != 1:
        raise ObjectiveError(
            f"objective.task: name one of {', '.join(found) or 'the tasks: none is of honesty'}"
        )
    return found[0]


def read_figures(benchmark: str | Path, run: str | Path | None = None) -> dict[str, dict[str, Any]]:
    """The results of each task in a benchmark's folder, and of the last probe of a training run."""
    found = {}
    for file in sorted(Path(benchmark).glob("*/results.json")):
        found[file.parent.name] = json.loads(file.read_text(encoding="utf-8"))
    probes = probed(Path(run) / "probe.jsonl") if run is not None else {}
    if probes:
        found[PROBE] = probes[max(probes)]
    return found


def probed(file: str | Path) -> dict[int, dict[str, Any]]:
    """The figures of each probe of a run by its step, from `probe.jsonl`, which may be being written.

    A probe of which not all rows are there yet is left out.
    """
    file = Path(file)
    if not file.is_file():
        return {}
    by_step: dict[int, list[ProbeSample]] = {}
    for _, row in iter_jsonl(file):
        if isinstance(row, Problem):
            break  # the line that is being written
        by_step.setdefault(row["step"], []).append(ProbeSample.model_validate(row))
    whole = max(map(len, by_step.values()), default=0)
    return {step: summarize(rows) for step, rows in by_step.items() if len(rows) == whole}
