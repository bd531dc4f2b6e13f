"""How fast a run trains, between two of its log entries."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch


class Pace:
    """Rows a second and memory, from a trainer's log entries, without the time that probes took."""

    def __init__(self) -> None:
        self._since = (0.0, 0)  # (time, step) of the last entry

    def start(self, state: Any) -> None:
        """Count from here: at the beginning of training."""
        self._since = (time.monotonic(), state.global_step)

    def measure(self, args: Any, state: Any, logs: Mapping[str, Any]) -> dict[str, float]:
        """`rows_per_second` (of all processes) and `memory_gib` (the peak); empty between entries."""
        then, step = self._since
        then += float(logs.get("probe/seconds", 0.0))
        self._since = (then, step)
        if "loss" not in logs or state.global_step <= step:
            return {}
        now = time.monotonic()
        rows = (state.global_step - step) * args.train_batch_size * args.gradient_accumulation_steps
        self._since = (now, state.global_step)
        return {
            "rows_per_second": rows * args.world_size / (now - then),
            "memory_gib": peak_memory_mib(args.device) / 1024,
        }


def peak_memory_mib(device: torch.device | str) -> float:
    """The most memory that this process has held so far, in MiB: allocated on a CUDA device, else resident.

    The first counts tensors only, not what the allocator keeps in reserve; the second is all of the process.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / 2**20 if sys.platform == "darwin" else highest / 2**10  # bytes there, KiB elsewhere
