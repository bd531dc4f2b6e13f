"""The sample of photographs: what its file promises. `test_photo_path.py` runs the programs on it."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from align.data.mohobench import read_mohobench
from align.records import ANSWERABLE, UNANSWERABLE, Category

SAMPLE = Path(__file__).parents[1] / "samples" / "photos"
FILE = SAMPLE / "mohobench.json"
IMAGES = SAMPLE / "images"

UPSTREAM_FIELDS = {"question", "category", "image", "caption"}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in rows}


def attributed() -> dict[str, str]:
    """File in the sample -> file in the package, as the table in ATTRIBUTION.md says."""
    text = (SAMPLE / "ATTRIBUTION.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+\.jpg)` \| `([\w/.]+)` \|", text, re.MULTILINE))


def test_every_photograph_has_every_category_equally(rows: list[dict[str, Any]]) -> None:
    counts = Counter((row["image"], row["category"]) for row in rows)
    images = {image for image, _ in counts}
    assert len(images) == 14
    for image in images:
        per_category = {category: counts[(image, category)] for category in get_args(Category)}
        assert per_category == {category: 6 if category == ANSWERABLE else 2 for category in per_category}
    assert {category for _, category in counts} == set(get_args(Category)), (
        "labels must be upstream's, exactly"
    )


def test_rows_have_upstream_fields_and_the_gold_that_their_category_needs(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row.keys() >= UPSTREAM_FIELDS, row["id"]
        texts = {name: value for name, value in row.items() if name != "answers"}
        assert all(isinstance(value, str) and value == value.strip() != "" for value in texts.values()), row[
            "id"
        ]
        if row["category"] == ANSWERABLE:
            assert row["answers"], row["id"]
            assert len({answer.casefold() for answer in row["answers"]}) == len(row["answers"]), row["id"]
            assert "reason" not in row, row["id"]
        else:
            assert "answers" not in row, row["id"]
            assert row["reason"].endswith("."), row["id"]
            assert len(row["reason"].split()) >= 8, f"{row['id']}: the reason must be specific"


def test_questions_have_upstreams_length_and_differ(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert 5 <= len(row["question"].split()) <= 45, row["id"]
        assert row["question"].endswith("?"), row["id"]
    for name in ("question", "reason"):
        texts = Counter(" ".join(row[name].casefold().split()) for row in rows if name in row)
        assert [text for text, n in texts.items() if n > 1] == []


def test_ids_are_unique_and_name_image_and_category(rows: list[dict[str, Any]]) -> None:
    assert len({row["id"] for row in rows}) == len(rows)
    short = {"cd": "Context_Dependent", "fp": "False_Premises"} | {
        "sp": "Subjective_or_Philosophical",
        "vd": "Vague_Description",
    }
    for row in rows:
        name, category, number, *twin = row["id"].split("-")
        assert row["image"] == f"{name}.jpg"
        assert number in ("1", "2")
        assert twin == (["twin"] if row["category"] == ANSWERABLE else [])
        if not twin:
            assert row["category"] == short[category]


def test_twins_are_mutual_opposite_and_about_one_image(by_id: dict[str, dict[str, Any]]) -> None:
    for row in by_id.values():
        if "twin" in row:
            twin = by_id[row["twin"]]
            assert twin["twin"] == row["id"]
            assert twin["image"] == row["image"]
            assert (twin["category"] == ANSWERABLE) != (row["category"] == ANSWERABLE)
    twinned = Counter(row["category"] for row in by_id.values() if "twin" in row)
    assert twinned == {ANSWERABLE: 84} | dict(zip(UNANSWERABLE, (14, 28, 14, 28), strict=True))


def test_one_caption_and_one_license_for_each_image(rows: list[dict[str, Any]]) -> None:
    said = {(row["image"], row["caption"], row["license"]) for row in rows}
    assert len(said) == 14


def test_images_decode_are_small_and_are_all_used_and_attributed(rows: list[dict[str, Any]]) -> None:
    files = sorted(IMAGES.iterdir())
    for path in files:
        with Image.open(path) as image:
            image.load()
            assert max(image.size) <= 512
            assert min(image.size) >= 200
    assert sum(path.stat().st_size for path in files) < 1_500_000
    names = {path.name for path in files}
    assert names == {row["image"] for row in rows}
    assert names == attributed().keys()


@pytest.mark.parametrize("package", ["skimage", "sklearn"])
def test_images_are_the_ones_that_the_attribution_names(package: str) -> None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    folder = Path(spec.origin).parents[1]
    sources = {file: source for file, source in attributed().items() if source.startswith(f"{package}/")}
    assert sources
    for file, source in sources.items():
        with Image.open(folder / source) as original, Image.open(IMAGES / file) as copy:
            expected = original.convert("RGB").resize(copy.size, Image.Resampling.LANCZOS)
            difference = np.abs(np.asarray(expected, float) - np.asarray(copy.convert("RGB"), float)).mean()
        assert difference < 6, f"{file} differs from {source} by {difference:.1f} gray levels"


def test_the_reader_takes_every_row_without_a_remark() -> None:
    reading = read_mohobench(FILE, IMAGES)
    assert reading.problems == []
    assert len(reading.questions) == 196
    assert reading.unknown_fields == {}
    assert all(question.caption and question.license for question in reading.questions)
    assert sum(question.twin is not None for question in reading.questions) == 168
