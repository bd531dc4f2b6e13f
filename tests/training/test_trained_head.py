"""Log-probs go through a trained copy of the head, and the reference's do not."""

from typing import Any

import pytest
import torch
from zoo import NAMES, join, specimen

from align.models.families import FAMILIES
from align.models.loading import LoadedModel
from align.models.preparing import prepare_for_training
from align.training.completions import completion_logps
from align.training.sequences import build_sequences


@pytest.mark.parametrize("name", ["qwen2_vl", "llava"])
def test_a_trained_head_is_the_one_that_scores(name: str) -> None:
    assert name in NAMES
    made = specimen(name)
    loaded = LoadedModel(made.model, None, name, "")  # type: ignore[arg-type]
    settings = {"r": 2, "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}
    model: Any = prepare_for_training(loaded, FAMILIES[name], settings, for_preference=True)
    batch = build_sequences(join(made.prompts[:1]), [[[11, 12, 13], [21]]], pad=0)

    def logps() -> torch.Tensor:
        return completion_logps(model, batch, bare=model.get_base_model(), shared=True)[0]

    before = logps()
    before.sum().backward()
    head = next(
        p for n, p in model.named_parameters() if n.endswith("lm_head.modules_to_save.default.weight")
    )
    assert head.grad is not None
    with torch.no_grad():
        head.add_(torch.randn_like(head))
        assert (logps() - before).abs().min() > 1e-2
        with model.disable_adapter():
            torch.testing.assert_close(logps(), before.detach(), atol=1e-4, rtol=0)
