"""A progress bar for an Inspect run, through Inspect's hooks.

Inspect's own displays write a line every few samples or take over the whole terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inspect_ai.hooks import Hooks, SampleEnd, hooks
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_bar: Progress | None = None


@hooks(name="align_progress", description="progress bar of evaluate/benchmark.py")
class ProgressHook(Hooks):
    """Counts finished samples, failed ones included, while `progress_bar` is open."""

    def enabled(self) -> bool:
        return _bar is not None

    async def on_sample_end(self, data: SampleEnd) -> None:
        assert _bar is not None
        _bar.advance(_bar.task_ids[0])
        if data.sample.error is not None:
            _bar.update(_bar.task_ids[0], failed=_bar.tasks[0].fields["failed"] + 1)


@contextmanager
def progress_bar(console: Console, what: str, total: int) -> Iterator[None]:
    """Show how many of `total` samples are done."""
    global _bar
    _bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("failed: {task.fields[failed]}"),
        console=console,
    )
    try:
        with _bar:
            _bar.add_task(what, total=total, failed=0)
            yield
    finally:
        _bar = None
