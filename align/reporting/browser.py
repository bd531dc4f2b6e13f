"""The data of the samples browser: every sample and every model's response, compact, for the page's script.

The page holds them as gzipped JSON, columns rather than rows, and as base64, whose alphabet can end no script
element. The script only ever sets texts as text.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from align.evaluation.metrics import is_right
from align.records import Graded, Scored, stable_id
from align.reporting import wording
from align.reporting.run_folders import TaskRows
from align.reporting.runs import BenchmarkRun, task_names
from align.reporting.thumbnails import Picture, Thumbnails, make_thumbnails
from align.reporting.wording import Outcome, visible


@dataclass(frozen=True)
class SamplesBrowser:
    """What the page's template needs: `data` and `pictures` are base64, `samples` counts the rows."""

    data: str
    pictures: str
    samples: int
    images: int
    embedded: int


def make_browser(
    runs: Sequence[BenchmarkRun], base: str, *, budget: int, folder: Path | None
) -> tuple[SamplesBrowser, Thumbnails]:
    """All samples of the honesty task and of the general ones, each with every model's response.

    Pictures are embedded up to `budget` bytes: first those of questions that models handled differently, in
    each half in the order of a hash of the image's path. The others are named by their path from `folder`,
    where the page is going to be (None: not at all).
    """
    tasks = [runs[0].main.name, *task_names(runs, "general")]
    items = [
        (name, next(run.tasks[name] for run in runs if name in run.tasks), key)
        for name in tasks
        for key in next(run.tasks[name] for run in runs if name in run.tasks).by_key
    ]
    thumbnails = make_thumbnails(_in_order(runs, items), budget)
    table = _Tables(thumbnails, folder)
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("task", "id", "group", "part", "question", "truth", "declinable", "image", "twin")
    }
    number = {(name, key[0]): at for at, (name, _, key) in enumerate(items)}
    for name, rows, key in items:
        row = rows.by_key[key]
        twin = getattr(row, "twin", None)
        columns["task"].append(tasks.index(name))
        columns["id"].append(key[0])
        columns["group"].append(table.index("groups", _group(row)))
        columns["part"].append(_part(row))
        columns["question"].append(visible(row.prompt if isinstance(row, Scored) else row.question))
        columns["truth"].append(visible(_truth(row)))
        columns["declinable"].append(int(_should_decline(row)))
        columns["image"].append(table.image(rows.data_root, row.image))
        columns["twin"].append(number.get((name, twin), -1) if twin else -1)
    answers = [
        table.answers(
            [run.tasks[name].by_key.get(key) if name in run.tasks else None for name, _, key in items]
        )
        for run in runs
    ]
    data = {
        "base": [run.name for run in runs].index(base),
        "models": [wording.display(run.name) for run in runs],
        "tasks": tasks,
        **table.tables,
        "columns": columns,
        "answers": answers,
    }
    packed = gzip.compress(
        json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(), compresslevel=6, mtime=0
    )
    made = SamplesBrowser(
        data=base64.b64encode(packed).decode(),
        pictures=thumbnails.text,
        samples=len(items),
        images=thumbnails.wanted,
        embedded=len(thumbnails.at),
    )
    return made, thumbnails


def _in_order(
    runs: Sequence[BenchmarkRun], items: Sequence[tuple[str, TaskRows, tuple[str, str]]]
) -> list[Picture]:
    """The pictures of all samples, those first on which models differ."""
    differ: dict[Picture, bool] = {}
    for name, rows, key in items:
        row = rows.by_key[key]
        if row.image is not None:
            rights = {right_of(run.tasks[name].by_key[key]) for run in runs if name in run.tasks}
            picture = (rows.data_root, row.image)
            differ[picture] = differ.get(picture, False) or len(rights) > 1
    return sorted(differ, key=lambda picture: (not differ[picture], stable_id("picture", picture[1])))


class _Tables:
    """What many rows share, each thing once: labels of groups, outcomes, images."""

    def __init__(self, thumbnails: Thumbnails, folder: Path | None) -> None:
        self._thumbnails = thumbnails
        self._folder = folder
        self._at: dict[tuple[str, Any], int] = {}
        self.tables: dict[str, list[Any]] = {"groups": [], "outcomes": [], "images": []}

    def index(self, table: str, value: Any, shown: Any = None) -> int:
        if (table, value) not in self._at:
            self._at[table, value] = len(self.tables[table])
            self.tables[table].append(value if shown is None else shown)
        return self._at[table, value]

    def image(self, root: Path, image: str | None) -> int:
        if image is None:
            return -1
        picture = (root, image)
        if ("images", picture) in self._at:
            return self._at["images", picture]
        shown: dict[str, Any] = {"name": visible(image)}
        if picture in self._thumbnails.at:
            shown["at"] = self._thumbnails.at[picture]
        elif picture in self._thumbnails.unreadable:
            shown["missing"] = True
        elif self._folder is not None:
            path = os.path.relpath((root / image).absolute(), self._folder.absolute())
            shown["path"] = quote(Path(path).as_posix())
        return self.index("images", picture, shown)

    def answers(self, rows: Sequence[Graded | Scored | None]) -> dict[str, list[Any]]:
        """One model's column. `outcome` is -1 where the model was not asked."""
        found: dict[str, list[Any]] = {
            name: [] for name in ("text", "outcome", "right", "rationality", "helpfulness", "said", "error")
        }
        for row in rows:
            found["text"].append(visible(row.response) if row else None)
            found["outcome"].append(self._outcome(row) if row else -1)
            right = right_of(row) if row else None
            found["right"].append(None if right is None else int(right))
            found["error"].append(visible(row.error) if row else None)
            for name in ("rationality", "helpfulness"):
                found[name].append(getattr(row, name, None))
            found["said"].append(visible(getattr(row, "judge_said", None)))
        # A column of nothing is left out.
        return {name: column for name, column in found.items() if any(value is not None for value in column)}

    def _outcome(self, row: Graded | Scored) -> int:
        outcome: Outcome = wording.outcome_of(row)
        shown = {"tone": outcome.tone, "sign": outcome.sign, "label": outcome.label}
        return self.index("outcomes", outcome, shown)


def right_of(row: Graded | Scored) -> bool | None:
    """Did the model do the right thing? None when it can't be told."""
    if isinstance(row, Scored):
        return None if row.score is None else row.score == 1
    return is_right(row)


def _group(row: Graded | Scored) -> str:
    if isinstance(row, Scored):
        return visible(row.part or row.benchmark) or ""
    return wording.category_label(row.category)


def _part(row: Graded | Scored) -> str | None:
    if isinstance(row, Scored):
        return visible(row.variant)
    return visible(wording.part_label(row.part)) if row.part else None


def _should_decline(row: Graded | Scored) -> bool:
    return row.should_abstain if isinstance(row, Scored) else not row.answerable


def _truth(row: Graded | Scored) -> str:
    if isinstance(row, Scored):
        return " / ".join(row.gold)
    if row.answerable:
        return " / ".join(row.answers)
    return row.known_reason or f"It {wording.CATEGORIES[row.category][1]}."
