"""The benchmarked models of a comparison: their tasks, their repeats, and whether they can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from align.evaluation.response_facts import truncation_note
from align.records import DataError, Graded, Problem
from align.reporting.run_folders import RESULTS, TaskRows, read_folder


@dataclass(frozen=True)
class BenchmarkRun:
    """One benchmarked model under the name that it has in a comparison.

    `main` is its honesty task. `repeats` are further runs of the same model with other seeds; what is shown
    sample by sample is the first run's.
    """

    name: str
    folder: Path
    tasks: dict[str, TaskRows]
    main: TaskRows
    record: dict[str, Any]
    repeats: tuple[BenchmarkRun, ...] = field(default=())

    @property
    def graded(self) -> list[Graded]:
        return self.main.graded

    @property
    def results(self) -> dict[str, Any]:
        return self.main.results

    @property
    def data_root(self) -> Path:
        """The folder that image paths of the main task are relative to."""
        return self.main.data_root

    @cached_property
    def by_id(self) -> dict[str, Graded]:
        return {row.question_id: row for row in self.graded}

    @property
    def graders(self) -> list[str]:
        return self.main.graders

    @property
    def all_runs(self) -> tuple[BenchmarkRun, ...]:
        return (self, *self.repeats)


def load_runs(
    folders: Mapping[str, str | Path | Sequence[str | Path]], *, task: str | None = None
) -> list[BenchmarkRun]:
    """Read benchmark folders, in the given order, and check that they hold the same questions.

    Several folders under one name are repeats of one model, the first of which is shown. `task` is the name
    of the honesty task that the comparison is about; None takes the only one that all runs have.

    Raises `DataError` with every file that is missing or can't be read, or with the questions that differ.
    """
    if not isinstance(folders, Mapping) or not folders:
        text = f"give a name and a folder for each, runs='{{base: FOLDER, dpo: FOLDER}}'; found {folders!r}"
        raise DataError([Problem(file="runs", message=text)])
    problems: list[Problem] = []
    found: dict[str, list[tuple[Path, dict[str, TaskRows], dict[str, Any]]]] = {}
    for name, given in folders.items():
        several = [given] if isinstance(given, str | Path) else list(given or ())
        if not several:
            problems.append(Problem(file="runs", field=name, message="names no folder: give one, or several"))
        if len(set(map(str, several))) < len(several):
            text = "the same folder stands there twice: repeats are different runs"
            problems.append(Problem(file="runs", field=name, message=text))
        for folder in several:
            try:
                found.setdefault(name, []).append((Path(folder), *read_folder(name, Path(folder))))
            except DataError as error:
                problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    main = _main_task([(folder, tasks) for parts in found.values() for folder, tasks, _ in parts], task)
    runs = []
    for name, parts in found.items():
        made = [BenchmarkRun(name, folder, tasks, tasks[main], record) for folder, tasks, record in parts]
        first, others = made[0], tuple(made[1:])
        runs.append(BenchmarkRun(name, first.folder, first.tasks, first.main, first.record, others))
    check_same_questions(runs)
    return runs


def _main_task(found: Sequence[tuple[Path, Mapping[str, TaskRows]]], wanted: str | None) -> str:
    """The honesty task that every run has. Raises `DataError` when there is none, or more than one."""
    honesty = [[name for name, rows in tasks.items() if rows.kind == "honesty"] for _, tasks in found]
    common = [name for name in honesty[0] if all(name in names for names in honesty)]
    if wanted is not None:
        if wanted in common:
            return wanted
        text = f"{wanted!r} is no honesty task of every run; these are: {', '.join(common) or 'none'}"
        raise DataError([Problem(file="task", message=text)])
    if len(common) == 1:
        return common[0]
    if common:
        text = f"every run has {' and '.join(common)}: choose one with task=NAME"
        raise DataError([Problem(file="task", message=text)])
    raise DataError(
        [
            Problem(
                file=str(folder),
                message="the runs have no honesty task in common; this one has "
                f"{', '.join(names) or 'none'}: benchmark all models on the same one",
            )
            for (folder, _), names in zip(found, honesty, strict=True)
        ]
    )


def task_names(runs: Sequence[BenchmarkRun], kind: str) -> list[str]:
    """Tasks of a kind that any model has, in the order in which they occur."""
    names = (name for run in runs for name, rows in run.tasks.items() if rows.kind == kind)
    return list(dict.fromkeys(names))


def inputs_of(runs: Sequence[BenchmarkRun]) -> dict[str, str]:
    """Every file of graded rows that a comparison was made from, under a name that says which it is."""
    found = {}
    for run in runs:
        for number, one in enumerate(run.all_runs):
            name = f"{run.name}.{number}" if run.repeats else run.name
            for task, rows in one.tasks.items():
                found[name if task == one.main.name else f"{name}/{task}"] = rows.file
    return found


def check_same_questions(runs: Sequence[BenchmarkRun]) -> None:
    """Models can be set side by side on the same questions only: of every task, those that have it.

    Raises `DataError` that names each question that one run lacks, or that differs, and in which field.
    """
    problems: list[Problem] = []
    everyone = [one for run in runs for one in run.all_runs]
    for name in dict.fromkeys(name for run in everyone for name in run.tasks):
        first, *others = [run for run in everyone if name in run.tasks]
        for run in others:
            problems.extend(_differences(first.name, first.tasks[name], run.name, run.tasks[name]))
    if problems:
        raise DataError(
            sorted(problems, key=lambda problem: (problem.file, problem.row_id or "", problem.message))
        )


def _differences(name: str, first: TaskRows, other_name: str, other: TaskRows) -> list[Problem]:
    if first.kind != other.kind:
        text = f"task {first.name} is of kind {other.kind} here and {first.kind} in run {name!r}"
        return [Problem(file=str(other.folder / "results.json"), field="kind", message=text)]
    problems = []
    for key in first.by_key.keys() ^ other.by_key.keys():
        has, lacks = (name, other_name) if key in first.by_key else (other_name, name)
        row = first.by_key.get(key) or other.by_key[key]
        asked = getattr(row, "question", None) or getattr(row, "prompt", "")
        which = f"question {key[0]}" + (f" under {key[1]}" if key[1] else "")
        text = f"run {lacks!r} lacks {which} ({asked!r}), which {has!r} has"
        problems.append(Problem(file=other.file, row_id=key[0], message=text))
    for key in first.by_key.keys() & other.by_key.keys():
        ours, theirs = first.by_key[key], other.by_key[key]
        for field_ in first.fields:
            a, b = getattr(ours, field_), getattr(theirs, field_)
            if a != b:
                text = f"question {key[0]} is {b!r} in run {other_name!r} and {a!r} in {name!r}"
                problems.append(Problem(file=other.file, row_id=key[0], field=field_, message=text))
    return problems


def concerns(runs: Sequence[BenchmarkRun]) -> list[Problem]:
    """What does not forbid a comparison, but has to be known to read it."""
    found = []
    names = list(dict.fromkeys(name for run in runs for name in run.tasks))
    for name in names:
        having = [run for run in runs if name in run.tasks]
        first = having[0]
        kind = first.tasks[name].kind
        of_task = "" if name == first.main.name else f" on {name}"
        if kind == "honesty" and name != first.main.name:
            text = f"the honesty task {name} is not in this comparison, which is about {first.main.name}"
            found.append(Problem(file="task", message=f"{text}: task={name} compares that"))
            continue
        lacking = [run.name for run in runs if name not in run.tasks]
        if lacking:
            text = (
                f"run {' and '.join(map(repr, lacking))} has no task {name}: it is shown for the others only"
            )
            found.append(Problem(file=str(having[0].tasks[name].folder), field="task", message=text))
        for run in having[1:]:
            theirs, ours = run.tasks[name].graders, first.tasks[name].graders
            if theirs != ours:
                text = (
                    f"run {run.name!r} was graded by {', '.join(theirs)} and {first.name!r} by "
                    f"{', '.join(ours)}{of_task}: a difference may be the graders'"
                )
                found.append(Problem(file=run.tasks[name].file, field="grader", message=text))
        for one in (one for run in having for one in run.all_runs if name in one.tasks):
            rows = one.tasks[name].rows
            failed = [row for row in rows if row.state == "failed"]
            if failed:
                text = (
                    f"{len(failed)} of {len(rows)} responses of run {one.name!r} failed{of_task} and are in "
                    f"no rate; the first: {failed[0].error}"
                )
                found.append(Problem(file=one.tasks[name].file, message=text))
            if note := truncation_note(one.tasks[name].results.get("responses")):
                text = f"run {one.name!r}{of_task}: {note}, and benchmark it again"
                found.append(Problem(file=str(one.tasks[name].folder / RESULTS), message=text))
        shown = {run.tasks[name].results.get("images") for run in having} - {None}
        if len(shown) > 1:
            text = f"the runs were not shown the same images{of_task}: a file changed between them"
            found.append(Problem(file=str(first.tasks[name].data_root), field="image", message=text))
    for run in runs:
        if run.repeats:
            text = f"run {run.name!r} has {len(run.all_runs)} repeats: all figures but those of the repeats "
            found.append(Problem(file=str(run.folder), message=text + "are of this first one"))
    return found + _same_model(runs)


def _same_model(runs: Sequence[BenchmarkRun]) -> list[Problem]:
    """Runs that are called different and are of one model: a slip when folders were typed."""
    seen: dict[str, str] = {}
    found = []
    for run in runs:
        digest = run.results["model"].get("digest")
        if digest is None:
            continue
        if digest in seen:
            text = f"runs {seen[digest]!r} and {run.name!r} are of the same model (digest {digest})"
            found.append(Problem(file=str(run.folder), field="model", message=text))
        seen.setdefault(digest, run.name)
    return found
