"""The table of families against the models that transformers builds."""

from functools import cache

import pytest
import torch
from peft import get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

from align.models.adapters import count_parameters, lora_config
from align.models.families import FAMILIES, family_of


@cache
def empty_model(model_type: str) -> PreTrainedModel:
    """A model of the family's default shape, without memory for its weights."""
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(AutoConfig.for_model(model_type))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_path_of_the_table_names_a_part_of_the_model(model_type: str) -> None:
    model = empty_model(model_type)
    names = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    assert [path for path, _ in FAMILIES[model_type].paths() if path not in names] == []


@pytest.mark.parametrize("model_type", FAMILIES)
def test_no_parameter_lies_outside_the_parts(model_type: str) -> None:
    counts = count_parameters(empty_model(model_type), FAMILIES[model_type])
    assert "other" not in counts
    assert all(counts[part]["total"] for part in ("vision_tower", "projector", "language_model"))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_lora_lands_on_all_linear_layers_of_the_language_model_and_nowhere_else(model_type: str) -> None:
    model, family = empty_model(model_type), FAMILIES[model_type]
    linear = {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(family.language_model)
    }
    with torch.device("meta"):
        tuned = get_peft_model(model, lora_config(model, family, {"r": 2}))
    adapted = {
        name.removeprefix("base_model.model.")
        for name, module in tuned.named_modules()
        if hasattr(module, "lora_A")
    }
    counts = count_parameters(tuned, family)
    tuned.unload()
    assert adapted == linear
    assert {part for part, row in counts.items() if row["trainable"]} == {"language_model"}


def test_longest_path_decides() -> None:
    qwen = FAMILIES["qwen2_vl"]
    assert qwen.part_of("model.visual.merger.mlp.0.weight") == "projector"
    assert qwen.part_of("base_model.model.model.visual.blocks.0.attn.qkv") == "vision_tower"
    assert qwen.part_of("model.visualizer.weight") == "other"
    assert qwen.part_of("lm_head.weight") == "head"


def test_unknown_family_says_how_to_name_the_parts() -> None:
    model = empty_model("llava")
    model.config.model_type, kept = "novel", model.config.model_type
    try:
        with pytest.raises(
            ValueError, match=r"'novel' is not in the table.*model\.vision_tower.*\+model\.parts="
        ):
            family_of(model)
        parts = {
            "vision_tower": ["model.vision_tower"],
            "projector": ["model.multi_modal_projector"],
            "language_model": ["model.language_model"],
        }
        assert family_of(model, parts).part_of("model.language_model.layers.0") == "language_model"
        with pytest.raises(ValueError, match=r"unknown part\(s\) tower"):
            family_of(model, parts | {"tower": ["model.x"]})
        with pytest.raises(ValueError, match="projector not named"):
            family_of(model, {k: v for k, v in parts.items() if k != "projector"})
        with pytest.raises(ValueError, match=r"no module model\.nowhere \(its projector\)"):
            family_of(model, parts | {"projector": ["model.nowhere"]})
    finally:
        model.config.model_type = kept
