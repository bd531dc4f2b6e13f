"""What would fail in the middle of a run, refused before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import parse_flag_from_env
from peft import PeftModel
from transformers import TrainingArguments

from align.models.families import Family
from align.models.loading import TINY
from align.models.stored import why_no_gpu
from align.training.data import TrainingRows
from align.training.losses import LossTerms


def refuse_without_gpu(trainer: Mapping[str, Any], model: str) -> None:
    """Raise `ValueError` for settings that were made for a GPU (`use_cpu: false`) where there is none.

    A model of billions of weights would train on the CPU too, for months. The embedded one may.
    """
    asked = trainer.get("use_cpu") is False and not parse_flag_from_env("ACCELERATE_USE_CPU")
    if asked and model != TINY and not torch.accelerator.is_available():
        raise ValueError(
            f"trainer=gpu is for a GPU, and there is none: {why_no_gpu()}. `mohoalign doctor` shows what "
            f"works here. trainer.use_cpu=true trains on the CPU all the same, which is for small models only"
        )


def refuse_missing(data: dict[str, Any], evaluation: str | None, args: TrainingArguments) -> None:
    """Raise for a file of evaluation or test questions that is not there, or would not be used."""
    for name, path in (("questions", data["questions"]), ("eval rows", evaluation)):
        if path and not Path(path).is_file():
            raise FileNotFoundError(
                f"data: {name}: {path}: no such file. Give the right one, or null to do without"
            )
    if evaluation and args.eval_strategy == "no":
        raise ValueError(
            f"{evaluation} is given for evaluation, and there is none: set +trainer.eval_strategy=steps and "
            "+trainer.eval_steps=N, or leave the file out"
        )


def refuse_combination(
    family: Family,
    rows: TrainingRows[Any],
    network: Any,
    terms: LossTerms | None,
    evaluation: str | None,
    *,
    sharded: bool,
    method: str,
) -> None:
    """Raise `ValueError` for rows, model and method that would fail in the middle of a run."""
    blind = sum(not row.images for row in rows.rows)
    if family.name == "mllama" and 0 < blind < len(rows.rows):
        raise ValueError(
            f"{blind} of {len(rows.rows)} rows have no image, and in {family.name}, which looks at the image "
            "by cross-attention, rows with and without one cannot share a batch: train on one kind at a time"
        )
    if terms is None or not terms.needs_reference or isinstance(network, PeftModel):
        return
    if sharded:
        raise ValueError(
            f"{method} needs a reference, and lora=full with sharded weights (ZeRO-3, FSDP) has none: "
            "train an adapter, use DDP or ZeRO-2, or a method without a reference (simpo, orpo)"
        )
    if evaluation:
        raise ValueError(
            f"{method} needs a reference, and with lora=full there is none once training has begun: leave "
            "out the file of evaluation rows, or train an adapter"
        )
