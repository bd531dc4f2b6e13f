"""From a loaded model to one that is ready to train: with an adapter, or with chosen parts of its own.

What is trained is float32, since optimisers make steps far smaller than what half precision can tell apart.
Everything else keeps its dtype. PEFT's preparation of quantised models is not used: it turns all that is not
quantised into float32, of which the embeddings and the head are gigabytes, and makes the inputs of a frozen
tower require gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate.utils import parse_flag_from_env
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel, TrainingArguments

from align.models.adapters import lora_config, refuse_lora_settings
from align.models.families import PARTS, Family, Part
from align.models.loading import REFERENCE_ADAPTER, LoadedModel, add_reference
from align.models.quantization import is_quantized

TRAINABLE: tuple[Part, ...] = tuple(part for part in PARTS if part != "other")

_HALF = (torch.float16, torch.bfloat16)


def prepare_for_training(
    loaded: LoadedModel,
    family: Family,
    lora: Mapping[str, Any] | None,
    *,
    args: TrainingArguments | None = None,
    for_preference: bool = False,
) -> PreTrainedModel | PeftModel:
    """The model to give to a trainer.

    Args:
        lora: settings of a new adapter (`lora_config`); None or `{full: true, parts: [...]}` for training
            weights of the model itself, those of the language model unless `parts` says otherwise. Not used
            where `loaded` has an adapter, which is trained further.
        args: the trainer's arguments, which decide where float32 copies of half-precision weights are kept.
        for_preference: an adapter that is trained further gets a frozen copy of itself as the reference.

    Raises `ValueError` for what cannot be trained, saying why.
    """
    model: Any = loaded.model
    _refuse(
        lora,
        quantized=is_quantized(model),
        adapter=loaded.adapter is not None,
        dtype=None,
        args=args,
        for_preference=for_preference,
    )
    bare = model.get_base_model() if isinstance(model, PeftModel) else model
    _leave_inputs_alone(bare)
    if isinstance(model, PeftModel):
        _refuse_frozen(model, loaded)
        if for_preference:
            refuse_lora_settings(vars(model.peft_config["default"]), for_preference=True)
            if REFERENCE_ADAPTER not in model.peft_config:
                add_reference(model, str(loaded.adapter))
        return model
    if lora is None or lora.get("full"):
        _train_parts(model, family, _parts(lora), args)
        return model
    return get_peft_model(model, lora_config(model, family, lora, for_preference=for_preference))


def refuse_unsupported(
    model: Mapping[str, Any],
    lora: Mapping[str, Any] | None,
    *,
    args: TrainingArguments | None = None,
    for_preference: bool = False,
) -> None:
    """Raise `ValueError` for settings that cannot be trained with, before weights are loaded.

    `model` are the arguments of `load_model`; `prepare_for_training` refuses what the loaded model shows.
    """
    _refuse(
        lora,
        quantized=model.get("quantization") is not None,
        adapter=model.get("adapter") is not None,
        dtype=getattr(torch, str(model.get("dtype")), None),
        args=args,
        for_preference=for_preference,
    )


def _refuse(
    lora: Mapping[str, Any] | None,
    *,
    quantized: bool,
    adapter: bool,
    dtype: torch.dtype | None,
    args: TrainingArguments | None,
    for_preference: bool,
) -> None:
    checkpointing: Any = None if args is None else args.activation_checkpointing_kwargs
    if (checkpointing or {}).get("use_reentrant"):
        raise ValueError(
            "trainer.gradient_checkpointing_kwargs: use_reentrant=true loses the gradients of all that has "
            "only frozen layers before it. Leave it out: false is the default"
        )
    if quantized and args is not None and is_sharded(args):
        raise ValueError(
            "model.quantization: quantised weights cannot be sharded over processes here (ZeRO-3, FSDP). Use "
            "DDP or ZeRO-2, where each process holds all of them"
        )
    if lora is not None and not lora.get("full"):
        if not adapter:
            refuse_lora_settings(lora, for_preference=for_preference)
        return
    _parts(lora)
    if adapter:
        raise ValueError(
            "model.adapter with lora=full: training the weights under an adapter changes what it was trained "
            "for. Merge it first (recipes/merge.py), or train it further with lora=default"
        )
    if quantized:
        raise ValueError(
            "lora=full with quantised weights: they are rounded to 16 levels and have no gradients. Train an "
            "adapter on them (lora=default), or set model.quantization=null"
        )
    if dtype in _HALF:
        _refuse_half(dtype, args)


def _refuse_half(dtype: torch.dtype, args: TrainingArguments | None) -> None:
    """Raise `ValueError` if nobody would keep float32 copies of half-precision weights that are trained."""
    if args is None or args.fp16 or args.bf16 or _keeps_float32(args):
        return
    name = str(dtype).removeprefix("torch.")
    mixed = "fp16" if dtype == torch.float16 else "bf16"
    raise ValueError(
        f"lora=full with model.dtype={name}: steps of fine-tuning are smaller than what {name} can tell "
        f"apart, so that most would be lost. Set trainer.{mixed}=true, which computes in half precision on "
        "float32 weights, or model.dtype=float32"
    )


def _parts(lora: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The parts to train of `{full: true, parts: [...]}`."""
    settings = dict(lora or {})
    settings.pop("full", None)
    parts = tuple(settings.pop("parts", None) or ("language_model",))
    if settings:
        raise ValueError(
            f"lora.{next(iter(settings))} has no meaning with lora=full, which trains the weights "
            "themselves: remove it"
        )
    if unknown := [part for part in parts if part not in TRAINABLE]:
        raise ValueError(f"lora.parts: cannot train {', '.join(unknown)}; choose from {', '.join(TRAINABLE)}")
    return parts


def _train_parts(model: Any, family: Family, parts: tuple[str, ...], args: TrainingArguments | None) -> None:
    """Make the weights of `parts` trainable, in float32, and freeze the others."""
    trained = {name: p for name, p in model.named_parameters() if family.part_of(name) in parts}
    head = getattr(model.get_output_embeddings(), "weight", None)
    names = {id(p): name for name, p in model.named_parameters()}
    if "head" in parts and head is not None and family.part_of(names[id(head)]) not in parts:
        raise ValueError(
            "lora.parts: the head of this model is its embeddings (tied weights), which are part of the "
            f"{family.part_of(names[id(head)])}: name that too, or leave head out"
        )
    for part in parts:
        if part != "head" and not any(family.part_of(name) == part for name in trained):
            raise ValueError(f"lora.parts: {part} of family {family.name!r} has no weights")
    half = {p.dtype for p in trained.values()} & set(_HALF)
    for dtype in half:
        _refuse_half(dtype, args)
    model.requires_grad_(False)
    for parameter in trained.values():
        if half and args is not None and not _keeps_float32(args):
            parameter.data = parameter.data.float()
        parameter.requires_grad_(True)


def _leave_inputs_alone(bare: nn.Module) -> None:
    """Keep gradient checkpointing from making the inputs of frozen layers require gradients.

    Only the re-entrant kind needs that, which is refused. It would make a frozen vision tower run, and run a
    second time, for gradients that nobody wants.
    """
    bare.enable_input_require_grads = lambda: None  # type: ignore[assignment]


def _refuse_frozen(model: PeftModel, loaded: LoadedModel) -> None:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"adapter {loaded.adapter!r} was loaded for use, not for training: give trainable_adapter=True"
        )


def _keeps_float32(args: TrainingArguments) -> bool:
    """Whether what wraps the model for training keeps float32 copies of half-precision weights itself."""
    return args.deepspeed_plugin is not None or _fsdp(args)


def is_sharded(args: TrainingArguments) -> bool:
    """Whether each process holds a part of the weights only."""
    return _fsdp(args) or (args.deepspeed_plugin is not None and args.deepspeed_plugin.zero_stage == 3)


def _fsdp(args: TrainingArguments) -> bool:
    return bool(args.fsdp) or bool(parse_flag_from_env("ACCELERATE_USE_FSDP"))
