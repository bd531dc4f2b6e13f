"""What goes around one of Inspect's model providers."""

from __future__ import annotations

from typing import Any

from inspect_ai.model import ModelAPI
from inspect_ai.solver._task_state import sample_state  # where Inspect's own cache takes the epoch from


class WrappedAPI(ModelAPI):
    """A provider around another one, `inner`, that answers everything but `generate` as the inner one does.

    Inspect asks its providers for much more than text: how many requests to hold open, what may be tried
    again and how soon, which messages to merge, how to close. All that stays as it was.
    """

    def __init__(self, inner: ModelAPI) -> None:
        # Without ModelAPI's own: the names and keys are the inner provider's, and change with it.
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        """What the provider has beside `ModelAPI`: its client, its names, its registration with Inspect."""
        if name == "inner":  # a copy that has no attributes yet
            raise AttributeError(name)
        return getattr(self.inner, name)

    @property
    def qualified_model_name(self) -> str | None:  # type: ignore[override]
        return self.inner.qualified_model_name

    def connection_key(self) -> str:
        # Inspect puts the class of the provider before it, which here is the same for all of them.
        return f"{type(self.inner).__name__}:{self.inner.connection_key()}"


def _delegate(name: str) -> Any:
    def method(self: WrappedAPI, *arguments: Any, **named: Any) -> Any:
        return getattr(self.inner, name)(*arguments, **named)  # a coroutine where the inner one gives one

    method.__name__ = name
    return method


for _name, _value in vars(ModelAPI).items():
    if callable(_value) and not _name.startswith("_") and _name not in ("generate", *vars(WrappedAPI)):
        setattr(WrappedAPI, _name, _delegate(_name))


def current_epoch() -> int:
    """Which repeat of its sample is running, from 1."""
    state = sample_state()
    return 1 if state is None else state.epoch
