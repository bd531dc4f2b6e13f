"""Find where a run that was stopped can go on."""

from __future__ import annotations

import json
import re
from pathlib import Path


def last_whole_checkpoint(folder: str | Path) -> Path | None:
    """The newest checkpoint in a run's `checkpoints` that was written to its end, or None.

    The trainer writes `trainer_state.json` last, so a checkpoint without a readable one was cut off when
    the run was killed and would fail, or go on from a wrong state.
    """
    found = []
    for path in (Path(folder) / "checkpoints").glob("checkpoint-*"):
        number = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if number and _is_json(path / "trainer_state.json"):
            found.append((int(number[1]), path))
    return max(found)[1] if found else None


def start_or_resume(folder: str | Path, *, resume: bool, check: bool = True) -> str | None:
    """The checkpoint that a run should go on from, or None for a start from the beginning.

    Raises `ValueError` when a new run would overwrite an earlier one; `check` is for the main process of a
    launch only, since a slower one would see what the main one has begun to write. A run to be resumed
    that died before its first whole checkpoint starts again: that is the state it was in.
    """
    folder = Path(folder)
    if resume:
        checkpoint = last_whole_checkpoint(folder)
        return None if checkpoint is None else str(checkpoint)
    if check and ((folder / "checkpoints").exists() or (folder / "adapter").exists()):
        raise ValueError(
            f"{folder} holds an earlier run. Give resume=true to go on with it, or another out=FOLDER"
        )
    return None


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return False
    return True
