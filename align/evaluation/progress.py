"""A progress bar for an Inspect run.

Inspect's own displays write a line every few samples or take over the whole terminal, and a hook of its
would be announced on the terminal each time. So the solver counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inspect_ai.solver import Generate, Solver, TaskState, solver
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


@solver
def answer() -> Solver:
    """Inspect's `generate`, counted by the progress bar if one is open."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        try:
            return await generate(state)
        finally:
            if _bar is not None:
                _bar.advance(_bar.task_ids[0])

    return solve


@contextmanager
def progress_bar(console: Console, what: str, total: int) -> Iterator[None]:
    """Show how many of `total` samples the model has answered, until the block ends.

    Samples that an earlier run answered, and those whose image is missing, are never asked.
    """
    global _bar
    _bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    try:
        with _bar:
            _bar.add_task(what, total=total)
            yield
    finally:
        _bar = None


def show_done(count: int) -> None:
    """Let the bar stand at `count`, where other processes answer a part of the samples."""
    if _bar is not None:
        _bar.update(_bar.task_ids[0], completed=count)
