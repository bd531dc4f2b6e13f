"""Models without their weights: built on torch's meta device from a configuration, and made ready for
training.

The code that prepares them is the training programs' own, so a plan counts what training would train.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedConfig

from align.models.families import Family, family_of
from align.models.loading import LoadedModel
from align.models.preparing import prepare_for_training
from align.training.estimate import NF4_BYTES, ModelShape, model_shape

_SHAPES = Path(__file__).parent / "shapes.yaml"


@dataclass(frozen=True)
class KnownModel:
    """A model of shapes.yaml. `image_tokens`: of a usual picture and of the largest."""

    name: str
    id: str
    parameters: int
    image_tokens: tuple[int, int]
    config: Mapping[str, Any]
    reported: str | None = None  # its name in the MoHoBench paper's Table 3

    def configuration(self) -> PreTrainedConfig:
        settings = {key: value for key, value in self.config.items() if key != "model_type"}
        made: PreTrainedConfig = AutoConfig.for_model(str(self.config["model_type"]), **settings)
        return made


@dataclass(frozen=True)
class MetaModel:
    """A model that is ready for training and has no storage. `linear`: weights of the language model's linear
    layers, adapter left out."""

    network: Any
    family: Family
    shape: ModelShape
    linear: int

    def quantized(self) -> MetaModel:
        """The same with `model.quantization=4bit`. Raises `ValueError` for full training."""
        if not self.shape.adapter:
            raise ValueError("model.quantization with lora=full: quantised weights have no gradients")
        saved = int(self.linear * (2 - NF4_BYTES))
        return replace(self, shape=replace(self.shape, weight_bytes=self.shape.weight_bytes - saved))


@cache
def known_models() -> tuple[KnownModel, ...]:
    rows = yaml.safe_load(_SHAPES.read_text(encoding="utf-8"))
    return tuple(
        KnownModel(**row | {"image_tokens": (row["image_tokens"]["usual"], row["image_tokens"]["most"])})
        for row in rows
    )


def find_known(name: str, reported: str | None = None) -> KnownModel | None:
    """The known model of a hub id or a name of shapes.yaml; for one that is not named, that of a reported
    row."""
    wanted = reported if name == "???" else name
    if wanted is None:
        return None
    return next((model for model in known_models() if wanted in (model.id, model.name, model.reported)), None)


def meta_model(
    config: PreTrainedConfig, lora: Mapping[str, Any] | None, *, parts: Mapping[str, Any] | None = None
) -> MetaModel:
    """The model of a configuration in bfloat16 as it would be trained, with float32 for what is trained.

    `lora` as for `prepare_for_training`. Raises `ValueError` for what cannot be trained.
    """
    with torch.device("meta"):
        bare: Any = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
        family = family_of(bare, parts)
        linear = sum(
            module.weight.numel()
            for name, module in bare.named_modules()
            if isinstance(module, nn.Linear) and family.part_of(name) == "language_model"
        )
        nothing: Any = None  # a processor is not asked for
        loaded = LoadedModel(bare, processor=nothing, name="", digest="")
        network = prepare_for_training(loaded, family, lora, args=_MIXED)
    return MetaModel(network, family, model_shape(network, family), linear)


# What `prepare_for_training` reads of a trainer's arguments: bf16 on a GPU, nothing that keeps copies
# elsewhere.
_MIXED: Any = SimpleNamespace(
    bf16=True, fp16=False, fsdp=None, deepspeed_plugin=None, activation_checkpointing_kwargs=None
)
