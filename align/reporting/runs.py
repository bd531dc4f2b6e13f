"""Benchmark folders, read back: what was graded, of which model, and how the run was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from align.records import DataError, Graded, Problem, read_records

FILES = ("samples.jsonl", "results.json", "run.json")

# What must be equal for two rows to be of the same question.
_OF_THE_QUESTION = ("image", "question", "category", "part", "twin", "answers")


@dataclass(frozen=True)
class BenchmarkRun:
    """One benchmark folder under the name that it has in a comparison."""

    name: str
    folder: Path
    graded: list[Graded]
    results: dict[str, Any]
    record: dict[str, Any]

    @property
    def data_root(self) -> Path:
        """The folder that image paths are relative to; itself relative to the working directory."""
        return Path(self.results["data_root"])

    @cached_property
    def by_id(self) -> dict[str, Graded]:
        return {row.question_id: row for row in self.graded}

    @property
    def graders(self) -> list[str]:
        return sorted({row.grader for row in self.graded})


def load_runs(folders: Mapping[str, str | Path]) -> list[BenchmarkRun]:
    """Read benchmark folders, in the given order, and check that they hold the same questions.

    Raises `DataError` with every file that is missing or can't be read, or with the questions that differ.
    """
    if not isinstance(folders, Mapping) or not folders:
        text = f"give a name and a folder for each, runs='{{base: FOLDER, dpo: FOLDER}}'; found {folders!r}"
        raise DataError([Problem(file="runs", message=text)])
    problems: list[Problem] = []
    runs = []
    for name, folder in folders.items():
        try:
            runs.append(_load(name, Path(folder)))
        except DataError as error:
            problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    check_same_questions(runs)
    return runs


def _load(name: str, folder: Path) -> BenchmarkRun:
    missing = [
        Problem(
            file=str(folder / file),
            message=f"run {name!r} has no such file: give the folder that evaluate/benchmark.py wrote",
        )
        for file in FILES
        if not (folder / file).is_file()
    ]
    if missing:
        raise DataError(missing)
    results, record = (_read_object(folder / file) for file in ("results.json", "run.json"))
    wrong = [
        Problem(
            file=str(folder / "results.json"),
            field=field,
            message=f"expected {kind}, found {results.get(field)!r}",
        )
        for field, kind, type_ in (
            ("data_root", "the folder of the images", str),
            ("task", "the name of the task", str),
            ("model", "an object with the model's name and digest", dict),
        )
        if not isinstance(results.get(field), type_)
    ]
    if wrong:
        raise DataError(wrong)
    graded = read_records(folder / "samples.jsonl", Graded)
    if not graded:
        raise DataError([Problem(file=str(folder / "samples.jsonl"), message="holds no graded response")])
    seen: set[str] = set()
    twice = [
        Problem(
            file=str(folder / "samples.jsonl"),
            row_id=row.question_id,
            field="question_id",
            message=f"{row.question_id} stands there twice: give one response a question",
        )
        for row in graded
        if row.question_id in seen or seen.add(row.question_id)  # type: ignore[func-returns-value]
    ]
    if twice:
        raise DataError(twice)
    return BenchmarkRun(name, folder, graded, results, record)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError([Problem(file=str(path), message=f"not a JSON document: {error}")]) from error
    if not isinstance(value, dict):
        raise DataError(
            [Problem(file=str(path), message=f"expected a JSON object, found {type(value).__name__}")]
        )
    return value


def check_same_questions(runs: Sequence[BenchmarkRun]) -> None:
    """Models can be set side by side on the same questions only.

    Raises `DataError` that names each question that one run lacks, or that differs, and in which field.
    """
    first, problems = runs[0], []
    for run in runs[1:]:
        file = str(run.folder / "samples.jsonl")
        for id in first.by_id.keys() ^ run.by_id.keys():
            has, lacks = (first, run) if id in first.by_id else (run, first)
            asked = has.by_id[id].question
            text = f"run {lacks.name!r} lacks question {id} ({asked!r}), which {has.name!r} has"
            problems.append(Problem(file=file, row_id=id, message=text))
        for id in first.by_id.keys() & run.by_id.keys():
            for field in _OF_THE_QUESTION:
                ours, theirs = getattr(first.by_id[id], field), getattr(run.by_id[id], field)
                if ours != theirs:
                    text = f"question {id} is {theirs!r} in run {run.name!r} and {ours!r} in {first.name!r}"
                    problems.append(Problem(file=file, row_id=id, field=field, message=text))
    if problems:
        raise DataError(
            sorted(problems, key=lambda problem: (problem.file, problem.row_id or "", problem.message))
        )


def concerns(runs: Sequence[BenchmarkRun]) -> list[Problem]:
    """What does not forbid a comparison, but has to be known to read it."""
    found = []
    first = runs[0]
    for run in runs[1:]:
        if run.graders != first.graders:
            text = (
                f"run {run.name!r} was graded by {', '.join(run.graders)} and {first.name!r} by "
                f"{', '.join(first.graders)}: a difference may be the graders'"
            )
            found.append(Problem(file=str(run.folder / "samples.jsonl"), field="grader", message=text))
    for run in runs:
        failed = [row for row in run.graded if row.state == "failed"]
        if failed:
            text = (
                f"{len(failed)} of {len(run.graded)} responses of run {run.name!r} failed and are in no "
                f"rate; the first: {failed[0].error}"
            )
            found.append(Problem(file=str(run.folder / "samples.jsonl"), message=text))
    return found
