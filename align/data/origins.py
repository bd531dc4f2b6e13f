"""The public homes of data sets: which files they have, and how they are got.

An origin is an entry of `configs/download.yaml`:

    rlhf_v:
      title: RLHF-V, 5.7k pairs of general preference data
      license: CC BY-NC 4.0
      restricted: not for commercial use    # shown as a warning; leave out where there is nothing to warn of
      files:
        - {url: https://..., path: file.json, sha256: ...}         sha256 where it is known
        - {url: https://..., path: images.zip, unpack: images}     and unpacked into a folder
      hub: {repo: openbmb/RLHF-V-Dataset, revision: main, files: ["*.parquet"]}
      subset: {questions: q.json, annotations: a.json, images: 500}
      images: {tables: [file.csv], name: image_name, url: url, folder: images}

`subset` is for VQA's files: `lite_questions.json` and `lite_annotations.json` get all questions about so many
images, drawn with a fixed seed. `images` reads tables that were fetched and fetches the image of each row:
`url` is a column, or a pattern with `{name}`; `file`, where it is given, is the pattern of the file's name. A
row whose image does not come is listed in the manifest.
"""

from __future__ import annotations

import csv
import fnmatch
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.data.fetching import Fetch
from align.data.json_rows import iter_rows
from align.records import DataError, Problem, write_json

HUB_HOST = "https://huggingface.co"


@dataclass(frozen=True)
class Hub:
    """Files of a data set on the Hugging Face hub, by patterns."""

    repo: str
    files: tuple[str, ...]
    revision: str = "main"


@dataclass(frozen=True)
class Images:
    """One image a row of tables: `name` is the column of its file name, `url` a column or a pattern."""

    tables: tuple[str, ...]
    name: str
    url: str
    folder: str = "images"
    file: str = "{name}"


@dataclass(frozen=True)
class Subset:
    """All questions about so many images of VQA's two files."""

    questions: str
    annotations: str
    images: int


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from. `unpack` maps an archive's place to a folder."""

    name: str
    title: str
    license: str
    restricted: str | None = None
    files: tuple[Fetch, ...] = ()
    unpack: Mapping[str, str] = field(default_factory=dict)
    hub: Hub | None = None
    subset: Subset | None = None
    images: Images | None = None


def parse_origin(name: str, entry: Mapping[str, Any]) -> Origin:
    """An origin from its entry. Raises `ValueError` that names the field."""
    known = {"title", "license", "restricted", "files", "hub", "subset", "images"}
    unknown = sorted(set(entry) - known)
    if unknown:
        raise ValueError(
            f"origins.{name} has no field {', '.join(unknown)}: its fields are {', '.join(known)}"
        )
    for needed in ("title", "license"):
        if not entry.get(needed):
            raise ValueError(f"origins.{name}.{needed} is missing: say what it is, it is shown to the user")
    files, unpack = [], {}
    for place, file in enumerate(entry.get("files") or ()):
        extra = sorted(set(file) - {"url", "path", "sha256", "size", "unpack"})
        if extra or not file.get("url") or not file.get("path"):
            raise ValueError(
                f"origins.{name}.files[{place}] needs `url` and `path`, and may have `sha256`, `size` and "
                f"`unpack`; it has {', '.join(file)}"
            )
        files.append(Fetch(file["url"], file["path"], file.get("sha256"), file.get("size")))
        if file.get("unpack"):
            unpack[file["path"]] = file["unpack"]
    try:
        hub = Hub(**{**entry["hub"], "files": tuple(entry["hub"]["files"])}) if entry.get("hub") else None
        subset = Subset(**entry["subset"]) if entry.get("subset") else None
        images = (
            Images(**{**entry["images"], "tables": tuple(entry["images"]["tables"])})
            if entry.get("images")
            else None
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"origins.{name}: {error}: see align/data/origins.py for the form") from error
    if not files and hub is None:
        raise ValueError(f"origins.{name} has neither `files` nor `hub`: there is nothing to fetch")
    return Origin(
        name,
        entry["title"],
        entry["license"],
        entry.get("restricted"),
        tuple(files),
        unpack,
        hub,
        subset,
        images,
    )


def hub_files(hub: Hub, *, endpoint: str | None = None) -> tuple[list[Fetch], str]:
    """The files of a hub data set with sizes and digests, and the commit that they are of.

    `endpoint` is a mirror of the hub; the login of `hf auth login` or `HF_TOKEN` goes to the hub itself only.

    Raises:
        DataError: the hub does not know the data set, wants a login, or has no file of that name.
        ConnectionError: it cannot be reached.
    """
    import httpx  # here, since reading a configuration does without
    from huggingface_hub import get_token, hf_hub_url

    token = None if endpoint else get_token()
    headers = (("Authorization", f"Bearer {token}"),) if token else ()
    api = f"{endpoint or HUB_HOST}/api/datasets/{hub.repo}/revision/{hub.revision}"
    try:
        answer = httpx.get(
            api, params={"blobs": "true"}, headers=dict(headers), timeout=30, follow_redirects=True
        )
    except httpx.TransportError as error:
        raise ConnectionError(
            f"{endpoint or HUB_HOST} cannot be reached ({error}): give mirror=FOLDER or mirror=URL"
        ) from error
    if answer.status_code != 200:
        message = (
            f"the hub answered {answer.status_code} for revision {hub.revision}. If the data set is gated, "
            "accept its conditions there and run `hf auth login`"
        )
        raise _bad(hub, message)
    info = answer.json()
    every = {file["rfilename"]: file for file in info["siblings"]}
    found = [file for name, file in every.items() if any(fnmatch.fnmatch(name, p) for p in hub.files)]
    if not found:
        there = ", ".join(sorted(every)[:20])
        raise _bad(hub, f"no file is named {' or '.join(hub.files)}; it has {there}")
    return [
        Fetch(
            hf_hub_url(
                hub.repo, file["rfilename"], repo_type="dataset", revision=info["sha"], endpoint=endpoint
            ),
            file["rfilename"],
            file.get("lfs", {}).get("sha256"),
            file.get("size"),
            headers,
        )
        for file in found
    ], str(info["sha"])


def image_files(images: Images, folder: Path) -> list[Fetch]:
    """The images that fetched tables name, each once.

    Raises `DataError` for a table that cannot be read, or a row without a name or an address.
    """
    wanted: dict[str, Fetch] = {}
    problems = []
    rows = ((folder / name, line, row) for name in images.tables for line, row in _rows(folder / name))
    for table, line, row in rows:
        if isinstance(row, Problem):
            problems.append(row)
            continue
        key = _text(row.get(images.name))
        name = images.file.format(name=key) if key else ""
        url = images.url.format(name=key) if "{name" in images.url else _text(row.get(images.url))
        if not name or not url.startswith(("http://", "https://")):
            message = f"a row needs a file name and an http address: found {name!r} and {url!r}"
            problems.append(Problem(file=str(table), line=line, field=images.name, message=message))
        elif Path(name).is_absolute() or ".." in Path(name).parts:
            message = f"{name!r} leaves the folder of images"
            problems.append(Problem(file=str(table), line=line, field=images.name, message=message))
        else:
            wanted.setdefault(name, Fetch(url, f"{images.folder}/{name}"))
    if problems:
        raise DataError(problems)
    return list(wanted.values())


def _rows(table: Path) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    if table.suffix == ".csv":
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                yield reader.line_num, row
    elif table.name == LITE_QUESTIONS:
        yield from enumerate(json.loads(table.read_text(encoding="utf-8"))["questions"], start=1)
    else:
        for found in iter_rows(table):
            yield found.line, found.value


LITE_QUESTIONS, LITE_ANNOTATIONS = "lite_questions.json", "lite_annotations.json"


def write_subset(subset: Subset, folder: Path, *, seed: int = 0) -> None:
    """Write VQA's questions and annotations about `subset.images` images, drawn by `seed`.

    Raises `DataError` for files of another form than VQA's.
    """
    parts = {}
    for key, name in (("questions", subset.questions), ("annotations", subset.annotations)):
        try:
            parts[key] = json.loads((folder / name).read_text(encoding="utf-8"))
            parts[key][key][0]["image_id"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            message = f"not VQA's form, an object with a list `{key}` of objects with `image_id`: {error!r}"
            raise DataError([Problem(file=str(folder / name), field=key, message=message)]) from error
    every = sorted({row["image_id"] for row in parts["questions"]["questions"]})
    kept = set(random.Random(seed).sample(every, min(subset.images, len(every))))
    for key, name in (("questions", LITE_QUESTIONS), ("annotations", LITE_ANNOTATIONS)):
        rows = [row for row in parts[key][key] if row["image_id"] in kept]
        write_json(folder / name, parts[key] | {key: rows})


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _bad(hub: Hub, message: str) -> DataError:
    return DataError([Problem(file=f"{HUB_HOST}/datasets/{hub.repo}", message=message)])
