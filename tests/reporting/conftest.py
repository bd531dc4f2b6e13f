"""Three small benchmark folders: base, sft and dpo."""

import random

import pytest
from report_folders import pair_of_rows, write_run

from align.miniworld.scenes import draw_image, make_scene
from align.reporting.runs import load_runs


@pytest.fixture
def folders(tmp_path):
    images = tmp_path / "data" / "images"
    images.mkdir(parents=True)
    for i in range(12):
        draw_image(make_scene(random.Random(i))).save(images / f"{i}.png")
    for name, honest, adapter in (("base", 0.0, None), ("sft", 0.6, "runs/sft"), ("dpo", 0.9, "runs/dpo")):
        rows = [row for i in range(40) for row in pair_of_rows(i, honest)]
        write_run(tmp_path / name, rows, tmp_path / "data", digest=f"digest-{name}", adapter=adapter)
    return {name: tmp_path / name for name in ("base", "sft", "dpo")}


@pytest.fixture
def runs(folders):
    return load_runs(folders)
