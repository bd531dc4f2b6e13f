"""A few rows with pictures, for training a few steps."""

import os
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from align.records import Pair, SFTRow, write_records

# Tests train a tiny model: threads that wait for each other only slow it down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

COLORS = ("red", "blue", "green", "yellow")


def write_rows(root: Path, count: int = 16) -> None:
    """`root/images`, `root/pairs.jsonl` and `root/sft.jsonl`: `refuse` and `answer` rows by turns."""
    (root / "images").mkdir(parents=True)
    pairs, rows = [], []
    for i in range(count):
        color, other = COLORS[i % 4], COLORS[(i + 1) % 4]
        name = f"images/{i}.png"
        picture = Image.new("RGB", (96, 96), "white")
        ImageDraw.Draw(picture).ellipse((20 + i, 20, 50 + i, 50), fill=color)
        picture.save(root / name)
        answer = f"The circle is {color}."
        refusal = f"There is no star here; I see a {color} circle, so I can't say."
        invention = f"The star is {other}."
        question, kind = (
            ("What color is the circle?", "answer") if i % 2 else ("What color is the star?", "refuse")
        )
        chosen, rejected = (answer, refusal) if i % 2 else (refusal, invention)
        common = {"question_id": f"q{i}", "prompt": question, "images": (name,), "kind": kind}
        pairs.append(
            Pair(**common, chosen=chosen, rejected=rejected, chosen_source="test", rejected_source="test")
        )
        rows.append(SFTRow(**common, completion=chosen, completion_source="test"))
    write_records(root / "pairs.jsonl", pairs)
    write_records(root / "sft.jsonl", rows)


@pytest.fixture(scope="session")
def rows_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rows") / "data"
    write_rows(root)
    return root
