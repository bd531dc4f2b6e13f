"""General rows from a file (`retain`): what keeps a model's other abilities while honesty is trained.

The paper mixes its pairs 1:1 with RLHF-V. Such a file holds `Pair` or `SFTRow` records, as
data_prep/ingest.py writes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from align.data.held_out import OtherSplits
from align.data.ledger import Ledger
from align.records import DataError, Pair, Problem, SFTRow, iter_jsonl, read_records

R = TypeVar("R", Pair, SFTRow)


def read_retain(path: str | Path) -> list[Pair] | list[SFTRow]:
    """Read a file of pairs or of supervised rows, told apart by its first row.

    Raises `DataError` for bad rows or a file without rows, `FileNotFoundError`.
    """
    for _, row in iter_jsonl(path):
        if isinstance(row, Problem):
            raise DataError([row])
        if "completion" in row:
            return read_records(path, SFTRow)
        return read_records(path, Pair)
    raise DataError([Problem(file=str(path), message="no rows: give a file of pairs or of supervised rows")])


def usable_retain(rows: Sequence[R], others: OtherSplits, per_question: int, ledger: Ledger) -> dict[str, R]:
    """The rows that may be trained on, by their key in the ledger, which is told of the others.

    A row is left out if it is not of kind `retain` (then it belongs to a question of this project), if its
    image is in another split, if it repeats a row, or if its question has `per_question` rows already.
    """
    keys = ledger.open("retain", (row.question_id for row in rows))
    others.learn(image for row in rows for image in row.images)
    usable: dict[str, R] = {}
    seen: set[str] = set()
    of_question: Counter[str] = Counter()
    for row, key in zip(rows, keys, strict=True):
        content = row.model_dump_json()
        reason = (
            f"of kind {row.kind}, not retain"
            if row.kind != "retain"
            else others.shown_by(row.images)
            or ("the same row as another one" if content in seen else None)
            or (
                "its question has enough rows (per_question)"
                if of_question[row.question_id] >= per_question
                else None
            )
        )
        if reason is not None:
            ledger.leave_out("retain", key, reason)
            continue
        seen.add(content)
        of_question[row.question_id] += 1
        usable[key] = row
    return usable


def as_pairs(rows: list[Pair] | list[SFTRow], path: str | Path) -> list[Pair]:
    """The rows as pairs. Raises `DataError` for supervised rows, which have no rejected side."""
    pairs = [row for row in rows if isinstance(row, Pair)]
    if len(pairs) < len(rows):
        message = "supervised rows have no rejected side: give retain= a file of pairs"
        raise DataError([Problem(file=str(path), field="rejected", message=message)])
    return pairs


def as_sft(rows: list[Pair] | list[SFTRow]) -> list[SFTRow]:
    """The rows as supervised ones: of a pair its chosen side."""
    return [
        row
        if isinstance(row, SFTRow)
        else SFTRow(
            question_id=row.question_id,
            prompt=row.prompt,
            completion=row.chosen,
            images=row.images,
            kind=row.kind,
            category=row.category,
            completion_source=row.chosen_source,
        )
        for row in rows
    ]
