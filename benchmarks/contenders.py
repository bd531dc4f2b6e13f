"""The two trainers, each in a process of its own that steps when it is told to.

Every contender gets the same model, adapter, rows and training arguments. Rows are made into batches before
the clock starts, so what is timed is a trainer's step: forward passes, loss, backward pass, clipping,
optimiser and what the trainer logs. TRL stays as a user gets it: `DPOConfig`'s defaults, apart from
`max_length=None` (1,024 would cut image tokens from a prompt) and the arguments that all have in common.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from memory import Memory
from shapes import SHAPES, RandomPair, build_model, make_pairs, shape_config, shared_batch, trl_batch
from torch import Tensor, nn
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging

from align.miniworld import TINY_VLM
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.loading import LoadedModel
from align.models.preparing import prepare_for_training
from align.training.collating import Example
from align.training.losses import parse_losses
from align.training.trainer import PreferenceTrainer

CONTENDERS = ("trl", "shared", "shared_cached")
BETA = 0.1
LORA = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0}  # on the language model
BATCHES = 2  # different ones, taken in turns


@dataclass(frozen=True)
class Case:
    """What is measured. Lengths are in tokens; see `shapes.make_pairs`."""

    model: str = "llava-50m"
    image_tokens: int = 576
    prompt_tokens: int = 32
    completion_tokens: int = 60
    spread: float = 0.0
    vocabulary: int | None = None  # None: the shape's own
    batch: int = 2
    dtype: str = "float32"
    device: str = "cpu"
    attention: str = "sdpa"
    gradient_checkpointing: bool = False

    @property
    def torch_dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)


def work(name: str, case: Case, connection: Connection) -> None:
    """What a contender's process does: build, show its first batch's figures, then train step by step.

    A word asks for one step, whose seconds are sent back; None ends training, and then the memory that it
    took is sent.
    """
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        trainer, batches = build(name, case, Path(folder))
        memory = Memory(case.device)
        if name == "shared_cached":
            fill_reference(trainer)
        connection.send(first_look(trainer, batches[0]))
        trainer.add_callback(_OnCommand(connection, case.device))
        with suppress(Finished):
            trainer.train()
        connection.send(memory.used())


class Finished(Exception):
    """No more steps are wanted; the way out of a trainer's loop between two of them."""


class _OnCommand(TrainerCallback):
    """Waits for a word before each step and tells how long the step took."""

    def __init__(self, connection: Connection, device: str) -> None:
        self.connection, self.device = connection, device

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if self.connection.recv() is None:
            raise Finished
        self.start = clock(self.device)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.connection.send(clock(self.device) - self.start)


def clock(device: str) -> float:
    """Seconds, once the device has done all that it was asked to."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


# Building.


def build(name: str, case: Case, folder: Path) -> tuple[Trainer, list[dict[str, Any]]]:
    """A contender's trainer, and the batches that it will be given, in order."""
    shape = SHAPES[case.model]
    config = shape_config(shape, case.image_tokens, case.vocabulary)
    pairs = make_pairs(
        shape,
        config,
        case.batch * BATCHES,
        image_tokens=case.image_tokens,
        prompt_tokens=case.prompt_tokens,
        completion_tokens=case.completion_tokens,
        spread=case.spread,
    )
    # FlexAttention is ours to choose; TRL keeps what transformers gives a user by default.
    attention = "sdpa" if name == "trl" else case.attention
    model = build_model(config, dtype=case.torch_dtype, device=case.device, attention=attention)
    make = _trl if name == "trl" else _ours
    trainer, batches = make(model, pairs, case, folder)
    trainer.remove_callback(PrinterCallback)
    _fill_adapter(trainer.model)
    return trainer, batches


def fill_reference(trainer: PreferenceTrainer) -> None:
    """Compute the rows' reference log-probs, as a run does before its first step where none are cached."""
    rows = [trainer.reference_logps([trainer.train_dataset[i]]) for i in range(len(trainer.train_dataset))]
    trainer.reference = torch.stack([torch.cat(column) for column in zip(*rows, strict=True)], dim=1)


def arguments(case: Case, folder: Path) -> dict[str, Any]:
    """Training arguments that all contenders share."""
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": case.batch,
        "max_steps": 10**6,
        "learning_rate": 1e-5,
        "lr_scheduler_type": "constant",
        "train_sampling_strategy": "sequential",
        "bf16": case.dtype == "bfloat16",
        "gradient_checkpointing": case.gradient_checkpointing,
        "use_cpu": case.device == "cpu",
        "logging_steps": 10,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
        "log_level": "error",
    }


def _ours(
    model: PreTrainedModel, pairs: list[RandomPair], case: Case, folder: Path
) -> tuple[PreferenceTrainer, list[dict[str, Any]]]:
    args = TrainingArguments(**arguments(case, folder))
    loaded = LoadedModel(model, processor=None, name=case.model, digest="")  # type: ignore[arg-type]
    trainer = PreferenceTrainer(
        terms=parse_losses({"dpo": {"beta": BETA}}),
        model=prepare_for_training(loaded, family_of(model), LORA, args=args, for_preference=True),
        args=args,
        processor=None,  # type: ignore[arg-type] - batches are made already
        family=family_of(model),
        rows=pairs,  # type: ignore[arg-type]
        data_root="",
        shared=True,
    )
    batches = [
        {"index": torch.arange(start, start + case.batch), "sequences": shared_batch(chunk)}
        for start, chunk in _chunks(pairs, case.batch)
    ]
    ready = {int(batch["index"][0]): batch for batch in batches}

    def collate(examples: Sequence[Example]) -> dict[str, Any]:
        if len(examples) == case.batch:
            return ready[examples[0].index]
        return {
            "index": torch.tensor([example.index for example in examples]),
            "sequences": shared_batch([example.row for example in examples]),
        }

    trainer.data_collator = collate
    return trainer, batches


def _trl(
    model: PreTrainedModel, pairs: list[RandomPair], case: Case, folder: Path
) -> tuple[Trainer, list[dict[str, Any]]]:
    from datasets import Dataset
    from transformers import AutoProcessor
    from trl import DPOConfig, DPOTrainer

    batches = [trl_batch(chunk) for _, chunk in _chunks(pairs, case.batch)]
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**arguments(case, folder), beta=BETA, max_length=None),
        # An image column makes it a data set of images, to which the collator brings the images.
        train_dataset=Dataset.from_dict({"images": [[i] for i in range(len(pairs))]}),
        data_collator=lambda rows: dict(batches[rows[0]["images"][0] // case.batch]),
        processing_class=AutoProcessor.from_pretrained(TINY_VLM),  # wanted by the trainer, and never called
        peft_config=lora_config(model, family_of(model), LORA, for_preference=True),
    )
    return trainer, batches


def _chunks(pairs: list[RandomPair], size: int) -> Iterator[tuple[int, list[RandomPair]]]:
    return ((start, pairs[start : start + size]) for start in range(0, len(pairs), size))


def _fill_adapter(model: nn.Module) -> None:
    """The same random adapter for all. A fresh one adds nothing, and its absence would go unnoticed."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)


# Proof that contenders do the same thing, and of how much they run for it.


@dataclass(frozen=True)
class FirstLook:
    """A contender's figures for the first batch, before any step.

    `policy` and `reference` are log-probs `[B, 2]`, chosen and rejected; `gradient` is the norm of the
    adapter's. `tokens` are those that went through the language model's layers, forward, a mean over layers,
    `images` those that were encoded, and `floor` the tokens that the loss needs (see the program).
    """

    policy: list[list[float]]
    reference: list[list[float]]
    gradient: float
    tokens: float
    images: int
    floor: int
    completion_tokens: list[int]


def first_look(trainer: Trainer, batch: Mapping[str, Any]) -> FirstLook:
    model: Any = trainer.model
    model.train()
    if trainer.args.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    batch = trainer._prepare_inputs(dict(batch))  # type: ignore[arg-type]
    ours = isinstance(trainer, PreferenceTrainer)
    with torch.no_grad(), trainer.accelerator.autocast():
        if ours:
            sequences = batch["sequences"]
            policy = trainer.logps(model, sequences)[0].view(-1, 2)
            reference = torch.stack(list(trainer._reference(model, batch).values()), 1)
            completions = torch.bincount(sequences.owners).tolist()
            floor = int(sequences.attention_mask.sum())
        else:
            labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
            given = {k: v for k, v in batch.items() if k != "completion_mask"}
            scored = model(**given, labels=labels, fused_lm_head=True, use_cache=False).log_probs.sum(1)
            policy = torch.stack(scored.chunk(2), 1)
            reference = torch.stack(trainer.compute_ref_log_probs(model, batch), 1)  # type: ignore[attr-defined]
            counts = batch["completion_mask"].sum(1)
            completions = torch.stack(counts.chunk(2), 1).flatten().tolist()
            floor = int(batch["attention_mask"].sum() - (batch["attention_mask"].sum(1) - counts).sum() // 2)
    with _counted(trainer) as seen:
        loss = trainer.compute_loss(model, batch)
        trainer.accelerator.backward(loss)
    gradients = [p.grad.float().norm() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    for figures in vars(trainer).get("_figures", {}).values():
        figures.clear()
    return FirstLook(
        policy=policy.tolist(),
        reference=reference.tolist(),
        gradient=float(torch.stack(gradients).norm()),
        completion_tokens=completions,
        floor=floor,
        **seen(),
    )


@contextmanager
def _counted(trainer: Trainer) -> Iterator[Callable[[], dict[str, Any]]]:
    """Counts what goes through the language model's layers and the vision tower."""
    bare: Any = trainer.model.get_base_model()  # type: ignore[union-attr]
    layers = bare.get_submodule(family_of(bare).language_model[0]).layers
    tower = bare.get_submodule(family_of(bare).vision_tower[0])
    tokens, images = [0], [0]

    def through_layer(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden: Tensor = kwargs.get("hidden_states", args[0] if args else None)
        tokens[0] += hidden.shape[0] * hidden.shape[1]

    def through_tower(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        grid = kwargs.get("grid_thw")
        images[0] += len(next(v for v in [grid, *args, *kwargs.values()] if isinstance(v, Tensor)))

    # Within the layer, since checkpointing runs a layer again without its own hooks.
    hooks = [layer.self_attn.register_forward_pre_hook(through_layer, with_kwargs=True) for layer in layers]
    hooks.append(tower.register_forward_pre_hook(through_tower, with_kwargs=True))
    try:
        yield lambda: {"tokens": tokens[0] / len(layers), "images": images[0]}
    finally:
        for hook in hooks:
            hook.remove()
