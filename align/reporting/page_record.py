"""How each run was made, as rows of a table: what differs between runs stands side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align.reporting.runs import BenchmarkRun


def record_rows(runs: Sequence[BenchmarkRun]) -> list[tuple[str, list[str]]]:
    """How each run was made: `(field, its value for each run)`, one value where all are equal."""
    columns = [_record_of(run) for run in runs]
    rows = []
    for field in dict.fromkeys(field for column in columns for field in column):
        values = [column.get(field, "–") for column in columns]
        rows.append((field, values[:1] if len(set(values)) == 1 else values))
    return rows


def _record_of(run: BenchmarkRun) -> dict[str, str]:
    record = run.record
    fields = {
        "Task": run.results["task"],
        **{f"Model {key}": "none" if value is None else value for key, value in run.results["model"].items()},
        "Grader": ", ".join(run.graders),
        "Git commit": _commit(record.get("git")),
        "Seeds": _flat(record.get("seeds")),
        "Packages": _flat(record.get("packages")),
        "Hardware": _flat(record.get("hardware")),
        "Started": record.get("started"),
        "Seconds": record.get("wall_seconds"),
        "Folder": str(run.folder),
    }
    return {field: "–" if value is None else _flat(value) for field, value in fields.items()}


def _commit(git: dict[str, Any] | None) -> str:
    if not git or not git.get("commit"):
        return "not in a git checkout"
    return git["commit"] + (", with local changes" if git.get("changed") else "")


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_flat(item) for item in value) or "none"
    return "–" if value is None else str(value)
