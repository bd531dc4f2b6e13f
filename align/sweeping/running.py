"""One program of a job in a process of its own: its log, how it ended, and nothing of it left behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from align.sweeping import guard

OWNER = "MOHOALIGN_SWEEP_OWNER"
"""The process without which no job should go on; set by a sweep whose launcher runs on its own machine."""

TAIL_LINES, TAIL_BYTES = 12, 4000


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status (negative: the signal), and why it was ended, if it was."""

    status: int
    stopped: str | None
    seconds: float


def run_guarded(
    command: Sequence[str],
    *,
    log: Path,
    mark: str,
    environment: Mapping[str, str] | None = None,
    watch: Callable[[], str | None] = lambda: None,
    every: float = 1.0,
) -> Ended:
    """Run a command to its end, its output appended to `log`.

    `watch` is called every so many seconds; what it returns, if anything, is why the command is ended. If
    this process dies, the command and all that it started are ended too (`align.sweeping.guard`).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {shlex.join(command)}\n")
    words = [sys.executable, guard.__file__, "--mark", mark, "--log", str(log)]
    if os.environ.get(OWNER):
        words += ["--owner", os.environ[OWNER]]
    started = time.monotonic()
    process = subprocess.Popen(
        [*words, "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        start_new_session=True,  # a Ctrl-C is for this process, which ends the others in order
        text=True,
    )
    assert process.stdin is not None
    why = None
    try:
        while True:
            try:
                process.wait(every)
                break
            except subprocess.TimeoutExpired:
                why = why or watch()
                if why is not None:
                    process.stdin.close()
    finally:
        # Also on an exception, as a signal's: this returns when everything has ended.
        if not process.stdin.closed:
            process.stdin.close()
        process.wait()
    assert process.stdout is not None
    said = process.stdout.read()
    process.stdout.close()
    seconds = round(time.monotonic() - started, 1)
    try:
        told = json.loads(said)
    except json.JSONDecodeError:  # the guard was killed: what it watched has to be ended from here
        guard.end_marked(mark)
        return Ended(process.returncode, None, seconds)
    return Ended(told["status"], why or told["stopped"], seconds)


def tail(log: Path) -> list[str]:
    """The last lines of a log that say something, without progress bars that were drawn over."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = stream.read().decode("utf-8", "replace")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return [line for line in lines if line][-TAIL_LINES:]


def status_text(status: int) -> str:
    """An exit status in words; a launcher passes a worker's signal on as a negative or large number."""
    number = -status if status < 0 else status - 128 if 128 < status < 160 else 0
    if not number:
        return f"exit status {status}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    often = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"ended by {name}{often}"
