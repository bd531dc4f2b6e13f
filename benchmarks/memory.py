"""How much memory training takes, beside the model and its data."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import torch

_STATUS = Path("/proc/self/status")


class Memory:
    """Made when the model and the data are there; `used` tells what came on top of them.

    On CUDA, what PyTorch has allocated. On a CPU, the process's resident memory, whose peak the kernel keeps;
    its peak before now (imports, building) is forgotten. On systems that keep no such peak there is no
    figure.
    """

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.start = torch.cuda.memory_allocated()
        else:
            self.known = _STATUS.is_file()
            if self.known:
                Path("/proc/self/clear_refs").write_text("5")  # sets the peak to the present
            self.start = psutil.Process().memory_info().rss

    def used(self) -> dict[str, float | None]:
        """MiB at the start, and at the peak since then."""
        peak: float | None
        if self.cuda:
            peak = torch.cuda.max_memory_allocated()
        elif self.known:
            found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.M)
            peak = int(found[1]) * 1024 if found else None
        else:
            peak = None
        return {"start": self.start / 2**20, "peak": None if peak is None else peak / 2**20}
