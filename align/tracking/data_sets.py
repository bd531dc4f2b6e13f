"""What a program that builds training data tells its trackers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from align.records import Pair, SFTRow
from align.tracking.artifacts import DATASET, REPORT, name_of, of_files, of_path
from align.tracking.pictures import shown_image
from align.tracking.tracker import Table
from align.tracking.tracking import Tracking

_SIDES = ("chosen", "rejected", "completion")


def track_rows(
    tracking: Tracking,
    rows: Sequence[Pair | SFTRow],
    *,
    output: Path,
    inputs: Mapping[str, str],
    card: Path,
    section: Mapping[str, Any],
    root: str,
    record: Path,
) -> None:
    """The rows that were built: what from, how many of which kind, some of them, and the data card.

    `output` is the file of rows, `card` the folder's `DATA_CARD.md` and `section` what it says of the file;
    `record` is the run.json.
    """
    if not tracking.on:
        return
    tracking.record(record)
    with tracking.guarded("uses"):
        tracking.uses(*(of_path(path, DATASET) for path in inputs.values()))
    with tracking.guarded("summary"):
        counts = {name: section[name] for name in ("rows", "questions", "images") if name in section}
        for what in ("kinds", "categories"):
            counts |= {f"{what}/{name}": count for name, count in section[what].items()}
        tracking.summary({f"data/{name}": count for name, count in counts.items()})
    with tracking.guarded("table"):
        tracking.table("data/examples", _some(rows, tracking.settings.examples, root))
    with tracking.guarded("made"):
        limits = "\n".join(f"- {limit}" for limit in section["limits"])
        said = f"{section['rows']} {section['form']}, {section['kinds']}.\n\nLimits:\n{limits}"
        tracking.made(
            of_path(output, DATASET).told(said, {name: section[name] for name in ("rows", "kinds")})
        )
        files = of_files(card.parent, [card, card.with_name("data_card.json")], REPORT)
        tracking.made(files.named(f"{name_of(card.parent)}-data-card"))


def _some(rows: Sequence[Pair | SFTRow], count: int, root: str) -> Table:
    """As many rows as are to be shown, from all parts of the file, with their image."""
    chosen = rows[:: max(1, -(-len(rows) // count))] if count else []
    sides = [side for side in _SIDES if rows and hasattr(rows[0], side)]
    columns = ["question_id", "kind", "category", "image", "prompt", *sides]
    return Table(
        columns,
        [
            [
                row.question_id,
                row.kind,
                getattr(row, "category", None),
                shown_image(root, row.images[0] if row.images else None),
                row.prompt,
                *(getattr(row, side) for side in sides),
            ]
            for row in chosen
        ],
    )
