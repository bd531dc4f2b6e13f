"""Where LoRA lands, what is counted, and what is refused."""

from collections.abc import Iterator

import pytest
import torch
from peft import get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

from align.models.adapters import count_parameters, format_parameters, lora_config
from align.models.families import FAMILIES

QWEN = FAMILIES["qwen2_5_vl"]


@pytest.fixture(scope="module")
def qwen() -> Iterator[PreTrainedModel]:
    with torch.device("meta"):
        yield AutoModelForImageTextToText.from_config(AutoConfig.for_model("qwen2_5_vl"))


def adapted(model: PreTrainedModel, settings: dict) -> list[str]:
    config = lora_config(model, QWEN, settings)
    with torch.device("meta"):
        tuned = get_peft_model(model, config)
    names = [n.removeprefix("base_model.model.") for n, m in tuned.named_modules() if hasattr(m, "lora_A")]
    tuned.unload()
    return names


def test_names_shared_with_the_tower_stay_in_the_chosen_parts(qwen: PreTrainedModel) -> None:
    everywhere = [n for n, m in qwen.named_modules() if isinstance(m, nn.Linear) and n.endswith(".gate_proj")]
    assert any(n.startswith("model.visual.") for n in everywhere)
    chosen = adapted(qwen, {"r": 2, "target_modules": ["gate_proj"]})
    assert chosen == [n for n in everywhere if n.startswith("model.language_model.")]


def test_projector_and_tower_by_choice(qwen: PreTrainedModel) -> None:
    parts = {QWEN.part_of(n) for n in adapted(qwen, {"r": 2, "parts": ["projector", "vision_tower"]})}
    assert parts == {"projector", "vision_tower"}
    assert {QWEN.part_of(n) for n in adapted(qwen, {"r": 2, "parts": ["projector"]})} == {"projector"}


def test_a_list_of_layers_to_transform_is_honoured(qwen: PreTrainedModel) -> None:
    names = adapted(qwen, {"r": 2, "target_modules": ["q_proj"], "layers_to_transform": [0, 3]})
    assert names == [f"model.language_model.layers.{i}.self_attn.q_proj" for i in (0, 3)]


def test_an_expression_may_not_leave_the_chosen_parts(qwen: PreTrainedModel) -> None:
    with pytest.raises(ValueError, match=r"outside lora\.parts=.*add \['vision_tower'\]"):
        lora_config(qwen, QWEN, {"target_modules": r".*\.gate_proj"})
    names = adapted(qwen, {"r": 2, "target_modules": r"model\.language_model\.layers\.1\..*_proj"})
    assert names
    assert all(n.startswith("model.language_model.layers.1.") for n in names)


def test_counts_are_those_of_the_adapter(qwen: PreTrainedModel) -> None:
    linear = dict(qwen.named_modules())["model.language_model.layers.0.self_attn.q_proj"]
    config = lora_config(qwen, QWEN, {"r": 4, "target_modules": ["q_proj"], "layers_to_transform": [0]})
    with torch.device("meta"):
        tuned = get_peft_model(qwen, config)
    counts = count_parameters(tuned, QWEN)
    tuned.unload()
    assert counts["language_model"]["trainable"] == 4 * (linear.in_features + linear.out_features)
    assert counts["vision_tower"]["trainable"] == 0
    line = next(x for x in format_parameters(counts).splitlines() if "language_model" in x)
    assert f"{counts['language_model']['trainable']:,}" in line


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": ["tower"]}, "cannot adapt tower; choose from language_model"),
        ({"target_modules": ["q_porj"]}, "no linear layer q_porj in language_model; there are .*q_proj"),
        ({"bias": "all"}, "leaves trained biases switched on"),
        ({"init_lora_weights": "olora"}, "changes the base model's weights"),
        ({"target_parameters": ["experts.up"]}, "the vision tower included"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(
    qwen: PreTrainedModel, settings: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lora_config(qwen, QWEN, settings, for_preference=True)


def test_unknown_argument_raises_with_its_name(qwen: PreTrainedModel) -> None:
    with pytest.raises(TypeError, match="rnak"):
        lora_config(qwen, QWEN, {"rnak": 8})
