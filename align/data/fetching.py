"""Files over HTTP to the disk: resumed where they were cut off, checked, and whole or not there at all.

What is being fetched stands beside its place as `NAME.part`, with what it is a part of in `NAME.part.json`.
A process that is killed, or a server that hangs up, leaves them, and the next request asks for the rest. A
server whose file has changed meanwhile, or that cannot send a part, sends all of it, and it is begun anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from align.records import write_json

Progress = Callable[[str, int, int | None], None]
"""A file's place, its bytes so far, and how many there will be, or None. Called from several threads."""

_MOST_WAIT = 60.0  # seconds, whatever a server asks for
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Fetch:
    """One file that is wanted.

    Attributes:
        url: http or https; or the path of a file, which is copied.
        path: where it goes, relative to the folder.
        sha256: of its bytes, where that is known.
        size: in bytes, likewise.
        headers: for this file only; those that log in are not sent on to another host.
    """

    url: str
    path: str
    sha256: str | None = None
    size: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Fetched:
    """What became of it: `sha256` and `size`, or `error`."""

    fetch: Fetch
    sha256: str | None = None
    size: int | None = None
    error: str | None = None
    reused: bool = False


class FetchError(Exception):
    """Why a file did not come, and what to do."""


class _Passing(Exception):
    """A failure that may be over at the next try."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def fetch_all(
    wanted: Sequence[Fetch],
    folder: str | Path,
    *,
    workers: int = 4,
    timeout: float = 30.0,
    attempts: int = 5,
    wait: float = 1.0,
    verify: bool = False,
    progress: Progress | None = None,
) -> list[Fetched]:
    """Fetch files side by side. One that fails does not keep the others back.

    Args:
        folder: where they go; a file that is there is not fetched again if its size, and with `verify` its
            digest, are as expected.
        workers: files at once.
        timeout: seconds without a byte before a connection is given up.
        attempts: tries of one file in a row that bring nothing new. Bytes that came start the count anew.
        wait: seconds before the second try; doubled for each further one. `Retry-After` comes before it.
        verify: read files that are there and compare their digests.

    Returns the outcomes in the order of `wanted`. Raises `ValueError` for two files at one place or for a
    place outside of the folder.
    """
    folder = Path(folder)
    _check_places(wanted, folder)
    stop = threading.Event()
    with (
        httpx.Client(
            follow_redirects=True, timeout=timeout, headers={"Accept-Encoding": "identity"}
        ) as client,
        ThreadPoolExecutor(workers) as pool,
    ):

        def one(fetch: Fetch) -> Fetched:
            try:
                return _fetch(client, fetch, folder, attempts, wait, verify, stop, progress)
            except FetchError as error:
                return Fetched(fetch, error=str(error))

        try:
            return list(pool.map(one, wanted))
        except BaseException:
            stop.set()  # Ctrl-C: workers end at their next chunk, and their parts stay
            pool.shutdown(cancel_futures=True)
            raise


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_places(wanted: Iterable[Fetch], folder: Path) -> None:
    seen: set[str] = set()
    for fetch in wanted:
        place = Path(fetch.path)
        if place.is_absolute() or ".." in place.parts or not fetch.path:
            raise ValueError(f"{fetch.url}: its place {fetch.path!r} is not inside {folder}")
        if fetch.path in seen:
            raise ValueError(f"two files are to be put at {fetch.path!r}: give each a place of its own")
        seen.add(fetch.path)


def _fetch(
    client: httpx.Client,
    fetch: Fetch,
    folder: Path,
    attempts: int,
    wait: float,
    verify: bool,
    stop: threading.Event,
    progress: Progress | None,
) -> Fetched:
    target = folder / fetch.path
    there = _already(target, fetch, verify)
    if there is not None:
        return there
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    left = attempts
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if fetch.url.startswith(("http://", "https://")):
                _stream(client, fetch, part, stop, progress)
            else:
                _copy(Path(fetch.url), part)
            return _finish(fetch, part, target)
        except (_Passing, httpx.TransportError) as error:
            after = part.stat().st_size if part.exists() else 0
            left = attempts if after > before else left - 1
            if left < 1:
                raise FetchError(
                    f"{fetch.url}: {_said(error)}; given up after {attempts} tries without a new byte. The "
                    "same command goes on from here"
                ) from error
            asked = error.wait if isinstance(error, _Passing) else None
            pause = asked if asked is not None else wait * 2 ** max(0, attempts - left - 1)
            if stop.wait(min(pause, _MOST_WAIT)):
                raise FetchError(f"{fetch.url}: stopped") from error
        except OSError as error:
            raise FetchError(f"{target}: {error.strerror or error}") from error


def _already(target: Path, fetch: Fetch, verify: bool) -> Fetched | None:
    """The file, if it is there as it should be; it got its name only when it was whole."""
    if not target.is_file():
        return None
    size = target.stat().st_size
    if fetch.size is not None and size != fetch.size:
        return None
    digest = file_sha256(target) if verify or fetch.sha256 is None else fetch.sha256
    if fetch.sha256 is not None and digest != fetch.sha256:
        return None
    return Fetched(fetch, digest, size, reused=True)


def _stream(
    client: httpx.Client, fetch: Fetch, part: Path, stop: threading.Event, progress: Progress | None
) -> None:
    """One request for what is missing. Returns when the file is complete, as far as the server says."""
    note = part.with_name(part.name + ".json")
    known = _read_note(note) if part.exists() else {}
    have = part.stat().st_size if known.get("url") == fetch.url else 0
    headers = dict(fetch.headers)
    if have:
        headers["Range"] = f"bytes={have}-"
        if known.get("validator"):
            headers["If-Range"] = known["validator"]
    with client.stream("GET", fetch.url, headers=headers) as response:
        if response.status_code == 416 and have and have == known.get("size"):
            return
        if response.status_code == 416:
            part.unlink(missing_ok=True)
            raise _Passing("the server has no such range: begun anew")
        _check_status(response, fetch)
        if response.status_code == 206:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink(missing_ok=True)
                raise _Passing("the server sent another range than it was asked for: begun anew")
            total = _whole_size(response.headers["Content-Range"])
        else:
            have = 0
            total = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        weak = validator is not None and validator.startswith("W/")  # `If-Range` takes strong ones only
        write_json(note, {"url": fetch.url, "size": total, "validator": None if weak else validator})
        with part.open("r+b" if part.exists() else "wb", buffering=0) as stream:
            stream.truncate(have)
            stream.seek(have)
            for chunk in response.iter_raw():
                if stop.is_set():
                    raise FetchError(f"{fetch.url}: stopped")
                stream.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(fetch.path, have, total)
    if total is not None and have != total:
        raise _Passing(f"the connection ended after {have} of {total} bytes")


def _check_status(response: httpx.Response, fetch: Fetch) -> None:
    status = response.status_code
    if status in (200, 206):
        kind = response.headers.get("Content-Type", "")
        if kind.startswith("text/html") and not fetch.path.endswith((".html", ".htm")):
            raise FetchError(
                f"{fetch.url}: the server answered with a web page instead of the file, as sites do that "
                "want a login or have moved: fetch it with a browser and give its folder as mirror="
            )
        return
    if status in _PASSING:
        raise _Passing(f"the server answered {status}", _retry_after(response))
    if status in (401, 403):
        raise FetchError(
            f"{fetch.url}: the server answered {status}: the file needs a login. For the Hugging Face hub, "
            "accept the conditions on the data set's page and log in (`hf auth login`), or give mirror="
        )
    raise FetchError(
        f"{fetch.url}: the server answered {status} {response.reason_phrase}: give mirror= if it moved"
    )


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _whole_size(content_range: str) -> int | None:
    size = content_range.rpartition("/")[2]
    return int(size) if size.isdigit() else None


def _copy(source: Path, part: Path) -> None:
    if not source.is_file():
        raise FetchError(f"{source}: no such file in the mirror")
    shutil.copyfile(source, part)


def _finish(fetch: Fetch, part: Path, target: Path) -> Fetched:
    """Check the whole file and give it its name."""
    size, digest = part.stat().st_size, file_sha256(part)
    for what, wanted, found in (("size", fetch.size, size), ("sha256", fetch.sha256, digest)):
        if wanted is not None and wanted != found:
            part.unlink()
            raise _Passing(f"its {what} is {found} and should be {wanted}: thrown away")
    part.replace(target)
    part.with_name(part.name + ".json").unlink(missing_ok=True)
    return Fetched(fetch, digest, size)


def _read_note(note: Path) -> dict[str, Any]:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # killed before it was written: the part is of unknown origin
        return {}
    return found if isinstance(found, dict) else {}


def _said(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no byte came in time"
    return str(error) or type(error).__name__
