"""A step of data preparation in shards: `shard=2/8` does a part of it, `join=8` makes one whole of the parts.

A shard is the ordinary program on every eighth question, with outputs and a journal of its own: it shares no
file with the others, so shards run wherever and whenever one likes. Joining puts the journals together and
runs the ordinary program on all questions. It finds every call answered, and so writes what one process
would have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from align.calling.journal import Journal
from align.records import write_json

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Number `number` (from 1) of `of` shards."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        return f"{self.number}-of-{self.of}"

    def path(self, path: str | Path) -> Path:
        """The shard's own name for a file or folder: `responses.jsonl` becomes `responses-2-of-8.jsonl`."""
        path = Path(path)
        return path.with_name(f"{path.stem}-{self.name}{path.suffix}")

    def share(self, items: Sequence[T], key: Callable[[T], Hashable]) -> list[T]:
        """Its items, in their order: those of one `key` are in one shard, and keys are dealt out by turns.

        Raises `ValueError` if there are none.
        """
        places: dict[Hashable, int] = {}
        for item in items:
            places.setdefault(key(item), len(places))
        mine = [item for item in items if places[key(item)] % self.of == self.number - 1]
        if not mine:
            raise ValueError(f"shard={self}: there are {len(places)} question(s), fewer than shards")
        return mine


def read_shard(shard: str | None, join: int | None) -> Shard | None:
    """`shard=2/8` of a command line. Raises `ValueError` for another form, and beside `join`."""
    if shard is None:
        return None
    if join is not None:
        raise ValueError("shard= does a part and join= makes one whole of all parts: give one of them")
    form = re.fullmatch(r"(\d+)/(\d+)", str(shard))
    if not form or not 1 <= int(form[1]) <= int(form[2]):
        raise ValueError(f"shard={shard}: give number/shards, from 1/8 to 8/8 for eight of them")
    return Shard(int(form[1]), int(form[2]))


def divide(settings: Mapping[str, Any], shard: Shard | None) -> dict[str, Any]:
    """Settings with the shard's part of every endpoint's budget and requests a minute; all without a shard.

    Shards do not know of each other: so they keep together what one process would keep.
    """
    if shard is None:
        return dict(settings)
    result: dict[str, Any] = {
        name: divide(value, shard) if isinstance(value, Mapping) else value
        for name, value in settings.items()
    }
    if {"model", "budget", "requests_per_minute"} <= result.keys():
        whole = ("tokens", "calls")
        result["budget"] = {
            name: amount if amount is None else amount // shard.of if name in whole else amount / shard.of
            for name, amount in (result["budget"] or {}).items()
        }
        if result["requests_per_minute"] is not None:
            result["requests_per_minute"] /= shard.of
    return result


def note_shard(own: Path, shard: Shard, facts: Mapping[str, Any], stopped: str | None) -> None:
    """Say beside `own`, the shard's output, what it is of, and whether it is complete (`stopped` null)."""
    write_json(_note(own), {"shard": str(shard), "stopped": stopped, "facts": _plain(facts)})


def require_shards(output: str | Path, shards: int, facts: Mapping[str, Any]) -> list[Shard]:
    """The shards 1 to `shards` of `output`, if all are there, complete, and of what `facts` say.

    Raises `ValueError` that names those that are missing, stopped early or of other settings, and those of
    another division, which would hold the same questions a second time.
    """
    if shards < 1:
        raise ValueError(f"join={shards}: give the number of shards")
    output, everyone = Path(output), [Shard(number, shards) for number in range(1, shards + 1)]
    of_other = sorted(
        file.name
        for file in output.parent.glob(f"{output.stem}-*-of-*.shard.json")
        if not file.name.endswith(f"-of-{shards}.shard.json")
    )
    if of_other:
        raise ValueError(
            f"{output.parent} holds shards of another division as well ({', '.join(of_other)}), with the "
            "same questions in them: move away those that are not meant, or give their number as join="
        )
    problems = []
    for shard in everyone:
        file = _note(shard.path(output))
        if not file.is_file():
            problems.append(f"shard={shard} is missing (no {file.name}): run it to its end")
            continue
        note = json.loads(file.read_text(encoding="utf-8"))
        if note["stopped"] is not None:
            problems.append(f"shard={shard} was stopped ({note['stopped']})")
        problems += [
            f"shard={shard} has {name}={note['facts'].get(name)!r}, and this command {value!r}"
            for name, value in _plain(facts).items()
            if note["facts"].get(name) != value
        ]
    if problems:
        raise ValueError(f"the shards of {output} cannot be joined:\n" + "\n".join(problems))
    return everyone


def join_journals(journal: str | Path, shards: Sequence[Shard]) -> None:
    """Put the shards' journals into `journal`, a file or a folder of files. Doing it again adds nothing.

    Raises `JournalBusy` if one of them is being written, and `DataError` for an unreadable line.
    """
    journal = Path(journal)
    own = [shard.path(journal) for shard in shards]
    if any(path.is_dir() for path in own):
        for name in sorted({file.name for path in own for file in path.glob("*.jsonl")}):
            _join_files(journal / name, [path / name for path in own])
        return
    _join_files(journal, own)


def _join_files(journal: Path, files: Sequence[Path]) -> None:
    found = [file for file in files if file.exists()]
    if not found:  # of a judge that asks no model
        return
    with ExitStack() as stack:
        for file in [journal, *found]:
            stack.enter_context(Journal(file))  # held, whole, and readable
        known = set(journal.read_bytes().splitlines())
        lines = [line for file in found for line in file.read_bytes().splitlines() if line not in known]
        with journal.open("ab") as stream:
            stream.writelines(line + b"\n" for line in lines)


def _note(own: Path) -> Path:
    return own.with_suffix(".shard.json")


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(facts))  # as it is read back
    return plain
