"""One benchmark folder, read back: its tasks with their rows, and the record of the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast, get_args

from align.records import DataError, Graded, Problem, Scored, read_records

SAMPLES, RESULTS, RECORD, CONFIGURATION = "samples.jsonl", "results.json", "run.json", "configuration.json"

Kind = Literal["honesty", "corruption", "general"]
Key = tuple[str, str]
"""What names a row in its task: the id of its question or sample, and what was done to the image."""

# What must be equal for two rows to be of the same question.
_OF_THE_QUESTION = ("image", "question", "category", "part", "twin", "answers")
_OF_THE_SAMPLE = ("image", "prompt", "gold", "part", "group", "variant", "should_abstain")


@dataclass(frozen=True)
class TaskRows:
    """One task of one run. A general task has `scored` rows, an honesty or corruption task `graded` ones."""

    name: str
    kind: Kind
    folder: Path
    results: dict[str, Any]
    graded: list[Graded]
    scored: list[Scored]

    @property
    def file(self) -> str:
        return str(self.folder / SAMPLES)

    @property
    def data_root(self) -> Path:
        """The folder that image paths are relative to; itself relative to the working directory."""
        return Path(self.results["data_root"])

    @property
    def graders(self) -> list[str]:
        return sorted({row.grader for row in self.rows})

    @property
    def rows(self) -> Sequence[Graded | Scored]:
        return self.scored if self.kind == "general" else self.graded

    @cached_property
    def by_key(self) -> dict[Key, Graded | Scored]:
        return {key_of(row): row for row in self.rows}

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a row that say what was asked."""
        return _OF_THE_SAMPLE if self.kind == "general" else _OF_THE_QUESTION


def key_of(row: Graded | Scored) -> Key:
    return (row.sample_id, "") if isinstance(row, Scored) else (row.question_id, row.condition or "")


def read_folder(name: str, folder: Path) -> tuple[dict[str, TaskRows], dict[str, Any]]:
    """The tasks of a run folder by name, and its `run.json`.

    `folder` is what evaluate/benchmark.py was given as `out`, with a subfolder for each task, or one such
    subfolder, or a folder of the older form that holds one task itself.

    Raises `DataError` with every file that is missing or can't be read, and every task that is unfinished.
    """
    problems: list[Problem] = []
    if any((folder / file).is_file() for file in (SAMPLES, RESULTS, CONFIGURATION)):
        places = [folder]
        record = next((f for f in (folder / RECORD, folder.parent / RECORD) if f.is_file()), folder / RECORD)
    else:
        places = sorted(
            {path.parent for file in (CONFIGURATION, RESULTS) for path in folder.glob(f"*/{file}")}
        )
        record = folder / RECORD
    for place in places or [folder]:
        for file in (SAMPLES, RESULTS):
            if not (place / file).is_file():
                text = f"run {name!r} has no such file: give a folder that evaluate/benchmark.py wrote, "
                text += "or give its command again if it was cut off"
                problems.append(Problem(file=str(place / file), message=text))
    if not record.is_file():
        text = f"run {name!r} has no such file: give a folder that evaluate/benchmark.py wrote"
        problems.append(Problem(file=str(record), message=text))
    if problems:
        raise DataError(problems)
    tasks: dict[str, TaskRows] = {}
    for place in places:
        try:
            task = _read_task(place)
        except DataError as error:
            problems.extend(error.problems)
        else:
            tasks[task.name] = task
    try:
        about = _read_object(record)
    except DataError as error:
        problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    return tasks, about


def _read_task(folder: Path) -> TaskRows:
    results = _read_object(folder / RESULTS)
    file = str(folder / RESULTS)
    kind = results.get("kind", "honesty")  # runs of the older form have honesty tasks only
    expected: list[tuple[str, str, type]] = [
        ("data_root", "the folder of the images", str),
        ("task", "the name of the task", str),
        ("model", "an object with the model's name and digest", dict),
    ]
    if kind == "general":
        expected += [
            ("headline", "the name of the task's main figure", str),
            ("figures", "an object of figures", dict),
        ]
    wrong = [
        Problem(file=file, field=field, message=f"expected {what}, found {results.get(field)!r}")
        for field, what, type_ in expected
        if not isinstance(results.get(field), type_)
    ]
    if kind not in get_args(Kind):
        text = f"expected one of {', '.join(get_args(Kind))}, found {kind!r}"
        wrong.append(Problem(file=file, field="kind", message=text))
    if not wrong and kind == "general" and results["headline"] not in results["figures"]:
        text = f"{results['headline']!r} is none of the figures"
        wrong.append(Problem(file=file, field="headline", message=text))
    if wrong:
        raise DataError(wrong)
    samples = folder / SAMPLES
    graded = read_records(samples, Graded) if kind != "general" else []
    scored = read_records(samples, Scored) if kind == "general" else []
    rows: Sequence[Graded | Scored] = scored or graded
    if not rows:
        raise DataError([Problem(file=str(samples), message="holds no graded response")])
    twice = [
        Problem(
            file=str(samples),
            row_id=id,
            field="sample_id" if scored else "question_id",
            message=f"{id} stands there twice{f' with {condition}' if condition else ''}: "
            "give one response a question",
        )
        for (id, condition), count in Counter(map(key_of, rows)).items()
        if count > 1
    ]
    if twice:
        raise DataError(twice)
    return TaskRows(results["task"], cast(Kind, kind), folder, results, graded, scored)


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
