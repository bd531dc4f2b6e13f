"""What a tracker can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from align.tracking.artifacts import Artifact
from align.tracking.settings import TrackingSettings


@dataclass(frozen=True)
class RunFacts:
    """The run that is tracked: where it is, what it is called, and what it was set to.

    `id` is the same when the run is taken up again; `resumed` says that it was, from step `step`. `config`
    is plain and has no secrets.
    """

    folder: Path
    id: str
    name: str
    job_type: str
    settings: TrackingSettings
    config: Mapping[str, Any]
    group: str | None = None
    resumed: bool = False
    step: int = 0


@dataclass(frozen=True)
class Table:
    """Rows under `columns`; a cell may be a picture (`PIL.Image`)."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Tracker(Protocol):
    """One tracker of one run. Every method may raise: `tracking.Tracking` goes on without it."""

    def start(self, facts: RunFacts) -> str:
        """Begin the run, or take it up again. Returns a line that says where its figures go."""

    def config(self, values: Mapping[str, Any]) -> None:
        """Add to the run's configuration."""

    def figures(self, values: Mapping[str, float], step: int) -> None:
        """Figures of a training step, under names such as `train/loss`."""

    def summary(self, values: Mapping[str, float]) -> None:
        """Figures that hold for the whole run."""

    def table(self, name: str, table: Table, step: int | None = None) -> None:
        """A table, with its pictures."""

    def page(self, name: str, file: Path) -> None:
        """A page of HTML that stands for itself."""

    def file(self, file: Path) -> None:
        """A small file that belongs to the run, such as run.json."""

    def uses(self, artifact: Artifact) -> None:
        """The run read this."""

    def made(self, artifact: Artifact) -> None:
        """The run made this."""

    def finish(self, failed: bool) -> None:
        """End the run."""

    def give_up(self) -> None:
        """Leave behind a run that could not begin or end, so that the next one of this process can begin."""


def is_picture(cell: Any) -> bool:
    return isinstance(cell, Image.Image)
