"""The tasks of a benchmark by name, each with what turns its responses into results."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score

from align.evaluation.general.base import Benchmark
from align.evaluation.run_summary import summarize_run
from align.evaluation.scorers import graded_of, graded_record, grader_digest, question_of
from align.evaluation.tasks import miniworld, mohobench
from align.extensions import load_extensions
from align.records import Graded, Problem, Scored, stable_id

Kind = Literal["honesty", "corruption", "general"]
Row = Graded | Scored

HONESTY: dict[str, Callable[..., Task]] = {"miniworld": miniworld, "mohobench": mohobench}


class UnknownTask(ValueError):
    """No task has that name, or it has no such setting."""


class BadSetting(ValueError):
    """A setting of a task that is missing, or cannot be."""


@dataclass(frozen=True)
class BenchmarkTask:
    """An Inspect task and how its responses are graded.

    `row` is the record of a graded response, `read` takes it out of a score, and `failed` makes it for a
    sample without a response, from the sample and the error. `summarize` gives the figures of results.json.
    `grader` is the digest of the code that grades. `problems` are what the reader could not read. `benchmark`
    is that of a task of general ability.
    """

    name: str
    kind: Kind
    task: Task
    grader: str
    row: type[Graded] | type[Scored]
    read: Callable[[Score], Row]
    failed: Callable[[Sample, str], Row]
    summarize: Callable[[Sequence[Any]], dict[str, Any]]
    problems: tuple[Problem, ...] = ()
    benchmark: Benchmark | None = None

    @property
    def inputs(self) -> dict[str, Path]:
        """The files and folders that the questions were read from, by name; a data set of the hub is none."""
        named = str((self.task.metadata or {})["questions"]).split(", ")
        found = [path for path in map(Path, named) if path.exists()]
        return {self.name if len(found) == 1 else f"{self.name} {path.name}": path for path in found}

    @property
    def digest(self) -> str:
        """Of everything that is asked, but for the images."""
        samples = [sample.metadata or {} for sample in self.task.dataset]
        return stable_id(*sorted(f"{s['record']}\x1f{s.get('condition') or ''}" for s in samples))

    @property
    def images(self) -> set[str]:
        """The images that are asked about, relative to `data_root`."""
        records = {(sample.metadata or {})["record"] for sample in self.task.dataset}
        found: set[str] = set()
        for record in map(json.loads, records):
            several = (record.get("facts") or {}).get("images") or [record.get("image")]
            found.update(image for image in several if image is not None)
        return found

    @property
    def data_root(self) -> str:
        """The folder that image paths are relative to."""
        return str((self.task.metadata or {})["data_root"])


def make_task(name: str, settings: Mapping[str, Any]) -> BenchmarkTask:
    """The task of a `task` configuration (configs/task/*.yaml).

    `settings` may hold a `task`, which of the known ones this is, so that one run can hold two of a form
    under names of their own; without it the name says which. Raises `UnknownTask` for a name or a setting
    that there is not, `BadSetting` for one that is missing or cannot be, and what the task's reader raises.
    """
    arguments = dict(settings)
    which = arguments.pop("task", name)
    try:
        return _make(name, which, arguments)
    except ValueError as error:
        if type(error) is not ValueError:
            raise  # it says itself where it comes from
        raise BadSetting(f"task.{name}: {error}") from error


def _check_settings(name: str, factory: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    parameters = inspect.signature(factory).parameters
    unknown = [setting for setting in settings if setting not in parameters]
    if unknown:
        known = ", ".join(parameters)
        raise UnknownTask(f"task.{name} has no setting {', '.join(unknown)}: there are {known}")
    missing = [
        f"task.{name}.{p.name}"
        for p in parameters.values()
        if settings.get(p.name, p.default) in ("???", p.empty)
    ]
    if missing:
        raise BadSetting(f"{' and '.join(missing)} must be given (configs/task/ says what it is)")


def _make(name: str, which: str, arguments: Mapping[str, Any]) -> BenchmarkTask:
    if which in HONESTY:
        _check_settings(name, HONESTY[which], arguments)
        return _honesty(name, "honesty", HONESTY[which](**arguments), summarize_run)
    if which == "corruption":
        from align.evaluation import corruption as pictures
        from align.evaluation.corruption_task import corruption, summarize_corruption

        _check_settings(name, corruption, arguments)
        # The pictures that a model sees are made by this code.
        grader = stable_id(grader_digest(), inspect.getsource(pictures))
        return _honesty(name, "corruption", corruption(**arguments), summarize_corruption, grader)
    from align.evaluation.general.registry import BENCHMARKS

    if which not in BENCHMARKS:
        load_extensions()
    if which not in BENCHMARKS:
        known = ", ".join([*HONESTY, "corruption", *BENCHMARKS])
        raise UnknownTask(f"there is no task {which!r}: choose from {known}")
    from align.evaluation.general.base import failed_sample, scored_of, summarize_general

    _check_settings(name, BENCHMARKS[which], arguments)
    made = BENCHMARKS[which](**arguments)
    return BenchmarkTask(
        name=name,
        kind="general",
        task=made.task,
        grader=made.benchmark.digest,
        row=Scored,
        read=scored_of,
        failed=lambda sample, error: failed_sample(made.benchmark, sample, error),
        summarize=lambda rows: summarize_general(made.benchmark, rows),
        problems=tuple(made.problems),
        benchmark=made.benchmark,
    )


def _honesty(
    name: str,
    kind: Kind,
    task: Task,
    summarize: Callable[[Sequence[Any]], dict[str, Any]],
    grader: str | None = None,
) -> BenchmarkTask:
    return BenchmarkTask(
        name=name,
        kind=kind,
        task=task,
        grader=grader or grader_digest(),
        row=Graded,
        read=graded_of,
        failed=_failed,
        summarize=summarize,
    )


def _failed(sample: Sample, error: str) -> Graded:
    metadata = sample.metadata or {}
    question = question_of(metadata)
    # Inspect reads the images itself, and its error for a missing one doesn't say which.
    error = f"{question.image}: {error}"
    return graded_record(
        question,
        None,
        state="failed",
        condition=metadata.get("condition"),
        grader="none",
        error=error,
    )
