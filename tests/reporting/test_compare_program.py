import json
import subprocess
import sys
from pathlib import Path

import pytest
from report_folders import edit_samples

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.program


def compare(folders, out, *options):
    runs = ", ".join(f"{name}: {folder}" for name, folder in folders.items())
    return subprocess.run(
        [sys.executable, str(ROOT / "evaluate/compare.py"), f"runs={{{runs}}}", f"out={out}", *options],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=out.parent,
    )


def test_compare_writes_the_report(folders, tmp_path):
    for picture in (folders["base"].parent / "data/images").glob("*.png"):
        picture.unlink()
    out = tmp_path / "report"
    done = compare(folders, out, "resamples=100", "title=Stars")
    assert done.returncode == 0, done.stderr
    assert {"comparison.json", "report.html", "run.json"} <= {path.name for path in out.iterdir()}
    comparison = json.loads((out / "comparison.json").read_text())
    assert comparison["models"]["dpo"]["refusal_rate"] == 0.9
    assert comparison["resamples"] == 100
    assert "<title>Stars</title>" in (out / "report.html").read_text()
    assert ".png does not exist" in done.stdout
    assert str(out / "report.html") in done.stdout
    assert "90.0%" in done.stdout
    assert json.loads((out / "run.json").read_text())["inputs"].keys() == {"base", "sft", "dpo"}


def test_compare_refuses_runs_of_different_questions(folders, tmp_path):
    edit_samples(folders["dpo"], lambda rows: rows[1:])
    out = tmp_path / "report"
    done = compare(folders, out)
    assert done.returncode == 1
    assert "run 'dpo' lacks question u0" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "report.html").exists()
