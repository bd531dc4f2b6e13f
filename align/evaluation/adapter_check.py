"""Is the adapter that was asked for at work?

An adapter can be lost in silence: its target modules match nothing in this model, its weights were saved
before training, or another layer drops it. Then the base is scored under the tuned model's name.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from PIL import Image

from align.models.families import Part, family_of, known_family
from align.models.generation import Request, prepare, to_device
from align.models.loading import LoadedModel

logger = logging.getLogger(__name__)

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


def warn_of_idle_parts(loaded: LoadedModel, parts: Mapping[str, Sequence[str]] | None = None) -> None:
    """Say which part of an adapter that is at work does nothing, such as a vision tower's that got lost.

    Says nothing of a family whose parts are not known.
    """
    if parts is None and known_family(str(loaded.model.config.model_type)) is None:
        return
    idle = [part for part, effect in adapter_effects(loaded, parts).items() if not effect > _SMALLEST_CHANGE]
    if idle:
        logger.warning(
            "adapter %r has weights for the %s of %r that change nothing: was it trained?",
            loaded.adapter,
            " and the ".join(part.replace("_", " ") for part in idle),
            loaded.name,
        )


def adapter_effects(
    loaded: LoadedModel, parts: Mapping[str, Sequence[str]] | None = None
) -> dict[Part, float]:
    """What each part of an adapter does: the largest change of a logit when that part alone is switched off.

    Relative to the largest logit, over the same probes; 0 for a part whose weights do nothing. `parts` are
    the module paths of a family that is not in the table. Raises `ValueError` for an unknown family.
    """
    family = family_of(loaded.model, parts)
    layers: dict[Part, list[Any]] = {}
    for name, module in loaded.model.named_modules():
        if isinstance(module, BaseTunerLayer):
            layers.setdefault(family.part_of(name), []).append(module)
    probes = prepare(loaded, [Request(question, probe_image()) for question in PROBES])
    whole = [_logits(loaded, inputs) for _, inputs, _ in probes.batches]
    effects: dict[Part, float] = {}
    for part, switched in sorted(layers.items()):
        with _off(switched):
            without = [_logits(loaded, inputs) for _, inputs, _ in probes.batches]
        changes = [float((a - b).abs().max() / a.abs().max()) for a, b in zip(whole, without, strict=True)]
        effects[part] = max(changes)
    return effects


@contextmanager
def _off(layers: Sequence[Any]) -> Iterator[None]:
    trainable = [[p for p in layer.parameters() if p.requires_grad] for layer in layers]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer, parameters in zip(layers, trainable, strict=True):
            layer.enable_adapters(True)
            # Switching on makes the adapter trainable, which it may not have been.
            layer.requires_grad_(False)
            for parameter in parameters:
                parameter.requires_grad_(True)


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
