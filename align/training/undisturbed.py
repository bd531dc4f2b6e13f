"""Run a model in the middle of training so that training does not notice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


@contextmanager
def undisturbed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put `model` in eval mode with its key-value cache on, and give everything back when the block ends.

    Given back: every module's own mode (parts of a model may be in eval mode on purpose), `use_cache` (off
    while gradient checkpointing trains) and the random states of torch, `device`, Python and NumPy. So
    training with such a block ends with the same weights as training without it.
    """
    modes = [(module, module.training) for module in model.modules()]
    caches = [(settings, settings.use_cache) for settings in _with_use_cache(model)]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that others draw from
    with ExitStack() as states:
        states.enter_context(torch.random.fork_rng([]))
        if device.type != "cpu":
            states.enter_context(torch.random.fork_rng([device], device_type=device.type))
        model.eval()
        for settings, _ in caches:
            settings.use_cache = True
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            for settings, use_cache in caches:
                settings.use_cache = use_cache
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _with_use_cache(model: Any) -> list[Any]:
    """The model's configurations that say whether keys and values are kept."""
    configs = [model.config, model.config.get_text_config(), model.generation_config]
    found: list[Any] = []
    for config in configs:
        if hasattr(config, "use_cache") and not any(config is other for other in found):
            found.append(config)
    return found
