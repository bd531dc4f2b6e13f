"""The benchmarks of general ability by name. A factory takes the settings of configs/task/NAME.yaml."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from align.evaluation.general.base import GeneralTask


def _lazy(module: str, factory: str) -> Callable[..., GeneralTask]:
    """The factory of a module that is imported when the benchmark is asked for."""

    def make(**settings: Any) -> GeneralTask:
        made: GeneralTask = getattr(import_module(f"align.evaluation.general.{module}"), factory)(**settings)
        return made

    return make


BENCHMARKS: dict[str, Callable[..., GeneralTask]] = {
    "easy_vqa": _lazy("easy_vqa", "easy_vqa"),
    "haloquest": _lazy("haloquest", "haloquest"),
    "humblebench": _lazy("humblebench", "humblebench"),
    "mm_upd": _lazy("mm_upd", "mm_upd"),
    "mmbench": _lazy("mmbench", "mmbench"),
    "mmmu": _lazy("mmmu", "mmmu"),
    "pope": _lazy("pope", "pope"),
    "vqav2_lite": _lazy("vqav2_lite", "vqav2_lite"),
}
