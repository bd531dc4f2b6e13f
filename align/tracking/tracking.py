"""A run and its trackers, as programs see them."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from align.records import write_json
from align.run import hide_secrets
from align.tracking.artifacts import Artifact
from align.tracking.settings import OURS, TrackingError, TrackingSettings, tracking_settings
from align.tracking.tensorboard_tracker import TensorboardTracker
from align.tracking.tracker import RunFacts, Table, Tracker
from align.tracking.trackio_tracker import TrackioTracker
from align.tracking.wandb_tracker import WandbTracker

KEPT = "tracking.json"
"""In the run folder: the id under which a tracker knows the run, to take it up again."""

_PATIENCE = 3  # failures in a row after which a tracker is left out: each may be a timeout

_TRACKERS: dict[str, Callable[[], Any]] = {
    "wandb": WandbTracker,
    "tensorboard": TensorboardTracker,
    "trackio": TrackioTracker,
}


class Tracking:
    """The trackers of one run: what is said to it is said to each of them.

    A tracker that cannot begin is named on the terminal and left out, one that fails later is named, and left
    out when it fails again and again: figures stand in the run folder as well, and a run is worth more than
    its curves. What a program makes only for its trackers, it makes inside `guarded`. Only the main process
    of a launch has trackers.

    Args:
        config: the program's configuration; `config["tracking"]` says what to report to. Secrets in it are
            hidden.
        folder: the run folder.
        job_type: what the program does: `train`, `benchmark`, `compare`, `data`.
        others: whether trackers that are not of this package are somebody else's to start (`elsewhere`).

    Raises `TrackingError` for settings that cannot work, before anything is started.
    """

    def __init__(
        self, config: Mapping[str, Any], folder: str | Path, *, job_type: str, others: bool = False
    ) -> None:
        self.settings: TrackingSettings = tracking_settings(config["tracking"])
        self.elsewhere = [name for name in self.settings.report_to if name not in OURS]
        if self.elsewhere and not others:
            raise TrackingError(
                f"tracking.report_to={self.elsewhere[0]}: this program reports to {', '.join(OURS)}, or none"
            )
        self._config, self._folder, self._job_type = config, Path(folder), job_type
        self._main = os.environ.get("RANK", "0") == "0"
        self._trackers: dict[str, Tracker] = {}
        self._failures: dict[str, list[str]] = {}  # what failed, since something last worked

    @property
    def on(self) -> bool:
        """Whether there is a tracker to tell anything."""
        return bool(self._trackers)

    @contextmanager
    def run(self, *, resume: bool = True, step: int = 0) -> Iterator[Tracking]:
        """Track what happens inside. An error that leaves it marks the run as failed.

        `resume` takes up the run that was tracked in this folder, if one was, at step `step`; otherwise the
        folder gets a new one.
        """
        failed = True
        try:
            if self._main:
                self._start(resume=resume, step=step)
            yield self
            failed = False
        finally:
            for name, tracker in self._trackers.items():
                try:
                    tracker.finish(failed)
                except Exception as error:
                    _note(name, "finish", error, "some of its figures may be missing there")
                    tracker.give_up()
            self._trackers = {}

    def _start(self, *, resume: bool, step: int) -> None:
        names = [name for name in self.settings.report_to if name in _TRACKERS]
        if not names:
            return
        kept = self._folder / KEPT
        known = _read(kept) if resume else None
        facts = RunFacts(
            folder=self._folder,
            id=known or secrets.token_hex(4),
            name=self.settings.name or f"{self._folder.parent.name}-{self._folder.name}",
            job_type=self.settings.job_type or self._job_type,
            group=self.settings.group or _multirun(),
            settings=self.settings,
            config=hide_secrets(dict(self._config)),
            resumed=known is not None,
            step=step,
        )
        write_json(kept, {"id": facts.id})  # before, so that a run that is killed at once is found again
        for name in names:
            tracker = _TRACKERS[name]()
            try:
                _say(tracker.start(facts))
                self._trackers[name] = tracker
            except Exception as error:
                _note(name, "start", error, "the run goes on without it")
                tracker.give_up()

    def _each(self, what: str, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            failures = self._failures.setdefault(name, [])
            try:
                tell(tracker)
                failures.clear()
            except Exception as error:
                if what not in failures:
                    _note(name, what, error, "the run goes on")
                failures.append(what)
                if len(failures) == _PATIENCE:
                    print(f"note: {name} is left out from here on", file=sys.stderr, flush=True)
                    with suppress(Exception):
                        tracker.finish(False)
                    tracker.give_up()
                    del self._trackers[name]

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """For what is made only to be told, such as an artifact: an error is said, and the run goes on.

        What is left of the block is not told; the trackers stay.
        """
        try:
            yield
        except Exception as error:
            _note("tracking", what, error, "the run goes on")

    def config(self, values: Mapping[str, Any]) -> None:
        """Add to the configuration; secrets in it are hidden."""
        shown = hide_secrets(dict(values))
        self._each("config", lambda tracker: tracker.config(shown))

    def figures(self, values: Mapping[str, float], step: int) -> None:
        """Figures of a training step, under names such as `train/loss`."""
        if values:
            self._each("figures", lambda tracker: tracker.figures(values, step))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Figures of the whole run. What is no number is left out."""
        numbers = {name: value for name, value in values.items() if _is_number(value)}
        if numbers:
            self._each("summary", lambda tracker: tracker.summary(numbers))

    def table(self, name: str, table: Table, step: int | None = None) -> None:
        """A table, with its pictures."""
        if table.rows:
            self._each("table", lambda tracker: tracker.table(name, table, step))

    def page(self, name: str, file: str | Path) -> None:
        """A page of HTML."""
        self._each("page", lambda tracker: tracker.page(name, Path(file)))

    def uses(self, *artifacts: Artifact) -> None:
        """The run read these."""
        for artifact in artifacts:
            self._each("uses", lambda tracker, one=artifact: tracker.uses(one))  # type: ignore[misc]

    def made(self, *artifacts: Artifact) -> None:
        """The run made these."""
        for artifact in artifacts:
            self._each("made", lambda tracker, one=artifact: tracker.made(one))  # type: ignore[misc]

    def record(self, run_json: Path) -> None:
        """What `run.json` says beside the configuration: versions, commit, seeds, digests, hardware, cost."""
        if not self.on:
            return
        with self.guarded("record"):
            found = json.loads(run_json.read_text(encoding="utf-8"))
            self.config({"record": {name: value for name, value in found.items() if name not in _TOLD}})
        self._each("file", lambda tracker: tracker.file(run_json))

    def with_wandb(self, tell: Callable[[Any, Any], None]) -> None:
        """For what only W&B can show: `tell(wandb, run)`, if the run is tracked there."""
        tracker = self._trackers.get("wandb")
        if isinstance(tracker, WandbTracker):
            self._each(
                "plots",
                lambda one: tell(tracker.wandb, tracker.run) if one is tracker else None,
            )


_TOLD = ("config", "results")  # the configuration is there already, results are in the summary


def _read(kept: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(kept.read_text(encoding="utf-8"))["id"])
    return None


def _multirun() -> str | None:
    """The group of a job of Hydra's `--multirun`: the folder of all of them."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    folder = Path(HydraConfig.get().sweep.dir)
    return f"{folder.parent.name}-{folder.name}"


def _note(name: str, what: str, error: Exception, then: str) -> None:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    print(
        f"note: {name} failed at `{what}` ({type(error).__name__}: {reason}); {then}. Figures are in the run "
        "folder as well",
        file=sys.stderr,
        flush=True,
    )


def _say(line: str) -> None:
    print(line, flush=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
