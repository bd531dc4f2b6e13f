"""Rows of parquet files and of Hugging Face data sets, local or from the hub.

Such rows have no lines: the number of the row stands in their place. Pictures stay as the bytes that they are
stored as; nothing is decoded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from align.data.json_rows import Row
from align.records import Problem

_BATCH = 16
"""Rows that are held at once: with pictures in them, a thousand would be a gigabyte."""


def iter_parquet(path: str | Path) -> Iterator[Row]:
    """Yield the rows of one parquet file. Raises `FileNotFoundError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(number, value)
    except (pa.ArrowException, OSError) as error:
        problem = Problem(file=str(path), line=number + 1, message=f"cannot be read on as parquet: {error}")
        yield Row(number + 1, problem, last=True)


def iter_dataset(
    name: str | Path, *, subset: str | None = None, split: str | None = None, revision: str | None = None
) -> Iterator[Row]:
    """Yield the rows of a data set that `datasets` can load: a folder, or an id on the Hugging Face hub.

    Args:
        name: a folder that `save_to_disk` wrote, a folder of parquet, JSON or CSV files, or `OWNER/NAME`.
        subset: the data set's configuration, where it has several.
        split: which split, where it has several.
        revision: the hub's commit, branch or tag.

    Raises `ValueError` where a split has to be chosen or does not exist, and what `datasets` raises for a
    data set that it cannot load.
    """
    import datasets

    loaded = _load(str(name), subset, split, revision)
    for column, feature in (loaded.features or {}).items():
        if isinstance(feature, datasets.Image):
            loaded = loaded.cast_column(column, datasets.Image(decode=False))
    for number, value in enumerate(loaded, start=1):
        yield Row(number, dict(value))


def _load(name: str, subset: str | None, split: str | None, revision: str | None) -> Any:
    import datasets

    if (Path(name) / "dataset_info.json").is_file() or (Path(name) / "dataset_dict.json").is_file():
        if subset is not None or revision is not None:
            raise ValueError(f"{name} was written by save_to_disk: it has no subset and no revision")
        loaded: Any = datasets.load_from_disk(name)
    else:
        # Streaming: neither a copy in the cache nor more than a few rows in memory.
        loaded = datasets.load_dataset(name, subset, revision=revision, streaming=True)
    if not isinstance(loaded, dict):
        if split is not None:
            raise ValueError(f"{name} has no splits: leave source.hub_split out")
        return loaded
    if split is None and len(loaded) == 1:
        return next(iter(loaded.values()))
    if split not in loaded:
        raise ValueError(f"set source.hub_split to one of {', '.join(loaded)} (now {split}): {name}")
    return loaded[split]
