"""Which token sees which in a sequence with several completions, and where each token stands.

A token sees its prompt and its own completion, causally. Families differ in three things, and only there:
image tokens that see each other both ways (Gemma 3), prompts that do (PaliGemma), and windows (sliding
layers, by distance in a completion's own sequence). Positions are the prompt's, continued by each
completion: one number a token, or three in Qwen's families (M-RoPE).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from align.training.sequences import PADDING, PROMPT, SequenceBatch

_FIRST_POSITION = {"paligemma": 1}

Visible = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(row, query, key) indices, broadcast against each other -> bool."""

PROVEN = frozenset(
    {"llava", "llava_next", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "idefics3"}
    | {"smolvlm", "gemma3", "paligemma", "mllama"}
)
"""Families (`config.model_type`) whose log-probs and gradients tests hold against separate sequences. Another
family may see its images both ways, or count positions in a way of its own, without any sign of it."""
RECURRENT = ("linear_attention", "recurrent", "mamba", "conv")
"""Layer types whose state runs through a sequence, so that a second completion would go on from the first."""


def why_not_shared(model: Any) -> str | None:
    """Why a model's completions cannot share a sequence, or None if they can.

    `model` is the `transformers` model itself, without wrappers.
    """
    text = model.config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    if found := sorted(kind for kind in kinds if kind.startswith(RECURRENT)):
        return f"its {', '.join(found)} layers carry a state from token to token"
    if (used := text._attn_implementation) not in ("sdpa", "eager", "flex_attention"):
        return f"attn_implementation={used} takes no mask of blocks; sdpa, flex_attention and eager do"
    if unknown := sorted(kinds - {"full_attention", "sliding_attention"}):
        return f"its {', '.join(unknown)} layers need masks that are not known here"
    if (family := str(model.config.model_type)) not in PROVEN:
        return f"shared sequences have not been proven for the family {family}"
    return None


def position_ids(batch: SequenceBatch, model: Any) -> Tensor:
    """Positions `[R, T]`, or `[3, R, T]` for families with M-RoPE. `batch` is not packed yet."""
    inner = model.base_model
    if not hasattr(inner, "get_rope_index"):
        return batch.steps + _FIRST_POSITION.get(str(model.config.model_type), 0)
    known = {k: v for k, v in batch.inputs.items() if k in ("image_grid_thw", "mm_token_type_ids")}
    if "mm_token_type_ids" not in known:  # rows of text only
        known["mm_token_type_ids"] = torch.zeros_like(batch.input_ids)
    positions, _ = inner.get_rope_index(batch.input_ids, attention_mask=batch.attention_mask, **known)
    # A prompt's end is one less than its first completion's start; every completion starts there.
    prompt = batch.segments == PROMPT
    lengths = prompt.sum(1)  # [R]
    end = positions.masked_fill(~prompt, -1).amax(
        dim=(0, 2)
    )  # [R] text goes on after the largest of the three
    continued = end[:, None] + 1 + batch.steps - lengths[:, None]  # [R, T]
    return torch.where(batch.segments >= 0, continued[None], positions)


def attention_mask(batch: SequenceBatch, model: Any) -> Any:
    """What to pass as `attention_mask`: a mask `[R, 1, T, T]`, or one for each kind of layer.

    A bool tensor for SDPA, an additive one for eager attention, a `BlockMask` for FlexAttention.
    """
    text = model.config.get_text_config()
    how = text._attn_implementation
    window = getattr(text, "sliding_window", None)
    if not getattr(text, "use_sliding_window", True):
        window = None
    both_ways = _both_ways(batch, str(model.config.model_type))

    def mask(window: int | None) -> Tensor | BlockMask:
        return _as_mask(batch, _visible(batch, both_ways, window), how, compute_dtype(model))

    kinds = getattr(text, "layer_types", None)
    if kinds and "sliding_attention" in kinds:
        return {"full_attention": mask(None), "sliding_attention": mask(window)}
    # Without a list of kinds every layer has the window, if there is one.
    return mask(None if kinds else window)


def _visible(batch: SequenceBatch, both_ways: Tensor | None, window: int | None) -> Visible:
    documents, segments, steps = batch.documents, batch.segments, batch.steps

    def visible(row: Tensor, query: Tensor, key: Tensor) -> Tensor:
        of, seen = segments[row, query], segments[row, key]
        same = (documents[row, query] == documents[row, key]) & ((seen == PROMPT) | (seen == of))
        order = key <= query
        if both_ways is not None:
            block = both_ways[row, query]
            order = order | ((block >= 0) & (block == both_ways[row, key]))
        if window is not None:
            order = order & (steps[row, query] - steps[row, key] < window)
        # Padding sees itself: a row that sees nothing would be NaN.
        return (same & order & (of != PADDING)) | (key == query)

    return visible


def _as_mask(batch: SequenceBatch, visible: Visible, how: str, dtype: torch.dtype) -> Tensor | BlockMask:
    rows, width = batch.input_ids.shape
    device = batch.input_ids.device
    if how == "flex_attention":
        return create_block_mask(
            lambda row, head, query, key: visible(row, query, key), rows, None, width, width, device=device
        )
    index = torch.arange(width, device=device)
    row = torch.arange(rows, device=device)[:, None, None]
    seen = visible(row, index[None, :, None], index[None, None, :])[:, None]  # [R, 1, T, T]
    if how == "eager":
        return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill(~seen, torch.finfo(dtype).min)
    return seen


def _both_ways(batch: SequenceBatch, model_type: str) -> Tensor | None:
    """Blocks whose tokens see each other both ways: their number, or -1, `[R, T]`."""
    if model_type == "paligemma":  # the whole prompt
        return torch.where(batch.segments == PROMPT, batch.documents, -1)
    if model_type == "gemma3" and "token_type_ids" in batch.inputs:  # each image
        image = batch.inputs["token_type_ids"] == 1
        starts = image & ~torch.nn.functional.pad(image, (1, 0))[:, :-1]
        return torch.where(image, starts.long().cumsum(1), -1)
    return None


def compute_dtype(model: Any) -> torch.dtype:
    """What a forward pass computes in, here and now."""
    if torch.is_autocast_enabled(model.device.type):
        return torch.get_autocast_dtype(model.device.type)
    return next(p.dtype for p in model.parameters() if p.is_floating_point())
