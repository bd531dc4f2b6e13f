"""A recorded run: its `run.json`, and how its program is run again in a folder of its own."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from align.records import DataError, Problem, atomic_write
from align.run import HIDDEN

CHECKOUT = Path(__file__).resolve().parents[2]
RECORD = "run.json"

# What each program writes, or reads what it wrote before from, beside its `out`: to be put in the new run's
# folder, so that nothing old is overwritten, and no call is answered by what was answered then.
REDIRECTED: dict[str, dict[str, str]] = {
    "benchmark": {"cache": ""},
    "build_pairs": {"pairs": "pairs.jsonl"},
    "build_sft": {"sft": "sft.jsonl"},
    "judge_responses": {"verdicts": "verdicts.jsonl", "journal": "journal"},
    "sample_responses": {"responses": "responses.jsonl", "journal": "journal.jsonl"},
    "write_honest_answers": {"answers": "honest_answers.jsonl", "journal": "journal"},
    "generate_questions": {"candidates": "candidates.jsonl", "journals": "journals"},
    "filter_questions": {"questions": "questions.jsonl", "journals": "journals"},
    "measure_questions": {"measures": "measures.json", "journals": "journals"},
    "judge_agreement": {"journal": ""},
    **{name: {"reference.folder": "reference"} for name in ("sft", "dpo", "simpo", "orpo")},
    **{name: {} for name in ("ingest", "audit", "merge", "compare", "leaderboard")},
}
_OTHERS = {
    "review_questions": "people decide there, and no program can repeat that",
    "download": "it takes what the network has: `sha256` of its files is in run.json",
}


class CannotRepeat(ValueError):
    """A run that cannot be run again from its record; the message says why."""


@dataclass(frozen=True)
class Recorded:
    """A run by its record. `program` is its file, `cwd` where its relative paths start."""

    file: Path
    record: dict[str, Any]
    program: Path
    cwd: Path

    @property
    def folder(self) -> Path:
        return self.file.parent

    @property
    def name(self) -> str:
        return self.program.stem

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.record["config"]
        return config

    def wrote(self, entry: Mapping[str, Any]) -> bool:
        """Whether a recorded file is a result: one that a setting says where to write, or one in the run's
        folder that no setting names."""
        if "path" not in entry:
            return False
        path = (self.cwd / entry["path"]).resolve()
        if path in {place.resolve() for place in self.outputs.values()}:
            return True
        named = {(self.cwd / text).resolve() for text in _texts(self.config)}
        return path.is_relative_to(self.folder) and path not in named

    @property
    def outputs(self) -> dict[str, Path]:
        """What the run wrote beside its folder, by setting."""
        places = {key: _get(self.config, key) for key in REDIRECTED.get(self.name, {})}
        return {key: self.cwd / place for key, place in places.items() if isinstance(place, str)}


def read_recorded(path: str | Path) -> Recorded:
    """Read a run's record: its `run.json`, or the folder of it. Older records lack some fields.

    Raises `FileNotFoundError`, `DataError` for a file that is no such record, `CannotRepeat` where the
    program isn't known or is not there.
    """
    file = Path(path).resolve()
    file = file / RECORD if file.is_dir() else file
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there: give a run's run.json, or the folder that it is in")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError([Problem(file=str(file), message=f"not a JSON document: {error}")]) from error
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        message = "lacks the object `config`: give a run.json that a program of this project wrote"
        raise DataError([Problem(file=str(file), message=message)])
    program = _program(record, file)
    cwd = Path(record.get("cwd") or Path.cwd())
    # A record can come from another machine: then its relative paths are taken to start here.
    return Recorded(file, record, program, cwd if cwd.is_dir() else Path.cwd())


def _program(record: Mapping[str, Any], file: Path) -> Path:
    named = record.get("program")
    if named is None:  # an older record
        command = record.get("command") or []
        named = next((part for part in command if str(part).endswith(".py")), None)
        if named is None:
            raise CannotRepeat(f"{file} does not say which program wrote it")
    given = Path(str(named))
    places = [given] if given.is_absolute() else [CHECKOUT / given]
    places.append(CHECKOUT.joinpath(*given.parts[-2:]))  # the same program of this checkout
    for place in places:
        if place.is_file():
            return place
    raise CannotRepeat(f"{file} is of {named}, which is not there: run this from a checkout of the project")


def new_config(recorded: Recorded, folder: Path) -> dict[str, Any]:
    """The recorded configuration with everything that is written in `folder`.

    Raises `CannotRepeat` for a program that is none of ours, or whose settings have taken another form.
    """
    if recorded.name in _OTHERS:
        raise CannotRepeat(f"a run of {recorded.name}.py cannot be run again: {_OTHERS[recorded.name]}")
    if recorded.name not in REDIRECTED or "out" not in recorded.config:
        known = ", ".join(sorted(REDIRECTED))
        raise CannotRepeat(f"where {recorded.program.name} writes is not known; it is of {known}")
    task = recorded.config.get("task")
    if recorded.name == "benchmark" and isinstance(task, Mapping) and isinstance(task.get("name"), str):
        commit = (recorded.record.get("git") or {}).get("commit")
        raise CannotRepeat(
            "the record is of an older evaluate/benchmark.py, whose settings had another form: check out its "
            f"commit ({commit}) and give the command that the record holds"
        )
    processes = (recorded.record.get("hardware") or {}).get("processes", 1)
    if processes > 1:
        raise CannotRepeat(
            f"the run was of {processes} processes, which a launcher starts: give its command again with "
            f"another out=, {' '.join(map(str, recorded.record.get('command', [])))}"
        )
    config = copy.deepcopy(recorded.config)
    config["out"] = str(folder)
    for key, name in REDIRECTED[recorded.name].items():
        if _get(config, key) is not None:
            _set(config, key, str(folder / name) if name else None)
    return config


def write_config(config: Mapping[str, Any], recorded: Recorded, file: Path) -> None:
    """The configuration as a Hydra file, which the program takes in place of its own.

    How Hydra runs it (where, whether a folder is made for it) is not recorded: that is the program's own.
    """
    own = recorded.program.parents[1] / "configs" / f"{recorded.name}.yaml"
    hydra: dict[str, Any] = {
        "run": {"dir": f"${{run_dir:{recorded.name},${{out}}}}"},
        "job": {"chdir": False},
    }
    if own.is_file():
        ours: Any = OmegaConf.to_container(OmegaConf.load(own), resolve=False)
        hydra = {key: value for key, value in ours.get("hydra", hydra).items() if key != "help"}
    quiet = {"override hydra/job_logging": "none"}
    with atomic_write(file) as stream:
        whole = {"defaults": ["_self_", quiet], **_literal(config), "hydra": hydra}
        stream.write(OmegaConf.to_yaml(OmegaConf.create(whole)))


def command_of(recorded: Recorded, file: Path, overrides: Sequence[str]) -> list[str]:
    """The command that runs the program with the configuration in `file`.

    Raises `CannotRepeat` if a secret that the record hides is not among the overrides.
    """
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    hidden = [name for name in _hidden(recorded.config) if name not in given]
    if hidden:
        example = f"overrides='[{hidden[0]}=...]'"
        raise CannotRepeat(f"the record hides {', '.join(hidden)}: give it again, {example}")
    where = ["--config-dir", str(file.parent), "--config-name", file.stem]
    return [sys.executable, str(recorded.program), *where, *overrides]


def _literal(value: Any) -> Any:
    """The recorded values are resolved: what looks like an interpolation in them is text."""
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def _hidden(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _hidden(item, f"{name}.{key}" if name else str(key))
    elif value == HIDDEN:
        yield name


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) and "\0" not in value:
        yield value


def _get(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in parents:
        config = config[part]
    config[last] = value
