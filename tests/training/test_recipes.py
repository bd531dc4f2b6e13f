"""The training programs as a user runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from offline_run import read_run
from safetensors.torch import load_file

from align import miniworld
from align.models.loading import load_model

ROOT = Path(miniworld.__file__).parent.parent.parent
pytestmark = pytest.mark.program

TINY = ["trainer.per_device_train_batch_size=4", "trainer.logging_steps=1"]


def environment(home: Path) -> dict[str, str]:
    """A user who never configured accelerate, never logged in anywhere, and answers no question."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WANDB_", "ACCELERATE_", "NETRC", "HF_"))
        and name not in ("RANK", "WORLD_SIZE")
    }
    return kept | {"HOME": str(home), "HF_HUB_OFFLINE": "1"}


def command(program: str, root: Path, out: Path, *overrides: str) -> list[str]:
    words = [f"data.root={root}", f"data.pairs={root}/pairs.jsonl", f"data.sft={root}/sft.jsonl"]
    words += ["data.questions=null", "probe=none", f"out={out}", *TINY]
    if program != "sft":
        words.append(f"reference.folder={out.parent}/reference")
    return [f"recipes/{program}.py", *words, *overrides]


def run(words: list[str], home: Path, expect: int = 0) -> str:
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("program", ["sft", "dpo"])
def test_quantised_weights_train_on_a_cpu_after_they_were_looked_at(
    program: str, rows_root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes comes with the extra `gpu`")
    settings = ["model.quantization=4bit", "tracking=none", "trainer.max_steps=2", "trainer.save_strategy=no"]
    run([sys.executable, *command(program, rows_root, tmp_path / "run", *settings)], tmp_path)
    weights = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    assert all(weight.abs().max() > 0 for name, weight in weights.items() if "lora_B" in name)


def test_sft_under_a_bare_accelerate_launch(rows_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    launcher = [sys.executable, "-m", "accelerate.commands.launch"]
    said = run([*launcher, *command("sft", rows_root, out, "trainer.max_steps=3")], tmp_path)
    assert "step     3/3  loss" in said
    assert "W&B: offline" in said
    assert {"train/loss", "train/logps/token"} <= read_run(out).logged()
    record = json.loads((out / "run.json").read_text())
    assert record["config"]["trainer"]["max_steps"] == 3
    assert record["inputs"]["sft"]["path"] == f"{rows_root}/sft.jsonl"
    assert record["inputs"]["model"]["sha256"] == load_model("tiny_vlm", device="cpu").digest
    assert record["results"]["train_loss"] > 0
    tuned = load_model("tiny_vlm", out / "adapter", device="cpu")
    assert any(p.abs().max() > 0 for n, p in tuned.model.named_parameters() if "lora_B" in n)
    assert "- rows: 16" in (out / "adapter" / "README.md").read_text()


def test_dpo_killed_and_resumed_equals_never_stopped(rows_root: Path, tmp_path: Path) -> None:
    settings = [
        "tracking=none",
        "trainer.max_steps=6",
        "trainer.save_steps=2",
        "trainer.save_total_limit=null",
    ]
    # Two passes over the 16 rows: what comes after the first must be the same too.
    settings += ["trainer.per_device_train_batch_size=4"]
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    run([sys.executable, *command("dpo", rows_root, straight, *settings)], tmp_path)
    assert not (straight / "wandb").exists()

    words = [sys.executable, *command("dpo", rows_root, stopped, *settings)]
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 500
    while not (stopped / "checkpoints" / "checkpoint-2" / "trainer_state.json").exists():
        assert process.poll() is None, "ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (stopped / "adapter").exists()

    said = run([*words, "resume=true"], tmp_path)
    assert "going on from" in said
    assert "step     1/6" not in said
    expected = load_file(straight / "adapter" / "adapter_model.safetensors")
    got = load_file(stopped / "adapter" / "adapter_model.safetensors")
    assert expected.keys() == got.keys()
    for name, weights in expected.items():
        torch.testing.assert_close(got[name], weights, rtol=0, atol=1e-6, msg=name)


def test_two_processes_equal_one(rows_root: Path, tmp_path: Path) -> None:
    # Gradient descent without a warm-up: three steps that show a wrong scale of the gradient.
    settings = ["tracking=none", "method=dpo", "trainer.max_steps=3", "+trainer.optim=sgd", "threads=1"]
    settings += ["trainer.warmup_steps=0", "trainer.learning_rate=0.5"]
    one, two = tmp_path / "one", tmp_path / "two"
    halves = [*settings, "trainer.per_device_train_batch_size=4"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    said = run([*launcher, *command("dpo", rows_root, two, *halves)], tmp_path)
    assert "8 rows a step (4 x 1 accumulated x 2 process(es))" in said
    assert said.count("step     3/3") == 1
    whole = [*settings, "trainer.per_device_train_batch_size=8"]
    run([sys.executable, *command("dpo", rows_root, one, *whole)], tmp_path)
    expected = load_file(one / "adapter" / "adapter_model.safetensors")
    got = load_file(two / "adapter" / "adapter_model.safetensors")
    assert max(w.abs().max().item() for n, w in expected.items() if "lora_B" in n) > 1e-3
    for name, weights in expected.items():
        torch.testing.assert_close(got[name], weights, rtol=0, atol=1e-5, msg=name)


def test_a_bad_row_stops_the_program_with_file_line_and_field(rows_root: Path, tmp_path: Path) -> None:
    lines = (rows_root / "pairs.jsonl").read_text().splitlines()
    row = json.loads(lines[4])
    del row["chosen"]
    lines[4] = json.dumps(row)
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join(lines))
    overrides = ["tracking=none", f"data.pairs={bad}"]
    said = run([sys.executable, *command("dpo", rows_root, tmp_path / "run", *overrides)], tmp_path, expect=1)
    assert f"{bad}:5: field `chosen`" in said
