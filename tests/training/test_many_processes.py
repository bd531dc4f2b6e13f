"""Two processes under `accelerate launch` train as one does: DDP, DeepSpeed ZeRO-2 and ZeRO-3, on the CPU."""

import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file
from test_recipes import ROOT, command, environment, run

pytestmark = pytest.mark.program

# Gradient descent without a warm-up: three steps that show a wrong scale of the gradient.
SGD = [
    "+trainer.optim=sgd",
    "trainer.warmup_steps=0",
    "trainer.learning_rate=0.5",
    "trainer.max_grad_norm=1e9",
]
SETTINGS = ["tracking=none", "method=dpo_nll", "trainer.max_steps=3", "threads=1", "trainer.save_strategy=no"]
# 3 + 3 rows a step, 17 in all: the last step has 5. Most rows are text only, some batches without an image.
ONE = [*SETTINGS, *SGD, "trainer.per_device_train_batch_size=6"]
TWO = [*SETTINGS, *SGD, "trainer.per_device_train_batch_size=3"]


def launcher(name: str, folder: Path) -> list[str]:
    """`accelerate launch` with a config of the project's, on two processes of a machine without a GPU."""
    config = yaml.safe_load((ROOT / f"configs/accelerate/{name}.yaml").read_text())
    config |= {"use_cpu": True, "num_processes": 2, "main_process_port": 0}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file)]


@pytest.fixture(autouse=True)
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def mixed(rows_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows, two of three without their image, and a number that two processes cannot share evenly."""
    from conftest import write_rows

    from align.records import Pair, read_records, write_records
    from align.training.sampling import RowSampler

    root = tmp_path_factory.mktemp("mixed") / "data"
    write_rows(root, count=17)
    rows = read_records(root / "pairs.jsonl", Pair)
    rows = [row.model_copy(update={"images": ()}) if i % 3 else row for i, row in enumerate(rows)]
    order = list(RowSampler(17, seed=0, multiple=6))
    batches = [[rows[i] for i in order[at : at + 3] if i >= 0] for at in range(0, 18, 3)]
    assert any(not any(row.images for row in batch) for batch in batches)
    write_records(root / "pairs.jsonl", rows)
    return root


@pytest.fixture(scope="module")
def one_process(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("one")
    run([sys.executable, *command("dpo", mixed, folder / "run", *ONE)], folder)
    weights = load_file(folder / "run" / "adapter" / "adapter_model.safetensors")
    assert max(w.abs().max().item() for n, w in weights.items() if "lora_B" in n) > 1e-3
    return weights


@pytest.mark.parametrize("name", ["ddp", "zero2", "zero3"])
def test_two_processes_equal_one(
    name: str, mixed: Path, one_process: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    words = command("dpo", mixed, tmp_path / "run", *TWO)
    if name == "zero3":  # as a real vocabulary does: parts of logits, computed again in the backward pass
        words[0] = "tests/training/small_head.py"
    said = run([*launcher(name, tmp_path), *words], tmp_path)
    assert "2 process(es)" in said
    assert said.count("step     3/3") == 1
    # A half of the pairs that differ, since the other process computes the others.
    computed = re.search(r"reference: (\d+) of 17 pairs computed", said)
    assert computed
    assert 4 <= int(computed[1]) <= 9
    got = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    assert got.keys() == one_process.keys()
    for key, weights in one_process.items():
        torch.testing.assert_close(got[key], weights, rtol=0, atol=1e-5, msg=f"{name}: {key}")


@pytest.mark.parametrize("name", [pytest.param("zero2", marks=pytest.mark.slow), "zero3"])
def test_killed_and_resumed_under_deepspeed(name: str, rows_root: Path, tmp_path: Path) -> None:
    settings = ["tracking=none", "trainer.max_steps=6", "trainer.save_steps=2", "threads=1"]
    settings += ["trainer.save_total_limit=null", "trainer.per_device_train_batch_size=2"]
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    run([*launcher(name, tmp_path), *command("dpo", rows_root, straight, *settings)], tmp_path)

    words = [*launcher(name, tmp_path), *command("dpo", rows_root, stopped, *settings)]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 500
    while not (stopped / "checkpoints" / "checkpoint-4" / "trainer_state.json").exists():
        assert process.poll() is None, "ended before its second checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    _kill_all(stopped)
    process.wait()
    assert not (stopped / "adapter").exists()

    said = run([*words, "resume=true"], tmp_path)
    assert "going on from" in said
    expected = load_file(straight / "adapter" / "adapter_model.safetensors")
    got = load_file(stopped / "adapter" / "adapter_model.safetensors")
    for key, weights in expected.items():
        torch.testing.assert_close(got[key], weights, rtol=0, atol=1e-6, msg=key)


def _kill_all(folder: Path) -> None:
    """SIGKILL to everything that trains in `folder`: a launcher that dies leaves its workers at work."""
    victims = [p for p in psutil.process_iter(["cmdline"]) if f"out={folder}" in (p.info["cmdline"] or ())]
    assert len(victims) >= 3  # the launcher and two workers
    for process in victims:
        process.kill()
    psutil.wait_procs(victims, timeout=60)
