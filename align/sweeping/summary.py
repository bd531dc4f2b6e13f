"""One summary of a sweep, also of one that still runs: on the terminal, as JSON, CSV, Markdown and a page."""

from __future__ import annotations

import math
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from align.cli.launching import command_for
from align.cli.programs import find_program
from align.records import atomic_write, write_json
from align.reporting import wording
from align.reporting.tables import to_csv, to_markdown
from align.sweeping.analysis import (
    SEED,
    Configuration,
    Effect,
    axes_of,
    best_against_next,
    best_job,
    best_of,
    configurations,
    effects,
    pareto_front,
    setting,
)
from align.sweeping.job import State, job_folder, seen_state
from align.sweeping.objective import PROBE, Objective, read_figures
from align.sweeping.outcomes import FIGURES, Outcome, outcome_of, shown_task
from align.sweeping.plan import Job, Plan, read_plan
from align.sweeping.words import key_of, quoted

LABELS = {name: label for name, (label, _, _) in wording.RATES.items()} | {
    name: label for name, (label, _) in wording.MARKS.items()
}
_ON_TERMINAL = ("refusal_rate", "over_refusal_rate", "answer_accuracy")
_WIDEST = 24
SIGNS = {"feasible": "", "infeasible": "below the floor", "failed": "failed", "pruned": "pruned"}


@dataclass(frozen=True)
class Base:
    """What the jobs started from: how far its benchmark is, and its figures."""

    job: Job
    state: State
    figures: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Summary:
    """All that the summary says, before it has a form. `outcomes` are ranked: best configuration first."""

    out: Path
    plan: Plan
    objective: Objective
    task: str | None
    axes: list[str]
    outcomes: list[Outcome]
    bases: list[Base]
    configurations: list[Configuration]
    best: Configuration | None
    effects: list[Effect]
    front: list[Outcome]
    against_next: dict[str, Any] | None
    command: str | None
    notes: list[str]

    @property
    def figures(self) -> list[str]:
        """The figures that at least one job has."""
        return [f for f in FIGURES if any(o.shown(self.task).get(f) is not None for o in self.outcomes)]

    def counts(self) -> Counter[str]:
        return Counter(outcome.verdict for outcome in self.outcomes)


def write_summary(out: str | Path) -> int:
    """Show the summary and leave it in the sweep's folder. Returns the exit status: 1 if something failed."""
    from align.sweeping.page import render_page

    summary = summarize_sweep(out)
    folder = summary.out
    columns, rows = job_table(summary)
    write_json(folder / "summary.json", as_json(summary))
    for name, text in (
        ("summary.csv", to_csv(columns, rows)),
        ("summary.md", markdown(summary)),
        ("summary.html", render_page(summary)),
    ):
        with atomic_write(folder / name) as stream:
            stream.write(text)
    show(summary, Console())
    failed = [o.job.label for o in summary.outcomes if o.verdict == "failed"]
    failed += [base.job.id for base in summary.bases if base.state.status == "failed"]
    return 1 if failed else 0


def summarize_sweep(out: str | Path) -> Summary:
    """Read what is there of a sweep. Raises `ValueError` where there is none."""
    out = Path(out)
    plan = read_plan(out)
    if plan is None:
        raise ValueError(f"{out}: there is no sweep in this folder (no sweep.json)")
    objective = Objective.of(plan.objective)
    found = [outcome_of(out, plan, job, objective) for job in plan.trained]
    task = shown_task(objective, found)
    axes = axes_of(found)
    groups = configurations(found, axes)
    best = best_of(groups)
    bases = []
    for job in plan.jobs:
        if job.recipe is None:
            folder = job_folder(out, job)
            bases.append(Base(job, seen_state(folder), read_figures(folder / "benchmark")))
    return Summary(
        out=out,
        plan=plan,
        objective=objective,
        task=task,
        axes=axes,
        outcomes=[o for group in groups for o in sorted(group.outcomes, key=_rank)],
        bases=bases,
        configurations=groups,
        best=best,
        effects=effects(groups, axes),
        front=pareto_front(found, task),
        against_next=best_against_next(out, groups, objective, task),
        command=None if best is None else repeat_command(out, plan, best_job(best).job),
        notes=notes(plan, objective, task, found, groups, best),
    )


def _rank(outcome: Outcome) -> tuple[bool, float]:
    return outcome.objective is None, -(outcome.objective or 0.0)


def repeat_command(out: Path, plan: Plan, job: Job) -> str:
    """What a shell runs to train and benchmark a job again, into a folder of its own."""
    folder = out / "repeat"
    assert job.recipe is not None
    train = command_for(find_program(job.recipe), [*plan.launch, *job.words, f"out={quoted(folder)}"])
    tuned = "best" if plan.adapter == "best" else "adapter"
    asked = [word for word in job.benchmark if key_of(word) not in ("tracking.group", "tracking.name")]
    words = [
        *plan.benchmark_launch,
        *asked,
        f"adapter={quoted(folder / tuned)}",
        f"out={quoted(folder / 'benchmark')}",
    ]
    if (job_folder(out, job) / "train" / "model").is_dir():
        words[-2:-1] = [f"model.name={quoted(folder / 'model')}", "model.revision=null", "adapter=null"]
    benchmark = command_for(find_program("benchmark"), words)
    return f"{shlex.join(_readable(train))} && {shlex.join(_readable(benchmark))}"


def _readable(command: Sequence[str]) -> list[str]:
    """The same with the names that a shell finds: `accelerate launch`, `python`, paths from here."""
    words = list(command)
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--quiet"]
    words = ["accelerate", "launch", *words[5:]] if words[:5] == launcher else ["python", *words[1:]]
    here = Path.cwd()
    return [
        str(Path(word).relative_to(here)) if word.startswith(f"{here}/") and Path(word).is_file() else word
        for word in words
    ]


def notes(
    plan: Plan,
    objective: Objective,
    task: str | None,
    found: Sequence[Outcome],
    groups: Sequence[Configuration],
    best: Configuration | None,
) -> list[str]:
    """What has to be known to read the summary rightly."""
    said = []
    unfinished = sum(outcome.verdict == "unfinished" for outcome in found)
    if unfinished:
        said.append(f"{unfinished} of {len(found)} jobs are not at their end: all of this is so far")
    tried = sum(bool(group.values) for group in groups)
    if best is None:
        said.append("there is no best: no configuration is measured whose jobs all are above the floor")
    elif tried > 1 and objective.report is None and objective.task != PROBE:
        said.append(
            f"the best of {tried} configurations was chosen and is reported on the same questions, so its "
            "figures are optimistic, the more so the more were tried. objective.task=probe, or "
            "objective.task=A with objective.report=B, chooses on some questions and reports on others"
        )
    elif tried > 1:
        where = "the last probe of training" if objective.task == PROBE else objective.task
        said.append(f"chosen on {where}, reported on {task}: the figures are of questions that had no say")
    seeds = {setting(outcome, SEED) for outcome in found}
    if len(seeds) == 1 and tried > 1:
        said.append(
            "one seed: whether another seed would choose the same is not known (seed=0,1,2 would tell)"
        )
    elif best is not None and 1 < len(best.values) < 3:
        said.append(
            f"{len(best.values)} seeds a configuration show a spread, and are too few for a test: three are "
            "enough"
        )
    if plan.search.get("kind") == "optuna" and len(seeds) == 1:
        said.append("a search favours lucky trials: repeat the best with other seeds before relying on it")
    return said


def job_table(summary: Summary) -> tuple[list[str], list[dict[str, Any]]]:
    """Every job with its settings, figures as numbers, what became of it and where it is."""
    columns = ["rank", "job", *summary.axes, "state", "objective", "above_floor", *summary.figures]
    columns += ["train_seconds", "benchmark_seconds", "reason", "folder"]
    rows = []
    for rank, outcome in enumerate(summary.outcomes, start=1):
        row: dict[str, Any] = {axis: setting(outcome, axis) for axis in summary.axes}
        row |= {name: outcome.shown(summary.task).get(name) for name in summary.figures}
        row |= {
            "rank": rank,
            "job": outcome.job.id,
            "state": outcome.verdict,
            "objective": outcome.objective,
            "above_floor": outcome.margin,
            "train_seconds": outcome.state.seconds.get("train"),
            "benchmark_seconds": outcome.state.seconds.get("benchmark"),
            "reason": outcome.reason,
            "folder": str(job_folder(summary.out, outcome.job)),
        }
        rows.append(row)
    return columns, rows


def as_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain values; null stands for what is not known."""
    columns, rows = job_table(summary)
    best = summary.best
    return {
        "name": summary.plan.name,
        "command": list(summary.plan.command),
        "objective": summary.plan.objective,
        "task": summary.task,
        "axes": summary.axes,
        "counts": dict(summary.counts()),
        "notes": summary.notes,
        "base": [
            {"job": base.job.id, "status": base.state.status, "reason": base.state.reason}
            | {name: base.figures.get(summary.task or "", {}).get(name) for name in summary.figures}
            for base in summary.bases
        ],
        "best": None
        if best is None
        else {
            "settings": best.settings,
            "objective": best.mean,
            "sd": best.sd,
            "seeds": len(best.values),
            "job": best_job(best).job.id,
            "command": summary.command,
        },
        "best_against_next": summary.against_next,
        "configurations": [
            {
                "settings": group.settings,
                "mean": group.mean,
                "sd": group.sd,
                "values": group.values,
                "eligible": group.eligible,
                "jobs": [outcome.job.id for outcome in group.outcomes],
            }
            for group in summary.configurations
        ],
        "effects": {
            effect.axis: [
                {
                    "value": level.value,
                    "configurations": level.configurations,
                    "jobs": level.jobs,
                    "mean": level.mean,
                    "least": level.least,
                    "greatest": level.greatest,
                    "seed_sd": level.seed_sd,
                }
                for level in effect.levels
            ]
            for effect in summary.effects
        },
        "pareto_front": [outcome.job.id for outcome in summary.front],
        "jobs": [
            {name: row.get(name) for name in columns}
            | {"words": list(outcome.job.words), "log": outcome.state.log, "tail": list(outcome.state.tail)}
            for row, outcome in zip(rows, summary.outcomes, strict=True)
        ],
    }


def headline(summary: Summary) -> str:
    best, counts = summary.best, summary.counts()
    measured = counts["feasible"] + counts["infeasible"]
    jobs = f"{measured} of {len(summary.outcomes)} jobs measured"
    if best is None:
        return f"No best yet: {jobs}"
    several = f", mean of {len(best.values)} seeds" if len(best.values) > 1 else ""
    return f"{best.label} is best: {summary.objective.maximize} = {value_text(best.mean)}{several}"


def value_text(value: float | None) -> str:
    """An objective: three digits after the point, with a minus that is one."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}".replace("-", "−")


def figure_text(name: str, value: Any) -> str:
    if value is None:
        return "–"
    return wording.mark(value) if name in wording.MARKS else wording.percent(value)


def spread_text(group: Configuration) -> str:
    if group.mean is None:
        return "–"
    return value_text(group.mean) + (f" ± {group.sd:.3f}" if group.sd is not None else "")


def markdown(summary: Summary) -> str:
    columns = ["", *summary.axes, "objective", *(LABELS[name] for name in summary.figures), "state"]
    rows = []
    for rank, outcome in enumerate(summary.outcomes, start=1):
        row: dict[str, Any] = {"": rank, "objective": value_text(outcome.objective)}
        row |= {axis: setting(outcome, axis) for axis in summary.axes}
        row |= {LABELS[f]: figure_text(f, outcome.shown(summary.task).get(f)) for f in summary.figures}
        row["state"] = outcome.verdict + (f": {outcome.reason}" if outcome.reason else "")
        rows.append(row)
    lines = [f"# {_plain(summary.plan.name)}", "", f"**{_plain(headline(summary))}**", ""]
    lines += [f"- {_plain(note)}" for note in summary.notes]
    lines += ["", to_markdown(columns, rows)]
    if len(summary.configurations) > 1:
        groups = [
            {
                "configuration": group.label,
                "mean ± sd over seeds": spread_text(group),
                "seeds": len(group.values),
                "may be best": "yes" if group.eligible else "no",
            }
            for group in summary.configurations
        ]
        lines += ["", to_markdown(list(groups[0]), groups)]
    if summary.command:
        lines += ["", "The best again:", "", *(f"    {line}" for line in summary.command.splitlines())]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    for mark in "\\`*_[]<>":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def show(summary: Summary, console: Console) -> None:
    """The summary on the terminal."""
    # As many figures as a terminal has room for; the page and the files have all.
    figures = [name for name in summary.figures if name in _ON_TERMINAL]
    lines: list[tuple[list[str], str]] = []
    for base in summary.bases:
        results = base.figures.get(summary.task or "", {})
        state = "" if base.state.status == "finished" else base.state.status
        cells = ["base", *("" for _ in summary.axes), ""]
        lines.append(([*cells, *(figure_text(f, results.get(f)) for f in figures), state], "dim"))
    for rank, outcome in enumerate(summary.outcomes, start=1):
        cells = [str(rank), *(setting(outcome, axis) for axis in summary.axes), value_text(outcome.objective)]
        cells += [figure_text(name, outcome.shown(summary.task).get(name)) for name in figures]
        style = "bold" if summary.best is not None and outcome in summary.best.outcomes else ""
        sign = SIGNS.get(outcome.verdict, outcome.state.status)
        lines.append(([*cells, sign], style if outcome.measured else "dim"))
    table = Table(box=box.HORIZONTALS, padding=(0, 1, 0, 0))
    heads = ["", *summary.axes, "objective", *(LABELS[name].lower() for name in figures), ""]
    for i, head in enumerate(heads):
        widest = min(_WIDEST, max((len(cells[i]) for cells, _ in lines), default=0))
        left = head in summary.axes or i == len(heads) - 1
        table.add_column(
            Text(head), justify="left" if left else "right", overflow="fold", min_width=max(widest, 4)
        )
    for cells, style in lines:
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print(table)
    for outcome in summary.outcomes:
        if outcome.verdict in ("failed", "pruned"):
            log = f" ({summary.out / outcome.state.log})" if outcome.state.log else ""
            _say(console, f"{outcome.verdict}: {outcome.job.label}: {outcome.reason}{log}", "yellow")
    for base in summary.bases:
        if base.state.status == "failed":
            _say(
                console, f"failed: the base: {base.state.reason} ({summary.out / str(base.state.log)})", "red"
            )
    for note in summary.notes:
        _say(console, note)
    _say(console, headline(summary), "bold")
    if summary.command:
        _say(console, f"the best again:\n{summary.command}")
    _say(console, f"{summary.out / 'summary.html'}")


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
