"""Files come whole or not at all, from a server that stalls, truncates, redirects and fails."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, Served

from align.data.fetching import Fetch, Fetched, fetch_all

BODY = random.Random(0).randbytes(200_000)
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


def fetch(server: FileServer, folder: Path, **wanted: object) -> Fetched:
    one = Fetch(f"{server.url}/file.bin", "sub/file.bin", **wanted)  # type: ignore[arg-type]
    return fetch_all([one], folder, timeout=0.5, attempts=3, wait=0.01)[0]


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([], 1),
        (["500", "429"], 3),
        (["truncate"], 2),
        (["stall", "truncate", "stall"], 4),
        (["truncate", "503", "503", "truncate"], 5),
    ],
)
def test_what_a_server_does_badly_is_made_good(
    faults: list[str], requests: int, server: FileServer, tmp_path: Path
) -> None:
    server.files["/file.bin"] = Served(BODY, faults=list(faults))
    got = fetch(server, tmp_path, sha256=DIGEST)
    assert (got.error, got.sha256, got.size) == (None, DIGEST, len(BODY))
    assert (tmp_path / "sub/file.bin").read_bytes() == BODY
    assert len(server.requests) == requests
    assert server.sent["/file.bin"] == len(BODY)  # no byte twice
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["file.bin"]


def test_a_file_that_changed_in_the_middle_is_begun_anew(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = Served(b"old" * 50_000, faults=["truncate", "404"], etag='"old"')
    first = fetch(server, tmp_path)
    assert first.error
    assert "404" in first.error
    assert (tmp_path / "sub/file.bin.part").stat().st_size == 75_000
    assert not (tmp_path / "sub/file.bin").exists()
    server.files["/file.bin"] = Served(BODY, etag='"new"')
    assert fetch(server, tmp_path).sha256 == DIGEST


def test_a_server_without_ranges_sends_all_again(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = Served(BODY, faults=["truncate"], ranges=False)
    assert fetch(server, tmp_path).sha256 == DIGEST
    assert server.sent["/file.bin"] == len(BODY) * 3 // 2


def test_wrong_bytes_are_thrown_away_and_asked_for_again(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = Served(BODY, faults=["garble"])
    assert fetch(server, tmp_path, sha256=DIGEST).error is None
    server.files["/file.bin"] = Served(BODY)
    (tmp_path / "sub/file.bin").unlink()
    wrong = fetch(server, tmp_path, sha256="0" * 64)
    assert wrong.error
    assert f"its sha256 is {DIGEST} and should be 000" in wrong.error
    assert list((tmp_path / "sub").glob("file.bin*")) == [tmp_path / "sub/file.bin.part.json"]


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ({"faults": ["403"]}, "needs a login"),
        ({"faults": ["404"]}, "answered 404"),
        ({"faults": ["500"] * 9}, "given up after 3 tries"),
        ({"type": "text/html; charset=utf-8"}, "a web page instead of the file"),
    ],
)
def test_what_cannot_be_made_good_is_said(
    setup: dict, message: str, server: FileServer, tmp_path: Path
) -> None:
    server.files["/file.bin"] = Served(BODY, **setup)
    server.files["/other.bin"] = Served(b"other")
    wanted = [Fetch(f"{server.url}/file.bin", "file.bin"), Fetch(f"{server.url}/other.bin", "other.bin")]
    bad, good = fetch_all(wanted, tmp_path, timeout=0.5, attempts=3, wait=0.01)
    assert bad.error
    assert message in bad.error
    assert good.error is None
    assert (tmp_path / "other.bin").read_bytes() == b"other"
    assert not (tmp_path / "file.bin").exists()


def test_redirects_are_followed_and_a_login_stays_with_its_host(server: FileServer, tmp_path: Path) -> None:
    other = FileServer()
    try:
        other.files["/there"] = Served(BODY)
        server.redirects["/file.bin"] = f"{other.url.replace('127.0.0.1', 'localhost')}/there"
        assert fetch(server, tmp_path, headers=(("Authorization", "Bearer secret"),)).sha256 == DIGEST
        assert server.requests[0][1]["Authorization"] == "Bearer secret"
        assert "Authorization" not in other.requests[0][1]
    finally:
        other.close()


def test_what_is_there_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = Served(BODY)
    assert not fetch(server, tmp_path).reused
    again = fetch(server, tmp_path)
    assert again.reused
    assert again.sha256 == DIGEST
    assert len(server.requests) == 1
    (tmp_path / "sub/file.bin").write_bytes(b"short")
    assert not fetch(server, tmp_path, size=len(BODY)).reused
    (tmp_path / "sub/file.bin").write_bytes(bytes(len(BODY)))
    one = Fetch(f"{server.url}/file.bin", "sub/file.bin", sha256=DIGEST)
    assert fetch_all([one], tmp_path, verify=True)[0].sha256 == DIGEST
    assert (tmp_path / "sub/file.bin").read_bytes() == BODY


def test_a_place_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    for place in ("../x", "/x", ""):
        with pytest.raises(ValueError, match="not inside"):
            fetch_all([Fetch("http://localhost/x", place)], tmp_path)
    with pytest.raises(ValueError, match="a place of its own"):
        fetch_all([Fetch("http://localhost/x", "x"), Fetch("http://localhost/y", "x")], tmp_path)


def test_a_killed_download_goes_on_where_it_was(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = Served(BODY, faults=["slow"])
    code = (
        "from align.data.fetching import *; "
        f"fetch_all([Fetch('{server.url}/file.bin', 'sub/file.bin')], {str(tmp_path)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    part = tmp_path / "sub/file.bin.part"
    deadline = time.monotonic() + 30
    while not part.exists() or part.stat().st_size == 0:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    assert 0 < have < len(BODY)
    assert fetch(server, tmp_path).sha256 == DIGEST
    assert server.requests[-1][1]["Range"] == f"bytes={have}-"
