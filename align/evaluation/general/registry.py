"""The benchmarks of general ability by name. A factory takes the settings of configs/task/NAME.yaml."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import Signature, signature
from typing import Any

from align.evaluation.general.base import GeneralTask


class _Lazy:
    """The factory of a module beside this one that is imported when it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def _factory(self) -> Callable[..., GeneralTask]:
        module = import_module(f"align.evaluation.general.{self._name}")
        factory: Callable[..., GeneralTask] = getattr(module, self._name)
        return factory

    @property
    def __signature__(self) -> Signature:
        return signature(self._factory)

    def __call__(self, **settings: Any) -> GeneralTask:
        return self._factory(**settings)


NAMES = ("easy_vqa", "haloquest", "humblebench", "mm_upd", "mmbench", "mmmu", "pope", "vqav2_lite")
"""Each a module beside this one, with a factory of the same name."""

BENCHMARKS: dict[str, Callable[..., GeneralTask]] = {name: _Lazy(name) for name in NAMES}
