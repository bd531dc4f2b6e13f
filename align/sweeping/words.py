"""A sweep's command line, taken apart: what is the sweep's own, the benchmark's, and each job's.

Read with Hydra's own parser, so that `lora.r=8,16`, `seed=range(3)` and `+trainer.weight_decay=0.1` mean what
they mean in Hydra. Hydra could not do it itself: the words of a job are for another program, whose
configuration the sweep does not have.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

ASK_ONLY = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--version", "--shell-completion"}
"""What Hydra answers without running anything."""

_OF_THE_SWEEP = {"resume": "the sweep resumes by itself what was cut off", "job": "the sweep sets it"}


@dataclass(frozen=True)
class Axis:
    """One word that a sweep varies: its key as it is given (`+x.y` too), and how."""

    key: str
    override: Override

    @property
    def text(self) -> str:
        """The axis as a word; the same for `8,16` and `choice(8,16)`."""
        discrete = self.override.is_discrete_sweep()
        return f"{self.key}={','.join(self.values())}" if discrete else str(self.override.input_line)

    def values(self) -> list[str]:
        """The values of a grid. Raises `ValueError` for an interval, which has no list of them."""
        if not self.override.is_discrete_sweep():
            raise ValueError(f"{self.key}: an interval has no list of values: give values, or search=optuna")
        return list(self.override.sweep_string_iterator())


@dataclass(frozen=True)
class Words:
    """`own` are the sweep's settings and Hydra's, `jobs` those of every recipe, `axes` what differs.

    `config_dir` is a folder of configurations beside this project's, for the sweep and its jobs.
    """

    own: tuple[str, ...]
    benchmark: tuple[str, ...]
    jobs: tuple[str, ...]
    axes: tuple[Axis, ...]
    config_dir: Path | None = None

    def grid(self) -> list[tuple[str, ...]]:
        """The words that are chosen for each job of the grid, the last axis fastest."""
        each = [[f"{axis.key}={value}" for value in axis.values()] for axis in self.axes]
        return list(itertools.product(*each))


def take_apart(
    words: Sequence[str], own: Collection[str], *, space: Mapping[str, Any] | None = None
) -> Words:
    """Sort a command line's words. `own` are the names of the sweep's own settings.

    `space` are axes that stand in the configuration. Raises `ValueError` for a word that cannot be read or
    that a sweep does not take.
    """
    words, config_dir = _config_dir([word for word in words if word not in ("-m", "--multirun")])
    if flags := [word for word in words if word.startswith("-")]:
        raise ValueError(
            f"{flags[0]}: a sweep takes -m, --config-dir and settings only. "
            "See `python recipes/sweep.py --help`"
        )
    words = [*words, *(f"{key}={value}" for key, value in (space or {}).items())]
    try:
        overrides = OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise ValueError(str(error)) from error
    mine: list[str] = [] if config_dir is None else [search_path(config_dir)]
    benchmark: list[str] = []
    fixed: dict[str, str] = {}
    axes: dict[str, Axis] = {}
    for override in overrides:
        key = override.get_key_element()
        first = re.split(r"[./@]", key.lstrip("+~"))[0]
        assert override.input_line is not None
        if first in _OF_THE_SWEEP:
            raise ValueError(f"{key}: {_OF_THE_SWEEP[first]}: leave it out")
        if first == "benchmark":
            if override.is_sweep_override():
                raise ValueError(
                    f"{key}: jobs are compared with each other, so all are benchmarked alike: give one value"
                )
            benchmark.append(re.sub(r"benchmark[./]", "", override.input_line, count=1))
        elif first in own or first == "hydra":
            if override.is_sweep_override():
                raise ValueError(f"{key} is a setting of the whole sweep: give one value")
            mine.append(override.input_line)
        else:
            # The last word about a key counts, as in Hydra.
            fixed.pop(key, None)
            axes.pop(key, None)
            if override.is_sweep_override():
                axes[key] = Axis(key, override)
            else:
                fixed[key] = override.input_line
    return Words(tuple(mine), tuple(benchmark), tuple(fixed.values()), tuple(axes.values()), config_dir)


def _config_dir(words: Sequence[str]) -> tuple[list[str], Path | None]:
    """The words without Hydra's `--config-dir`, and its folder."""
    rest: list[str] = []
    folder: Path | None = None
    waiting = list(words)
    while waiting:
        name, given, value = waiting.pop(0).partition("=")
        if name not in ("--config-dir", "-cd"):
            rest.append(name + given + value)
            continue
        if not given and not waiting:
            raise ValueError(f"{name} needs a folder")
        folder = Path(value if given else waiting.pop(0)).absolute()
        if not folder.is_dir():
            raise ValueError(f"{name} {folder}: there is no such folder")
    return rest, folder


def search_path(folder: Path) -> str:
    """The word that has Hydra look for configurations in this folder too."""
    return f"hydra.searchpath=[{quoted(f'file://{folder}')}]"


def key_of(word: str) -> str:
    """The key of one word, without `+` and `~`: `trainer.weight_decay` of `+trainer.weight_decay=0.1`."""
    return word.lstrip("+~").partition("=")[0]


def quoted(value: object) -> str:
    """A text as the value of an override, whatever characters it has."""
    text = str(value)
    plain = re.fullmatch(r"[A-Za-z_./][\w./-]*", text)
    if plain and text.lower() not in ("null", "true", "false", "nan", "inf"):
        return text
    return str(QuotedString(text, Quote.single).with_quotes())


def value_of(word: str) -> str:
    return word.partition("=")[2]
