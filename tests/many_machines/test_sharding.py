"""A benchmark's shares: who asks what, on which device, what becomes of the responses, and who waits."""

import sqlite3
from pathlib import Path

import pytest
import torch
from inspect_ai.model import ModelOutput

from align.cli.launching import command_for
from align.cli.programs import ProgramError, find_program
from align.evaluation import sharding
from align.evaluation.response_cache import ResponseCache, ResponseCacheError
from align.evaluation.sharding import (
    Heartbeat,
    ShareCache,
    _snapshot,
    absorb,
    device_of_process,
    joined,
    share_of,
)
from align.launch import LaunchError


@pytest.mark.parametrize(("rows", "world"), [(0, 2), (5, 2), (16, 4), (33, 4), (7, 9)])
def test_shares_are_whole_batches_and_together_everything(rows: int, world: int) -> None:
    shares = [share_of(list(range(rows)), 4, rank, world) for rank in range(world)]  # type: ignore[arg-type]
    assert sorted(row for share in shares for row in share) == list(range(rows))
    batches = [share[start : start + 4] for share in shares for start in range(0, len(share), 4)]
    assert all(batch == list(range(batch[0], min(batch[0] + 4, rows))) for batch in batches)
    assert all(batch[0] % 4 == 0 for batch in batches)
    counts = [len(share) for share in shares]
    assert max(counts) - min(counts) <= 4


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The third of four processes of a node."""
    for name, value in {"RANK": 2, "WORLD_SIZE": 4, "LOCAL_RANK": 2, "LOCAL_WORLD_SIZE": 4}.items():
        monkeypatch.setenv(name, str(value))
    return monkeypatch


def test_every_process_has_a_gpu_of_its_own(launched: pytest.MonkeyPatch) -> None:
    launched.setattr(torch.cuda, "is_available", lambda: True)
    launched.setattr(torch.cuda, "device_count", lambda: 4)
    assert device_of_process("auto") == "cuda:2"
    assert device_of_process("cpu") == "cpu"
    with pytest.raises(LaunchError, match="device=cuda:0 would put 4 processes on one device"):
        device_of_process("cuda:0")
    launched.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(LaunchError, match=r"which has 2 GPU\(s\)"):
        device_of_process("auto")
    launched.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of_process("auto") == "auto"


def test_a_served_model_is_not_launched(launched: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (
        pytest.raises(LaunchError, match="asked by one process"),
        joined({"endpoint": {"model": "m/m"}}, tmp_path),
    ):
        pass


def said(text: str) -> ModelOutput:
    return ModelOutput.from_content("m", text)


def test_what_killed_processes_left_is_taken_in_and_known_to_all(tmp_path: Path) -> None:
    cache, shares = tmp_path / "responses.sqlite", tmp_path / "shares"
    with ResponseCache(cache) as responses:
        responses.put("a", "m", said("A"), 1.0)
    for number, key in ((1, "b"), (7, "c")):  # of a launch of eight
        left = ResponseCache(shares / f"{number}.sqlite", alone=True)
        left.put(key, "m", said(key.upper()), 1.0)
        left.put("a", "m", said("another"), 1.0)
        if number == 1:
            with pytest.raises(ResponseCacheError, match="of an earlier launch is still at work"):
                _absorb_at_once(shares, cache)
        left.__exit__()
    absorb(shares, cache)
    assert not shares.exists()
    _snapshot(cache, shares / "known.sqlite")
    with ResponseCache(cache) as main, ShareCache(shares / "0.sqlite", shares / "known.sqlite") as share:
        for each in (main, share):
            found = [each.get(key) for key in "abcd"]
            assert [output and output[0].completion for output in found] == ["A", "B", "C", None]
            assert each.hits == 3
        share.put("d", "m", said("D"), 1.0)
        assert share.get("d")[0].completion == "D"
        assert main.get("d") is None
    absorb(shares, cache)
    with ResponseCache(cache) as main:
        assert main.get("d")[0].completion == "D"


def _absorb_at_once(shares: Path, cache: Path) -> None:
    import align.evaluation.response_cache as module

    waits, module._BUSY = module._BUSY, 0.05
    try:
        absorb(shares, cache)
    finally:
        module._BUSY = waits


def test_a_share_of_another_form_is_not_thrown_away(tmp_path: Path) -> None:
    shares = tmp_path / "shares"
    shares.mkdir()
    with sqlite3.connect(shares / "1.sqlite") as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(ResponseCacheError, match=r"1\.sqlite"):
        absorb(shares, tmp_path / "responses.sqlite")
    assert (shares / "1.sqlite").exists()


class Counts:
    """A cache of responses, of which a heartbeat only asks how many there are."""

    hits, stored = 3, 1


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Status numbers that a heartbeat ended this process with. It is the only process of its launch."""
    found: list[int] = []
    monkeypatch.setattr(sharding.dist, "new_group", lambda **_: None)
    monkeypatch.setattr(
        sharding.dist, "all_gather_object", lambda heard, mine, group: heard.__setitem__(0, mine)
    )
    monkeypatch.setattr(sharding.os, "_exit", found.append)
    monkeypatch.setattr(sharding, "PERIOD", 0.01)
    return found


def test_a_heartbeat_shows_how_far_all_are_and_lets_go(exits: list[int]) -> None:
    shown: list[int] = []
    with Heartbeat(Counts(), 4) as heartbeat:  # type: ignore[arg-type]
        heartbeat.show = shown.append
    assert heartbeat.heard == [(True, 4, 4)]
    assert set(shown) == {4}
    assert exits == []


@pytest.mark.parametrize("error", [BrokenPipeError("Broken pipe"), ValueError("no such bar"), SystemExit(3)])
def test_what_goes_wrong_in_a_heartbeat_ends_the_process(
    error: BaseException, exits: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: int) -> None:
        raise error

    heartbeat = Heartbeat(Counts(), 4)  # type: ignore[arg-type]
    heartbeat.show = fail
    heartbeat.__enter__()
    heartbeat._thread.join(timeout=60)  # it would have waited for ever for `done_by_all`
    assert exits == [1]
    said = capsys.readouterr().err
    assert f"{type(error).__name__}: {error}" in said
    assert "All responses so far are kept" in said


def test_a_process_that_is_gone_is_said_to_be(
    exits: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise RuntimeError("Connection closed by peer\nat transport.cc")

    monkeypatch.setattr(sharding.dist, "all_gather_object", gone)
    heartbeat = Heartbeat(Counts(), 4)  # type: ignore[arg-type]
    heartbeat.__enter__()
    heartbeat._thread.join(timeout=60)
    assert exits == [1]
    assert "another process of this launch has ended" in capsys.readouterr().err


def test_a_benchmark_is_launched_where_the_launchers_options_ask_for_it() -> None:
    benchmark = find_program("benchmark")
    words = ["--accelerate", "ddp_cpu", "--num_processes=3", "out=runs/x"]
    launched = command_for(benchmark, words)
    assert launched[2:5] == ["accelerate.commands.accelerate_cli", "launch", "--quiet"]
    assert launched[-4:] == ["--num_processes", "3", str(benchmark.file), "out=runs/x"]
    assert command_for(benchmark, ["out=runs/x"])[1:] == [str(benchmark.file), "out=runs/x"]
    assert command_for(benchmark, [*words, "--help"])[1:] == [str(benchmark.file), "out=runs/x", "--help"]
    with pytest.raises(ProgramError, match="runs in one process"):
        command_for(find_program("compare"), words)
