"""Reference log-probs on disk: what is computed is kept, whatever kills or writes beside the process."""

import hashlib
import logging
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import Tensor

from align.records import DataError
from align.training import reference
from align.training.reference import ReferenceCache, fill_reference_cache

CONTEXT = "ab12"
HEADER, ROW = 32, 32  # bytes


def key(row: int) -> bytes:
    return hashlib.blake2b(str(row).encode(), digest_size=16).digest()


def logps(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What a model would say of the rows: figures that need every bit of a float32."""
    draws = [random.Random(row) for row in rows]
    chosen = torch.tensor([-100 * draw.random() for draw in draws], dtype=torch.float32)
    return chosen, torch.tensor([-100 * draw.random() for draw in draws], dtype=torch.float32)


class Model:
    """A `compute` that counts: the rows of each call."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        self.calls.append(list(rows))
        return logps(rows)

    @property
    def rows(self) -> list[int]:
        return [row for call in self.calls for row in call]


def fill(folder: Path, rows: int, *, chunk: int = 3, **kwargs: object) -> Model:
    model = Model()
    keys = [key(row) for row in range(rows)]
    fill_reference_cache(ReferenceCache(folder, CONTEXT), keys, model, chunk=chunk, **kwargs)  # type: ignore[arg-type]
    return model


def shard(folder: Path, rank: int = 0) -> Path:
    return folder / CONTEXT / f"rank-{rank:05d}.bin"


def assert_holds(folder: Path, rows: int) -> None:
    got = ReferenceCache(folder, CONTEXT).get([key(row) for row in range(rows)])
    for side, expected in zip(got, logps(range(rows)), strict=True):
        assert torch.equal(side, expected)


def test_the_file_is_what_its_description_says(tmp_path: Path) -> None:
    fill(tmp_path, 4)
    content = b"align reference log-probs 1".ljust(31) + b"\n"
    for row, chosen, rejected in zip(range(4), *logps(range(4)), strict=True):
        payload = key(row) + struct.pack("<ff", chosen.item(), rejected.item())
        content += payload + hashlib.blake2b(payload, digest_size=8).digest()
    assert shard(tmp_path).read_bytes() == content


def test_every_float32_comes_back_bit_by_bit(tmp_path: Path) -> None:
    info = torch.finfo(torch.float32)
    chosen = torch.tensor([0.0, -0.0, info.min, -info.tiny, -info.smallest_normal / 8, -0.1, -1 / 3])
    rejected = chosen.flip(0)
    keys = [key(row) for row in range(7)]
    ReferenceCache(tmp_path, CONTEXT).add(keys, chosen, rejected)
    got = ReferenceCache(tmp_path, CONTEXT).get(keys)
    assert torch.equal(got[0].view(torch.int32), chosen.view(torch.int32))
    assert torch.equal(got[1].view(torch.int32), rejected.view(torch.int32))


def test_the_next_run_computes_only_what_is_new(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    assert fill(tmp_path, 7, progress=lambda *at: told.append(at)).calls == [[0, 1, 2], [3, 4, 5], [6]]
    assert told == [(0, 7), (3, 7), (6, 7), (7, 7)]
    assert fill(tmp_path, 7).calls == []
    told.clear()
    assert fill(tmp_path, 9, progress=lambda *at: told.append(at)).calls == [[7, 8]]
    assert told == [(7, 9), (9, 9)]
    assert_holds(tmp_path, 9)


def test_equal_rows_are_computed_once_and_found_in_any_order(tmp_path: Path) -> None:
    keys = [key(row) for row in (4, 1, 4, 4, 1, 2)]
    cache, model = ReferenceCache(tmp_path, CONTEXT), Model()
    assert cache.missing(keys) == [0, 1, 5]
    assert fill_reference_cache(cache, keys, model, chunk=2) == 3
    assert model.calls == [[0, 1], [5]]
    expected = logps([5, 1, 0, 0, 1, 0])
    for side, values in zip(cache.get([keys[place] for place in (5, 4, 3, 2, 1, 0)]), expected, strict=True):
        assert torch.equal(side, values)


def test_contexts_do_not_mix(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    other = ReferenceCache(tmp_path, "cd34")
    assert other.missing([key(row) for row in range(3)]) == [0, 1, 2]
    with pytest.raises(ValueError, match="give what reference_context"):
        ReferenceCache(tmp_path, "../cd34")


def test_a_row_without_log_probs_is_named(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with pytest.raises(KeyError, match=rf"row 2 \(key {key(8).hex()}\) has no reference log-probs in "):
        ReferenceCache(tmp_path, CONTEXT).get([key(0), key(1), key(8), key(9)])
    empty = ReferenceCache(tmp_path, CONTEXT).get([])
    assert [side.shape for side in empty] == [(0,), (0,)]


# Ranks


def test_ranks_share_the_rows_whenever_each_begins(tmp_path: Path) -> None:
    by_rank = [fill(tmp_path, 10, rank=rank, world_size=3).rows for rank in range(3)]
    assert by_rank == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert_holds(tmp_path, 10)


def test_another_number_of_ranks_goes_on_where_the_last_stopped(tmp_path: Path) -> None:
    fill(tmp_path, 10, rank=1, world_size=3)
    by_rank = [fill(tmp_path, 10, rank=rank, world_size=2).rows for rank in range(2)]
    assert by_rank == [[0, 2, 6, 8], [3, 5, 9]]
    assert_holds(tmp_path, 10)


def test_what_other_ranks_wrote_is_found_later(tmp_path: Path) -> None:
    mine = ReferenceCache(tmp_path, CONTEXT)
    assert mine.missing([key(row) for row in range(4)]) == [0, 1, 2, 3]
    for rank in range(2):
        fill(tmp_path, 4, rank=rank, world_size=2)
    assert torch.equal(mine.get([key(3), key(0)])[0], logps([3, 0])[0])


def test_of_runs_that_begin_together_one_computes_and_the_others_find(tmp_path: Path) -> None:
    keys = [key(row) for row in range(6)]
    computed, waited = [], threading.Event()

    def run() -> None:
        cache = ReferenceCache(tmp_path, CONTEXT)
        with cache.filling(keys, waiting=waited.set):

            def compute(places: Sequence[int]) -> tuple[Tensor, Tensor]:
                assert waited.wait(60)  # the other run has begun before this one has written anything
                return logps(places)

            computed.append(fill_reference_cache(cache, keys, compute, chunk=2))

    runs = [threading.Thread(target=run) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert sorted(computed) == [0, 6]
    assert_holds(tmp_path, 6)

    # Nothing is missing: nobody is waited for. And nobody is waited for any longer than was asked.
    held = FileLock(tmp_path / CONTEXT / "filling.lock")
    with held:
        with ReferenceCache(tmp_path, CONTEXT).filling(keys, waiting=pytest.fail):
            pass
        with ReferenceCache(tmp_path, CONTEXT).filling([*keys, key(7)], limit=0.05):
            pass


def test_with_sharded_weights_all_ranks_compute_equally_often(tmp_path: Path) -> None:
    fill(tmp_path, 9, rank=0, world_size=3)  # as if rank 0 had been quicker before a kill
    lacking: dict[int, int] = {}
    all_there = threading.Barrier(3)
    models = {rank: Model() for rank in range(3)}

    def run(rank: int) -> None:
        def most(rows: int) -> int:
            lacking[rank] = rows
            all_there.wait(timeout=30)
            return max(lacking.values())

        keys = [key(row) for row in range(11)]
        cache = ReferenceCache(tmp_path, CONTEXT)
        fill_reference_cache(cache, keys, models[rank], chunk=3, rank=rank, world_size=3, most_rows=most)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert lacking == {0: 1, 1: 4, 2: 3}
    assert [[len(call) for call in models[rank].calls] for rank in range(3)] == [[3, 1]] * 3
    assert_holds(tmp_path, 11)
    sizes = [(shard(tmp_path, rank).stat().st_size - HEADER) // ROW for rank in range(3)]
    assert sizes == [4, 4, 3]


def test_a_rank_without_rows_takes_part_and_writes_nothing(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    before = shard(tmp_path).read_bytes()
    assert [len(call) for call in fill(tmp_path, 5, most_rows=lambda rows: rows + 7).calls] == [3, 3, 1]
    assert shard(tmp_path).read_bytes() == before
    with pytest.raises(ValueError, match="most_rows returned 1, and this rank alone has 2 rows"):
        fill(tmp_path, 7, most_rows=lambda rows: rows - 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"chunk": 0}, "chunk=0: give 1 or more"),
        ({"rank": 2, "world_size": 2}, "rank=2: give 0 to 1, as there are 2 processes"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fill(tmp_path, 2, **wrong)


# Kills and damage


def test_a_file_cut_at_any_byte_is_completed_to_the_same_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path / "whole", 5)
    whole = shard(tmp_path / "whole").read_bytes()
    assert len(whole) == HEADER + 5 * ROW
    for length in range(len(whole)):
        file = shard(tmp_path / str(length))
        file.parent.mkdir(parents=True)
        file.write_bytes(whole[:length])
        caplog.clear()
        kept = max(0, (length - HEADER) // ROW)
        assert fill(tmp_path / str(length), 5).rows == list(range(kept, 5))
        assert file.read_bytes() == whole
        torn = length % ROW
        lines = [record.getMessage() for record in caplog.records]
        assert len(lines) == bool(torn)
        if torn:
            assert lines[0].startswith(f"{file}: the last {torn} bytes are not a whole row")


def test_a_tail_of_zeros_as_after_a_power_cut_is_dropped(tmp_path: Path) -> None:
    fill(tmp_path, 6)
    whole = shard(tmp_path).read_bytes()
    shard(tmp_path).write_bytes(whole[: HEADER + 4 * ROW] + bytes(3 * ROW + 5))
    assert fill(tmp_path, 6).rows == [4, 5]
    assert shard(tmp_path).read_bytes() == whole


@pytest.mark.parametrize("byte", [0, 15, 16, 23, 24, 31])
def test_a_damaged_row_is_an_error_that_names_file_and_byte(tmp_path: Path, byte: int) -> None:
    fill(tmp_path, 5)
    data = bytearray(shard(tmp_path).read_bytes())
    data[HEADER + 2 * ROW + byte] ^= 1
    shard(tmp_path).write_bytes(data)
    place = HEADER + 2 * ROW
    for use in (lambda: ReferenceCache(tmp_path, CONTEXT).get([key(0)]), lambda: fill(tmp_path, 9)):
        with pytest.raises(DataError, match=rf"{shard(tmp_path)}: byte {place}: .*Delete the file"):
            use()
    assert shard(tmp_path).read_bytes() == data


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    shard(tmp_path).parent.mkdir()
    shard(tmp_path).write_bytes(b"something else\n")
    for use in (lambda: fill(tmp_path, 2), lambda: ReferenceCache(tmp_path, CONTEXT).add([], *logps([]))):
        with pytest.raises(DataError, match="byte 0: this is not a file of reference log-probs"):
            use()
    assert shard(tmp_path).read_bytes() == b"something else\n"


def test_a_file_replaced_under_a_running_process_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, 4)
    cache = ReferenceCache(tmp_path, CONTEXT)
    assert cache.missing([key(0)]) == []
    shard(tmp_path).write_bytes(shard(tmp_path).read_bytes()[: HEADER + ROW])
    message = f"byte {HEADER + ROW}: the file ends here and had {HEADER + 4 * ROW} bytes before"
    with pytest.raises(DataError, match=message):
        cache.add([key(9)], *logps([9]))


def test_a_killed_process_is_resumed_to_the_same_file(tmp_path: Path) -> None:
    rows, chunk = 400, 5
    fill(tmp_path / "whole", rows, chunk=chunk)
    asked = tmp_path / "asked"
    process = worker(tmp_path / "killed", asked, rows=rows, chunk=chunk, pause=0.01)
    file = shard(tmp_path / "killed")
    wait_for(lambda: file.exists() and file.stat().st_size > HEADER + 8 * chunk * ROW, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    at_kill = file.stat().st_size
    assert at_kill < HEADER + rows * ROW, "the process had finished: nothing was killed"

    resumed = fill(tmp_path / "killed", rows, chunk=chunk)
    assert file.read_bytes() == shard(tmp_path / "whole").read_bytes()
    assert resumed.rows == list(range((at_kill - HEADER) // ROW, rows))
    counted = Counter([int(row) for row in asked.read_text().split()] + resumed.rows)
    assert sorted(counted) == list(range(rows))
    assert sum(counted.values()) - rows <= chunk


def test_two_processes_fill_one_file_at_once(tmp_path: Path) -> None:
    asked = [tmp_path / "asked0", tmp_path / "asked1"]
    start = tmp_path / "start"
    processes = [worker(tmp_path, path, rows=300, chunk=3, pause=0.001, start=start) for path in asked]
    wait_for(lambda: all(path.exists() for path in asked), *processes)
    start.touch()
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert_holds(tmp_path, 300)
    data = shard(tmp_path).read_bytes()
    keys = [data[at : at + 16] for at in range(HEADER, len(data), ROW)]
    assert sorted(keys) == sorted(key(row) for row in range(300))


def test_a_row_that_another_process_wrote_meanwhile_keeps_its_first_value(tmp_path: Path) -> None:
    keys = [key(0), key(1), key(2)]
    quick, slow = ReferenceCache(tmp_path, CONTEXT), ReferenceCache(tmp_path, CONTEXT)
    assert quick.missing(keys) == slow.missing(keys) == [0, 1, 2]
    quick.add(keys[:2], *logps([0, 1]))
    slow.add(keys, *logps([7, 8, 2]))  # a GPU does not round the same way twice
    assert shard(tmp_path).stat().st_size == HEADER + 3 * ROW
    assert_holds(tmp_path, 3)
    assert torch.equal(slow.get(keys)[0], logps([0, 1, 2])[0])


def test_a_reader_waits_for_a_row_that_is_being_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, 4)
    whole = shard(tmp_path).read_bytes()
    found: list[list[int]] = []
    keys = [key(row) for row in range(4)]
    reader = threading.Thread(target=lambda: found.append(ReferenceCache(tmp_path, CONTEXT).missing(keys)))
    with FileLock(f"{shard(tmp_path)}.lock"):  # as a writer in the middle of its append
        shard(tmp_path).write_bytes(whole[:-20])
        reader.start()
        reader.join(timeout=0.3)
        assert reader.is_alive()
        shard(tmp_path).write_bytes(whole)
    reader.join(timeout=30)
    assert found == [[]]
    assert not caplog.records


def test_a_writer_that_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 1)
    monkeypatch.setattr(reference, "_LOCK_SECONDS", 0.2)
    with (
        FileLock(f"{shard(tmp_path)}.lock"),
        pytest.raises(TimeoutError, match=rf"held {shard(tmp_path)}\.lock for 0\.2 seconds: end it"),
    ):
        fill(tmp_path, 2)


# Folders and values that will not do


def test_a_full_disk_is_said_and_leaves_whole_rows(tmp_path: Path) -> None:
    fill(tmp_path / "whole", 12)
    with (
        file_size_limit(HEADER + 7 * ROW + 10),  # in the middle of a row in the middle of a chunk
        pytest.raises(OSError, match=r"cannot be written to .*rank-00000\.bin: .*see that its disk has room"),
    ):
        fill(tmp_path / "full", 12)
    assert shard(tmp_path / "full").stat().st_size == HEADER + 6 * ROW
    assert fill(tmp_path / "full", 12).rows == list(range(6, 12))
    assert shard(tmp_path / "full").read_bytes() == shard(tmp_path / "whole").read_bytes()


def test_a_read_only_folder_is_read_and_refused_before_anything_is_computed() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, 4)
        with shard(folder).open("ab") as stream:
            stream.write(b"torn")
        folder.chmod(0o755)
        shard(folder).parent.chmod(0o555)
        model = Model()
        try:
            with unprivileged():
                assert_holds(folder, 4)
                assert fill(folder, 4).calls == []
                with pytest.raises(PermissionError, match=r"cannot be written to .*name another folder"):
                    fill_reference_cache(ReferenceCache(folder, CONTEXT), [key(8)], model, chunk=1)
        finally:
            shard(folder).parent.chmod(0o755)
        assert model.calls == []


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(OSError, match=r"cannot be written to .*cache/ab12/rank-00000\.bin: Not a directory"):
        fill(tmp_path / "cache", 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("side", [0, 1])
def test_a_log_prob_that_is_no_number_is_never_kept(tmp_path: Path, bad: float, side: int) -> None:
    def compute(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        both = logps(rows)
        both[side][[row == 4 for row in rows]] = bad
        return both

    keys = [key(row) for row in range(6)]
    cache = ReferenceCache(tmp_path, CONTEXT)
    name = ("chosen", "rejected")[side]
    with pytest.raises(ValueError, match=f"row 4: the reference log-prob of its {name} side is {bad}"):
        fill_reference_cache(cache, keys, compute, chunk=3)
    assert cache.missing(keys) == [3, 4, 5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda logps: logps.bfloat16(), r"rows are float32 \[2\].*these are bfloat16 \[2\]"),
        (lambda logps: logps.double(), r"these are float64 \[2\]"),
        (lambda logps: logps[:, None], r"these are float32 \[2, 1\]"),
        (lambda logps: logps[:1], r"these are float32 \[1\]"),
    ],
)
def test_log_probs_of_another_form_are_refused(
    tmp_path: Path, change: Callable[[Tensor], Tensor], message: str
) -> None:
    cache, keys = ReferenceCache(tmp_path, CONTEXT), [key(0), key(1)]
    chosen, rejected = logps([0, 1])
    with pytest.raises(ValueError, match=f"rejected: .*{message}"):
        cache.add(keys, chosen, change(rejected))
    with pytest.raises(ValueError, match=f"chosen: .*{message}"):
        fill_reference_cache(cache, keys, lambda rows: (change(chosen), rejected), chunk=2)
    with pytest.raises(ValueError, match="has 3 bytes instead of 16"):
        cache.add([key(0), b"abc"], chosen, rejected)
    assert cache.missing(keys) == [0, 1]


def test_a_hundred_thousand_rows_are_read_fast(tmp_path: Path) -> None:
    keys = [key(row) for row in range(100_000)]
    values = torch.arange(100_000, dtype=torch.float32)
    ReferenceCache(tmp_path, CONTEXT).add(keys, -values, values)
    begin = time.process_time()
    got = ReferenceCache(tmp_path, CONTEXT).get(keys)
    assert time.process_time() - begin < 3
    assert torch.equal(got[0], -values)
    assert torch.equal(got[1], values)


# What the tests above are made with


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file can grow beyond `size`, and a write across it is cut there, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user whom permissions bind, which root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def wait_for(happened: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while not happened():
        assert all(process.poll() is None for process in processes), "a worker ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def worker(
    folder: Path, asked: Path, *, rows: int, chunk: int, pause: float, start: Path | None = None
) -> subprocess.Popen[bytes]:
    """A process that fills a cache, and notes in `asked` each row that it begins to compute."""
    words = [folder, asked, rows, chunk, pause, start or ""]
    return subprocess.Popen([sys.executable, __file__, *map(str, words)])


def work(folder: str, asked: str, rows: str, chunk: str, pause: str, start: str) -> None:
    with Path(asked).open("a", buffering=1) as stream:

        def compute(places: Sequence[int]) -> tuple[Tensor, Tensor]:
            stream.write(" ".join(map(str, places)) + "\n")
            time.sleep(float(pause))
            return logps(places)

        while start and not Path(start).exists():
            time.sleep(0.001)
        keys = [key(row) for row in range(int(rows))]
        fill_reference_cache(ReferenceCache(folder, CONTEXT), keys, compute, chunk=int(chunk))


if __name__ == "__main__":
    logging.basicConfig()
    work(*sys.argv[1:])
