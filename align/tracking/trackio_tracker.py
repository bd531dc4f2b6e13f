"""A run in trackio, Hugging Face's tracker that keeps everything on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from align.tracking.artifacts import Artifact
from align.tracking.tracker import RunFacts, Table, is_picture
from align.tracking.wandb_tracker import STEP


class TrackioTracker:
    """A project database in `trackio/` of the run folder, or where TRACKIO_DIR or `tracking.folder` says.

    trackio takes a run's configuration with its first figures only, and has no lineage between runs and no
    pages. So the whole configuration and the lineage, as names and digests, are logged again at the end, as a
    text and a table; of pages and files their paths are kept.
    """

    def __init__(self) -> None:
        self._trackio: Any = None
        self._run: Any = None
        self._config: dict[str, Any] = {}
        self._lineage: list[list[str]] = []

    def start(self, facts: RunFacts) -> str:
        self._config = dict(facts.config)
        # Read when trackio is imported, once in a process.
        os.environ.setdefault(
            "TRACKIO_DIR", str(Path(facts.settings.folder or facts.folder / "trackio").resolve())
        )
        with redirect_stdout(sys.stderr):
            import trackio

            self._trackio = trackio
            self._run = trackio.init(
                project=facts.settings.project,
                name=facts.name,
                group=facts.group or facts.job_type,
                config=dict(self._config),
                resume="allow",
                embed=False,
            )
        where = os.environ["TRACKIO_DIR"]
        return (
            f"trackio: {where} (look at it with `TRACKIO_DIR={where} trackio show --project "
            f"{facts.settings.project}`)"
        )

    def config(self, values: Mapping[str, Any]) -> None:
        self._config |= values
        self._run.config.update(dict(values))

    def figures(self, values: Mapping[str, float], step: int) -> None:
        self._run.log({**values, STEP: step}, step=step)

    def summary(self, values: Mapping[str, float]) -> None:
        self._run.log(dict(values))

    def table(self, name: str, table: Table, step: int | None = None) -> None:
        rows = [
            [self._trackio.Image(cell) if is_picture(cell) else cell for cell in row] for row in table.rows
        ]
        shown = self._trackio.Table(columns=list(table.columns), data=rows)
        self._run.log({name.replace("/", "_"): shown}, **({} if step is None else {"step": step}))

    def page(self, name: str, file: Path) -> None:
        self.config({name: str(file)})

    def file(self, file: Path) -> None:
        self.config({file.name: str(file)})

    def uses(self, artifact: Artifact) -> None:
        self._related("used", artifact)

    def made(self, artifact: Artifact) -> None:
        self._related("made", artifact)

    def _related(self, how: str, artifact: Artifact) -> None:
        self._lineage.append([how, artifact.type, artifact.name, artifact.alias])

    def finish(self, failed: bool) -> None:
        text = json.dumps(self._config, indent=2, default=str)
        last: dict[str, Any] = {"configuration": self._trackio.Markdown(f"```json\n{text}\n```")}
        if self._lineage:
            columns = ["how", "type", "artifact", "version"]
            last["lineage"] = self._trackio.Table(columns=columns, data=self._lineage)
        self._run.log(last)
        with redirect_stdout(sys.stderr):
            self._trackio.finish()

    def give_up(self) -> None:
        pass
