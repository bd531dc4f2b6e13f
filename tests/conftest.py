"""Fixtures for all tests."""

import importlib.util
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest


def _load(name, place):
    # Test folders are no packages: under this name every test file can import it, wherever it lies.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_STAND_IN = _load("stand_in", "calling/stand_in.py")
_load("offline_run", "tracking/offline_run.py")


@pytest.fixture
def stand_in():
    """`server = stand_in(answer)`: an OpenAI-compatible server on loopback, closed with the test.

    `answer(request, n)` gives the text or a `Fault`; see tests/calling/stand_in.py.
    """
    with ExitStack() as stack:
        yield lambda *arguments, **named: stack.enter_context(_STAND_IN.StandIn(*arguments, **named))
