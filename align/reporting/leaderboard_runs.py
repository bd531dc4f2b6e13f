"""The runs of a leaderboard: benchmark folders found and read by their results, without their samples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.evaluation.bpi import PARTS, bpi_of_rows
from align.evaluation.response_facts import truncation_note
from align.models.size import stored_parameters
from align.records import DataError, Graded, Problem, read_records
from align.reporting.run_folders import CONFIGURATION, RECORD, RESULTS, SAMPLES

_SIZE_IN_NAME = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)\s?([bBmM])(?![A-Za-z0-9])")


@dataclass(frozen=True)
class Ground:
    """What figures must have in common to be ranked: the questions, and who graded and judged."""

    questions: str
    grader: str
    judge: str | None

    def differences(self, other: Ground) -> list[str]:
        names = ("questions", "grader", "judge")
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True)
class TaskFigures:
    """The figures of one task: value, interval and n by metric; rates 0-1, marks 1-10."""

    kind: str
    headline: str
    figures: Mapping[str, tuple[float, tuple[float, float] | None, int | None]]
    ground: Ground


@dataclass
class Entry:
    """One run. `parameters` is the model's size, `size_from` where it is known from."""

    name: str
    folder: Path
    model: str
    adapter: str | None
    tasks: dict[str, TaskFigures]
    parameters: float | None = None
    size_from: str | None = None
    notes: list[str] = field(default_factory=list)


def find_runs(runs: Any) -> dict[str, Path]:
    """Names and folders of `runs`: a mapping of names to run folders, or folders that are, or hold, runs.

    Raises `DataError` for a folder that is not there or holds no benchmark.
    """
    if isinstance(runs, Mapping):
        named = {str(name): Path(str(folder)) for name, folder in runs.items()}
        bad = [
            Problem(file=str(folder), message=f"run {name!r}: no folder that evaluate/benchmark.py wrote")
            for name, folder in named.items()
            if not _is_run(folder)
        ]
        if bad:
            raise DataError(bad)
        return named
    listed = [runs] if isinstance(runs, str) else runs
    if not isinstance(listed, Sequence) or not listed:
        text = f"give folders, runs='[runs/a, runs/b]', or names and folders; found {runs!r}"
        raise DataError([Problem(file="runs", message=text)])
    folders: list[Path] = []
    problems = []
    for each in map(Path, listed):
        found = [each] if _is_run(each) else sorted(set(_runs_below(each)))
        folders += [folder for folder in found if folder not in folders]
        if not found:
            problems.append(Problem(file=str(each), message="is no benchmark's folder and holds none"))
    if problems:
        raise DataError(problems)
    return _named(folders)


def _is_run(folder: Path) -> bool:
    return folder.is_dir() and (
        (folder / RESULTS).is_file()
        or any(folder.glob(f"*/{RESULTS}"))
        or any(folder.glob(f"*/{CONFIGURATION}"))
    )


def _runs_below(folder: Path) -> Iterator[Path]:
    for results in folder.glob(f"**/{RESULTS}"):
        task = results.parent
        # One task of a run has its folder in the run's, which has the record.
        yield task if (task / RECORD).is_file() else task.parent


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Each by as much of the end of its path as tells it from the others."""
    named: dict[str, Path] = {}
    for folder in folders:
        parts = folder.resolve().parts
        for length in range(1, len(parts) + 1):
            tail = parts[-length:]
            same = [f for f in folders if f.resolve().parts[-length:] == tail]
            if len(same) == 1:
                break
        named["/".join(tail)] = folder
    return named


def read_entry(name: str, folder: Path, *, parameters: float | None = None) -> Entry:
    """One run with the figures of its finished tasks; those that are unfinished are in its notes.

    Raises `DataError` for results that can't be read.
    """
    below = {path.parent for file in (CONFIGURATION, RESULTS) for path in folder.glob(f"*/{file}")}
    places = [folder] if (folder / RESULTS).is_file() else sorted(below)
    tasks: dict[str, TaskFigures] = {}
    notes: list[str] = []
    identity: dict[str, Any] = {}
    for place in places:
        if not (place / RESULTS).is_file():
            notes.append(f"{name}: {place.name} is unfinished and left out: give its command again")
            continue
        results = _read(place / RESULTS)
        missing = [key for key in ("task", "model") if key not in results]
        if missing or not isinstance(results["model"], dict):
            message = (
                f"lacks {', '.join(missing) or 'an object `model`'}: did evaluate/benchmark.py write it?"
            )
            raise DataError([Problem(file=str(place / RESULTS), message=message)])
        configuration = _read(place / CONFIGURATION) if (place / CONFIGURATION).is_file() else {}
        tasks[results["task"]] = _figures(results, configuration, place)
        if note := truncation_note(results.get("responses")):
            notes.append(f"{name}: {results['task']}: {note}")
        if identity and identity.get("digest") != results["model"].get("digest"):
            message = f"{place.name} is of another model than the tasks beside it: one folder, one model"
            raise DataError([Problem(file=str(place / RESULTS), field="model", message=message)])
        identity = results["model"]
    if not tasks:
        raise DataError([Problem(file=str(folder), message=f"run {name!r} has no finished task")])
    entry = Entry(name, folder, str(identity.get("name", name)), identity.get("adapter"), tasks, notes=notes)
    entry.parameters, entry.size_from = _size(entry.model, identity, parameters)
    return entry


def _figures(results: Mapping[str, Any], configuration: Mapping[str, Any], place: Path) -> TaskFigures:
    kind = results.get("kind", "honesty")
    ground = Ground(
        questions=str(configuration.get("questions", "not recorded")),
        grader=str(configuration.get("grader", "not recorded")),
        judge=configuration.get("judge"),
    )
    if kind == "general":
        general = {
            metric: (figure["value"], _pair(figure.get("interval")), figure.get("n"))
            for metric, figure in results["figures"].items()
            if figure["value"] is not None
        }
        return TaskFigures(kind, results["headline"], general, ground)
    intervals = results.get("intervals", {})
    figures = {
        metric: (
            float(results[metric]),
            _pair(intervals[metric]),
            results.get(_COUNTED.get(metric, f"n_{metric}")),
        )
        for metric in intervals
        if isinstance(results.get(metric), (int, float))
    }
    if "bpi" not in results and (bpi := _bpi(results, place)) is not None:
        figures["bpi"] = bpi
    headline = next((m for m in ("dual_accuracy", "refusal_rate") if m in figures), next(iter(figures), ""))
    return TaskFigures(kind, headline, figures, ground)


_COUNTED = {
    "refusal_rate": "n_unanswerable",
    "reason_accuracy": "n_unanswerable",
    "over_refusal_rate": "n_answerable",
    "answer_accuracy": "n_answerable",
    "dual_accuracy": "n_twins",
}


def _bpi(results: Mapping[str, Any], place: Path) -> tuple[float, tuple[float, float] | None, int] | None:
    """BPI, which takes marks of a judge, of results that do not say it: from the samples."""
    if results.get("kind", "honesty") == "general" or any(results.get(part) is None for part in PARTS):
        return None
    rows = [row for row in read_records(place / SAMPLES, Graded) if row.condition in (None, "raw")]
    found = bpi_of_rows(rows)
    return None if found["bpi"] is None else (found["bpi"], _pair(found["interval"]), found["n"])


def _pair(bounds: Any) -> tuple[float, float] | None:
    return None if bounds is None else (float(bounds[0]), float(bounds[1]))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError([Problem(file=str(path), message=f"not a JSON document: {error}")]) from error
    if not isinstance(value, dict):
        raise DataError([Problem(file=str(path), message="expected a JSON object")])
    return value


def _size(name: str, identity: Mapping[str, Any], given: float | None) -> tuple[float | None, str | None]:
    """The number of parameters: as given, as recorded, counted in local weights, or as the name says."""
    if given is not None:
        return float(given), "given"
    if isinstance(identity.get("parameters"), (int, float)):
        return float(identity["parameters"]), "recorded"
    embedded = Path(__file__).parents[1] / "miniworld" / "tiny_vlm"
    counted = stored_parameters(embedded if name == "tiny_vlm" else Path(name))
    if counted:
        return float(counted), "counted"
    said = _SIZE_IN_NAME.findall(name)
    if len(said) == 1:
        return float(said[0][0]) * (1e9 if said[0][1] in "bB" else 1e6), "the name"
    return None, None
