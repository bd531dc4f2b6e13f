"""Where a step's time goes: by part of the model, and by operator."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from contenders import Case, Finished, build, clock, fill_reference
from torch.profiler import ProfilerActivity, profile
from transformers import Trainer, TrainerCallback

from align.models.families import family_of

GROUPS = (
    "vision tower",
    "projector",
    "language, reference",
    "language, policy",
    "head",
    "backward",
    "optimiser",
    "rest",
)


class Groups(TrainerCallback):
    """Seconds of each group over all steps but the first `warm_up`. A group that lies in another is taken out
    of it, as Qwen's projector lies in its vision tower."""

    def __init__(self, trainer: Trainer, device: str, *, warm_up: int, steps: int) -> None:
        self.device, self.warm_up, self.steps = device, warm_up, steps
        self.seconds: dict[str, float] = defaultdict(float)
        self.open: list[tuple[str, float, float]] = []  # group, start, seconds of groups within it
        self.done = 0
        bare: Any = trainer.model.get_base_model()  # type: ignore[union-attr]
        family = family_of(bare)
        for group, paths in (
            ("vision tower", family.vision_tower),
            ("projector", family.projector),
            ("language", family.language_model),
            ("head", family.head),
        ):
            for path in paths:
                module = bare.get_submodule(path)
                module.register_forward_pre_hook(lambda *_, group=group: self.enter(self._named(group)))
                module.register_forward_hook(lambda *_: self.leave())
        backward = trainer.accelerator.backward

        def timed(*args: Any, **kwargs: Any) -> None:
            with self.within("backward"):
                backward(*args, **kwargs)

        trainer.accelerator.backward = timed  # type: ignore[method-assign]

    @staticmethod
    def _named(group: str) -> str:
        if group != "language":
            return group
        return "language, policy" if torch.is_grad_enabled() else "language, reference"

    def enter(self, group: str) -> None:
        self.open.append((group, clock(self.device), 0.0))

    def leave(self) -> None:
        group, start, within = self.open.pop()
        took = clock(self.device) - start
        self.seconds[group] += took - within
        if self.open:
            outer, began, inner = self.open[-1]
            self.open[-1] = (outer, began, inner + took)

    @contextmanager
    def within(self, group: str) -> Iterator[None]:
        self.enter(group)
        try:
            yield
        finally:
            self.leave()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if self.done == self.warm_up:
            self.seconds.clear()
        if self.done == self.warm_up + self.steps:
            raise Finished
        self.enter("rest")

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.enter("optimiser")

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.leave()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.leave()
        self.done += 1


def profile_step(name: str, case: Case, *, steps: int, rows: int = 12) -> str:
    """A table of the parts of `name`'s step, a mean over `steps`, and one of the `rows` dearest operators."""
    with tempfile.TemporaryDirectory() as folder:
        trainer, _ = build(name, case, Path(folder))
        if name == "shared_cached":
            fill_reference(trainer)
        groups = Groups(trainer, case.device, warm_up=1, steps=steps)
        trainer.add_callback(groups)
        with suppress(Finished):
            trainer.train()
        mean = {group: groups.seconds[group] / steps for group in GROUPS}
        total = sum(mean.values())
        lines = [f"{name}, a step of {total:.3f} s", f"  {'part':<20}{'s':>8}{'share':>8}"]
        lines += [f"  {group:<20}{took:>8.3f}{took / total:>8.1%}" for group, took in mean.items()]

        on_cuda = case.device.startswith("cuda")
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if on_cuda else [])
        with profile(activities=activities) as profiler:
            groups.done, groups.warm_up, groups.steps = 0, 0, 1
            with suppress(Finished):
                trainer.train()
    order = "self_device_time_total" if on_cuda else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=order, row_limit=rows, max_name_column_width=45)
    return "\n".join([*lines, table])
