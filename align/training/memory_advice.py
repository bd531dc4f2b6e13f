"""Which setting to lower when a training step does not fit, and about what each would save.

The savings are differences of the audit's own estimate (`align.training.estimate`) for the longest rows, each
setting changed by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from align.data.audit_report import size
from align.models.quantization import is_quantized
from align.training.audit import Audit, Planned
from align.training.estimate import (
    NF4_BYTES,
    MemoryEstimate,
    ModelShape,
    RowTokens,
    StepPlan,
    estimate_memory,
    model_shape,
)

_WORTH_SAYING = 0.01  # of the estimate


class MemoryShortage(Exception):
    """A training step did not fit; the message says what to lower."""


@dataclass(frozen=True)
class Saving:
    """A change of settings and the bytes that the estimate falls by."""

    settings: str
    what: str
    saved: int


def savings(
    shape: ModelShape, plan: StepPlan, rows: Sequence[RowTokens], image_tokens: int, *, quantized: bool
) -> list[Saving]:
    """What each change would save, most first. `image_tokens`: of the longest row."""
    now = estimate_memory(shape, plan, rows).total
    longest = max(rows, key=lambda row: row.total)

    def less(estimate: MemoryEstimate) -> int:
        return now - estimate.total

    found = []
    if plan.batch > 1:
        half, twice = plan.batch // 2, -(-plan.batch * plan.accumulation // (plan.batch // 2))
        found.append(
            Saving(
                f"trainer.per_device_train_batch_size={half} trainer.gradient_accumulation_steps={twice}",
                "the same step in smaller batches",
                less(estimate_memory(shape, replace(plan, batch=half), rows)),
            )
        )
    if not plan.gradient_checkpointing:
        found.append(
            Saving(
                "trainer.gradient_checkpointing=true",
                "activations are computed again: about a fifth slower",
                less(estimate_memory(shape, replace(plan, gradient_checkpointing=True), rows)),
            )
        )
    if "8bit" not in plan.optimizer:
        found.append(
            Saving(
                "trainer.optim=adamw_bnb_8bit",
                "optimizer states in eight bits",
                less(estimate_memory(shape, replace(plan, optimizer="adamw_bnb_8bit"), rows)),
            )
        )
    if not shape.adapter:
        trained = estimate_memory(shape, plan, rows)
        found.append(
            Saving("lora=default", "an adapter instead of all weights", trained.gradients + trained.optimizer)
        )
    elif not quantized:
        stored = _bytes_of_a_weight(shape)
        copies = 2 if plan.activation_bytes == 2 and stored == 4 else 0
        found.append(
            Saving(
                "model.quantization=4bit",
                "the language model's weights in four bits (QLoRA)",
                int(shape.language_weights * (stored + copies - NF4_BYTES)),
            )
        )
    if image_tokens:
        smaller = [
            replace(
                row,
                prompt=max(0, row.prompt - (image_tokens // 2 if row.total == longest.total else 0)),
                patches=row.patches // 2,
            )
            for row in rows
        ]
        found.append(
            Saving(
                "model.max_pixels=...",
                f"half the pixels of the largest images, which take {image_tokens} of {longest.total} tokens",
                less(estimate_memory(shape, plan, smaller)),
            )
        )
    worth = [each for each in found if each.saved > _WORTH_SAYING * now]
    return sorted(worth, key=lambda each: -each.saved)


def advice(shape: ModelShape, plan: StepPlan, found: Audit, *, quantized: bool, said: str) -> str:
    """The message: what the step needs by the estimate, what there is, and what to lower."""
    rows = found.row_tokens
    images = max(found.lengths.images, default=0)
    lines = [
        "out of memory in a training step: " + said.strip().split(". ")[0],
        f"By the estimate the longest rows need "
        f"{size(estimate_memory(shape, plan, rows).total)}{_device_memory()}. What would lower it:",
    ]
    options = savings(shape, plan, rows, images, quantized=quantized)
    wide = max((len(option.settings) for option in options), default=0)
    lines += [
        f"  {option.settings:<{wide}}  saves about {size(option.saved)}: {option.what}" for option in options
    ]
    if not options:
        lines.append(
            "Several add up. Changed settings make another run: give them without resume=true, and another "
            "out=FOLDER"
        )
    return "\n".join(lines)


@contextmanager
def advised(planned: Planned, found: Audit) -> Iterator[None]:
    """Run what may not fit. Raises `MemoryShortage` in place of torch's error."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not found.row_tokens or not _is_shortage(error):
            raise
        network: nn.Module = planned.model
        message = advice(
            model_shape(network, planned.family),
            planned.step,
            found,
            quantized=is_quantized(network),
            said=str(error),
        )
        raise MemoryShortage(message) from error


def _is_shortage(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _bytes_of_a_weight(shape: ModelShape) -> int:
    """4 if most of the language model's weights can only be float32, else 2."""
    return 4 if shape.float32_parameters - shape.trainable_parameters > shape.language_weights // 2 else 2


def _device_memory() -> str:
    if not torch.cuda.is_available():
        return ""
    free, total = torch.cuda.mem_get_info()
    ours = torch.cuda.memory_reserved()
    others = max(0, total - free - ours)
    return (
        f" beside the CUDA context; the GPU has {size(total)}, of which other programs hold about "
        f"{size(others)}"
    )
