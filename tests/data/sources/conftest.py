"""A folder with photographs of the sample, and reading rows that a test writes."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from align.data.sources import make_source
from align.data.sources.reader import read_source

PHOTOS = Path(__file__).parents[3] / "samples" / "photos" / "images"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("coffee.jpg", "coins.jpg", "chelsea.jpg"):
        shutil.copy(PHOTOS / name, folder / name)
    return folder


@pytest.fixture
def read(tmp_path, images):
    """`read(reader, rows, file="rows.csv", **options)`: rows as dictionaries, or the content of the file."""

    def reader(reader, rows, file="rows.jsonl", checks=None, folder=None, **options):
        path = tmp_path / file
        if isinstance(rows, str | bytes):
            path.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
        elif path.suffix in (".csv", ".tsv"):
            with path.open("w", newline="", encoding="utf-8") as stream:
                dialect = "excel" if path.suffix == ".csv" else "excel-tab"
                writer = csv.DictWriter(stream, list(rows[0]), dialect=dialect)
                writer.writeheader()
                writer.writerows(rows)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return read_source(make_source(reader, options), [path], folder or images, **(checks or {}))

    return reader
