"""What the nodes of a launch must have in common is asked before it matters, and named where it differs."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from align.launch import gather, here, require_equal, require_shared

ONE_OF_TWO = Path(__file__).with_name("one_of_two.py")


def two_processes(first: list, second: list) -> list[list[str]]:
    """The lines that two nodes of one process each say to their jobs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "WORLD_SIZE": 2,
        "LOCAL_RANK": 0,
        "LOCAL_WORLD_SIZE": 1,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    started = [
        subprocess.Popen(
            [sys.executable, str(ONE_OF_TWO), json.dumps(jobs)],
            env=os.environ
            | {name: str(value) for name, value in (common | {"RANK": rank, "GROUP_RANK": rank}).items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, jobs in enumerate((first, second))
    ]
    ended = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    return [out.splitlines() for out, _ in ended]


def test_what_differs_between_nodes_is_named_on_each(tmp_path: Path) -> None:
    same = {"config": {"lr": 0.1, "files": ["a", "b"]}, "torch": "2.13"}
    other = {"config": {"lr": 0.2, "files": ["a", "b"], "more": 1}, "torch": "2.13"}
    shared, here_only, there_only = (str(tmp_path / name) for name in ("shared", "here", "there"))
    first, second = two_processes(
        [("equal", same), ("equal", same), ("shared", shared), ("shared", here_only)],
        [("equal", same), ("equal", other), ("shared", shared), ("shared", there_only)],
    )
    assert first == second  # each node's user sees it
    fine, different, seen, unseen = first
    assert (fine, seen) == ("fine", "fine")
    host = socket.gethostname()
    one, two = (f"process {rank} on {host} (machine rank {rank})" for rank in (0, 1))
    assert different == (
        f"the processes of this launch differ: config.lr is 0.1 in {one} and 0.2 in {two}; "
        f"config.more is None in {one} and 1 in {two}. Mend it."
    )
    assert unseen == (
        f"{here_only} of {host} is not the same folder as {there_only} of {host} (machine rank 1): give all "
        "nodes one folder on a disk that they share, out=FOLDER"
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_outside_of_a_launch_there_is_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (here().rank, here().world, here().main, here().several_nodes) == (0, 1, True, False)
    assert gather("x") == ["x"]
    require_equal({"a": 1}, "")
    require_shared(tmp_path / "not-made", "out")
    assert not (tmp_path / "not-made").exists()
