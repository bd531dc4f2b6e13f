"""What became of each job: its figures, its objective, and whether it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from align.sweeping.job import State, job_folder, seen_state
from align.sweeping.objective import Objective, ObjectiveError, honesty_task, read_figures
from align.sweeping.plan import Job, Plan

Verdict = Literal["feasible", "infeasible", "failed", "pruned", "unfinished"]

FIGURES = (
    "refusal_rate",
    "reason_accuracy",
    "over_refusal_rate",
    "answer_accuracy",
    "dual_accuracy",
    "rationality",
    "helpfulness",
)
"""What is shown of a job, of those that its task has."""


@dataclass(frozen=True)
class Outcome:
    """One job. `objective` and `margin` (above the floor) are of jobs that were measured, else None."""

    job: Job
    state: State
    verdict: Verdict
    reason: str | None = None
    objective: float | None = None
    margin: float | None = None
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        return self.verdict in ("feasible", "infeasible")

    def shown(self, task: str | None) -> Mapping[str, Any]:
        """The results of the task that is shown; empty where there are none."""
        return self.figures.get(task, {}) if task is not None else {}


def outcome_of(out: str | Path, plan: Plan, job: Job, objective: Objective) -> Outcome:
    """What became of one job. A figure that cannot be had makes it a failed one, with the reason."""
    folder = job_folder(out, job)
    state = seen_state(folder)
    if state.status in ("failed", "pruned"):
        return Outcome(job, state, state.status, state.reason)
    if state.status != "finished":
        return Outcome(job, state, "unfinished", state.reason or state.status)
    figures = read_figures(folder / "benchmark", folder / "train")
    try:
        value = objective.value(figures)
        # What it is reported by has to be there as well.
        if objective.report is not None and objective.report not in figures:
            raise ObjectiveError(f"objective.report: there are no results of the task {objective.report}")
        base = None
        if objective.below_base is not None:
            found = base_of(out, plan, job)
            if found is not None and found.status not in ("finished", "failed"):
                return Outcome(job, state, "unfinished", "the base is not measured yet", value, None, figures)
            if found is not None and found.status == "finished":
                base = read_figures(Path(out) / str(job.base) / "benchmark")
        margin = objective.margin(figures, base)
    except ObjectiveError as error:
        return Outcome(job, state, "failed", f"objective: {error}", figures=figures)
    if margin is not None and margin < 0:
        reason = f"{objective.floor_figure} is {-margin:.4g} below the floor"
        return Outcome(job, state, "infeasible", reason, value, margin, figures)
    return Outcome(job, state, "feasible", None, value, margin, figures)


def base_of(out: str | Path, plan: Plan, job: Job) -> State | None:
    """The state of a job's base, None where the plan has none."""
    base = next((each for each in plan.jobs if each.id == job.base), None)
    return None if base is None else seen_state(job_folder(out, base))


def shown_task(objective: Objective, outcomes: list[Outcome]) -> str | None:
    """The benchmark's task whose figures stand in the summary: what is reported, else what is chosen by."""
    if objective.report is not None:
        return objective.report
    if objective.task is not None and objective.task != "probe":
        return objective.task
    for outcome in outcomes:
        try:
            return honesty_task(outcome.figures)
        except ObjectiveError:
            continue
    return None
