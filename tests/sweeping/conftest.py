"""Sweeps whose recipes and benchmark are stand-ins: the sweep itself is the program as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"


class Sweeps:
    """Runs `recipes/sweep.py` in a folder of its own, with stand-ins for what its jobs run."""

    def __init__(self, folder: Path, recipe: str = "recipe.py", benchmark: str = "benchmark.py") -> None:
        self.folder, self.home = folder, folder / "home"
        self.more: dict[str, str] = {}  # of the environment
        for place, source, names in (
            ("recipes", recipe, ("dpo", "sft", "simpo", "orpo")),
            ("evaluate", benchmark, ("benchmark",)),
        ):
            (self.home / place).mkdir(parents=True)
            for name in names:
                config = (
                    f"\n# hydra.main(config_name={name!r})\nif False:\n    hydra.main(config_name={name!r})\n"
                )
                file = self.home / place / f"{name}.py"
                file.write_text((STAND_INS / source).read_text() + config)
        (self.home / "data_prep").mkdir()
        (self.home / "configs").symlink_to(ROOT / "configs")
        self.out = folder / "out"
        self.started: list[subprocess.Popen[str]] = []

    def environment(self) -> dict[str, str]:
        paths = [str(STAND_INS), *filter(None, [os.environ.get("PYTHONPATH")])]
        return os.environ | {
            "SWEEP_TEST_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(paths),
            "COLUMNS": "200",
            "WANDB_MODE": "offline",
            **self.more,
        }

    def words(self, *words: str) -> list[str]:
        return [sys.executable, str(ROOT / "recipes" / "sweep.py"), *words, f"out={self.out}"]

    def run(self, *words: str, expect: int = 0, pace: float = 0.0) -> str:
        done = subprocess.run(
            self.words(*words),
            cwd=self.folder,
            env=self.environment() | {"SWEEP_TEST_PACE": str(pace)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *words: str, pace: float = 0.0) -> subprocess.Popen[str]:
        """Start a sweep whose recipes rest so many seconds at each step."""
        process = subprocess.Popen(
            self.words(*words),
            cwd=self.folder,
            env=self.environment() | {"SWEEP_TEST_PACE": str(pace)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def summary(self) -> dict[str, Any]:
        return json.loads((self.out / "summary.json").read_text())

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Of the summary, by the words that were chosen."""
        return {" ".join(job["words"]): job for job in self.summary()["jobs"]}

    def starts(self, job: str = "*") -> list[dict[str, Any]]:
        """What the recipes were started with."""
        files = sorted(self.out.glob(f"jobs/{job}/train/starts.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def benchmarks(self) -> list[list[str]]:
        files = sorted(self.out.glob("**/benchmark/starts.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def sweeps(tmp_path: Path) -> Iterator[Sweeps]:
    made = Sweeps(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    shutil.rmtree(made.home)


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What the condition gives, as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return found


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., Any]:
    return wait_for
