"""Two methods, two ranks, two seeds on the miniature world, small: the recipes and the benchmark are real."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def test_a_real_recipe_is_launched_by_accelerate(world: Path, tmp_path: Path) -> None:
    words = [f"data.generate_in={world}", "trainer.max_steps=1", "probe=none", "tracking=none", "threads=1"]
    words += ["trainer.per_device_train_batch_size=4", f"benchmark.task.miniworld.root={world}", "recipe=sft"]
    words += ["accelerate.config=cpu", "benchmark.log_images=false", f"out={tmp_path / 'out'}"]
    done = subprocess.run(
        [sys.executable, "-m", "align.cli", "sweep", *words],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [log] = (tmp_path / "out").glob("jobs/sft-*/train.log")
    assert f"launch --quiet --config_file {ROOT / 'configs' / 'accelerate' / 'cpu.yaml'}" in log.read_text()
    summary: dict[str, Any] = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["best"]["command"].startswith("accelerate launch --config_file")
