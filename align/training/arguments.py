"""Training arguments from a config, with what depends on the machine filled in."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import parse_flag_from_env
from transformers import TrainingArguments

from align.models.preparing import is_sharded
from align.training.estimate import Sharding

_KNOWN = [field.name for field in dataclasses.fields(TrainingArguments) if field.init]
_ELSEWHERE = {
    "output_dir": "out",
    "seed": "seed",
    "report_to": "tracking.report_to",
    "loss_type": "losses, a mapping of terms, or method=...",
    "loss_weights": "losses.<term>.weight",
    "beta": "losses.<term>.beta",
    "label_smoothing": "losses.<term>.label_smoothing",
    "precompute_ref_log_probs": "reference.cache",
    "completion_only_loss": "nothing: the loss always falls on completions only",
    "max_length": "data.max_tokens: rows are never cut, since a cut prompt loses image tokens; longer ones "
    "are reported before training starts",
}
"""What TRL takes as training arguments, or a reader would expect here, and where it is said."""

_IGNORED = ("label_smoothing_factor", "use_liger_kernel", "include_for_metrics", "jit_mode_eval")


def training_arguments(
    settings: Mapping[str, Any], *, folder: str | Path, seed: int, report_to: Any
) -> TrainingArguments:
    """Build `TrainingArguments` from `settings`, any of its arguments by name.

    Filled in where `settings` leaves them out or null: `bf16` (on where a GPU supports it, off elsewhere),
    `dataloader_num_workers` (four where a GPU waits for images, none on a CPU, whose cores the model needs:
    one worker measured no faster), `dataloader_pin_memory`, and `use_cpu` where there is no accelerator.

    Raises `TypeError` for an unknown name, with the nearest there is, and `ValueError` for a setting that
    would be ignored or would break training.
    """
    values = {key: value for key, value in settings.items() if value is not None}
    for name, instead in _ELSEWHERE.items():
        if name in values:
            raise ValueError(f"trainer.{name} is set by {instead}")
    for name in _IGNORED:
        if values.get(name):
            raise ValueError(f"trainer.{name} has no effect on this trainer's losses: remove it")
    if values.get("resume_from_checkpoint"):
        raise ValueError(
            "trainer.resume_from_checkpoint: use resume=true, which takes the newest whole checkpoint"
        )

    for name in values:
        if name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, n=1)
            meant = f"; did you mean trainer.{near[0]}?" if near else ""
            raise TypeError(f"trainer.{name}: transformers' TrainingArguments have no such argument{meant}")

    if not torch.accelerator.is_available():
        # Without this, several processes on a machine without a GPU would not find each other, and each
        # would train by itself. A `false` was said to whoever has a GPU (`align.training.checks`).
        values["use_cpu"] = True
    on_cpu = values.get("use_cpu", False) or parse_flag_from_env("ACCELERATE_USE_CPU")
    on_gpu = torch.cuda.is_available() and not on_cpu
    if not values.get("fp16", False):
        values.setdefault("bf16", on_gpu and torch.cuda.is_bf16_supported())
    else:
        values.setdefault("bf16", False)
    values.setdefault("dataloader_num_workers", 4 if on_gpu else 0)
    values.setdefault("dataloader_pin_memory", on_gpu)
    if values["dataloader_num_workers"]:
        values.setdefault("dataloader_persistent_workers", True)
    values |= {"output_dir": str(Path(folder) / "checkpoints"), "seed": seed, "report_to": report_to}
    values["remove_unused_columns"] = False  # rows are read by the collator
    arguments = TrainingArguments(**values)
    if arguments.n_gpu > 1:
        raise ValueError(
            f"there are {arguments.n_gpu} GPUs and one process, for which transformers would use "
            "nn.DataParallel: start one process a GPU with `accelerate launch --num_processes "
            f"{arguments.n_gpu} ...`, or choose one GPU with CUDA_VISIBLE_DEVICES=0"
        )
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if arguments.world_size != launched:
        raise ValueError(
            f"the launcher started {launched} processes and the trainer sees {arguments.world_size}: each "
            "would train by itself and write over the others. Check trainer.use_cpu and the accelerate config"
        )
    return arguments


def sharding_of(args: TrainingArguments) -> Sharding:
    """What the processes of this launch share, as the estimate of memory names it. ZeRO-1 counts as none."""
    plugin = args.deepspeed_plugin
    if plugin is None:
        return "fsdp" if is_sharded(args) else "none"
    stages: dict[int, Sharding] = {2: "zero2", 3: "zero3"}
    return stages.get(plugin.zero_stage, "none")


def use_cpu_threads(threads: int | None) -> int:
    """Let torch use `threads` CPU threads; None: all cores that this process may use, shared by its peers.

    `accelerate launch` without a config sets OMP_NUM_THREADS=1, which would leave all but one core idle. A
    value of OMP_NUM_THREADS that the user set for a plain `python` run is kept. Returns the number.
    """
    if threads is None:
        launched = "ACCELERATE_MIXED_PRECISION" in os.environ or "LOCAL_WORLD_SIZE" in os.environ
        if not launched or os.environ.get("OMP_NUM_THREADS", "1") != "1":
            return torch.get_num_threads()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if threads < 1:
        raise ValueError(f"threads={threads}: give a positive number, or null for all cores")
    torch.set_num_threads(threads)
    return threads


def rows_per_step(args: TrainingArguments) -> str:
    """How many rows (for preferences: pairs) make a step of the optimizer, and why so many."""
    rows, times, processes = args.train_batch_size, args.gradient_accumulation_steps, args.world_size
    return f"{rows * times * processes} rows a step ({rows} x {times} accumulated x {processes} process(es))"
