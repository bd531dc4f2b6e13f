"""Two nodes, started by the scripts of examples/, train and measure as one process does.

    TWO_NODES=ddp,zero2,zero3 pytest -s tests/many_machines/test_two_nodes.py

trains with each of these files of configs/accelerate/ (on the CPU), and says how far the weights are apart.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from machines import ROOT, Machines, two_machines
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from align.evaluation.benchmark import respond
from align.evaluation.kinds import make_task
from align.evaluation.subject import make_subject
from align.records import Graded, Pair, Question, read_records, write_records
from align.training.reference import _HEADER, _ROW

pytestmark = pytest.mark.program

CONFIGS = os.environ.get("TWO_NODES", "ddp").split(",")
COLORS = ("red", "blue", "green", "yellow")
# Gradient descent without a warm-up: three steps that show a wrong scale of the gradient.
TRAINING = [
    "dpo",
    "method=dpo_nll",
    "data.questions=null",
    "probe=none",
    "tracking=none",
    "threads=1",
    "trainer.max_steps=3",
    "trainer.save_strategy=no",
    "trainer.logging_steps=1",
    "+trainer.optim=sgd",
    "trainer.warmup_steps=0",
    "trainer.learning_rate=0.5",
    "trainer.max_grad_norm=1e9",
]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with two_machines(tmp_path_factory.mktemp("machines")) as found:
        yield found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pairs and as many questions. The third step of training has one: one of the two nodes has none."""
    root = tmp_path_factory.mktemp("rows")
    pairs, questions = [], []
    for i in range(9):
        color, other = COLORS[i % 4], COLORS[(i + 1) % 4]
        picture = Image.new("RGB", (96, 96), "white")
        ImageDraw.Draw(picture).ellipse((20 + i, 20, 50 + i, 50), fill=color)
        picture.save(root / f"{i}.png")
        pairs.append(
            Pair(
                question_id=f"q{i}",
                prompt="What color is the star?",
                images=(f"{i}.png",),
                chosen=f"There is no star here; I see a {color} circle, so I can't say.",
                rejected=f"The star is {other}.",
                kind="refuse",
                chosen_source="test",
                rejected_source="test",
            )
        )
        questions.append(
            Question(
                id=f"q{i}",
                image=f"{i}.png",
                question="What color is the star?" + " Please say it." * (i % 3),
                category="False_Premises",
                source="test",
                split="test",
            )
        )
    write_records(root / "pairs.jsonl", pairs)
    write_records(root / "questions.jsonl", questions)
    return root


def training(data: Path, out: Path, batch: int) -> list[str]:
    return [
        *TRAINING,
        f"data.root={data}",
        f"data.pairs={data}/pairs.jsonl",
        f"reference.folder={out.parent}/{out.name}-reference",
        f"trainer.per_device_train_batch_size={batch}",
        f"out={out}",
    ]


def run(words: list[str], machines: Machines, home: Path, expect: int = 0, **more: str) -> str:
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=machines.environment(home) | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def over_ssh(machines: Machines, *command: str) -> list[str]:
    return ["examples/ssh/launch.sh", " ".join(machines.names), "1", *command]


@pytest.fixture(scope="module", params=CONFIGS)
def trained(
    machines: Machines, data: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of two nodes, launched over ssh."""
    out = tmp_path_factory.mktemp("two") / request.param
    config = yaml.safe_load((ROOT / f"configs/accelerate/{request.param}.yaml").read_text())
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(config | {"use_cpu": True}))
    program, *settings = training(data, out, batch=2)
    words = [program, "--accelerate", str(file), *settings]
    said = run(over_ssh(machines, *words), machines, out.parent, MAIN_PORT="29541")
    assert "2 process(es)" in said
    assert said.count("step     3/3") == 1
    return out


@pytest.fixture(scope="module")
def one_process(machines: Machines, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "run"
    program, *settings = training(data, out, batch=4)
    run([sys.executable, f"recipes/{program}.py", *settings], machines, out.parent)
    return out


def test_two_nodes_train_as_one_process(trained: Path, one_process: Path) -> None:
    one = one_process
    expected = load_file(one / "adapter" / "adapter_model.safetensors")
    assert max(w.abs().max().item() for n, w in expected.items() if "lora_B" in n) > 1e-3
    got = load_file(trained / "adapter" / "adapter_model.safetensors")
    assert got.keys() == expected.keys()
    apart = max((got[key] - weights).abs().max().item() for key, weights in expected.items())
    print(f"{trained.name}: weights of two nodes and of one process are at most {apart:.1e} apart")
    assert apart < 1e-6
    ours, theirs = reference_logps(trained), reference_logps(one)
    assert len(ours) == 9
    assert ours.keys() == theirs.keys()
    for key, logps in theirs.items():
        assert ours[key] == pytest.approx(logps, abs=1e-5)
    assert json.loads((trained / "run.json").read_text())["hardware"]["processes"] == 2


def reference_logps(run_folder: Path) -> dict[bytes, tuple[float, float]]:
    """By the pair's key, out of the files of all ranks."""
    [folder] = run_folder.with_name(f"{run_folder.name}-reference").iterdir()
    found = {}
    for file in folder.glob("rank-*.bin"):
        for key, chosen, rejected, _ in _ROW.iter_unpack(file.read_bytes()[len(_HEADER) :]):
            assert key not in found, "two nodes computed the same pair"
            found[key] = (chosen, rejected)
    return found


def test_two_nodes_under_slurm_measure_as_one_process(
    machines: Machines, data: Path, trained: Path, tmp_path: Path
) -> None:
    out, adapter = tmp_path / "measured", trained / "adapter"
    settings = {"questions": f"{data}/questions.jsonl", "root": str(data), "split": "test"}
    words = ["bash", "examples/slurm/launch.sbatch", "benchmark", "--accelerate", "ddp_cpu", "task=mohobench"]
    words += [f"task.mohobench.{name}={value}" for name, value in settings.items()]
    # Sampled, so that a response would also differ by its seed. Five batches: three and two.
    words += [
        f"adapter={adapter}",
        f"out={out}",
        "batch_size=2",
        "decoding.temperature=1.0",
        "decoding.seed=3",
    ]
    slurm = {
        "SLURM_JOB_NODELIST": "nodes[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_ID": "29542",
        "SLURM_GPUS_ON_NODE": "1",
    }
    said = run(words, machines, tmp_path, **slurm)
    assert "in 2 processes" in said
    assert not (out / "shares").exists()

    subject = make_subject(
        {
            "model": {"name": "tiny_vlm"},
            "adapter": str(adapter),
            "decoding": {"max_new_tokens": 64, "temperature": 1.0, "top_p": 1.0, "seed": 3},
            "batch_size": 2,
            "device": "cpu",
        }
    )
    task = make_task("mohobench", settings)
    with subject.open(tmp_path / "responses.sqlite") as model:
        rows, _ = respond(tmp_path / "one", task, subject, model)
    assert len({row.response for row in rows}) > 3
    assert read_records(out / "mohobench" / "samples.jsonl", Graded) == rows
    # Nobody asked what another had asked, and the main process asked nothing twice.
    with sqlite3.connect(out / "responses.sqlite") as file:
        assert file.execute("SELECT count(*) FROM responses").fetchone() == (9,)
