"""Memory and time of a training on some number of GPUs.

Time is the longer of two that overlap: computing (`align.training.estimate.estimate_time`), and sending. What
each GPU sends and receives in a step of A accumulated batches, for W bytes of weights and G of gradients, N
GPUs:

- DDP: 2 G (N - 1) / N, once a step (arXiv 1910.02054, section 7, has the counts);
- ZeRO-2: gradients in every batch, G (N - 1) / N, and the trained weights once;
- ZeRO-3, FSDP: the weights twice a batch, forward and backward, and gradients as ZeRO-2.

Within a machine of eight the link is the GPU's own, beyond it `NETWORK`; of both `LINK_SHARE` is reached. The
reference's log-probs, made once, are counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from align.planning.gpus import Gpu, smallest
from align.training.estimate import (
    MemoryEstimate,
    ModelShape,
    RowTokens,
    Sharding,
    StepPlan,
    estimate_memory,
    estimate_time,
)

IN_A_MACHINE = 8
NETWORK = 50e9
"""Bytes a second between machines for each GPU: one network card of 400 Gbit/s."""
LINK_SHARE = 0.5
EFFICIENCY = 0.4
"""Share of the datasheet's products a second that a step reaches; an assumption, not measured here."""


@dataclass(frozen=True)
class Layout:
    """GPUs, and what is divided among them."""

    gpus: int
    sharding: Sharding

    @property
    def label(self) -> str:
        if self.gpus == 1:
            return "one"
        return {"none": "DDP", "zero2": "ZeRO-2", "zero3": "ZeRO-3", "fsdp": "FSDP2"}[self.sharding]


_SHARDINGS: tuple[Sharding, ...] = ("none", "zero2", "zero3")
LAYOUTS = (
    Layout(1, "none"),
    *(Layout(gpus, sharding) for gpus in (8, 64) for sharding in _SHARDINGS),
)


@dataclass(frozen=True)
class Plan:
    """A layout's figures. Seconds are of one pass over all rows."""

    layout: Layout
    memory: MemoryEstimate
    compute_seconds: float
    sending_seconds: float
    reference_seconds: float
    rows: int
    refused: str | None = None  # why training would refuse it

    @property
    def epoch_seconds(self) -> float:
        return max(self.compute_seconds, self.sending_seconds)

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.epoch_seconds

    @property
    def bound_by_sending(self) -> bool:
        return self.sending_seconds > self.compute_seconds

    @property
    def fits_gb(self) -> int | None:
        """The smallest GPU, by the GB that it is sold with."""
        return smallest(self.memory.total)


def make_plan(
    shape: ModelShape,
    step: StepPlan,
    rows: Sequence[RowTokens],
    layout: Layout,
    gpu: Gpu,
    *,
    efficiency: float = EFFICIENCY,
    quantized: bool = False,
) -> Plan:
    """`rows` are those of the data, of which the longest decides memory; `step` is one GPU's batch."""
    step = replace(step, processes=layout.gpus, sharding=layout.sharding)
    time = estimate_time(shape, step, rows, flop_rate=gpu.flops, efficiency=efficiency)
    link = (gpu.link if layout.gpus <= IN_A_MACHINE else min(gpu.link, NETWORK)) * LINK_SHARE
    batches = -(-len(rows) // (step.batch * layout.gpus))
    return Plan(
        layout=layout,
        memory=estimate_memory(shape, step, rows),
        compute_seconds=time.epoch_seconds,
        sending_seconds=_sent_a_batch(shape, step) * batches / link,
        reference_seconds=time.reference_seconds,
        rows=len(rows),
        refused=_refusal(shape, step, quantized),
    )


def _sent_a_batch(shape: ModelShape, step: StepPlan) -> float:
    """Bytes that a GPU sends in one batch, shared out over accumulated ones where it sends once a step."""
    n = step.processes
    if n == 1:
        return 0.0
    others = (n - 1) / n
    if step.sharding == "none":
        return 2 * shape.trainable_bytes * others / step.accumulation
    trained = shape.trainable_parameters * step.activation_bytes * others
    if step.sharding == "zero2":
        return trained + trained / step.accumulation
    return 2 * shape.weight_bytes * others + trained


def _refusal(shape: ModelShape, step: StepPlan, quantized: bool) -> str | None:
    sharded = step.sharding in ("zero3", "fsdp")
    if sharded and quantized:
        return "quantised weights are not sharded"
    if sharded and not shape.adapter and step.needs_reference:
        return "no reference where all weights are trained and sharded"
    return None
