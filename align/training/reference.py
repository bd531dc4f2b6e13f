"""Reference log-probs of preference pairs on disk, so that each is computed once.

The reference of a run does not change while it trains, nor between the runs of a sweep. What a pair's
log-probs depend on is in its key (`align.training.reference_keys`), so a run takes what any earlier run left
and computes the rest. A cache folder looks like

    cache/reference/<context>/rank-00000.bin      one file for each rank that computed rows of this context

and a file holds a header of 32 bytes and then, for each row, 32 bytes:

    key (16) | chosen, little-endian float32 (4) | rejected (4) | BLAKE2b of these 24 bytes (8)

Rows are appended a chunk at a time and flushed to the disk. A process that is killed while it writes leaves a
tail that is not a whole row or fails its check: it is dropped when the file is read, and cut off before
anything is appended. A damaged row with whole ones after it was not left by a kill, and is an error.
"""

from __future__ import annotations

import logging
import os
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from align.records import DataError, Problem

KEY_BYTES = 16

_HEADER = b"align reference log-probs 1".ljust(31) + b"\n"
_PAYLOAD = struct.Struct(f"<{KEY_BYTES}sff")
_ROW = struct.Struct(f"<{KEY_BYTES}sff8s")
# An append takes milliseconds, on a slow network file system seconds.
_LOCK_SECONDS = 300.0

log = logging.getLogger(__name__)


class ReferenceCache:
    """The reference log-probs of one context: summed over a completion's tokens, in nats, exact float32.

    `context` is what `reference_context` returned; its rows lie in a folder of that name in `folder`, which
    all processes of a run must see. Several processes may read and write at once, of one run or of several.
    """

    def __init__(self, folder: str | Path, context: str) -> None:
        if not context.isalnum():
            raise ValueError(f"context {context!r}: give what reference_context() returned")
        self.folder = Path(folder) / context
        self._place: dict[bytes, int] = {}
        self._logps = array("f")  # chosen and rejected of each place, by turns
        self._ends: dict[Path, int] = {}  # where the whole rows of each file end, in bytes
        self._told: set[tuple[Path, int]] = set()  # tails that a line was said about

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """The places in `keys` of those without log-probs on disk, of equal ones the first.

        Raises `DataError` that names file and byte where a file is damaged.
        """
        self._read_all()
        return [place for place in _first_places(keys) if keys[place] not in self._place]

    def get(self, keys: Sequence[bytes]) -> tuple[Tensor, Tensor]:
        """Chosen and rejected log-probs, float32 `[n]` each, on the CPU.

        Raises `KeyError` that names the first row without them, and `DataError` as `missing` does.
        """
        if any(key not in self._place for key in keys):
            self._read_all()
        for row, key in enumerate(keys):
            if key not in self._place:
                raise KeyError(
                    f"row {row} (key {key.hex()}) has no reference log-probs in {self.folder}: fill the "
                    "cache first; if several nodes fill it, the folder must be one that all of them see"
                )
        chosen = [self._logps[2 * self._place[key]] for key in keys]
        rejected = [self._logps[2 * self._place[key] + 1] for key in keys]
        return torch.tensor(chosen, dtype=torch.float32), torch.tensor(rejected, dtype=torch.float32)

    def add(self, keys: Sequence[bytes], chosen: Tensor, rejected: Tensor, *, rank: int = 0) -> None:
        """Append rows to the file of `rank`; they are on the disk when this returns.

        Rows whose log-probs are known keep them.

        Args:
            keys: `n` keys of 16 bytes.
            chosen, rejected: summed log-probs, float32 `[n]`, finite.

        Raises:
            ValueError: keys or log-probs of another form, or not finite.
            DataError: the rank's file is damaged.
            OSError: the folder is read-only or the disk is full; nothing of these rows is left in the file.
            TimeoutError: another process does not let go of the file.
        """
        if bad := [key for key in keys if len(key) != KEY_BYTES]:
            raise ValueError(f"key {bad[0]!r} has {len(bad[0])} bytes instead of {KEY_BYTES}")
        rows = range(len(keys))
        sides = _floats(chosen, "chosen", rows), _floats(rejected, "rejected", rows)
        shard = self.folder / f"rank-{rank:05d}.bin"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock(shard), shard.open("ab", buffering=0) as stream:
                end = self._read(shard, locked=True)
                stream.truncate(end)
                new = {
                    key: _PAYLOAD.pack(key, *logps)
                    for key, *logps in zip(keys, *sides, strict=True)
                    if key not in self._place
                }
                data = b"" if end else _HEADER
                data += b"".join(payload + _check(payload) for payload in new.values())
                try:
                    _write(stream.fileno(), data)
                except OSError:
                    stream.truncate(end)
                    raise
                self._read(shard, locked=True)
        except TimeoutError:
            raise
        except OSError as error:
            raise OSError(
                error.errno,
                f"reference log-probs cannot be written to {shard}: {error.strerror}. Make the folder "
                "writable and see that its disk has room, or name another folder for the reference cache",
            ) from error

    @contextmanager
    def filling(
        self, keys: Sequence[bytes], *, limit: float = -1, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Compute what is missing of `keys` while no other run does: it would compute the same.

        Jobs of a sweep begin with the same reference at the same time. The second waits (`waiting` is called
        first), and then finds the rows. `limit`: seconds after which it computes them itself; negative: none.
        The system lets go of the lock when the process that holds it dies.
        """
        lock = FileLock(self.folder / "filling.lock")
        if self.missing(keys):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    waiting()
                    with suppress(Timeout):
                        lock.acquire(timeout=limit)
            except OSError:  # a folder that cannot be written, of which `add` says more
                pass
        try:
            yield
        finally:
            lock.release()

    def _read_all(self) -> None:
        for shard in sorted(self.folder.glob("rank-*.bin")):
            self._read(shard)

    def _read(self, shard: Path, *, locked: bool = False) -> int:
        """Take in what a file holds beyond what was read before. Returns where its whole rows end, in bytes.

        What does not look whole is read again with the file locked, as another process may be writing it just
        now. A file that this process may not lock, as in a read-only cache, is taken as it is.
        """
        start = end = self._ends.get(shard, 0)
        with shard.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(end)
            data = stream.read()
        if size < end:
            raise _damaged(shard, size, f"the file ends here and had {end} bytes before: it was replaced")
        if not start and data.startswith(_HEADER):
            data, end = data[len(_HEADER) :], len(_HEADER)
        elif not start and not _HEADER.startswith(data):
            raise _damaged(shard, 0, "this is not a file of reference log-probs that this version reads")

        whole = len(data) // _ROW.size if end else 0
        rows = list(_ROW.iter_unpack(data[: whole * _ROW.size]))
        good = [_check(_PAYLOAD.pack(*row[:3])) == row[3] for row in rows]
        while good and not good[-1]:
            good.pop()
        tail = len(data) - len(good) * _ROW.size
        if (tail or not all(good)) and not locked and os.access(f"{shard}.lock", os.W_OK):
            with self._lock(shard):
                return self._read(shard, locked=True)
        if not all(good):
            place = end + good.index(False) * _ROW.size
            raise _damaged(shard, place, "the row that begins here fails its check, and rows after it do not")
        if tail and (shard, tail) not in self._told:
            self._told.add((shard, tail))
            log.warning(
                "%s: the last %d bytes are not a whole row, as a killed process leaves them: dropped, and "
                "computed again when needed",
                shard,
                tail,
            )
        for key, chosen, rejected, _ in rows[: len(good)]:
            if key not in self._place:
                self._place[key] = len(self._place)
                self._logps.extend((chosen, rejected))
        self._ends[shard] = end + len(good) * _ROW.size
        return self._ends[shard]

    @contextmanager
    def _lock(self, shard: Path) -> Iterator[None]:
        """Keep other processes from writing a file. The system lets go of it when a process dies."""
        lock = FileLock(f"{shard}.lock")
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout as error:
            raise TimeoutError(
                f"another process has held {lock.lock_file} for {_LOCK_SECONDS:g} seconds: end it, or name "
                "another folder for the reference cache"
            ) from error
        try:
            yield
        finally:
            lock.release()


def fill_reference_cache(
    cache: ReferenceCache,
    keys: Sequence[bytes],
    compute: Callable[[Sequence[int]], tuple[Tensor, Tensor]],
    *,
    chunk: int,
    rank: int = 0,
    world_size: int = 1,
    progress: Callable[[int, int], None] | None = None,
    most_rows: Callable[[int], int] | None = None,
) -> int:
    """Compute the rows of this rank's share that the cache lacks, a chunk at a time. Returns how many.

    Each chunk is on the disk before the next is begun, so a kill loses at most one for each rank. Which rows
    are a rank's depends on `keys` alone and not on what is there already, since ranks look at different
    times; equal rows are computed once. Before `get` the caller has to wait for the other ranks.

    Args:
        keys: of all rows, the same on every rank.
        compute: the places of at most `chunk` rows -> summed log-probs of chosen and rejected, float32 `[n]`.
        chunk: rows that are computed between two writes.
        progress: called with the rows of the share that are done, and the rows of the share.
        most_rows: where a forward pass needs all ranks (ZeRO-3, FSDP): takes the number of rows that this
            rank lacks and returns the largest such number of all ranks. Every rank then calls `compute`
            equally often and with equally many rows; what is beyond its own is thrown away.

    Raises:
        ValueError: `chunk`, `rank` or `world_size` out of range; or log-probs of another form or not finite,
            with the row's place.
        DataError, OSError: as `ReferenceCache.add`, and before anything is computed if the folder cannot be
            written at all.
    """
    if chunk < 1:
        raise ValueError(f"chunk={chunk}: give 1 or more")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank={rank}: give 0 to {world_size - 1}, as there are {world_size} processes")
    share = _first_places(keys)[rank::world_size]
    missing = set(cache.missing(keys))
    todo = [place for place in share if place in missing]
    rows = list(todo)
    if most_rows is not None:
        spare = most_rows(len(todo)) - len(todo)
        if spare < 0:
            raise ValueError(
                f"most_rows returned {len(todo) + spare}, and this rank alone has {len(todo)} rows"
            )
        rows += [place % len(keys) for place in range(spare)]
    if todo:
        cache.add([], torch.empty(0), torch.empty(0), rank=rank)
    done = len(share) - len(todo)
    if progress is not None:
        progress(done, len(share))
    for start in range(0, len(rows), chunk):
        part, own = rows[start : start + chunk], todo[start : start + chunk]
        chosen, rejected = compute(part)
        _floats(chosen, "chosen", part)
        _floats(rejected, "rejected", part)
        if own:
            cache.add([keys[place] for place in own], chosen[: len(own)], rejected[: len(own)], rank=rank)
        done += len(own)
        if progress is not None:
            progress(done, len(share))
    return len(todo)


def _first_places(keys: Sequence[bytes]) -> list[int]:
    first: dict[bytes, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    return list(first.values())


def _floats(logps: Tensor, side: str, rows: Sequence[int]) -> list[float]:
    """The log-probs as floats, if they are as they have to be. An error names one of `rows`."""
    if logps.dtype != torch.float32 or logps.shape != (len(rows),):
        raise ValueError(
            f"{side}: reference log-probs of {len(rows)} rows are float32 [{len(rows)}], summed in float32; "
            f"these are {str(logps.dtype).removeprefix('torch.')} {list(logps.shape)}"
        )
    values: list[float] = logps.tolist()
    finite = logps.isfinite().tolist()
    if not all(finite):
        place = finite.index(False)
        raise ValueError(
            f"row {rows[place]}: the reference log-prob of its {side} side is {values[place]}: the model "
            "overflows on this row (try model.dtype=bfloat16 or float32) or its completion has no tokens"
        )
    return values


def _check(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=8).digest()


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def _damaged(shard: Path, place: int, what: str) -> DataError:
    message = f"byte {place}: {what}. Delete the file: its rows are computed again when needed"
    return DataError([Problem(file=str(shard), message=message)])
