"""The four multiple-choice benchmarks as a user runs them, on the embedded model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from choice_runs import FIXTURES

ROOT = Path(__file__).parents[3]


@pytest.mark.program
def test_all_four_in_one_run(tmp_path):
    arguments = [
        "task=[mmbench,mm_upd,humblebench,mmmu]",
        f"task.mmbench.source={FIXTURES}/mmbench_dev.tsv",
        f"task.mmbench.images={tmp_path}/mmbench",
        f"task.mm_upd.source={FIXTURES}/mmaad_base.tsv",
        f"task.mm_upd.images={tmp_path}/mm_upd",
        f"task.humblebench.source={FIXTURES}/humblebench.jsonl",
        f"task.humblebench.images={ROOT}/samples/photos/images",
        f"task.mmmu.source={FIXTURES}/mmmu",
        f"task.mmmu.images={tmp_path}/mmmu",
        "decoding.max_new_tokens=4",
        f"out={tmp_path}/out",
    ]
    run = subprocess.run(
        [sys.executable, str(ROOT / "evaluate" / "benchmark.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    counts = {"mmbench": 11, "mm_upd": 6, "humblebench": 6, "mmmu": 5}
    for task, n in counts.items():
        results = json.loads((tmp_path / "out" / task / "results.json").read_text())
        assert (results["kind"], results["n"]) == ("general", n)
        assert sum(results["states"].values()) == n
        assert results["states"]["failed"] == 0
        assert results["figures"][results["headline"]]["value"] is not None
        rows = (tmp_path / "out" / task / "samples.jsonl").read_text().splitlines()
        assert len(rows) == n
    assert "1 of 6 questions show several images and are left out" in run.stdout
    assert "corrupt image" in run.stdout
