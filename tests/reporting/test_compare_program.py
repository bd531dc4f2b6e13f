import json
import subprocess
import sys
from pathlib import Path

import pytest
from full_folders import write_full_run
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
    assert (out / "figures.csv").read_text().startswith("model,task,group,metric,value,low,high,n\n")
    assert (out / "report.md").read_text().startswith("# Stars\n")
    assert r"\begin{tabular}" in (out / "tables.tex").read_text()
    assert not (out / "wandb").exists()


def test_compare_takes_repeats_and_run_folders_and_tracks_them(tmp_path, monkeypatch):
    for name, value in (("MODE", "offline"), ("DATA_DIR", tmp_path), ("CACHE_DIR", tmp_path)):
        monkeypatch.setenv(f"WANDB_{name}", str(value))
    write_full_run(tmp_path / "base", 0.2, tmp_path / "data")
    for seed in (0, 1):
        write_full_run(tmp_path / f"dpo-{seed}", 0.9 - 0.1 * seed, tmp_path / "data", seed=seed)
    folders = {"base": tmp_path / "base", "dpo": f"[{tmp_path}/dpo-0, {tmp_path}/dpo-1]"}
    out = tmp_path / "report"
    done = compare(folders, out, "resamples=50", "outputs=[json]", "tracking=wandb", "examples=2")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir() if path.suffix in (".html", ".json", ".csv")} == {
        "comparison.json",
        "run.json",
        "tracking.json",
    }
    assert json.loads((out / "comparison.json").read_text())["repeats"]["models"]["dpo"]
    assert "All runs of each model" in done.stdout
    assert "W&B: offline" in done.stdout
    assert "failed" not in done.stderr
    assert list(out.glob("wandb/offline-run-*/*.wandb")) != []


def test_compare_names_what_it_can_not_make(folders, tmp_path):
    for option, message in (("outputs=[pdf]", "'pdf' is none"), ("images=lots", "'lots' is no size")):
        done = compare({"base": folders["base"]}, tmp_path / "report", option, "resamples=20")
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "report" / "comparison.json").exists()


def test_compare_refuses_runs_of_different_questions(folders, tmp_path):
    edit_samples(folders["dpo"], lambda rows: rows[1:])
    out = tmp_path / "report"
    done = compare(folders, out)
    assert done.returncode == 1
    assert "run 'dpo' lacks question u0" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "report.html").exists()
