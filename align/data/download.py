"""Fetch a data set from its public home, a mirror or a folder, and say in a manifest what came.

`manifest.json` is written last: where it is, the data set is complete, and nothing is fetched again.
"""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.data.fetching import Fetch, Fetched, Progress, fetch_all, file_sha256
from align.data.origins import Origin, hub_files, image_files, write_subset
from align.records import DataError, Problem, write_json

MANIFEST = "manifest.json"


@dataclass
class Download:
    """What became of a data set.

    Attributes:
        folder: where it is.
        fetched: its files and images, in the order of the origin.
        problems: what is missing and why. Images that did not come are among them; without them the data set
            still is complete.
        complete: all files are there, and were unpacked.
        reused: the manifest was there, and nothing had to be done.
    """

    folder: Path
    fetched: list[Fetched] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    complete: bool = False
    reused: bool = False


def download(
    origin: Origin,
    out: str | Path,
    *,
    mirror: str | None = None,
    verify: bool = False,
    progress: Progress | None = None,
    **fetching: Any,
) -> Download:
    """Fetch everything of an origin into `out/<name>`.

    Args:
        mirror: takes the place of the public home: a folder, or a URL, that holds `<name>/<path>` for every
            file. Digests and sizes that the configuration gives are checked all the same.
        verify: read what is there and compare digests with the manifest.
        fetching: `workers`, `timeout`, `attempts`, `wait` of `fetch_all`.

    Raises:
        DataError: an archive or a table that cannot be read; the hub refuses.
        ConnectionError: the hub cannot be reached.
    """
    result = Download(folder=Path(out) / origin.name)
    if _is_complete(result.folder, origin, verify):
        result.complete = result.reused = True
        return result
    result.folder.mkdir(parents=True, exist_ok=True)
    (result.folder / MANIFEST).unlink(missing_ok=True)
    wanted, revision = list(origin.files), None
    if origin.hub is not None and mirror is None:
        found, revision = hub_files(origin.hub)
        wanted += found
    elif origin.hub is not None and mirror is not None:
        wanted += _mirrored_hub_files(origin, mirror)
    wanted = [_from(mirror, origin.name, fetch) for fetch in wanted]

    result.fetched = fetch_all(wanted, result.folder, verify=verify, progress=progress, **fetching)
    if _failed(result, result.fetched):
        return result
    for archive, target in origin.unpack.items():
        unpack(result.folder / archive, result.folder / target)
    if origin.subset is not None:
        write_subset(origin.subset, result.folder)
    if origin.images is not None:
        images = [_from(mirror, origin.name, fetch) for fetch in image_files(origin.images, result.folder)]
        came = fetch_all(images, result.folder, progress=progress, **fetching)
        _failed(result, came)
        result.fetched += came
    result.complete = True
    write_json(result.folder / MANIFEST, _manifest(origin, result, revision))
    return result


def unpack(archive: Path, target: Path) -> int:
    """Unpack a zip archive into a folder that appears when all of it is there. Returns how many files.

    A single folder around everything is taken off. Raises `DataError` for what is no whole zip archive, for a
    member that leaves the folder or is a link, and where the disk has no room.
    """
    staging = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            for member in members:
                # zipfile would put such a member somewhere else, under another name.
                if Path(member.filename).is_absolute() or ".." in Path(member.filename).parts:
                    raise _unusable(archive, f"its member {member.filename!r} leaves the folder")
                if (member.external_attr >> 16) & 0o170000 == 0o120000:
                    raise _unusable(archive, f"its member {member.filename!r} is a link")
            needed, room = sum(m.file_size for m in members), shutil.disk_usage(archive.parent).free
            if needed > room:
                raise _unusable(
                    archive, f"unpacked it needs {needed:,} bytes, and the disk has {room:,} left"
                )
            for member in members:
                opened.extract(member, staging)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise _unusable(
            archive, f"not a whole zip archive ({error}): delete it, and run the command again"
        ) from error
    inner = list(staging.iterdir()) if staging.is_dir() else []
    whole = inner[0] if len(inner) == 1 and inner[0].is_dir() else staging
    shutil.rmtree(target, ignore_errors=True)
    if members:
        whole.replace(target)
    else:
        target.mkdir()
    shutil.rmtree(staging, ignore_errors=True)
    return len(members)


def _is_complete(folder: Path, origin: Origin, verify: bool) -> bool:
    """Whether the manifest is there, is of this origin, and the files are as it says."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {file["path"]: file for file in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if any(fetch.path not in files for fetch in origin.files) or manifest["missing"]:
        return False
    if any(not (folder / target).is_dir() for target in origin.unpack.values()):
        return False
    for path, file in files.items():
        place = folder / path
        if not place.is_file() or place.stat().st_size != file["size"]:
            return False
        if verify and file_sha256(place) != file["sha256"]:
            return False
    return True


def _from(mirror: str | None, name: str, fetch: Fetch) -> Fetch:
    if mirror is None:
        return fetch
    return Fetch(f"{mirror.rstrip('/')}/{name}/{fetch.path}", fetch.path, fetch.sha256, fetch.size)


def _mirrored_hub_files(origin: Origin, mirror: str) -> list[Fetch]:
    """The hub's files in a mirror: those of a folder by the patterns, those of a URL by exact names."""
    assert origin.hub is not None
    if not mirror.startswith(("http://", "https://")):
        root = Path(mirror) / origin.name
        names = sorted(
            {p.relative_to(root).as_posix() for pattern in origin.hub.files for p in root.glob(pattern)}
        )
        if not names:
            message = f"has no file named {' or '.join(origin.hub.files)}"
            raise DataError([Problem(file=str(root), message=message)])
        return [Fetch("", name) for name in names]
    patterns = [name for name in origin.hub.files if any(mark in name for mark in "*?[")]
    if patterns:
        message = (
            f"a mirror by URL cannot be searched for {', '.join(patterns)}: give exact names in hub.files"
        )
        raise DataError([Problem(file=f"origins.{origin.name}", field="hub.files", message=message)])
    return [Fetch("", name) for name in origin.hub.files]


def _failed(result: Download, outcomes: Sequence[Fetched]) -> bool:
    problems = [
        Problem(file=str(result.folder), field=one.fetch.path, message=one.error)
        for one in outcomes
        if one.error is not None
    ]
    result.problems += problems
    return bool(problems)


def _manifest(origin: Origin, result: Download, revision: str | None) -> dict[str, Any]:
    return {
        "name": origin.name,
        "title": origin.title,
        "license": origin.license,
        "restricted": origin.restricted,
        "revision": revision,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": [
            {"path": one.fetch.path, "url": one.fetch.url, "size": one.size, "sha256": one.sha256}
            for one in result.fetched
            if one.error is None
        ],
        "missing": [
            {"path": one.fetch.path, "url": one.fetch.url, "error": one.error}
            for one in result.fetched
            if one.error is not None
        ],
    }


def _unusable(archive: Path, message: str) -> DataError:
    return DataError([Problem(file=str(archive), message=message)])
