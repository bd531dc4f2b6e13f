"""Runs programs in children of a process that has imported what they need, in a folder like a fresh checkout.

What runs in a child is the program's file as it is, as `__main__`, with its own arguments and environment. A
training program runs without its launcher, which `tests/test_photo_sample.py` and `tests/test_cli.py` start.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ("align", "benchmarks", "configs", "data_prep", "docs", "evaluate", "recipes", "samples", "tests")

WARM = (
    "acp",  # of Inspect, which imports it and the next two when it runs
    "markdown_it",
    "openai.resources",
    "openai.types.responses",
    "matplotlib.pyplot",
    "align.data.audit_report",
    "align.data.endpoint_sampling",
    "align.data.report",
    "align.evaluation.benchmark",
    "align.evaluation.provider",
    "align.evaluation.summary_table",
    "align.judging.making",
    "align.reporting.comparison",
    "align.training.job",
    "align.training.reference",
)
"""Imported beforehand, once for all programs."""


@dataclass(frozen=True)
class Ended:
    status: int
    output: str


class Workshop:
    """`folder` becomes the working directory: links to what a checkout has; data/ and runs/ come beside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (*SHOWN, "Makefile", "pyproject.toml", "README.md"):
            (folder / name).symlink_to(ROOT / name)
        command = folder / "bin" / "mohoalign"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m align.cli "$@"\n')
        command.chmod(0o755)
        own = ("HF_", "OPENAI_", "HYDRA_", "WANDB_", "INSPECT_", "ACCELERATE_", "MOHOALIGN_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        environment |= {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "WANDB_MODE": "disabled",
            "HF_HUB_OFFLINE": "1",
            "HOME": str(folder),
            "COLUMNS": "200",
            "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        }
        self.environment = environment
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
        )

    def run(self, file: Path, *arguments: str, **environment: str) -> Ended:
        """Run a program of the checkout, or any file of Python code."""
        job = {"file": str(file), "arguments": arguments, "environment": environment}
        self._process.stdin.write(json.dumps(job | {"folder": str(self.folder)}) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Ended(status, (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace"))

    def shell(self, text: str) -> Ended:
        """Run a line of shell commands."""
        done = subprocess.run(
            ["bash", "-ec", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Ended(done.returncode, done.stdout + done.stderr)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def _serve() -> None:
    from inspect_ai.model import get_model

    for name in WARM:
        importlib.import_module(name)
    get_model("mockllm/model")  # imports what is installed of Inspect's providers and tasks

    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be(**job)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _be(file: str, arguments: list[str], environment: dict[str, str], folder: str) -> None:
    import runpy
    import traceback

    os.chdir(folder)
    os.environ.update(environment)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for target in (1, 2):
        os.dup2(output, target)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = [file, *arguments]
    code = 0
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
