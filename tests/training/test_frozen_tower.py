"""In every family, checkpointing leaves a frozen tower without autograd; the adapter gets its gradients."""

from typing import Any

import pytest
import torch
from zoo import NAMES, specimen, with_completion

from align.models.families import FAMILIES
from align.models.loading import LoadedModel
from align.models.preparing import prepare_for_training


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_tower_runs_without_autograd_under_checkpointing(name: str) -> None:
    made = specimen(name)
    family = FAMILIES[name]
    loaded = LoadedModel(made.model, None, name, "")  # type: ignore[arg-type]
    model: Any = prepare_for_training(loaded, family, {"r": 2})
    model.activation_checkpointing_enable()  # what the trainer calls
    model.train()
    bare = model.get_base_model()
    assert bare.is_gradient_checkpointing
    grads: dict[str, bool] = {}
    for path in (*family.vision_tower, *family.projector):
        if path in dict(bare.named_modules()):
            for inner, module in bare.get_submodule(path).named_modules(prefix=path):
                module.register_forward_hook(
                    lambda _, __, output, inner=inner: grads.update(
                        {inner: isinstance(output, torch.Tensor) and output.requires_grad}
                    )
                )
    batch = with_completion(made.prompts[0], [20, 21, 22])
    model(**batch, use_cache=False).logits[:, -4:].float().square().mean().backward()
    assert grads
    assert not any(grads.values()), [inner for inner, grad in grads.items() if grad]
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            assert parameter.grad is not None, parameter_name
        assert parameter.requires_grad == ("lora_" in parameter_name), parameter_name
