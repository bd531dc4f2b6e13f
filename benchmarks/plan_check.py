"""What training really holds in memory and multiplies, beside what the plan says.

    python benchmarks/plan_check.py                  every case, a few minutes on two CPU cores
    python benchmarks/plan_check.py --only lora      cases whose name holds a word
    python benchmarks/plan_check.py --write          each case, as it ends, into results/plan_check.json too

Each case is trained for two steps in a process of its own, or in two under `accelerate launch` with the
project's settings. Memory is counted from the allocator's own events, from building the model on: what
tensors hold, without Python, libraries and what the allocator keeps. Operations are those that torch's
counter sees in one step. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import yaml
from shapes import SHAPES, build_model, make_pairs, shape_config, shared_batch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode
from transformers import PrinterCallback
from transformers.utils import logging

from align.models.families import family_of
from align.models.loading import LoadedModel
from align.models.preparing import prepare_for_training
from align.models.quantization import keep_plain_form, quantization_config
from align.models.stored import read_network
from align.records import write_json
from align.run import hardware, package_versions
from align.training.arguments import training_arguments
from align.training.estimate import (
    ZERO2_BUCKET,
    RowTokens,
    estimate_memory,
    estimate_time,
    model_shape,
    step_plan,
)
from align.training.losses import parse_losses
from align.training.trainer import PreferenceTrainer

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "plan_check.json"
STEPS, ACCUMULATION = 2, 2  # gradients are there when the second batch's activations are, as with trainer=gpu
BUCKET = 5_000_000  # of ZeRO-2 here: its 500 million numbers would hide the rest
LORA = {"r": 16, "lora_alpha": 32, "parts": ["language_model"]}
FULL = {"full": True, "parts": ["language_model"]}


@dataclass(frozen=True)
class Case:
    """What is trained. Lengths in tokens."""

    model: str
    image_tokens: int
    lora: bool = True
    batch: int = 2
    prompt: int = 16
    completion: int = 60
    dtype: str = "float32"
    checkpointing: bool = False
    quantized: bool = False
    processes: int = 1
    sharding: str = "none"
    counted: bool = False  # operations too, in one step more


LLAVA, QWEN = Case("llava-50m", 64), Case("qwen2.5-vl-110m", 64)
CASES = {
    "LLaVA, LoRA": replace(LLAVA, counted=True),
    "LLaVA, LoRA, checkpointing": replace(LLAVA, batch=4, checkpointing=True, counted=True),
    "LLaVA, LoRA, bfloat16": replace(LLAVA, dtype="bfloat16"),
    "LLaVA, LoRA, 4-bit": replace(LLAVA, quantized=True),
    "LLaVA, full": replace(LLAVA, lora=False, counted=True),
    "Qwen2.5-VL, LoRA": replace(QWEN, counted=True),
    "Qwen2.5-VL, LoRA, checkpointing": replace(QWEN, batch=4, checkpointing=True),
    "Qwen2.5-VL, full, checkpointing": replace(QWEN, batch=4, lora=False, checkpointing=True),
    "LLaVA, LoRA, two processes, DDP": replace(LLAVA, processes=2),
    "LLaVA, LoRA, two processes, ZeRO-3": replace(LLAVA, processes=2, sharding="zero3"),
    "LLaVA, full, two processes, DDP": replace(LLAVA, lora=False, processes=2),
    "LLaVA, full, two processes, ZeRO-2": replace(LLAVA, lora=False, processes=2, sharding="zero2"),
    "LLaVA, full, two processes, ZeRO-3": replace(LLAVA, lora=False, processes=2, sharding="zero3"),
}
"""What is measured, by the name that the page gives it."""


# One process of a case.


def work(name: str, out: Path) -> None:
    """Train the case for two steps and write what was measured and estimated."""
    case = CASES[name]
    logging.set_verbosity_error()
    torch.set_num_threads(1)  # nothing is timed, and threads wait for each other where other programs run
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if case.counted:
            trainer = build(case, Path(folder), attention="eager", steps=1)
            with FlopCounterMode(display=False) as counter:
                trainer.train()
            measured["flops"] = counter.get_total_flops()
        with held_memory() as memory:
            trainer = build(case, Path(folder), attention="sdpa", steps=STEPS)
            before = predict(case, trainer)
            with record_function("measured_from_here"):
                pass
            trainer.train()
        measured["memory"] = memory()
    if trainer.args.process_index == 0:
        if case.sharding == "zero3":
            parameters = list(trainer.model.parameters())
            whole = sum(p.ds_numel for p in parameters)
            measured["share_of_weights"] = sum(p.ds_tensor.numel() for p in parameters) / whole
        write_json(out, {"measured": measured, "predicted": before})


@contextmanager
def held_memory() -> Iterator[Any]:
    """Gives a function that, afterwards, says the most bytes that tensors held from the mark on."""
    result: list[int] = []
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        yield lambda: result[0]
    events = sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    mark = next(event.start_ns() for event in events if event.name() == "measured_from_here")
    changes = [event for event in events if event.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in changes)
    result.append(max(n for n, event in zip(held, changes, strict=True) if event.start_ns() >= mark))


def build(case: Case, folder: Path, *, attention: str, steps: int) -> PreferenceTrainer:
    shape = SHAPES[case.model]
    config = shape_config(shape, case.image_tokens)
    dtype = getattr(torch, case.dtype)
    args = training_arguments(
        {
            "per_device_train_batch_size": case.batch,
            "max_steps": steps,
            "gradient_accumulation_steps": ACCUMULATION if steps == STEPS else 1,
            "learning_rate": 1e-5,
            "bf16": case.dtype == "bfloat16",
            "gradient_checkpointing": case.checkpointing,
            "use_cpu": True,
            "save_strategy": "no",
            "disable_tqdm": True,
            "log_level": "error",
        },
        folder=folder,
        seed=0,
        report_to="none",
    )
    if case.sharding == "zero2":
        args.deepspeed_plugin.deepspeed_config["zero_optimization"]["reduce_bucket_size"] = BUCKET
        args.deepspeed_plugin.hf_ds_config.config["zero_optimization"]["reduce_bucket_size"] = BUCKET
    model: Any = build_model(config, dtype=dtype, device="cpu", attention=attention)
    if case.quantized:
        model = quantize(model, folder / "model")
    pairs = make_pairs(
        shape,
        config,
        case.batch * case.processes * STEPS * ACCUMULATION,
        image_tokens=case.image_tokens,
        prompt_tokens=case.prompt,
        completion_tokens=case.completion,
    )
    family = family_of(model)
    loaded = LoadedModel(model, processor=None, name=case.model, digest="")  # type: ignore[arg-type]
    trainer = PreferenceTrainer(
        terms=parse_losses({"nll": {"weight": 1.0}, "orpo": {"beta": 0.1}}),
        model=prepare_for_training(
            loaded, family, LORA if case.lora else FULL, args=args, for_preference=True
        ),
        args=args,
        processor=None,  # type: ignore[arg-type] - batches are made without one
        family=family,
        rows=pairs,  # type: ignore[arg-type]
        data_root="",
        shared=True,
    )
    trainer.data_collator = lambda examples: {
        "index": torch.tensor([example.index for example in examples]),
        "sequences": shared_batch([example.row for example in examples]),
    }
    trainer.remove_callback(PrinterCallback)
    return trainer


def quantize(model: Any, folder: Path) -> Any:
    """The model as `model.quantization=4bit` loads it, with no weight left in a file that is mapped."""
    model.save_pretrained(folder)
    settings = quantization_config("4bit", family_of(model), torch.float32)
    loaded = read_network(
        folder,
        str(folder),
        model.config,
        dtype=torch.float32,
        quantization_config=settings,
        device_map={"": torch.device("cpu")},
    )
    keep_plain_form(loaded)
    for parameter in loaded.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.clone()
    return loaded


def predict(case: Case, trainer: PreferenceTrainer) -> dict[str, Any]:
    """What the estimate says of this case."""
    settings = {
        "per_device_train_batch_size": case.batch,
        "gradient_checkpointing": case.checkpointing,
        "bf16": case.dtype == "bfloat16",
    }
    plan = step_plan(
        settings,
        trainer.model,
        processes=case.processes,
        needs_reference=False,
        sharding=case.sharding,  # type: ignore[arg-type]
    )
    plan = replace(
        plan, activation_bytes=2 if case.dtype == "bfloat16" else 4
    )  # whatever 4-bit weights are stored in
    shape = model_shape(trainer.model, family_of(trainer.bare))
    config: Any = SHAPES[case.model].config(case.image_tokens)
    pair = make_pairs(
        SHAPES[case.model],
        config,
        1,
        image_tokens=case.image_tokens,
        prompt_tokens=case.prompt,
        completion_tokens=case.completion,
    )[0]
    vision = config.vision_config
    patch = 3 * vision.patch_size**2 * getattr(vision, "temporal_patch_size", 1)
    row = RowTokens(
        pair.prompt["input_ids"].shape[1],
        (len(pair.chosen), len(pair.rejected)),
        pair.prompt["pixel_values"].numel() // patch,
    )
    memory = estimate_memory(shape, plan, [row])
    if case.sharding == "zero2":
        memory = replace(memory, communication=memory.communication * BUCKET // ZERO2_BUCKET)
    time = estimate_time(shape, plan, [row] * case.batch, flop_rate=1.0, efficiency=1.0)
    return {"memory": memory.total, "parts": asdict(memory), "flops": time.flops}


# All cases.


def measure(names: Sequence[str], keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            out = Path(folder) / f"{len(found)}.json"
            words = [*launcher(CASES[name], Path(folder)), __file__, "--worker", name, "--out", str(out)]
            environment = os.environ | {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
            done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=ROOT)
            if done.returncode:
                raise SystemExit(f"{name}: ended with {done.returncode}\n{done.stdout}{done.stderr}")
            found[name] = json.loads(out.read_text())
            print(line(name, found[name]), flush=True)
            keep(found)
    return found


def launcher(case: Case, folder: Path) -> list[str]:
    if case.processes == 1:
        return [sys.executable]
    config = {"none": "ddp"}.get(case.sharding, case.sharding)
    settings = yaml.safe_load((ROOT / f"configs/accelerate/{config}.yaml").read_text())
    settings |= {"use_cpu": True, "num_processes": case.processes, "main_process_port": 0}
    file = folder / f"{config}.yaml"
    file.write_text(yaml.safe_dump(settings))
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file)]


def line(name: str, found: dict[str, Any]) -> str:
    said, was = found["predicted"], found["measured"]
    text = (
        f"{name:<44} {was['memory'] / 2**20:8,.0f} MiB, planned {said['memory'] / was['memory']:5.2f} of it"
    )
    if "flops" in was:
        text += f"; {was['flops'] / 1e9:7,.0f} GFLOP, planned {said['flops'] / was['flops']:5.2f} of it"
    if "share_of_weights" in was:
        text += f"; {was['share_of_weights']:.2f} of the weights on one process"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--write", action="store_true", help=f"also into {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.out)
        return
    names = [name for name in CASES if given.only.lower() in name.lower()]
    if not names:
        parser.error(f"--only {given.only}: no such case; there are {', '.join(CASES)}")
    about = {"packages": package_versions(), "hardware": hardware()}

    def keep(found: dict[str, Any]) -> None:
        if given.write:
            # Read each time, since several of these programs may measure some cases each.
            there = json.loads(RESULTS.read_text())["cases"] if RESULTS.is_file() else {}
            known = there | found
            write_json(RESULTS, {"cases": {name: known[name] for name in CASES if name in known}, **about})

    print(json.dumps({"cases": measure(names, keep), **about}))


if __name__ == "__main__":
    main()
