"""Which reader of rows a file or folder needs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from align.data.json_rows import MAX_ROW, Row, iter_rows
from align.data.sources.arrow import iter_dataset, iter_parquet
from align.data.sources.delimited import iter_delimited

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


def iter_file(
    path: str | Path, *, key: str | None = None, encoding: str = "utf-8", max_row: int = MAX_ROW
) -> Iterator[Row]:
    """Yield the rows of a CSV, TSV, JSON, JSON Lines or parquet file, by its suffix.

    Args:
        key: of a JSON file that is an object: where its rows are. Such a file may be a list as well.
        encoding: of CSV and TSV files; JSON is UTF-8.

    Raises `FileNotFoundError` that names the nearest file, `ValueError` for another suffix.
    """
    path = Path(path)
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        raise FileNotFoundError(f"no such file: {path}" + (f" (did you mean {near[0]}?)" if near else ""))
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        delimiter = "," if suffix == ".csv" else "\t"
        return iter_delimited(path, delimiter=delimiter, encoding=encoding, max_row=max_row)
    if suffix == ".parquet":
        return iter_parquet(path)
    if suffix in (".json", ".jsonl"):
        return iter_rows(path, key=key if _is_object(path) else None, max_row=max_row)
    raise ValueError(f"{path}: expected a file ending in {', '.join(SUFFIXES)}")


def iter_input(
    name: str | Path,
    *,
    key: str | None = None,
    encoding: str = "utf-8",
    max_row: int = MAX_ROW,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
) -> Iterator[Row]:
    """Rows of a file, of a folder that `datasets` can load, or of a data set on the Hugging Face hub.

    Something of the form `OWNER/NAME` that is not there as a file or folder is taken for an id on the hub.
    """
    path = Path(name)
    looks_like_file = path.suffix.lower() in SUFFIXES
    if path.is_file() or looks_like_file or (not path.is_dir() and str(name).count("/") != 1):
        if subset or split or revision:
            raise ValueError(f"{name} is a file: hub_subset, hub_split and hub_revision are for data sets")
        return iter_file(path, key=key, encoding=encoding, max_row=max_row)
    return iter_dataset(name, subset=subset, split=split, revision=revision)


def _is_object(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" and path.suffix == ".json"
