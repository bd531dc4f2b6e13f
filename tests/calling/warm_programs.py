"""Programs of data_prep/ run in processes that have imported everything beforehand.

A child is forked for each run from a process that holds the imports (seconds), so that a test can start, and
kill, a program many times. What runs in the child is the program's file as it is, as `__main__`, in a
process of its own with its own arguments, folder and output.

    with WarmPrograms() as warm:
        run = warm.start("sample_responses.py", ["limit=3"], folder)
        run.kill()          # or run.interrupt()
        assert run.wait() == -9
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stand_in import StandIn

ROOT = Path(__file__).parents[2]
MODULES = (
    "align.calling.program",
    "align.data.endpoint_sampling",
    "align.data.report",
    "align.run",
    "hydra.core.hydra_config",
    "torch",
)


class WarmPrograms:
    def __init__(self, environment: dict[str, str] | None = None, modules: Sequence[str] = MODULES) -> None:
        """`modules` are imported beforehand: what the programs import, or it is imported in every run."""
        self._environment, self._modules = environment or {}, modules
        self._running = False

    def __enter__(self) -> WarmPrograms:
        settings = {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        environment = os.environ | settings | self._environment
        with StandIn() as server:
            self._process = subprocess.Popen(
                [sys.executable, __file__, server.base_url, *self._modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            self._answer("warm")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def start(self, program: str, arguments: list[str], folder: Path) -> Run:
        """One at a time: wait for it before the next is started."""
        if self._running:  # a test that failed did not wait for it
            self._answer("exit")
        job = {"program": str(ROOT / "data_prep" / program), "arguments": arguments, "folder": str(folder)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        pid = int(self._answer("pid"))
        assert pid > 1, pid  # to signal 0 or -1 would end the tests themselves
        self._running = True
        return Run(self, pid, folder / "output.txt")

    def _answer(self, kind: str) -> str:
        word, _, value = self._process.stdout.readline().strip().partition(" ")
        assert word == kind, f"expected {kind}, got {word} {value}"
        if kind == "exit":
            self._running = False
        return value


@dataclass
class Run:
    warm: WarmPrograms
    pid: int
    output: Path

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.kill(self.pid, signal.SIGKILL)

    def interrupt(self) -> None:
        os.kill(self.pid, signal.SIGINT)

    def wait(self) -> int:
        """The exit status, or minus the signal that ended it."""
        return int(self.warm._answer("exit"))


def _serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_the_program(**job)
        print("pid", pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print("exit", os.waitstatus_to_exitcode(status), flush=True)


def _be_the_program(program: str, arguments: list[str], folder: str) -> None:
    os.chdir(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    sys.argv = [program, *arguments]
    code = 0
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _warm_up(base_url: str, *modules: str) -> None:
    """Import what the programs would, and make one call, since the clients import on their first."""
    for name in modules:
        importlib.import_module(name)
    from align.calling.call import Call, Decode
    from align.calling.endpoint import Endpoint
    from align.calling.run import run_calls

    with tempfile.TemporaryDirectory() as folder:
        endpoint = Endpoint(model="openai-api/warm/m", base_url=base_url)
        run_calls([Call("k", "hi")], endpoint, Decode(9), Path(folder) / "journal.jsonl")
    # A forked child has only the thread that forked it.
    assert threading.active_count() == 1, threading.enumerate()


if __name__ == "__main__":
    _warm_up(*sys.argv[1:])
    print("warm", flush=True)
    _serve()
