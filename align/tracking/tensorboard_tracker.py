"""A run as TensorBoard's event files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from align.tracking.artifacts import Artifact
from align.tracking.tracker import RunFacts, Table, is_picture

_ROWS_SHOWN = 200  # of a table, as text: TensorBoard shows no more than a page of it well
_PICTURES_SHOWN = 32


class TensorboardTracker:
    """Event files in `tensorboard/` of the run folder; in `folder/NAME` where `tracking.folder` is given.

    Figures are scalars, tables Markdown with their pictures beside them. TensorBoard has no files, pages or
    lineage: of those their paths and digests are kept as text.
    """

    def __init__(self) -> None:
        self._writer: Any = None
        self._step = 0
        self._lineage: list[str] = []

    def start(self, facts: RunFacts) -> str:
        from torch.utils.tensorboard import SummaryWriter

        given = facts.settings.folder
        folder = Path(given) / facts.name if given else facts.folder / "tensorboard"
        # What a stopped run wrote after its checkpoint comes again.
        again = facts.step + 1 if facts.resumed else None
        self._writer, self._step = SummaryWriter(str(folder), purge_step=again), facts.step
        self.config(facts.config)
        return f"TensorBoard: {folder} (look at it with `tensorboard --logdir {folder.parent}`)"

    def config(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            text = json.dumps(value, indent=2, default=str)
            self._writer.add_text(f"config/{name}", f"```json\n{text}\n```", self._step)

    def figures(self, values: Mapping[str, float], step: int) -> None:
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def summary(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, self._step)

    def table(self, name: str, table: Table, step: int | None = None) -> None:
        at = self._step if step is None else step
        self._writer.add_text(name, _markdown(table), at)
        pictures = [(row, cell) for row in table.rows for cell in row if is_picture(cell)]
        for number, (_, picture) in enumerate(pictures[:_PICTURES_SHOWN]):
            pixels = np.asarray(picture.convert("RGB"))
            self._writer.add_image(f"{name}/{number}", pixels, at, dataformats="HWC")

    def page(self, name: str, file: Path) -> None:
        self._writer.add_text(name, f"`{file}`", self._step)

    def file(self, file: Path) -> None:
        self._writer.add_text(f"files/{file.name}", f"`{file}`", self._step)

    def uses(self, artifact: Artifact) -> None:
        self._related("used", artifact)

    def made(self, artifact: Artifact) -> None:
        self._related("made", artifact)

    def _related(self, how: str, artifact: Artifact) -> None:
        path = artifact.metadata.get("path") or artifact.metadata.get("name", "")
        self._lineage.append(f"- {how} {artifact.type} `{artifact.name}` {artifact.alias} ({path})")
        self._writer.add_text("lineage", "\n".join(self._lineage), self._step)

    def finish(self, failed: bool) -> None:
        self._writer.close()

    def give_up(self) -> None:
        pass


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    lines = [line(table.columns), line(["---"] * len(table.columns))]
    picture = 0
    for row in table.rows[:_ROWS_SHOWN]:
        cells = []
        for cell in row:
            if is_picture(cell):
                cells.append(f"picture {picture}")
                picture += 1
            else:
                text = "" if cell is None else str(cell)
                cells.append(text.replace("|", "\\|").replace("\n", " "))
        lines.append(line(cells))
    if len(table.rows) > _ROWS_SHOWN:
        lines += ["", f"{len(table.rows) - _ROWS_SHOWN} rows more"]
    return "\n".join(lines)
