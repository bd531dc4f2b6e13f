"""Does a prompt hold as many image placeholders as the vision side yields features?

A processor and a model that disagree (another patch size, another rule for tiles) make a run fail at the
first row of the shape that they disagree about.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from PIL import Image
from torch import nn
from transformers import ProcessorMixin

from align.models.loading import dtype_of
from align.models.special_tokens import adds_special_tokens


def process_prompt(
    processor: ProcessorMixin, prompt: str, pictures: Sequence[Image.Image]
) -> dict[str, torch.Tensor]:
    """The tensors of one prompt with its images before the words, as training spells it."""
    content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": prompt}]
    messages: Any = [{"role": "user", "content": content}]  # transformers' annotation has no parts
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    images = {"images": [list(pictures)]} if pictures else {}
    special = adds_special_tokens(processor, text)
    return dict(processor(text=[text], **images, add_special_tokens=special, return_tensors="pt"))


def mismatch(model: nn.Module, inputs: dict[str, torch.Tensor]) -> str | None:
    """What is wrong with the placeholders of a prompt with images, or None.

    Counted by the model's own `get_image_features`. A family without it, such as one whose text looks at the
    image by cross-attention, is run on the whole prompt instead, and what it raises is what is wrong.
    """
    bare: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    parameter = next(bare.parameters())
    moved = {
        name: value.to(parameter.device, dtype_of(bare) if value.is_floating_point() else None)
        for name, value in inputs.items()
    }
    encode = getattr(bare.base_model, "get_image_features", None)
    token = getattr(bare.config, "image_token_id", getattr(bare.config, "image_token_index", None))
    was_training = bare.training
    bare.eval()
    try:
        with torch.no_grad():
            if encode is None or token is None:
                bare(**moved, use_cache=False)
                return None
            wanted = set(inspect.signature(encode).parameters) - {"input_ids", "attention_mask"}
            features = _count(encode(**{k: v for k, v in moved.items() if k in wanted}))
    except (ValueError, RuntimeError, IndexError, KeyError) as error:
        # What modeling code raises for tensors that do not fit each other; the answer is the message.
        return f"the model cannot take its images: {type(error).__name__}: {error}"
    finally:
        bare.train(was_training)
    placeholders = int((inputs["input_ids"] == token).sum())
    if placeholders == features:
        return None
    return (
        f"{placeholders} image placeholders in the prompt, and the vision side yields {features} features: "
        "processor and model do not belong together, or the processor's image settings were changed"
    )


def _count(output: Any) -> int:
    """Feature vectors in the output of `get_image_features`: one tensor, or one for each image."""
    pooled = getattr(output, "pooler_output", output)
    tensors = [pooled] if isinstance(pooled, torch.Tensor) else list(pooled)
    return sum(tensor.numel() // tensor.shape[-1] for tensor in tensors)
