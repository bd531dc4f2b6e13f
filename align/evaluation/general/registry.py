"""The benchmarks of general ability by name. A factory takes the settings of configs/task/NAME.yaml."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from align.evaluation.general.base import GeneralTask


def load_factory(name: str) -> Callable[..., GeneralTask]:
    """The factory of a benchmark; the module of one of ours is imported."""
    if name not in NAMES:  # added to BENCHMARKS by a user's own module (align/extensions.py)
        return BENCHMARKS[name]
    factory: Callable[..., GeneralTask] = getattr(import_module(f"align.evaluation.general.{name}"), name)
    return factory


def _lazy(name: str) -> Callable[..., GeneralTask]:
    """The factory of a module that is imported when the benchmark is asked for."""

    def make(**settings: Any) -> GeneralTask:
        return load_factory(name)(**settings)

    return make


NAMES = ("easy_vqa", "haloquest", "humblebench", "mm_upd", "mmbench", "mmmu", "pope", "vqav2_lite")
"""Each a module beside this one, with a factory of the same name."""

BENCHMARKS: dict[str, Callable[..., GeneralTask]] = {name: _lazy(name) for name in NAMES}
