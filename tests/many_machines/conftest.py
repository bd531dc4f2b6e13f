"""What tests of several machines need: programs without their imports' seconds, and machines."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _beside(folder: str, name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def warm() -> Iterator[object]:
    """Programs of data_prep/ that ask models behind endpoints, and import no torch."""
    programs = _beside("calling", "warm_programs")
    modules = [name for name in programs.MODULES if name != "torch"] + ["align.judging.model_judge"]
    with programs.WarmPrograms(modules=modules) as running:
        yield running
