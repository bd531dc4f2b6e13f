"""An endpoint: which model is asked, where, how fast, and what it may cost."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from align.calling.call import Decoding

_SECRET = ("key", "token", "password", "secret", "authorization", "credential")


class EndpointError(Exception):
    """The endpoint cannot be used as it is described; the message says what to change."""


class _Settings(BaseModel):
    # A key that was put in the wrong place must not be repeated by the error that says so.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                name: OmegaConf.to_container(item, resolve=True) if OmegaConf.is_config(item) else item
                for name, item in value.items()
            }
        return value


class Price(_Settings):
    """Dollars a million tokens; null: unknown, so there is no estimate and no budget in dollars."""

    input: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _both_or_none(self) -> Price:
        if (self.input is None) != (self.output is None):
            raise ValueError("give both input and output, in dollars a million tokens, or neither")
        return self

    def dollars(self, input_tokens: int, output_tokens: int) -> float | None:
        if self.input is None or self.output is None:
            return None
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


class Budget(_Settings):
    """What all runs on one journal may take together; null: no bound."""

    dollars: float | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    calls: int | None = Field(default=None, ge=0)

    @property
    def bounded(self) -> bool:
        return (self.dollars, self.tokens, self.calls) != (None, None, None)


class Endpoint(_Settings):
    """A model behind one of Inspect's providers: `Endpoint(**cfg.endpoint)`, see configs/endpoint/*.yaml.

    `model` is Inspect's name of a model (`openai/gpt-4o`, `vllm/...`, `openai-api/<service>/<name>`); `args`
    are the provider's own. `key` is the name of the environment variable that holds the key, never the key.
    """

    model: str = Field(pattern=r"^[^/\s]+/\S+$")
    revision: str | None = None
    base_url: str | None = None
    key: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    max_connections: int = Field(default=8, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    timeout: float = Field(default=120.0, gt=0)
    attempts: int = Field(default=4, ge=1)
    backoff: float = Field(default=1.0, ge=0)
    structured: bool = False
    seeds: bool = True
    image_tokens: int | None = Field(default=None, ge=0)
    price: Price = Price()
    budget: Budget = Budget()

    @field_validator("args")
    @classmethod
    def _no_secret(cls, args: dict[str, Any]) -> dict[str, Any]:
        for name in _names(args):
            if any(word in name.lower() for word in _SECRET) and not name.lower().startswith("max_"):
                raise ValueError(
                    f"{name!r} looks like a secret, and model arguments are written to run.json: put it into "
                    "an environment variable and give that variable's name as endpoint.key"
                )
        return args

    @field_validator("key")
    @classmethod
    def _a_name(cls, key: str | None) -> str | None:
        if key is not None and not re.fullmatch(r"[A-Za-z_]\w*", key):
            raise ValueError("this is the name of the environment variable that holds the key, not the key")
        return key

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, base_url: str | None) -> str | None:
        if base_url is None:
            return None
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is no address: it must look like http://127.0.0.1:8000/v1")
        if parts.username or parts.password:
            raise ValueError("a user or password in base_url would be written to run.json: use endpoint.key")
        return base_url

    @model_validator(mode="after")
    def _a_budget_in_dollars_needs_a_price(self) -> Endpoint:
        if self.budget.dollars is not None and self.price.input is None:
            raise ValueError(
                "budget.dollars needs to know what a token costs: set endpoint.price.input and "
                "endpoint.price.output (dollars a million tokens), or bound tokens or calls"
            )
        return self

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]

    def digest(self, decoding: Decoding) -> str:
        """Of what decides the text of an answer, beside the prompt: model, revision, arguments, decoding.

        Not of `base_url`: a server that comes back on another port is the same model. The name of the service
        in `model`, or `revision`, tells apart two servers that give different weights one name.
        """
        known = {
            "model": self.model,
            "revision": self.revision,
            "args": self.args,
            "structured": self.structured,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "max_new_tokens": decoding.max_new_tokens,
        }
        return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def api_key(self) -> str | None:
        """The key, from the environment; null where the provider finds its own. Raises `EndpointError`."""
        if self.key is not None:
            value = os.environ.get(self.key)
            if not value:
                raise EndpointError(f"the environment variable {self.key} (endpoint.key) is not set")
            return value
        if self.base_url is not None and self.provider in ("openai-api", "vllm", "sglang"):
            service = self.model.split("/")[1] if self.provider == "openai-api" else self.provider
            # A server of one's own takes any key, but the client insists on one.
            if f"{service.upper().replace('-', '_')}_API_KEY" not in os.environ:
                return "local"
        return None


def _names(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [str(name) for name in value] + [name for item in value.values() for name in _names(item)]
    return [name for item in value for name in _names(item)] if isinstance(value, list | tuple) else []
