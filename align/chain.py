"""Several programs one after the other, as one would give their commands: `prepare.py` and `measure.py`.

Each program keeps what it did and goes on there, so the same command again is how a chain goes on, and
nothing is kept here about how far it came.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hydra.core.hydra_config import HydraConfig

from align.cli.programs import find_program
from align.sweeping.words import quoted


@dataclass(frozen=True)
class Step:
    """A program by its name, and the overrides that it is given."""

    program: str
    overrides: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(find_program(self.program).file), *self.overrides]

    def __str__(self) -> str:
        return " ".join(map(_shell, ["mohoalign", self.program, *self.overrides]))


def run_steps(steps: Sequence[Step]) -> None:
    """Run them in order, each printing to this terminal under the command that would run it alone.

    A step that fails ends this program with status 1 and its name. When this process is told to end, so is
    the step.
    """
    for number, step in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] {step}", flush=True)
        status = _run(step.command)
        if status:
            raise SystemExit(
                f"\n{step.program} ended with status {status}: what it said stands above. "
                "When that is mended, the same command goes on"
            )


def _run(command: list[str]) -> int:
    with subprocess.Popen(command) as process:
        passed = signal.signal(signal.SIGTERM, _end)
        try:
            return process.wait()
        except BaseException:  # told to end, or Ctrl-C: leaving the block waits for the step
            process.terminate()
            raise
        finally:
            signal.signal(signal.SIGTERM, passed)


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def given(*names: str, overrides: Iterable[str] | None = None) -> tuple[str, ...]:
    """The overrides of this program's command line that begin with one of `names`: a group and its settings.

    `model` takes `model=hub`, `model.name=x` and `+model.y=z`, and not `models=...`.
    """
    return tuple(text for text in _overrides(overrides) if _path(text)[0] in names)


def settings_of(step: str, overrides: Iterable[str] | None = None) -> tuple[str, ...]:
    """The overrides that are meant for one step alone, as it takes them: `+ingest.seed=1` is `seed=1`."""
    return tuple(
        text.lstrip("+").removeprefix(f"{step}.") for text in _overrides(overrides) if _path(text)[0] == step
    )


def override(name: str, value: str | Path) -> str:
    """`name=value`, the value quoted where Hydra would read another one into it."""
    return f"{name}={quoted(value)}"


def _shell(word: str) -> str:
    """A word as a shell takes it; Hydra's own single quotes stay readable in double ones."""
    return f'"{word}"' if "'" in word and not set(word) & set('$`"\\!') else shlex.quote(word)


def _overrides(overrides: Iterable[str] | None) -> list[str]:
    return list(HydraConfig.get().overrides.task if overrides is None else overrides)


def _path(text: str) -> list[str]:
    return text.lstrip("+~").partition("=")[0].partition("@")[0].split(".")
