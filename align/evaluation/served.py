"""A model behind an endpoint, as a benchmark asks it: an API, or a server with a base and its adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from align.calling.call import Decode
from align.calling.endpoint import Endpoint, EndpointError
from align.evaluation.subject import SubjectError, digest_of, label_of
from align.models.loading import adapter_folder
from align.run import content_digest

if TYPE_CHECKING:
    from inspect_ai.model import Model

    from align.evaluation.response_cache import ResponseCache

_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


class Served(BaseModel):
    """Which of a server's models is asked: configs/served/*.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str | None = None
    adapter: str | None = None
    folder: str | None = None
    tower: bool = False
    check: bool = True


class ServedSubject:
    """A served model and how it decodes. `base` is the endpoint of what it is compared with, if anything."""

    def __init__(
        self,
        endpoint: Endpoint,
        base: Endpoint | None,
        served: Served,
        decoding: Decode,
        seed: int,
        logprobs: bool,
    ) -> None:
        self.endpoint, self.base, self.served = endpoint, base, served
        self.decoding, self.logprobs = decoding, logprobs
        self.seed = seed if decoding.temperature and endpoint.seeds else None

    @property
    def label(self) -> str:
        if self.base is not None and self.served.adapter is not None:
            return label_of(service_name(self.base.model), self.served.adapter)
        return service_name(self.endpoint.model)

    @cached_property
    def digest(self) -> str:
        """Of what the endpoint was told to serve; its weights are the server's word.

        With `served.folder`, the adapter's content counts; `endpoint.revision` tells apart what a server
        gives under one name at two times.
        """
        return digest_of(
            {
                "model": self.endpoint.model,
                "base": None if self.base is None else self.base.model,
                "revision": self.endpoint.revision,
                "args": self.endpoint.args,
                "adapter": self.adapter_digest,
            }
        )

    @cached_property
    def adapter_digest(self) -> str | None:
        if self.served.folder is None:
            return None
        folder = adapter_folder(self.served.folder)
        return digest_of([content_digest(folder / name) for name in _ADAPTER_FILES])

    @property
    def max_connections(self) -> int:
        return self.endpoint.max_connections

    def describe(self) -> dict[str, Any]:
        return self._asked() | {"adapter_check": self.served.check if self.base is not None else None}

    def identity(self) -> dict[str, Any]:
        base = self.base or self.endpoint
        adapter = self.served.adapter if self.base is not None else None
        return {
            "name": service_name(base.model),
            "adapter": adapter,
            "digest": self.digest,
            "label": self.label,
        }

    def generate_config(self) -> dict[str, Any]:
        return {
            "max_tokens": self.decoding.max_new_tokens,
            "temperature": self.decoding.temperature,
            "top_p": self.decoding.top_p,
            "seed": self.seed,
            "logprobs": self.logprobs or None,
            "max_retries": 0,  # the attempts are ServedAPI's
        }

    def dollars(self, input_tokens: int, output_tokens: int) -> float | None:
        return self.endpoint.price.dollars(input_tokens, output_tokens)

    @contextmanager
    def open(self, cache: Path | ResponseCache) -> Iterator[Model]:
        from inspect_ai.model import Model

        from align.calling.asking import open_model
        from align.evaluation.response_cache import CachedAPI, opened
        from align.evaluation.served_api import ServedAPI
        from align.evaluation.served_check import require_active_served_adapter

        with opened(cache) as responses:
            # The adapter first: a server that Inspect starts is told of it at its start.
            model = open_model(self.endpoint)
            if self.base is not None and self.served.check:
                require_active_served_adapter(self.endpoint, self.base, self.served)
            # `open_model` gives one model to all who ask for the same: it stays as it is.
            api = CachedAPI(ServedAPI(model, self.endpoint), responses, self._asked())
            yield Model(api, model.config, model.model_args)

    def _asked(self) -> dict[str, Any]:
        """What decides a response."""
        return {
            "model": self.endpoint.model,
            "base": None if self.base is None else self.base.model,
            "revision": self.endpoint.revision,
            "args": self.endpoint.args,
            "adapter_digest": self.adapter_digest,
            "model_digest": self.digest,
            "tower": self.served.tower,
            "logprobs": self.logprobs,
            "max_new_tokens": self.decoding.max_new_tokens,
            "temperature": self.decoding.temperature,
            "top_p": self.decoding.top_p,
            "seed": self.seed,
        }


def read_served(settings: Mapping[str, Any] | None) -> Served:
    """The settings of configs/served/*.yaml. Raises `SubjectError`."""
    try:
        return Served(**(settings or {}))
    except ValidationError as error:
        raise SubjectError(f"served: {error}") from error


def served_subject(config: Mapping[str, Any], served: Served) -> ServedSubject:
    """See `align.evaluation.subject.make_subject`."""
    if config.get("adapter") is not None:
        raise SubjectError(
            f"adapter={config['adapter']} is loaded into a model in this process, and an endpoint serves its "
            "own: name the adapter as the server knows it (served.adapter=NAME), or leave out endpoint="
        )
    settings = dict(config["endpoint"])
    model, base = _names(settings.get("model"), settings.get("base_url"), served)
    try:
        endpoint = Endpoint(**settings | {"model": model})
    except ValidationError as error:
        raise EndpointError(f"endpoint: {error}") from error
    if base is not None and served.adapter is None:
        named = endpoint.model.partition(":")[2]
        folder = served.folder or (named if Path(named).is_dir() else None)
        served = served.model_copy(update={"adapter": named, "folder": folder})
    if endpoint.provider == "align":
        raise SubjectError(
            f"endpoint.model={model} runs in this process: leave out endpoint=, and name it with model="
        )
    if endpoint.budget.bounded:
        raise EndpointError(
            "endpoint.budget bounds the calls of a journal, and a benchmark has none: leave it out, and "
            "bound the questions instead (task.NAME.limit=100). What is answered is never asked twice"
        )
    return ServedSubject(
        endpoint,
        None if base is None else endpoint.model_copy(update={"model": base}),
        served,
        _decoding(config["decoding"]),
        config["decoding"]["seed"],
        bool(config.get("logprobs")),
    )


def _decoding(settings: Mapping[str, Any]) -> Decode:
    sampled = settings["temperature"] > 0
    if not sampled and settings["top_p"] < 1:
        raise SubjectError(
            f"decoding: top_p={settings['top_p']} does nothing at temperature 0: set a temperature or leave "
            "it 1"
        )
    try:
        return Decode(
            settings["max_new_tokens"], settings["temperature"], settings["top_p"] if sampled else None
        )
    except ValueError as error:
        raise SubjectError(f"decoding: {error}") from error


def _names(model: str | None, base_url: str | None, served: Served) -> tuple[str, str | None]:
    """Inspect's names of the model that is asked and, for an adapter, of its base."""
    model = None if model in (None, "???") else model
    if served.adapter is None and served.base is None:
        if model is None:
            raise SubjectError("endpoint.model is not set: PROVIDER/NAME (configs/endpoint/*.yaml)")
        if model.startswith("vllm/") and ":" in model:  # Inspect's own way to say an adapter
            return model, model.partition(":")[0]
        if served.folder is not None:
            raise SubjectError("served.folder is that of served.adapter, which is not set")
        return model, None
    if base_url is None:
        raise SubjectError(
            "served.* names the models of a running server: give endpoint.base_url. For a server that is "
            "started here, endpoint.model=vllm/OWNER/NAME:ADAPTER_FOLDER"
        )
    provider = (
        "vllm" if model is None else "/".join(model.split("/")[: 2 if model.startswith("openai-api/") else 1])
    )
    service = provider.removeprefix("openai-api/")
    # As a plain OpenAI-compatible server: Inspect's own provider keeps one address for each name of a base.
    asked = f"openai-api/{service}/"
    base = served.base or (None if model is None else model.removeprefix(provider).lstrip("/"))
    if served.adapter is None:
        if served.folder is not None:
            raise SubjectError("served.folder is that of served.adapter, which is not set")
        return asked + str(base), None
    if served.tower and served.folder is None:
        raise SubjectError("served.tower is about the adapter in served.folder, which is not set")
    if base is None and served.check:
        raise SubjectError(
            "served.base is not set: the adapter is compared with its base before a score. Name the base as "
            "the server knows it, or take the server's word with served.check=false"
        )
    return asked + served.adapter, None if base is None else asked + base


def service_name(model: str) -> str:
    """What the server knows a model by: its name without that of Inspect's provider."""
    parts = model.split("/")
    return "/".join(parts[2 if parts[0] == "openai-api" else 1 :])
