"""recipes/plan.py as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from transformers import AutoProcessor

from align.miniworld import TINY_VLM
from align.records import Pair, write_records
from align.training.audit import row_tokens
from align.training.data import measure_rows

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.program


def plan(out: Path, *overrides: str, expect: int = 0) -> str:
    words = [sys.executable, "recipes/plan.py", f"out={out}", *overrides]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_lengths_of_ones_own_rows(tmp_path: Path) -> None:
    """As training would count them: the picture's tokens, the template's, and both sides."""
    Image.new("RGB", (96, 96), "white").save(tmp_path / "white.png")
    sides = {"chosen": "There is no star, so I can't say.", "rejected": "It is red.", "kind": "refuse"}
    sources = {"chosen_source": "test", "rejected_source": "test"}
    pairs = [
        Pair(question_id=f"q{n}", prompt="What color is the star?", images=("white.png",), **sides, **sources)
        for n in range(3)
    ]
    write_records(tmp_path / "pairs.jsonl", pairs)
    rows = ["data=files", f"data.pairs={tmp_path}/pairs.jsonl", f"data.root={tmp_path}", "lengths=data"]
    said = plan(tmp_path / "run", "model=tiny_vlm", *rows)
    assert "3 rows" in said
    assert "ZeRO-3" in said
    report = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert (tmp_path / "run" / "run.json").is_file()
    assert report["rows"]["rows"] == 3
    processor = AutoProcessor.from_pretrained(TINY_VLM)
    lengths = measure_rows(pairs, tmp_path, processor)
    expected = row_tokens(pairs, lengths, processor, 1.0)[0].total
    assert expected > lengths.images[0] + 10
    assert report["rows"]["middle"] == report["rows"]["most"] == expected
