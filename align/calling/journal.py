"""The journal: what was sent and what came back, one JSON object a line, appended and never changed.

    {"what": "sent", "call": "<digest>", "key": "q1/0", "attempt": 1, "in": 812, "out": 256, "at": ...}
    {"what": "text", ..., "attempt": 1, "text": "A bus.", "truncated": false, "in": 501, "out": 4, ...}
    {"what": "unusable", ..., "why": "..."}                that text was refused
    {"what": "error", ..., "why": "...", "counts": true}   no text came; `counts` towards the attempts
    {"what": "gave_up", ..., "why": "..."}                 all attempts failed; the next run begins anew

`in` and `out` are tokens: the upper bound (align/calling/bounds.py) in "sent", and in "text" and "error" what
the endpoint counted, or the bound where it did not say. A "sent" without an answer was in flight when the
process died. A line is written before what it tells of counts: "sent" before the request, "text" before the
text is looked at.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from align.calling.bounds import Amount, Raised
from align.records import DataError, Problem, iter_jsonl

_SYNC_EVERY = 1.0


class JournalBusy(Exception):
    """Another process writes this journal."""


@dataclass
class CallState:
    """What the journal knows of one call. `text` is the last that came, null after it was refused."""

    sent: int = 0
    taken: Amount = field(default_factory=Amount)
    text: str | None = None
    truncated: bool = False
    refused_texts: int = 0
    failures: int = 0
    why: str | None = None
    in_flight: dict[int, tuple[Amount, Amount]] = field(default_factory=dict)
    """By attempt: its upper bound, and that bound as it was raised when it was sent."""


class History:
    """The state of every call in a journal, and of all together."""

    def __init__(self) -> None:
        self.calls: dict[str, CallState] = {}
        self.answered = Amount()
        self.texts = 0
        self.raised = Raised()

    @property
    def spent(self) -> Amount:
        """What all attempts took; those that were in flight at a kill at their upper bound."""
        total = self.answered
        for state in self.calls.values():
            for _, raised in state.in_flight.values():
                total += raised
        return total

    def state(self, call: str) -> CallState:
        return self.calls.setdefault(call, CallState())

    def add(self, row: dict[str, Any]) -> None:
        state = self.state(row["call"])
        match row["what"]:
            case "sent":
                state.sent += 1
                bound = Amount(1, row["in"], row["out"])
                state.in_flight[row["attempt"]] = (bound, self.raised.apply(bound))
            case "text" | "error":
                taken = Amount(1, row["in"], row["out"])
                bound, _ = state.in_flight.pop(row["attempt"])
                state.taken += taken
                self.answered += taken
                if row["what"] == "text":
                    self.texts += 1
                    state.text, state.truncated = row["text"], row["truncated"]
                    self.raised.learn(bound, taken)
                else:
                    state.failures += bool(row["counts"])
                    state.why = row["why"]
            case "unusable":
                state.text = None
                state.refused_texts += 1
                state.failures += 1
                state.why = row["why"]
            case "gave_up":
                state.failures = 0
            case other:
                raise ValueError(f"unknown kind of line {other!r}")


def read_journal(path: Path) -> History:
    """The history in a journal that may not exist, or may be written to at this moment.

    Raises `DataError` for an unreadable line that is not its torn last one.
    """
    history = History()
    if not path.exists():
        return history
    whole = path.read_bytes().count(b"\n")
    for number, row in iter_jsonl(path):
        if number > whole:  # a last line without its end: torn by a kill, or still being written
            break
        if isinstance(row, Problem):
            raise DataError([row])
        try:
            history.add(row)
        except (KeyError, ValueError, TypeError) as error:
            message = f"no line of a journal of calls ({type(error).__name__}: {error})"
            raise DataError([Problem(file=str(path), line=number, message=message)]) from error
    return history


class Journal:
    """A journal that is open for writing, by one process at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise JournalBusy(
                f"another process is writing {path}: wait for it, or give this run another journal"
            ) from None
        try:
            _remove_torn_line(path)
            self.history = read_journal(path)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except BaseException:
            self._lock.release()
            raise
        self._synced = time.monotonic()
        self._whole = True

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync(self._file)
        os.close(self._file)
        self._lock.release()

    def write(self, what: str, call: str, key: str, **more: Any) -> None:
        """Append a line; it outlives this process when this returns, and a power cut a second later."""
        row = {"what": what, "call": call, "key": key, **more, "at": round(time.time(), 3)}
        if not self._whole:
            raise OSError(f"{self.path} ends in half a line since a write to it failed")
        # ASCII: half a character (a lone surrogate), which some endpoints send, has no UTF-8.
        line = json.dumps(row).encode() + b"\n"
        self._whole = False
        while line:
            line = line[os.write(self._file, line) :]
        self._whole = True
        if time.monotonic() - self._synced > _SYNC_EVERY:
            os.fsync(self._file)
            self._synced = time.monotonic()
        self.history.add(row)


def _remove_torn_line(path: Path) -> None:
    # A kill in the middle of a write. Nothing is lost: a "sent" that is not whole was not sent, and an answer
    # that is not whole leaves its call in flight.
    if path.exists():
        raw = path.read_bytes()
        end = raw.rfind(b"\n") + 1
        if end < len(raw):
            with path.open("r+b") as stream:
                stream.truncate(end)
