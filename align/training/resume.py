"""Find where a run that was stopped can go on, and make sure that it is still the same run."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from align.records import write_json

# Settings that change what is written or how fast, and not what is learnt.
_HARMLESS = ("logging_", "save_", "eval_", "dataloader_", "disable_tqdm")


def last_whole_checkpoint(folder: str | Path, processes: int = 1) -> Path | None:
    """The newest checkpoint in a run's `checkpoints` that was written to its end, or None.

    The main process writes `trainer_state.json` last, and each of the others its random states, for which
    nobody waits. A checkpoint that lacks one of them was cut off when the run was killed: going on from it
    would fail, or visit other rows than the run would have.
    """
    states = [f"rng_state_{rank}.pth" for rank in range(processes)] if processes > 1 else ["rng_state.pth"]
    found = []
    for path in (Path(folder) / "checkpoints").glob("checkpoint-*"):
        number = re.fullmatch(r"checkpoint-(\d+)", path.name)
        whole = _is_json(path / "trainer_state.json") and all(zipfile.is_zipfile(path / s) for s in states)
        if number and whole:
            found.append((int(number[1]), path))
    return max(found)[1] if found else None


def step_of(checkpoint: str | None) -> int:
    """The step at which a run goes on from a checkpoint; 0 without one."""
    return 0 if checkpoint is None else int(Path(checkpoint).name.rpartition("-")[2])


def start_or_resume(
    folder: str | Path, *, resume: bool, processes: int = 1, check: bool = True
) -> str | None:
    """The checkpoint that a run should go on from, or None for a start from the beginning.

    Raises `ValueError` when a new run would overwrite an earlier one; `check` is for the main process of a
    launch only, since a slower one would see what the main one has begun to write. A run to be resumed
    that died before its first whole checkpoint starts again: that is the state it was in.
    """
    folder = Path(folder)
    if resume:
        checkpoint = last_whole_checkpoint(folder, processes)
        return None if checkpoint is None else str(checkpoint)
    if check and ((folder / "checkpoints").exists() or (folder / "adapter").exists()):
        raise ValueError(
            f"{folder} holds an earlier run. Give resume=true to go on with it, or another out=FOLDER"
        )
    return None


@contextmanager
def held(folder: str | Path, *, hold: bool = True) -> Iterator[None]:
    """Keep other programs from training in `folder` meanwhile; `hold` is for a launch's main process only.

    A launcher that is killed can leave workers that go on training: with a resumed run beside them, two would
    write the same checkpoints. Raises `ValueError` if another program trains there.
    """
    if not hold:
        yield
        return
    lock = FileLock(Path(folder) / ".training.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"another program trains in {folder}, perhaps the workers of a launch that was killed: end it "
            "first"
        ) from None
    try:
        yield
    finally:
        lock.release()


def keep_start(folder: str | Path, facts: Mapping[str, Any], *, resume: bool, check: bool = True) -> None:
    """Keep in `start.json` what a run's result depends on, and compare with it when the run is resumed.

    `facts` are digests of weights and rows, the seed, and settings as nested mappings. Raises `ValueError`
    that names what differs: going on with other weights or rows would give an adapter that belongs to
    neither run. `check` is for the main process of a launch only.
    """
    if not check:
        return
    path = Path(folder) / "start.json"
    now = json.loads(json.dumps(_flat(facts)))
    if not (resume and path.exists()):
        write_json(path, now)
        return
    then = json.loads(path.read_text(encoding="utf-8"))
    changed = [
        f"{key} was {then.get(key)!r} and is {now.get(key)!r}"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    ]
    if changed:
        raise ValueError(
            f"{folder} cannot be resumed as another run: {'; '.join(changed)}. Give what it started with, or "
            "start anew with another out=FOLDER (model.adapter=FOLDER goes on from an adapter)"
        )


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif not str(key).startswith(_HARMLESS):
            flat[f"{prefix}{key}"] = value
    return flat


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return False
    return True
