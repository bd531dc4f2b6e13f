"""What is known of GPUs from their makers, and when a plan fits one."""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT_GIB = 1.0
"""Of a process on a GPU beside its tensors: the CUDA context, and the libraries' workspaces."""
MARGIN = 1.15
"""What the estimate is multiplied by: its error as far as measured, and what the allocator wastes."""


@dataclass(frozen=True)
class Gpu:
    """`memory_gib`: what programs find; `flops`: dense bfloat16 products a second by the datasheet; `link`:
    bytes a second that it sends to the others of its machine, one way."""

    name: str
    memory_gib: float
    flops: float
    link: float


GPUS = (
    Gpu("RTX 4090 24 GB", 23.5, 165e12, 32e9),  # PCIe 4.0 x16; float32 accumulation
    Gpu("A100 40 GB", 39.4, 312e12, 300e9),  # NVLink 3: 600 GB/s both ways
    Gpu("A100 80 GB", 79.1, 312e12, 300e9),
    Gpu("H100 80 GB", 79.1, 989e12, 450e9),  # SXM; NVLink 4: 900 GB/s both ways
    Gpu("H200 141 GB", 139.7, 989e12, 450e9),
)


def find_gpu(name: str) -> Gpu:
    """The GPU whose name begins so. Raises `ValueError` for none, or for several of different speed."""
    found = [gpu for gpu in GPUS if gpu.name.lower().startswith(name.lower())]
    if len(found) != 1:
        raise ValueError(f"gpu={name!r}: choose one of {', '.join(gpu.name for gpu in GPUS)}")
    return found[0]


def need_gib(n_bytes: float) -> float:
    """What a GPU must have for an estimate of `n_bytes`."""
    return n_bytes * MARGIN / 2**30 + CONTEXT_GIB


def smallest(n_bytes: float) -> int | None:
    """The least memory in GB, as GPUs are sold, that an estimate fits in: 24, 40, 80 or 141; None for
    none."""
    sizes = {24: 23.5, 40: 39.4, 80: 79.1, 141: 139.7}
    return next((sold for sold, found in sizes.items() if need_gib(n_bytes) <= found), None)
