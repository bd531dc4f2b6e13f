"""A bar for bytes that come from several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from align.data.fetching import Progress as Advance
from align.data.report import console


@contextmanager
def byte_bar(description: str) -> Iterator[Advance]:
    """A bar on the terminal; yields the function `(file, bytes so far, bytes in all or None)` that moves it.

    The total is of the files that were begun, so it grows while small files come one after another.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    done: dict[str, int] = {}
    totals: dict[str, int] = {}
    lock = threading.Lock()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(description, total=None)

        def advance(file: str, so_far: int, total: int | None) -> None:
            with lock:
                done[file] = so_far
                totals[file] = max(so_far, total or 0)
                progress.update(task, completed=sum(done.values()), total=sum(totals.values()))

        yield advance
