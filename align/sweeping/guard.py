"""Run one command so that nothing of it outlives the process that wanted it.

    python guard.py --mark TEXT --log FILE [--owner PID:START] -- COMMAND ...

A launcher that is killed leaves workers that go on training, in sessions of their own, where no process group
reaches them. So the command and all that comes from it carry a mark in their environment. Whoever started the
guard holds its standard input open: when that ends, for whatever reason, or when the process `--owner` is
gone, every process with the mark is asked to end, and killed after a while. The same happens when the command
itself ends and leaves something behind.

Says on standard output, as one JSON object, `status` (negative: the signal that ended the command) and
`stopped` (why the guard ended it; null if it ended by itself). Needs nothing of this project, so that it
starts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

MARK = "MOHOALIGN_SWEEP_JOB"
GRACE = 10.0
"""Seconds between asking a process to end and killing it: a tracker may have figures to write."""
GONE = "its sweep is gone"
_LOOK = 0.3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mark", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--owner", default=None)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    stop = threading.Event()
    why: list[str] = []

    def stopped(reason: str) -> None:
        why.append(reason)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped("it was told to"))

    def read_to_end() -> None:
        sys.stdin.buffer.read()
        stopped("its sweep ended it")

    threading.Thread(target=read_to_end, daemon=True).start()
    with Path(given.log).open("ab", buffering=0) as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {MARK: given.mark},
            start_new_session=True,
        )
        gone = owner_gone(given.owner)
        while process.poll() is None and not stop.wait(_LOOK):
            if gone():
                stopped(GONE)
        end_marked(given.mark, reap=process.poll)
        status = process.wait()
    print(json.dumps({"status": status, "stopped": why[0] if why else None}), flush=True)
    os._exit(0)  # the thread still waits for standard input


def owner_gone(owner: str | None) -> Callable[[], bool]:
    """Whether the process `PID:START` of this machine has ended; START tells it from a later PID."""
    if owner is None:
        return lambda: False
    pid, _, start = owner.partition(":")

    def gone() -> bool:
        try:
            process = psutil.Process(int(pid))
            return f"{process.create_time():.2f}" != start or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return gone


def this_process() -> str:
    """This process as an `--owner`."""
    process = psutil.Process()
    return f"{process.pid}:{process.create_time():.2f}"


def marked(mark: str) -> list[psutil.Process]:
    """The processes of this machine that carry the mark, but for this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.Error, OSError):  # gone by now, or another user's
            continue
    return found


def end_marked(mark: str, *, grace: float = GRACE, reap: Callable[[], object] = lambda: None) -> int:
    """End every process with the mark. Returns how many there were. `reap` waits for those that are ours."""
    waiting = first = marked(mark)
    for process in waiting:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while waiting and time.monotonic() < deadline:
        time.sleep(0.05)
        reap()
        waiting = [process for process in waiting if _alive(process)]
    while left := [process for process in marked(mark) if _alive(process)]:  # also what was started meanwhile
        for process in left:
            _signal(process, signal.SIGKILL)
        time.sleep(0.05)
        reap()
    return len(first)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


if __name__ == "__main__":
    main()
