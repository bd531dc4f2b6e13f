"""Parts of an adapter that do nothing, in a model of this process."""

from pathlib import Path

import pytest
import torch
from peft import get_peft_model

from align.evaluation.adapter_check import adapter_effects, require_active_adapter, warn_of_idle_parts
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.loading import LoadedModel, load_model


def tuned(folder: Path, strengths: dict[str, float]) -> LoadedModel:
    base = load_model("tiny_vlm", device="cpu").model
    family = family_of(base)
    network = get_peft_model(base, lora_config(base, family, {"r": 2, "parts": tuple(strengths)}))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.fill_(strengths[family.part_of(name)])
    network.save_pretrained(folder)
    return load_model("tiny_vlm", folder, device="cpu")


def test_the_effect_of_each_part_is_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    both = tuned(tmp_path / "both", {"language_model": 1e-3, "vision_tower": 1e-3})
    effects = adapter_effects(both)
    assert set(effects) == {"language_model", "vision_tower"}
    assert min(effects.values()) > 1e-6
    warn_of_idle_parts(both)
    assert not caplog.records
    assert not any(parameter.requires_grad for parameter in both.model.parameters())

    lost = tuned(tmp_path / "lost", {"language_model": 1e-3, "vision_tower": 0.0})
    assert require_active_adapter(lost) > 1e-6
    assert adapter_effects(lost)["vision_tower"] == 0.0
    warn_of_idle_parts(lost)
    [record] = caplog.records
    assert "the vision tower of 'tiny_vlm' that change nothing" in record.getMessage()
