"""What `configs/tracking` can say, checked before a run begins."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from align.tracking.artifacts import TYPES
from align.tracking.credentials import MODES

OURS = {
    "wandb": ("wandb", "pip install wandb"),
    "tensorboard": ("tensorboard", "pip install tensorboard"),
    "trackio": ("trackio", "pip install trackio"),
}
"""The trackers of this package: the module that each needs, and how to get it."""


class TrackingError(ValueError):
    """The settings cannot work; the message names the field and what to give."""


@dataclass(frozen=True)
class TrackingSettings:
    """A `tracking` configuration.

    `report_to`: names of trackers, none for none. `mode`, `project`, `entity`: W&B's (trackio has projects
    too). `name`, `group`, `job_type`, `tags`: of the run; None: the program fills them in. `upload`: types of
    artifacts whose large files are uploaded, not only named. `examples`: questions in a benchmark's table.
    `folder`: where TensorBoard and trackio write; None: the run folder.
    """

    report_to: tuple[str, ...] = ()
    mode: str = "auto"
    project: str = "mohoalign"
    entity: str | None = None
    name: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: tuple[str, ...] = ()
    upload: tuple[str, ...] = ()
    examples: int = 64
    folder: str | None = None


def tracking_settings(config: Mapping[str, Any]) -> TrackingSettings:
    """Read a `tracking` configuration. Raises `TrackingError` that names the field and what to give."""
    known = {field.name for field in fields(TrackingSettings)}
    if unknown := sorted(set(config) - known):
        raise TrackingError(f"tracking.{unknown[0]}: no such setting; there are {', '.join(sorted(known))}")
    values = {name: value for name, value in config.items() if value is not None}
    for name in ("report_to", "tags", "upload"):
        if name in values:
            values[name] = _names(values[name])
    values["report_to"] = tuple(name for name in values.get("report_to", ()) if name != "none")
    settings = TrackingSettings(**values)
    if "all" in settings.report_to:
        raise TrackingError(f"tracking.report_to=all: name the trackers, such as [{', '.join(OURS)}]")
    if len(set(settings.report_to)) < len(settings.report_to):
        raise TrackingError(f"tracking.report_to={list(settings.report_to)}: a name stands there twice")
    for tracker in settings.report_to:
        if tracker in OURS:
            _require(tracker)
    if settings.mode not in MODES:
        raise TrackingError(f"tracking.mode={settings.mode!r}: choose one of {', '.join(MODES)}")
    if wrong := [name for name in settings.upload if name not in TYPES]:
        raise TrackingError(
            f"tracking.upload: {wrong[0]!r} is no type of artifact: choose from {', '.join(TYPES)}"
        )
    if isinstance(settings.examples, bool) or not isinstance(settings.examples, int) or settings.examples < 0:
        raise TrackingError(
            f"tracking.examples={settings.examples!r}: give a whole number; 0 shows no question"
        )
    return settings


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(name) for name in value)


def _require(tracker: str) -> None:
    module, command = OURS[tracker]
    if importlib.util.find_spec(module) is None:
        raise TrackingError(
            f"tracking.report_to names {tracker}, which is not installed: `{command}`, or choose another "
            "with tracking=wandb, tracking=tensorboard or tracking=none"
        )
