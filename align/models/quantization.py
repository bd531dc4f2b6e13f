"""Weights in four bits (QLoRA, arXiv 2305.14314): the language model's linear layers, and nothing else.

The tower and the projector are a small share of the weights and what the model sees with; the head turns
small errors into other words. They keep their dtype.
"""

from __future__ import annotations

import importlib.util
from math import prod

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedConfig

from align.models.families import Family

QUANTIZATIONS = ("4bit",)


def quantization_config(name: str, family: Family, compute_dtype: torch.dtype) -> BitsAndBytesConfig:
    """How to load a model with `model.quantization=name`: NF4 with quantised constants, as in the paper.

    Weights are turned into `compute_dtype` for each product. Raises `ValueError` for an unknown name and
    `ImportError` where bitsandbytes is not installed.
    """
    if name not in QUANTIZATIONS:
        raise ValueError(
            f"model.quantization={name!r} is not known: choose {', '.join(QUANTIZATIONS)}, or null for none"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ImportError(
            "model.quantization=4bit needs bitsandbytes, which is not installed: pip install 'mohoalign[gpu]'"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
        # Named in full: transformers leaves out its own choice, the head, once names are given.
        llm_int8_skip_modules=[*family.vision_tower, *family.projector, *family.head],
    )


def refuse_second_quantization(name: str, config: PreTrainedConfig) -> None:
    """Raise `ValueError` if the stored weights are quantised already."""
    stored = getattr(config, "quantization_config", None)
    if stored is not None:
        settings = stored if isinstance(stored, dict) else stored.to_dict()
        raise ValueError(
            f"model.quantization={name}: the stored weights are quantised already "
            f"({settings.get('quant_method', 'unknown method')}). Leave it null to use them as they are, or "
            "give the model that they were made from"
        )


def keep_plain_form(model: nn.Module) -> None:
    """Keep quantised weights in the form that gradients, and PEFT's DoRA, can be computed with.

    On CPUs with AVX512-BF16 bitsandbytes turns them into another one, for inference only, at the first pass
    in eval mode without gradients (`Linear4bit.forward`). What trains the model afterwards fails, and the
    output of a DoRA adapter changes.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 - a module's attributes are typed


def is_quantized(model: nn.Module) -> bool:
    """Whether some of a model's weights are quantised, now or as they were stored."""
    return getattr(getattr(model, "config", None), "quantization_config", None) is not None


def true_size(parameter: nn.Parameter) -> int:
    """How many numbers a parameter stands for, which its storage may hold packed or in part only."""
    if hasattr(parameter, "ds_numel"):  # DeepSpeed ZeRO-3
        return int(parameter.ds_numel)
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else prod(state.shape)
