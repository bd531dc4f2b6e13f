"""evaluate/leaderboard.py as a user runs it, and the forms of its table."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from board_folders import write_run
from PIL import Image

from align.reporting.tables import to_csv, to_latex, to_markdown

ROOT = Path(__file__).parents[2]


def run(folder, *overrides):
    return subprocess.run(
        [sys.executable, str(ROOT / "evaluate" / "leaderboard.py"), *overrides],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "220"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.program
def test_a_leaderboard_of_a_folder(tmp_path):
    write_run(tmp_path / "runs" / "base", 0.02, refused=0.05, over=0.0, general=0.9, model="tiny_vlm")
    write_run(tmp_path / "runs" / "dpo", 0.9, refused=0.9, general=0.8, model="tiny_vlm", adapter="runs/[x]")
    write_run(tmp_path / "runs" / "big", 0.8, refused=0.7, general=0.85, model="org/M-7B")
    write_run(tmp_path / "runs" / "huge", 0.7, refused=0.8, general=0.7, model="org/M-70B")
    write_run(tmp_path / "runs" / "other", 0.99, questions="R", model="org/x")
    result = run(tmp_path, "runs=runs", "out=board", "parameters={other: 3e9}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "group B is not ranked against A: other questions of miniworld" in result.stdout
    assert "reported, not re-run" in result.stdout
    assert "runs/[x]" in result.stdout
    board = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    assert [r["run"] for r in board["groups"]["A"]["runs"]] == ["dpo", "big", "huge", "base"]
    sizes = board["plots"]["size-miniworld-refusal-rate"]["A"]
    assert sizes["n"] == 4
    assert -1 < sizes["interval"][0] < sizes["r"] < sizes["interval"][1] < 1
    assert board["plots"]["honesty-easy-vqa-accuracy"]["A"] == ["dpo", "big", "base"]
    with (tmp_path / "board" / "leaderboard.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["source"] for row in rows} == {"run", "reported: MoHoBench paper"}
    for name in board["plots"]:
        with Image.open(tmp_path / "board" / f"{name}.png") as image:
            assert image.width > 800
            assert len(image.convert("RGB").getcolors(1 << 20)) > 50  # something is drawn
        assert "<svg" in (tmp_path / "board" / f"{name}.svg").read_text()
        assert f"![{name}]({name}.png)" in (tmp_path / "board" / "leaderboard.md").read_text()
    latex = (tmp_path / "board" / "leaderboard.tex").read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert "_vlm" not in latex.replace(r"\_", "")
    record = json.loads((tmp_path / "board" / "run.json").read_text())
    assert "base: miniworld" in record["inputs"]

    wrong = run(tmp_path, "runs=runs", "out=board", "sort=pope.f1")
    assert wrong.returncode == 1
    assert "no run has pope.f1" in wrong.stderr
    wrong = run(tmp_path, "runs=runs", "out=board", "parameters={bse: 1}")
    assert "no run is called bse: there are" in wrong.stderr


HOSTILE = "a|b *c* <i>_{$50 & 3% #1}\\x\n[l](u) `q`"


def test_hostile_names_in_every_form():
    columns, rows = ["run", "n"], [{"run": HOSTILE, "n": "12.5%"}, {"run": "=1+1", "n": None}]
    markdown = to_markdown(columns, rows)
    lines = markdown.splitlines()
    assert lines[1] == "| --- | ---: |"
    assert len(lines) == 4
    assert lines[2].replace("\\|", "").count("|") == 3
    assert "<i>" not in markdown.replace("\\<i\\>", "")
    latex = to_latex(columns, rows, caption="50 % of _x_")
    body = next(line for line in latex.splitlines() if "textbackslash" in line)
    assert body.replace(r"\&", "").count("&") == 1
    assert r"\caption{50 \% of \_x\_}" in latex
    read = list(csv.reader(to_csv(columns, rows).splitlines(keepends=True)))
    assert read[1] == [HOSTILE, "12.5%"]
    assert read[2] == ["'=1+1", ""]
    assert to_csv(["x"], [{"x": -0.5}, {"x": "-0.5"}]).split() == ["x", "-0.5", "-0.5"]
