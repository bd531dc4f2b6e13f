"""Is the adapter that was asked for at work?

An adapter can be lost in silence: its target modules match nothing in this model, its weights were saved
before training, or another layer drops it. Then the base is scored under the tuned model's name.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from peft import PeftModel
from PIL import Image

from align.models.generation import Request, prepare, to_device
from align.models.loading import LoadedModel

PROBES = (
    "What color is the star?",
    "Is there a dog in the image?",
    "What happened before this picture was taken?",
    "Describe the image.",
)
_SMALLEST_CHANGE = 1e-6
"""Relative to the largest logit. The same weights give exactly the same logits, in any dtype."""


class InactiveAdapterError(Exception):
    """The adapter does not change what the model computes."""


def require_active_adapter(loaded: LoadedModel) -> float:
    """Compare the next-token logits with and without the adapter on a few probes (gray gradient image).

    Returns the largest change of a logit, relative to the largest logit. Raises `InactiveAdapterError`
    if there is none, or if `loaded` has no adapter.
    """
    if not isinstance(loaded.model, PeftModel):
        raise InactiveAdapterError(f"{loaded.name}: no adapter is loaded")
    probes = [Request(question, probe_image()) for question in PROBES]
    change = 0.0
    prepared = prepare(loaded, probes)
    if prepared.errors:
        raise InactiveAdapterError(f"{loaded.name}: the probes cannot be processed: {prepared.errors}")
    for _, inputs, _ in prepared.batches:
        tuned = _logits(loaded, inputs)
        with loaded.model.disable_adapter():
            base = _logits(loaded, inputs)
        change = max(change, float((tuned - base).abs().max() / base.abs().max()))
    if not change > _SMALLEST_CHANGE:
        raise InactiveAdapterError(
            f"adapter {loaded.adapter!r} changes nothing in {loaded.name!r}: on {len(probes)} probes the "
            "logits with and without it are the same. It was saved untrained, or it belongs to another "
            "model: check `target_modules` and `base_model_name_or_path` in its adapter_config.json"
        )
    return change


@torch.inference_mode()
def _logits(loaded: LoadedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    logits: torch.Tensor = (
        loaded.model(**to_device(loaded, inputs)).logits[:, -1].float()
    )  # [B, V]; left-padded
    return logits


def probe_image() -> bytes:
    """Two crossed gradients, as PNG."""
    side = 96
    ramp = np.linspace(0, 255, side, dtype=np.uint8)
    pixels = np.stack(
        [np.broadcast_to(ramp, (side, side)), np.broadcast_to(ramp[:, None], (side, side))] * 2, -1
    )
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., :3].copy()).save(buffer, "PNG")
    return buffer.getvalue()
