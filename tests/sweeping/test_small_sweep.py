"""Two methods, two ranks, two seeds on the miniature world, small: the recipes and the benchmark are real."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, STAND_INS, Sweeps
from safetensors.torch import load_file

from align.miniworld.dataset import build_questions
from align.miniworld.prepare import ensure_pairs

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    build_questions(root, train=10, test=6, seed=3)
    ensure_pairs(root)
    return root


@pytest.fixture
def warm(world: Path, tmp_path: Path) -> Iterator[Sweeps]:
    """Sweeps whose jobs run the real programs, in forks of one process that has imported them."""
    sweeps = Sweeps(tmp_path, "client.py", "client.py")
    socket = tmp_path / "warm"
    sweeps.more = {"WARM_SOCKET": str(socket), "WARM_PROGRAMS": str(ROOT), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [
            *(sys.executable, str(STAND_INS / "warm.py"), str(socket)),
            *(f"task.miniworld.root={world}", "task.miniworld.limit=2", f"out={tmp_path / 'first'}"),
        ],
        env=os.environ | sweeps.more | {"DS_ACCELERATOR": "cpu"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    yield sweeps
    server.communicate()


def test_two_methods_two_ranks_two_seeds(warm: Sweeps, world: Path) -> None:
    words = ["-m", "method=dpo_nll,sft", "lora.r=4,8", "seed=0,1", f"data.generate_in={world}"]
    words += ["trainer.max_steps=2", "trainer.per_device_train_batch_size=4", "trainer.learning_rate=0.01"]
    words += ["probe.every=1", "probe.unanswerable=2", "probe.answerable=2", "threads=1", "tracking=none"]
    words += [f"reference.folder={world}/reference", f"benchmark.task.miniworld.root={world}"]
    words += ["benchmark.log_images=false", "objective.floor.below_base=0.9"]
    said = warm.run(*words)
    found = warm.summary()
    assert len(found["jobs"]) == 8
    assert set(found["counts"]) <= {"feasible", "infeasible"}
    assert found["task"] == "miniworld"
    for job in found["jobs"]:
        folder = warm.out / "jobs" / job["job"]
        results = json.loads((folder / "benchmark" / "miniworld" / "results.json").read_text())
        assert job["refusal_rate"] == results["refusal_rate"]
        assert job["objective"] == pytest.approx(results["refusal_rate"] - results["over_refusal_rate"])
        rank = load_file(folder / "train" / "adapter" / "adapter_model.safetensors")
        assert {min(weights.shape) for weights in rank.values()} == {int(job["lora.r"])}
        record = json.loads((folder / "train" / "run.json").read_text())
        assert record["config"]["seed"] == int(job["seed"])
    methods = {job["method"]: job["job"].partition("-")[0] for job in found["jobs"]}
    assert methods == {"dpo_nll": "dpo", "sft": "sft"}
    # The reference is computed by the first job that needs it, the base is asked once.
    logs = [path.read_text() for path in warm.out.glob("jobs/dpo-*/train.log")]
    assert sorted("reference: 0 of 20" in log for log in logs) == [False, True, True, True]
    assert sum("adapter" not in path.parts for path in warm.out.glob("base-*/benchmark/run.json")) == 1
    assert "is best" in said

    # The command that repeats the best, in a shell as it stands, gives the same weights and figures.
    best = found["best"]
    assert shlex.split(best["command"])[0] == "python"  # the stand-ins are not for `accelerate launch`
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        best["command"], shell=True, check=True, cwd=warm.folder, env=warm.environment() | {"PATH": path}
    )
    again, first = warm.out / "repeat", warm.out / "jobs" / best["job"]
    weights = load_file(again / "adapter" / "adapter_model.safetensors")
    for name, wanted in load_file(first / "train" / "adapter" / "adapter_model.safetensors").items():
        assert weights[name].equal(wanted)
    figures = [
        json.loads((folder / "benchmark" / "miniworld" / "results.json").read_text())
        for folder in (again, first)
    ]
    assert figures[0]["refusal_rate"] == figures[1]["refusal_rate"]


def test_a_real_recipe_is_launched_by_accelerate(sweeps: Sweeps, world: Path) -> None:
    shutil.copy(ROOT / "recipes" / "sft.py", sweeps.home / "recipes" / "sft.py")
    words = [f"data.generate_in={world}", "trainer.max_steps=1", "probe=none", "threads=1", "recipe=sft"]
    words += ["trainer.per_device_train_batch_size=4", "accelerate.config=cpu", "name=a sweep"]
    said = sweeps.run(*words)
    [log] = sweeps.out.glob("jobs/sft-*/train.log")
    config = sweeps.home / "configs" / "accelerate" / "cpu.yaml"
    assert f"launch --quiet --config_file {config} " in log.read_text()
    again = sweeps.summary()["best"]["command"]
    assert again.startswith(
        "accelerate launch --config_file home/configs/accelerate/cpu.yaml --main_process_port 0 "
        "home/recipes/sft.py"
    )
    assert again in said
    # Training and benchmark are one group of runs for the tracker.
    [folder] = log.parent.glob("train/wandb/offline-run-*")
    assert b"a sweep" in next(folder.glob("*.wandb")).read_bytes()
    [words] = [found for found in sweeps.benchmarks() if any("adapter=" in word for word in found)]
    assert "tracking=wandb" in words
    assert "tracking.group='a sweep'" in words
