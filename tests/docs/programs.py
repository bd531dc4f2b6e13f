"""What a documented command asks of our programs: which one, with which settings, and do they compose."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from pages import ROOT

from align.cli.launching import command_for, split_options
from align.cli.programs import Program, find_program
from align.sweeping.sweep import planned

_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")
_PYTHON = re.compile(r"(?:\S*/)?python[0-9.]*$")
_FLAGS = {"--config-name": 1, "-cn": 1, "--config-dir": 1, "-cd": 1, "--cfg": 1, "-c": 1}
_SWITCHES = {"--help", "-h", "--hydra-help", "-m", "--multirun", "--resolve"}


@dataclass(frozen=True)
class Call:
    """One of our programs with its arguments; `environment` is what stands before the command."""

    file: Path
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.file.relative_to(ROOT).as_posix() if self.file.is_relative_to(ROOT) else self.file.name

    @property
    def config_name(self) -> str | None:
        given = _flag(self.arguments, "--config-name", "-cn")
        return given or Program(self.file).config_name()

    @property
    def overrides(self) -> list[str]:
        """The settings among the arguments. `...` stands for others and is none."""
        found, skip = [], 0
        for argument in self.arguments:
            if skip:
                skip -= 1
            elif argument in _FLAGS:
                skip = _FLAGS[argument]
            elif argument != "..." and argument.partition("=")[0] not in _FLAGS and argument not in _SWITCHES:
                found.append(argument)
        return found

    @property
    def asks_only(self) -> bool:
        return bool({"--help", "-h", "--hydra-help"} & set(self.arguments))

    @property
    def multirun(self) -> bool:
        return bool({"-m", "--multirun"} & set(self.arguments))


def call_of(words: Sequence[str], beside: Path) -> Call | None:
    """The program that a command calls, ours or a file in `beside`; None for another's command.

    Raises `FileNotFoundError` for a file that is not there, `ProgramError` for a name that is none.
    """
    words, environment = list(words), {}
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    if words and words[0] in ("srun", "exec", "time", "nohup"):
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[1:]
    if not words:
        return None
    if words[0] == "mohoalign":
        return _of_mohoalign(words[1:], environment)
    if words[0] == "sbatch":  # examples/slurm/launch.sbatch takes what comes after `mohoalign`
        rest = list(itertools.dropwhile(lambda word: not word.endswith(".sbatch"), words))
        return _of_mohoalign(rest[1:], environment)
    if words[0].endswith("/launch.sh"):  # after the hosts and the GPUs of each
        return _of_mohoalign(words[3:], environment)
    if words[0].rpartition("/")[2] == "accelerate" and words[1:2] == ["launch"]:
        rest = words[2:]
        while rest and not rest[0].endswith(".py"):
            rest = rest[1:]
    elif _PYTHON.fullmatch(words[0]):
        rest = words[1:]
    elif words[0] == "torchrun":
        rest = list(itertools.dropwhile(lambda word: not word.endswith(".py"), words[1:]))
    else:
        return None
    if not rest or not rest[0].endswith(".py"):
        return None
    file = next((place / rest[0] for place in (ROOT, beside) if (place / rest[0]).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"there is no file {rest[0]}")
    return Call(file, tuple(rest[1:]), environment)


def _of_mohoalign(words: list[str], environment: dict[str, str]) -> Call | None:
    words = words[1:] if words[:1] == ["--show"] else words
    if not words or words[0] in ("help", "doctor", "completion", "--help", "--version"):
        if words[:1] == ["help"] and words[1:]:
            find_program(words[1])
        return None
    program = find_program(words[0])
    command_for(program, words[1:])  # raises for an option of the launcher that the program does not take
    return Call(program.file, tuple(split_options(words[1:])[1]), environment)


def composed(call: Call, beside: Path) -> list[DictConfig]:
    """The call's configurations: one, or with --multirun the first of each sweep and every other value once.

    A folder of `--config-dir` is looked for in `beside`. Raises Hydra's and OmegaConf's errors for a setting
    or a choice that there is not.
    """
    name = call.config_name
    if name is None:
        raise ValueError(f"{call.name} is no Hydra program")
    overrides = call.overrides
    if call.name == "recipes/sweep.py":  # most of its words are for the programs of its jobs
        GlobalHydra.instance().clear()
        planned(overrides)
        return []
    extra = _flag(call.arguments, "--config-dir", "-cd")
    if extra:
        overrides = [*overrides, f"hydra.searchpath=[file://{beside / extra}]"]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3", job_name=call.file.stem):
        found = []
        for one in _single_runs(overrides) if call.multirun else [overrides]:
            config = compose(name, one, return_hydra_config=True)
            OmegaConf.set_struct(config, True)
            found.append(config)
    return found


def _single_runs(overrides: Sequence[str]) -> list[list[str]]:
    parser = OverridesParser.create()
    values = []
    for override in overrides:
        parsed = parser.parse_override(override)
        if parsed.is_sweep_override():
            key = override.partition("=")[0]
            values.append([f"{key}={value}" for value in parsed.sweep_string_iterator()])
        else:
            values.append([override])
    first = [choices[0] for choices in values]
    others = [[*first[:at], value, *first[at + 1 :]] for at, c in enumerate(values) for value in c[1:]]
    return [first, *others]


def _flag(arguments: Sequence[str], *names: str) -> str | None:
    for at, argument in enumerate(arguments):
        flag, given, value = argument.partition("=")
        if flag in names:
            return value if given else arguments[at + 1]
    return None
