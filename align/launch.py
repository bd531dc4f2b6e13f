"""The processes of one `accelerate launch`: which one this is, and what they must have in common.

Every node runs a launcher of its own, and nothing checks that the nodes see the same files or run the same
code. Where they do not, a run hangs, or ends with weights that belong to no run. So it is asked first.

The variables RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE and GROUP_RANK are torch's launcher's.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from align.run import files_digest, package_versions

LAG = 30.0
"""Seconds until a network disk shows a file that another node has made: NFS keeps that a file is missing."""

SAME_EVERYWHERE = "Give all nodes the same command, checkout, packages, data and weights"


class LaunchError(ValueError):
    """The processes of a launch cannot work together; the message says what to change."""


@dataclass(frozen=True)
class Place:
    """A process of a launch. `node` is the node's `--machine_rank`."""

    rank: int
    world: int
    local_rank: int
    local_world: int
    node: int
    host: str

    @property
    def main(self) -> bool:
        return self.rank == 0

    @property
    def several_nodes(self) -> bool:
        return self.world > self.local_world

    def __str__(self) -> str:
        return f"process {self.rank} on {self.host} (machine rank {self.node})"


def here() -> Place:
    """This process; outside of a launch it is the only one."""

    def number(name: str, default: int) -> int:
        return int(os.environ.get(name, default))

    world = number("WORLD_SIZE", 1)
    return Place(
        rank=number("RANK", 0),
        world=world,
        local_rank=number("LOCAL_RANK", 0),
        local_world=number("LOCAL_WORLD_SIZE", world),
        node=number("GROUP_RANK", 0),
        host=socket.gethostname(),
    )


def gather(value: Any) -> list[Any]:
    """The values of all processes, by rank. All of them have to call it, once the group is there."""
    place = here()
    if place.world == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * place.world
    dist.all_gather_object(values, value)
    return values


def require_equal(facts: Mapping[str, Any], remedy: str) -> None:
    """Make sure that `facts` (nested mappings of JSON values) are the same in all processes.

    Raises `LaunchError` that names what differs, between which processes, and ends with `remedy`.
    """
    mine = _flat(facts)
    everyone = gather((here(), mine))
    first, expected = everyone[0]
    different = []
    for name in sorted({name for _, each in everyone for name in each}):
        other = next((p for p, each in everyone if each.get(name) != expected.get(name)), None)
        if other is not None:
            value = everyone[other.rank][1].get(name)
            different.append(
                f"{name} is {_short(expected.get(name))} in {first} and {_short(value)} in {other}"
            )
    if different:
        _refuse(f"the processes of this launch differ: {'; '.join(different)}. {remedy}")


def require_shared(folder: str | Path, setting: str) -> None:
    """Make sure that `folder` is one folder for all nodes, and not one of this name on each.

    `setting` is what names it on the command line. Raises `LaunchError` that names the nodes that do not see
    it. On one node there is nothing to do.
    """
    place, folder = here(), Path(folder)
    if not place.several_nodes:
        return
    mark = folder / f".seen-by-all-{uuid.uuid4().hex}" if place.main else None
    if mark is not None:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    name = gather(mark and mark.name)[0]
    seen = place.local_rank > 0 or _appears(folder / name)  # one process sees for its node
    everyone = gather((place, str(folder.absolute()), seen))
    if mark is not None:
        mark.unlink()
    blind = [f"{path} of {p.host} (machine rank {p.node})" for p, path, saw in everyone if not saw]
    if blind:
        _refuse(
            f"{everyone[0][1]} of {everyone[0][0].host} is not the same folder as {', '.join(blind)}: "
            f"give all nodes one folder on a disk that they share, {setting}=FOLDER"
        )


def software() -> dict[str, str]:
    """What decides what a process does beside its settings: this package's code, and packages' versions."""
    versions = package_versions()
    versions["python"] = versions["python"].rpartition(".")[0]  # a patch more or less changes nothing
    return {"the code of align": _code(), **versions}


@cache
def _code() -> str:
    root = Path(__file__).resolve().parent
    return files_digest(root, (str(file.relative_to(root)) for file in root.rglob("*.py")))[:16]


def _appears(file: Path) -> bool:
    deadline = time.monotonic() + LAG
    while not file.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
        if file.parent.is_dir():
            list(file.parent.iterdir())  # a network disk looks anew
    return True


def _refuse(message: str) -> None:
    """End all processes; one of each node says why."""
    if here().local_rank == 0:
        raise LaunchError(message)
    raise SystemExit(1)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
