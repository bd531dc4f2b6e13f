"""What is asked and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import pydantic


@dataclass(frozen=True)
class Call:
    """One question to a model.

    `key` is the caller's name of it: unique in the job and the same in every run ("<question id>/0"). Calls
    that are otherwise alike, such as the samples of one question, are told apart by it, and their seeds are
    made from it.
    """

    key: str
    text: str
    images: tuple[Path, ...] = ()
    system: str | None = None
    schema: type[pydantic.BaseModel] | None = None
    """The form of the answer, asked for where the endpoint has structured output (`endpoint.structured`).
    The text that comes back is not checked against it: `accept` does that."""


@dataclass(frozen=True)
class Outcome:
    """What became of a call: exactly one of `text` and `error` is given.

    `attempts` are all requests that were sent for it, those of earlier runs included, and the tokens and
    `dollars` (null: the endpoint has no price) are what all of them took; where an endpoint did not say,
    their upper bound counts. `cached`: it was in the journal, so this run sent nothing. `truncated`: the
    text was cut off at `max_new_tokens`.
    """

    key: str
    text: str | None
    error: str | None
    attempts: int
    input_tokens: int
    output_tokens: int
    dollars: float | None
    cached: bool
    truncated: bool = False


@cache
def schema_text(schema: type[pydantic.BaseModel]) -> str:
    """The JSON schema of a form, as text."""
    return json.dumps(schema.model_json_schema(), sort_keys=True)


class Unusable(Exception):
    """A text came, but it is of no use; the message says why. The call is tried again."""


class Decoding(Protocol):
    """How to decode; `align.models.generation.Decoding` is one. Null: left to the endpoint."""

    @property
    def temperature(self) -> float | None: ...
    @property
    def top_p(self) -> float | None: ...
    @property
    def max_new_tokens(self) -> int: ...


@dataclass(frozen=True)
class Decode:
    """A `Decoding` that needs no torch. `temperature` and `top_p` null: left to the endpoint."""

    max_new_tokens: int
    temperature: float | None = 0.0
    top_p: float | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}: it must be at least 1")
        if self.temperature is not None and self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}: it must be 0 (greedy) or above")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: it must be above 0 and at most 1 (off)")
