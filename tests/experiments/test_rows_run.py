"""A row of Table 3 trained and measured as a user would, with the embedded model in the place of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from align.miniworld.dataset import build_questions

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.program


def run(*words: str, expect: int = 0) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    spec = importlib.util.spec_from_file_location("few_rows", ROOT / "tests" / "training" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_rows(tmp_path / "data")
    return tmp_path / "data"


def test_a_row_is_trained_and_measured(rows: Path, tmp_path: Path) -> None:
    run(
        "recipes/dpo.py",
        "experiment=table3/qwen2_5_vl_7b_dpo",
        "model=tiny_vlm",
        "data=files",
        "trainer=tiny_dpo",
        f"data.root={rows}",
        f"data.pairs={rows}/pairs.jsonl",
        "trainer.max_steps=2",
        "trainer.per_device_train_batch_size=4",
        f"reference.folder={tmp_path}/reference",
        "probe=none",
        "tracking=none",
        f"out={tmp_path}/dpo",
    )
    record = json.loads((tmp_path / "dpo" / "run.json").read_text())
    assert record["config"]["method"] == "DPO"
    assert record["config"]["losses"] == {"dpo": {"beta": 0.1, "label_smoothing": 0.0}}
    assert record["config"]["reported"] == {"model": "Qwen2.5-VL-7B", "method": "DPO"}

    build_questions(tmp_path / "world", train=1, test=4)
    run(
        "evaluate/benchmark.py",
        "experiment=table3/qwen2_5_vl_7b_vanilla",
        "model=tiny_vlm",
        "task=miniworld",
        f"task.miniworld.root={tmp_path}/world",
        "tracking=none",
        "judge=rules",
        f"adapter={tmp_path}/dpo/adapter",
        f"out={tmp_path}/dpo/benchmark",
    )
    record = json.loads((tmp_path / "dpo" / "benchmark" / "run.json").read_text())
    assert record["config"]["decoding"]["temperature"] == 1.0
