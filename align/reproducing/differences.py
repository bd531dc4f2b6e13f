"""In what today differs from a recorded run, before anything is run: inputs, packages, code, hardware."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from typing import Any

from align.reproducing.recorded import CHECKOUT, Recorded
from align.run import content_digest, git_state, hardware, package_versions

# What results.json is computed from, beside what is checked file by file.
_TASK_CONFIGURATION = "configuration.json"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was. `kind`: `input` (changes what a run is of), `package`, `code` or
    `hardware`."""

    kind: str
    name: str
    was: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.name}: was {_shown(self.was)}, is {_shown(self.now)}"


@dataclass(frozen=True)
class Inputs:
    """What became of the recorded inputs: how many are the same, which differ, and which can't be checked
    before the run."""

    same: int
    differ: list[Difference]
    unchecked: list[str]


def check_inputs(recorded: Recorded) -> Inputs:
    """Compare every recorded input's digest with today's.

    Of a benchmark also what its tasks' configurations hold: the digests of questions, grader, judge and its
    prompts, model, adapter and processor, which are computed anew.
    """
    same, differ, unchecked = 0, [], []
    for name, entry in (recorded.record.get("inputs") or {}).items():
        if "path" not in entry:
            unchecked.append(name)
            continue
        if recorded.wrote(entry):
            continue
        path = recorded.cwd / entry["path"]
        digest = content_digest(path) if path.exists() else None
        if digest == entry["sha256"]:
            same += 1
        else:
            differ.append(
                Difference("input", f"{name} ({entry['path']})", entry["sha256"], digest or "missing")
            )
    if recorded.name == "benchmark":
        checked = _check_tasks(recorded)
        same += checked.same
        differ += checked.differ
        unchecked = [name for name in unchecked if name != "model" and not name.startswith("judge of ")]
        unchecked += checked.unchecked
    return Inputs(same, differ, unchecked)


def check_environment(recorded: Recorded) -> list[Difference]:
    """Packages, code and hardware that are not as they were."""
    record = recorded.record
    if "gpus" in (record.get("hardware") or {}):
        import torch  # noqa: F401 - `hardware` names accelerators in a process that uses torch
    found = list(_changes("package", record.get("packages") or {}, package_versions()))
    found += _changes("code", record.get("git") or {}, git_state(CHECKOUT) or {})
    now = hardware()
    was = {name: value for name, value in (record.get("hardware") or {}).items() if name in now}
    return found + list(_changes("hardware", was, {name: now[name] for name in was}))


def _check_tasks(recorded: Recorded) -> Inputs:
    from align.evaluation.benchmark import configuration
    from align.evaluation.judging import task_judge
    from align.evaluation.kinds import make_task
    from align.evaluation.subject import make_subject

    config = recorded.config
    same, differ, unchecked = 0, [], []
    with chdir(recorded.cwd):
        subject = make_subject(config)
        for name, settings in config["task"].items():
            file = recorded.folder / name / _TASK_CONFIGURATION
            if not file.is_file():
                unchecked.append(f"the configuration of {name}")
                continue
            was = json.loads(file.read_text(encoding="utf-8"))
            task = make_task(name, settings)
            seed = config["decoding"]["seed"]
            judge = task_judge(config.get("judge"), task, recorded.folder / name / "judge", seed=seed)
            digest = judge.digest if judge is not None else None
            now = json.loads(json.dumps(configuration(task, subject, digest)))
            found = list(_changes("input", was, now, f"{name}: "))
            differ += found
            same += len(was) - len(found)
    return Inputs(same, differ, unchecked)


def _changes(
    kind: str, was: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> Iterator[Difference]:
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            yield Difference(kind, f"{prefix}{name}", was.get(name), now.get(name))


def _shown(value: Any) -> str:
    if value is None:
        return "not there"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:16]}…"
