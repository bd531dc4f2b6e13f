"""The append-only log that a review is made of: nothing is acknowledged before it is on the disk."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout
from pydantic import ValidationError

from align.records import DataError, Problem, Record, iter_jsonl, problems_of
from align.reviewing.events import Event, Header
from align.reviewing.scales import Mode


class LogError(Exception):
    """The log could not be written; what was to be written does not count."""


class EventLog:
    """`reviews.jsonl`: a header and one event a line, held by one process at a time.

    A line without its end was never acknowledged: such a torn tail, which a kill or a power cut leaves, is
    moved to `reviews.torn` beside the log, and the browser sends the event again.

    Raises:
        DataError: a line in the middle cannot be read, or the log is of another mode or format.
        RuntimeError: another process holds the log.
    """

    def __init__(self, path: str | Path, mode: Mode) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{self.path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RuntimeError(
                f"{self.path} is in use by another review server: stop that one, or give another `out`"
            ) from error
        try:
            self.torn = self._cut_torn_tail()
            self._file = self.path.open("ab", buffering=0)
            if self._file.tell() == 0:
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                self._write(Header(review=uuid.uuid4().hex, mode=mode, created=now))
                _sync_folder(self.path.parent)
            self.header, self.events = self._read(mode)
        except BaseException:
            self._lock.release()
            raise

    def append(self, event: Event) -> None:
        """Write one event through to the disk. Raises `LogError`; the log then is as it was before."""
        self._write(event)

    def close(self) -> None:
        self._file.close()
        self._lock.release()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, record: Record) -> None:
        if self._file.closed:
            raise LogError(f"{self.path} is closed")
        data = record.model_dump_json(exclude_none=True).encode() + b"\n"
        before = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(data)
            if written != len(data):
                raise OSError(f"{written} of {len(data)} bytes were written")
            os.fsync(self._file.fileno())
        except OSError as error:
            try:
                # Half a line in the middle would make the whole log unreadable.
                self._file.truncate(before)
            except OSError:
                self._file.close()
            raise LogError(f"{self.path} could not be written ({error}): is the disk full?") from error

    def _cut_torn_tail(self) -> int:
        """Bytes of a last line without an end, which are moved out of the log."""
        if not self.path.exists():
            return 0
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole == len(data):
            return 0
        with self.path.with_suffix(".torn").open("ab") as torn:
            torn.write(data[whole:] + b"\n")
            torn.flush()
            os.fsync(torn.fileno())
        with self.path.open("r+b") as stream:
            stream.truncate(whole)
            os.fsync(stream.fileno())
        return len(data) - whole

    def _read(self, mode: Mode) -> tuple[Header, list[Event]]:
        lines = self._lines()
        header = next(lines, None)
        if not isinstance(header, Header):
            message = "the first line is no header of a review: is this another file?"
            raise DataError([Problem(file=str(self.path), line=1, message=message)])
        if header.mode != mode:
            message = f"this review is of {header.mode}, not of {mode}: give another `out`"
            raise DataError([Problem(file=str(self.path), line=1, field="mode", message=message)])
        rest = list(lines)
        problems = [line for line in rest if isinstance(line, Problem)]
        problems += [
            Problem(file=str(self.path), message="a second header: two logs were joined into one")
            for line in rest
            if isinstance(line, Header)
        ]
        if problems:
            raise DataError(problems)
        return header, [line for line in rest if isinstance(line, Event)]

    def _lines(self) -> Iterator[Header | Event | Problem]:
        for number, row in iter_jsonl(self.path):
            if isinstance(row, Problem):
                yield row
                continue
            try:
                yield (Header if row.get("kind") == "review" else Event).model_validate(row)
            except ValidationError as error:
                yield from problems_of(error, str(self.path), number)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, where folders can be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows has no such handle
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
