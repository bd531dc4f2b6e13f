"""Log-probs of completions, without logits for any other token.

The language model's head is asked only for the positions that predict a completion token, some thousands
of logits at a time, so that no `[rows, tokens, vocabulary]` tensor ever exists. That happens inside the
head's own call: wrappers that gather its weights for a call (DeepSpeed, FSDP) go on working.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from align.training.attention import attention_mask, position_ids
from align.training.sequences import SequenceBatch, packed

LOGITS_AT_ONCE = 2**25  # 128 MiB in float32
_FLEX_BLOCK = 128


def completion_logps(
    model: Any, batch: SequenceBatch, *, bare: Any, shared: bool, pack: bool = False
) -> tuple[Tensor, Tensor]:
    """Summed log-probs and token counts of each completion, float32 `[C]` and long `[C]`.

    Args:
        model: what to call: the model, perhaps wrapped for several processes.
        bare: the `transformers` model inside it.
        shared: rows may hold several completions. If not, each holds at most one, and mask and positions are
            left to the model.
        pack: put all rows into one sequence without padding; for FlexAttention, which skips empty blocks.
    """
    inputs = batch.inputs
    if shared:
        positions = position_ids(batch, bare)
        if pack:
            kept = batch.attention_mask.bool()
            batch = packed(batch, multiple=_FLEX_BLOCK)
            flat = positions[..., kept]  # [T'] or [3, T']
            positions = nn.functional.pad(flat, (0, batch.input_ids.shape[1] - flat.shape[-1])).unsqueeze(-2)
            inputs = batch.inputs
        inputs = inputs | {"position_ids": positions, "attention_mask": attention_mask(batch, bare)}
    else:
        inputs = inputs | {"attention_mask": batch.attention_mask}
    with head_scores(bare, batch):
        logps = model(input_ids=batch.input_ids, use_cache=False, **inputs).logits  # [N]
    sums = torch.zeros(batch.completions, device=logps.device).index_add_(0, batch.owners, logps)
    return sums, torch.bincount(batch.owners, minlength=batch.completions)


@contextmanager
def head_scores(bare: Any, batch: SequenceBatch) -> Iterator[None]:
    """Let the model's head give the batch's log-probs `[N]` where it otherwise gives logits `[R, T, V]`."""
    head, text = bare.get_output_embeddings(), bare.config.get_text_config()
    cap = getattr(text, "final_logit_softcapping", None)
    size = max(1, LOGITS_AT_ONCE // text.vocab_size)
    logits_of = head.forward
    had = "forward" in vars(head)

    def forward(hidden: Tensor) -> Tensor:
        return token_logps(logits_of, hidden[batch.rows, batch.columns], batch.labels, size=size, cap=cap)

    head.forward = forward
    if cap is not None:  # the model would cap log-probs as if they were logits
        text.final_logit_softcapping = None
    try:
        yield
    finally:
        if cap is not None:
            text.final_logit_softcapping = cap
        if had:
            head.forward = logits_of
        else:
            del head.forward


def token_logps(
    logits_of: Callable[[Tensor], Tensor],
    hidden: Tensor,
    labels: Tensor,
    *,
    size: int,
    cap: float | None = None,
) -> Tensor:
    """Log-probs of `labels` `[N]` given `hidden` `[N, H]`, float32 `[N]`, for `size` tokens at a time.

    With more than one part, a part's logits are computed again in the backward pass instead of being kept.
    `cap`: logits are squashed to (-cap, cap), as Gemma 2 does.
    """

    def part(hidden: Tensor, labels: Tensor) -> Tensor:
        logits = logits_of(hidden).float()
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
        return -nn.functional.cross_entropy(logits, labels, reduction="none")

    if len(labels) <= size:
        return part(hidden, labels)
    parts = zip(hidden.split(size), labels.split(size), strict=True)
    return torch.cat([checkpoint(part, h, y, use_reentrant=False) for h, y in parts])


@contextmanager
def one_look(bare: Any) -> Iterator[None]:
    """Within this context the images of one batch are encoded once, without autograd.

    For a step that runs the same images several times (as policy and as reference) through a tower and
    projector that are frozen. Models without `get_image_features` encode them each time.
    """
    inner = bare.base_model
    encode = getattr(inner, "get_image_features", None)
    if encode is None:
        yield
        return
    features: list[Any] = []

    def look(*args: Any, **kwargs: Any) -> Any:
        if not features:
            with torch.no_grad():
                features.append(encode(*args, **kwargs))
        return features[0]

    inner.get_image_features = look
    try:
        yield
    finally:
        del inner.get_image_features
