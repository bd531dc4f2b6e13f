"""Programs tell their trackers, also when they are killed and go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from offline_run import read_run, read_runs
from PIL import Image, ImageDraw

from align import miniworld
from align.miniworld.dataset import build_questions
from align.records import Pair, Response, read_records, write_records
from align.training.probe_questions import fresh_miniworld_questions

pytest.importorskip("wandb")
pytestmark = pytest.mark.program
ROOT = Path(miniworld.__file__).parents[2]


def start(words, home):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "ACCELERATE_", "HF_"))}
    kept |= {"HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(ROOT / words[0]), *words[1:]],
        cwd=home,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process):
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert "note: wandb" not in said
    return said


def make_world(folder):
    root = folder / "data" / "world"
    asked = [q for q in build_questions(root, train=24, test=12) if q.split == "train" and not q.answerable]
    write_records(
        root / "responses.jsonl",
        [Response(question_id=q.id, model="tiny_vlm", text="The star is red.") for q in asked],
    )
    return root


def test_the_builder_of_pairs_tells_where_they_come_from(tmp_path):
    root = make_world(tmp_path)
    words = ["data_prep/build_pairs.py", "folder=data/world", "out=runs/pairs", "tracking=wandb"]
    finish(start([*words, "tracking.group=all"], tmp_path))
    run = read_run(tmp_path / "runs/pairs")
    assert (run.run.job_type, run.run.run_group, run.exit_code) == ("data", "all", 0)
    pairs = read_records(root / "pairs.jsonl", Pair)
    assert run.summary["data/rows"] == len(pairs) > 0
    assert run.summary["data/kinds/refuse"] == sum(pair.kind == "refuse" for pair in pairs)
    [table] = run.tables("data/examples")
    assert table["columns"] == ["question_id", "kind", "category", "image", "prompt", "chosen", "rejected"]
    assert 0 < len(table["data"]) <= 64
    ours = {(how, a.type, a.name): a for how, a in run.artifacts if a.type != "run_table"}
    assert ours.keys() == {
        ("used", "dataset", "data-world-questions"),
        ("used", "dataset", "data-world-responses"),
        ("made", "dataset", "data-world-pairs"),
        ("made", "report", "data-world-data-card"),
    }
    card = ours["made", "report", "data-world-data-card"]
    assert {entry.path for entry in card.manifest.contents} == {"DATA_CARD.md", "data_card.json"}
    inputs = run.config["record"]["inputs"]
    made = ours["made", "dataset", "data-world-pairs"]
    assert f"sha256-{inputs['pairs']['sha256'][:12]}" in made.aliases


@pytest.fixture
def rows(tmp_path):
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    pairs = []
    for i in range(8):
        picture = Image.new("RGB", (96, 96), "white")
        ImageDraw.Draw(picture).ellipse((20 + i, 20, 50 + i, 50), fill="red")
        picture.save(root / f"images/{i}.png")
        sides = ["There is no star here.", "The star is red."]
        pairs.append(
            Pair(
                question_id=f"q{i}",
                prompt="What color is the star?" if i % 2 else "What color is the circle?",
                images=(f"images/{i}.png",),
                kind="refuse" if i % 2 else "answer",
                chosen=sides[i % 2 - 1],
                rejected=sides[i % 2],
                chosen_source="test",
                rejected_source="test",
            )
        )
    write_records(root / "pairs.jsonl", pairs)
    probe = tmp_path / "probe"
    write_records(
        tmp_path / "probe.jsonl", fresh_miniworld_questions(probe, unanswerable=2, answerable=2, seed=0)
    )
    return root


def test_training_that_is_killed_goes_on_in_the_same_run(rows, tmp_path):
    words = [
        "recipes/dpo.py",
        "data=files",
        "data.pairs=data/pairs.jsonl",
        "data.root=data",
        "probe.questions=probe.jsonl",
        "probe.root=probe",
        "probe.every=2",
        "probe.max_new_tokens=4",
        "reference.folder=reference",
        "trainer.per_device_train_batch_size=4",
        "trainer.logging_steps=1",
        "trainer.save_steps=2",
        "threads=1",
        "out=runs/dpo",
        "tracking.report_to=[wandb,tensorboard]",
        "tracking.group=sweep",
    ]
    out = tmp_path / "runs/dpo"
    process = start([*words, "trainer.max_steps=400"], tmp_path)
    end = time.monotonic() + 500
    while not (out / "checkpoints/checkpoint-2/trainer_state.json").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1.5)  # W&B writes its file every second
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    # Steps that are few enough to wait for: how many there are is a setting that may not change otherwise.
    start_json = json.loads((out / "start.json").read_text())
    steps = max(int(p.name.split("-")[1]) for p in (out / "checkpoints").glob("checkpoint-*[0-9]")) + 4
    (out / "start.json").write_text(json.dumps(start_json | {"trainer.max_steps": steps}))
    said = finish(start([*words, f"trainer.max_steps={steps}", "resume=true"], tmp_path))
    assert "going on from" in said
    first, second = read_runs(out, finished=False)
    second = read_runs(out, finished=False)[1] if second.exit_code is None else second
    assert first.run.run_id == second.run.run_id
    assert (first.exit_code, second.exit_code) == (None, 0)
    assert first.history[0]["train/global_step"] == 0  # the probe before training
    losses = [row["train/global_step"] for row in second.history if "train/loss" in row]
    assert losses == list(range(losses[0], steps + 1))
    assert losses[0] > 2

    assert (second.run.job_type, second.run.run_group) == ("train", "sweep")
    assert {"train/rewards/margins", "train/rows_per_second", "probe/over_refusal_rate"} <= second.logged()
    assert second.summary["train_loss"] > 0
    [table, *_] = second.tables("probe/samples")
    assert len(table["data"]) == 4
    ours = [(how, a.type, a.name) for how, a in second.artifacts if a.type != "run_table"]
    assert ours == [
        ("used", "dataset", "data-pairs"),
        ("used", "model", "tiny_vlm"),
        ("made", "model", "runs-dpo-adapter"),
    ]
    check_training_panels(second)
    check_tensorboard(out / "tensorboard", steps)


FAILING = """
import runpy, sys
from pathlib import Path
import align.tracking.artifacts

def fail(path):
    raise OSError(f"{path}: stale file handle")

align.tracking.artifacts.content_digest = fail
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_artifacts_that_cannot_be_made_cost_no_run(rows, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    make_world(tmp_path)
    driver, tracking = str(tmp_path / "failing.py"), "tracking.report_to=tensorboard"
    builds = [str(ROOT / "data_prep/build_pairs.py"), "folder=data/world", "out=runs/pairs"]
    trains = [str(ROOT / "recipes/dpo.py"), "data=files", "data.pairs=data/pairs.jsonl", "data.root=data"]
    trains += ["probe=none", "reference.folder=reference", "threads=1", "out=runs/dpo"]
    trains += ["trainer.per_device_train_batch_size=4", "trainer.max_steps=1", "trainer.save_strategy=no"]
    for said in map(finish, [start([driver, *words, tracking], tmp_path) for words in (builds, trains)]):
        for what in ("uses", "made"):
            assert f"note: tracking failed at `{what}` (OSError: " in said
    assert (tmp_path / "data/world/pairs.jsonl").is_file()
    assert (tmp_path / "runs/dpo/adapter/adapter_model.safetensors").is_file()


def check_training_panels(run):
    """Every figure of the dashboard's training panels is one that training logs."""
    pytest.importorskip("wandb_workspaces")
    from align.tracking.dashboard import View, specification, workspace

    made = specification(workspace(View(project="p", name="n", honesty=("miniworld",))))
    sections = made["spec"]["section"]["panelBankConfig"]["sections"]
    shown = {
        name
        for section in sections[:2]
        for panel in section["panels"]
        for name in [*panel["config"].get("metrics", []), panel["config"].get("xAxis")]
        if name
    }
    assert len(shown) > 12
    # Where held-out rows are given (`data.eval_pairs`), and of SFT (tests/training/test_recipes.py).
    assert shown - run.logged() == {"eval/loss", "train/logps/token"}


def check_tensorboard(folder, steps):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    seen = [event.step for event in events.Scalars("train/loss")]
    assert seen == list(range(1, steps + 1))  # each once, though some were trained twice
