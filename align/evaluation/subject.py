"""The model that a benchmark asks: in this process, or behind an endpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from align.evaluation.adapted_parts import adapted_parts
from align.evaluation.generation_digest import generation_digest
from align.evaluation.processor_digest import processor_digest
from align.evaluation.response_cache import CachedAPI, ResponseCache, opened
from align.models.generation import Decoding
from align.models.loading import model_folder, reference_digest
from align.models.size import stored_parameters

if TYPE_CHECKING:
    from inspect_ai.model import Model


class SubjectError(ValueError):
    """The settings describe no model that can be asked; the message says what to change."""


class Subject(Protocol):
    """A model and how it decodes.

    `label` is its name in titles. `digest` changes with what decides its responses beside the decoding: the
    base's weights or revision, the adapter, the processor. `max_connections` are the requests to hold open.
    """

    @property
    def label(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def max_connections(self) -> int: ...

    def describe(self) -> dict[str, Any]:
        """Everything that can change a response, as JSON: two subjects are the same exactly when this is."""

    def identity(self) -> dict[str, Any]:
        """What results say of the model: `name`, `adapter`, `digest`, `label`.

        Of a local model also `parameters`, the number of its base's, None where it is not known.
        """

    def open(self, cache: Path | ResponseCache) -> AbstractContextManager[Model]:
        """Load the model or connect to it, check that its adapter is at work, and answer from the cache.

        Raises `InactiveAdapterError`, `ResponseCacheError`, and what loading or connecting raises.
        """

    def generate_config(self) -> dict[str, Any]:
        """How to decode, as arguments of `inspect_ai.eval`."""

    def dollars(self, input_tokens: int, output_tokens: int) -> float | None:
        """What so many tokens cost; None where no price is known."""


def make_subject(config: Mapping[str, Any]) -> Subject:
    """The subject of a benchmark configuration.

    Uses `model`, `adapter`, `endpoint`, `served`, `decoding`, `batch_size`, `device` and `logprobs` (null:
    those of a local model, which cost next to nothing, and none of a served one). Raises `SubjectError` for
    settings that don't fit together or decode, and `EndpointError` for an endpoint that cannot be used.
    """
    from align.evaluation.served import read_served, served_subject

    served = read_served(config.get("served"))
    if config.get("endpoint") is not None:
        return served_subject(config, served)
    if served != read_served(None):
        raise SubjectError(
            "served.* names the models of a server: choose it with endpoint= (configs/endpoint), or leave "
            "them out"
        )
    settings, logprobs = dict(config["model"]) | {"adapter": config.get("adapter")}, config.get("logprobs")
    try:
        decoding = Decoding(**config["decoding"])
    except ValueError as error:
        raise SubjectError(f"decoding: {error}") from error
    return LocalSubject(
        **settings,
        decoding=decoding,
        batch_size=config["batch_size"],
        device=config.get("device", "auto"),
        logprobs=True if logprobs is None else logprobs,
    )


def refuse_idle_settings(config: Mapping[str, Any], overrides: Sequence[str] | None) -> None:
    """Refuse settings of a local model that were given beside an endpoint, where they would do nothing.

    `overrides` are those of the command line: what stands in the configuration by itself is no wish. Raises
    `SubjectError`.
    """
    if config.get("endpoint") is None:
        return
    names = [override.lstrip("+").partition("=")[0] for override in overrides or ()]
    idle = [name for name in names if name in _OF_LOCAL_MODELS or name.startswith("model.")]
    if idle:
        raise SubjectError(
            f"{', '.join(dict.fromkeys(idle))}: of a model in this process, and endpoint= asks a served one. "
            "Leave it out; endpoint.model names the model, and endpoint.max_connections is how many requests "
            "are open at once"
        )


_OF_LOCAL_MODELS = ("model", "batch_size", "device")


@dataclass(frozen=True)
class LocalSubject:
    """A `transformers` model in this process, with or without a PEFT adapter."""

    name: str
    adapter: str | None
    decoding: Decoding
    batch_size: int
    device: str = "auto"
    logprobs: bool = True
    dtype: str = "auto"
    attn_implementation: str | None = None
    trust_remote_code: bool = False
    revision: str | None = None
    parts: Mapping[str, Sequence[str]] | None = None
    quantization: str | None = None
    max_pixels: int | None = None

    @property
    def label(self) -> str:
        return label_of(self.name, self.adapter)

    @cached_property
    def digest(self) -> str:
        weights = reference_digest(self.name, self.adapter, revision=self.revision)
        processor = processor_digest(self.name, revision=self.revision, with_code=self.trust_remote_code)
        return hashlib.sha256(f"{weights}{processor}".encode()).hexdigest()[:16]

    @property
    def max_connections(self) -> int:
        from align.evaluation.batching import WAITING_BATCHES

        return WAITING_BATCHES * self.batch_size

    def describe(self) -> dict[str, Any]:
        sampled = self.decoding.temperature > 0
        return {
            "model": self.name,
            "adapter": self.adapter,
            "adapter_parts": None if self.adapter is None else adapted_parts(self.adapter),
            "model_digest": self.digest,
            "generation_code": generation_digest(),
            "transformers": version("transformers"),
            "dtype": self.dtype,
            "attn_implementation": self.attn_implementation,
            "quantization": self.quantization,
            "max_pixels": self.max_pixels,
            "logprobs": self.logprobs,
            "max_new_tokens": self.decoding.max_new_tokens,
            "temperature": self.decoding.temperature,
            "top_p": self.decoding.top_p,
            "seed": self.decoding.seed if sampled else None,
        }

    def identity(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "adapter": self.adapter,
            "digest": self.digest,
            "label": self.label,
            "parameters": stored_parameters(model_folder(self.name, revision=self.revision)),
        }

    def generate_config(self) -> dict[str, Any]:
        sampled = self.decoding.temperature > 0
        return {
            "max_tokens": self.decoding.max_new_tokens,
            "temperature": self.decoding.temperature,
            "top_p": self.decoding.top_p if sampled else None,
            "seed": self.decoding.seed if sampled else None,
            "logprobs": self.logprobs or None,
        }

    def dollars(self, input_tokens: int, output_tokens: int) -> None:
        return None

    @contextmanager
    def open(self, cache: Path | ResponseCache) -> Iterator[Model]:
        import transformers
        from inspect_ai.model import get_model

        with opened(cache) as responses:
            transformers.utils.logging.disable_progress_bar()  # there is one bar already
            model = get_model(
                f"align/{self.name}",
                memoize=False,
                adapter=self.adapter,
                batch_size=self.batch_size,
                dtype=self.dtype,
                device=self.device,
                attn_implementation=self.attn_implementation,
                trust_remote_code=self.trust_remote_code,
                revision=self.revision,
                parts=self.parts,
                quantization=self.quantization,
                max_pixels=self.max_pixels,
            )
            # Where the weights were found does not matter, and two folders can hold the same.
            subject = {k: v for k, v in self.describe().items() if k not in ("model", "adapter")}
            model.api = CachedAPI(model.api, responses, subject)
            try:
                yield model
            finally:
                model.api.close()


def label_of(name: str, adapter: str | None) -> str:
    """A model's name in titles."""
    return name if adapter is None else f"{name} + {adapter}"


def digest_of(value: Any) -> str:
    """16 hex digits of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
