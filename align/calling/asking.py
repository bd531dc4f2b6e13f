"""One request, through Inspect's model API.

Inspect gives the providers; the attempts are ours. Its own retries (`max_retries`, without bound unless set)
and those of the clients below it (OpenAI's and Anthropic's: two, unasked) would send requests that no journal
and no budget knows of, so both are off, and each request is one `Model.generate`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from align.calling.call import Call, Decoding
from align.calling.endpoint import Endpoint, EndpointError
from align.calling.pictures import data_uri

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, Model

_RETRIES_ARE_KNOWN = ("align", "mockllm", "hf")
"""Providers without a client that could try again unseen."""
_NEVER_WAITED_FOR = 100_000
"""Inspect's own bound on connections is one for all endpoints with one key; the engine's workers are ours."""


@dataclass(frozen=True)
class Reply:
    """A text and what it took; null where the endpoint did not say."""

    text: str
    truncated: bool
    input_tokens: int | None
    output_tokens: int | None


class Trouble(Exception):
    """No text came. `then`: try `again`; `wait` and try again (a rate limit); `never` with this call; or
    `stop`, since no call would do better. `billed`: it may have been paid for all the same. `down`: the
    endpoint may be down, rather than this call a bad one."""

    def __init__(
        self,
        why: str,
        then: Literal["again", "wait", "never", "stop"],
        *,
        billed: bool,
        retry_after: float | None = None,
        down: bool | None = None,
    ) -> None:
        super().__init__(why)
        self.then, self.billed, self.retry_after = then, billed, retry_after
        self.down = then in ("again", "wait") if down is None else down


def open_model(endpoint: Endpoint) -> Model:
    """Inspect's model; the same one for the same endpoint in one process. Raises `EndpointError`."""
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    for client in ("httpx", "httpx2"):
        # A line for each request, at the level that Hydra logs, buries all else on the terminal.
        logging.getLogger(client).setLevel(logging.WARNING)
    key, args = endpoint.api_key(), dict(endpoint.args)
    if endpoint.provider == "vllm":
        # Or it would start its server within the first request, and in that request's time.
        args = {"lazy_init": False} | args
    try:
        model = get_model(endpoint.model, base_url=endpoint.base_url, api_key=key, **args)
    except (PrerequisiteError, ValueError, TypeError, ImportError) as error:
        # Inspect writes its messages for a console: [bold]...[/bold]
        why = re.sub(r"\[/?(bold|blue|red|italic)\]", "", str(error)).strip()
        raise EndpointError(f"endpoint.model={endpoint.model}: {why}") from error
    if not without_hidden_retries(model) and endpoint.budget.bounded:
        raise EndpointError(
            f"Inspect's provider {endpoint.provider!r} may try again out of sight of the budget. Ask the "
            "model at an OpenAI-compatible address (endpoint=openai_compatible), or leave the budget out"
        )
    return model


def without_hidden_retries(model: Model) -> bool:
    client = getattr(model.api, "client", None)
    if isinstance(getattr(client, "max_retries", None), int):
        client.max_retries = 0  # type: ignore[union-attr]
        return True
    return str(model).partition("/")[0] in _RETRIES_ARE_KNOWN


async def ask(model: Model, call: Call, endpoint: Endpoint, decoding: Decoding, seed: int | None) -> Reply:
    """Send one request. Raises `Trouble`."""
    # Again before each request: a provider that starts its own server makes its client with the first.
    without_hidden_retries(model)
    try:
        messages = _messages(call)
    except OSError as error:
        raise Trouble(f"a picture cannot be read: {error}", "never", billed=False) from error
    config = _config(call, endpoint, decoding, seed)
    try:
        async with asyncio.timeout(endpoint.timeout):
            output = await model.generate(messages, config=config)
    except TimeoutError as error:
        raise Trouble(f"no answer within {endpoint.timeout:g} s", "again", billed=True) from error
    except (
        Exception
    ) as error:  # whatever a provider raises: it is told apart below, and goes into the journal
        raise trouble_of(model, error) from error
    if output.error is not None:
        raise Trouble(_shown(model, output.error), "again", billed=True)
    if not output.choices:
        raise Trouble("an answer without choices", "again", billed=True)
    reason = output.stop_reason
    # The provider puts the endpoint's complaint where the text belongs.
    if reason == "content_filter":
        why = f"the endpoint's filter withheld the text: {_shown(model, output.completion)}"
        raise Trouble(why, "again", billed=True, down=False)
    if reason == "model_length":
        raise Trouble(f"too long for the model: {_shown(model, output.completion)}", "never", billed=False)
    usage = output.usage
    read = written = None
    if usage is not None and usage.input_tokens + usage.output_tokens + usage.total_tokens > 0:
        read = (
            usage.input_tokens + (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
        )
        written = usage.output_tokens
    return Reply(output.completion, reason == "max_tokens", read, written)


def _messages(call: Call) -> list[Any]:
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ContentImage, ContentText

    images = [ContentImage(image=data_uri(path)) for path in call.images]
    user = ChatMessageUser(content=[*images, ContentText(text=call.text)] if images else call.text)
    return [user] if call.system is None else [ChatMessageSystem(content=call.system), user]


def _config(call: Call, endpoint: Endpoint, decoding: Decoding, seed: int | None) -> GenerateConfig:
    from inspect_ai.model import GenerateConfig, ResponseSchema
    from inspect_ai.util import json_schema

    schema = None
    if call.schema is not None and endpoint.structured:
        form = json_schema(call.schema)
        # OpenAI's strict mode wants every property required.
        strict = set(form.required or ()) == set(form.properties or ()) or None
        schema = ResponseSchema(name=call.schema.__name__, json_schema=form, strict=strict)
    return GenerateConfig(
        max_retries=0,
        max_connections=_NEVER_WAITED_FOR,
        max_tokens=decoding.max_new_tokens,
        temperature=decoding.temperature,
        top_p=decoding.top_p,
        seed=seed,
        response_schema=schema,
    )


def trouble_of(model: Model, error: Exception) -> Trouble:
    from inspect_ai.model import RetryDecision
    from inspect_ai.model._model import ModelGenerateError  # not among what it exports
    from tenacity import RetryError

    cause: BaseException | None = error
    if isinstance(error, RetryError):
        cause = error.last_attempt.exception()
    elif isinstance(error, ModelGenerateError):
        cause = error.__cause__  # its own message repeats the whole request
    assert isinstance(cause, Exception)
    why = _shown(model, f"{type(cause).__name__}: {cause}")
    status = getattr(cause, "status_code", None)
    if status in (401, 402, 404, 405) or "insufficient_quota" in str(cause):
        return Trouble(why, "stop", billed=False)
    billed = not isinstance(status, int) and not _never_arrived(cause)
    decision = model.api.should_retry(cause)
    if isinstance(decision, RetryDecision) and decision.retry:
        then: Literal["wait", "again"] = "wait" if decision.kind == "rate_limit" else "again"
        return Trouble(why, then, billed=billed, retry_after=decision.retry_after)
    # Half a body, or bytes that are no UTF-8: the clients do not count these among what may pass; and some
    # providers give up at the first broken connection.
    passing = isinstance(cause, json.JSONDecodeError | UnicodeDecodeError | ConnectionError)
    if decision or passing or any(base.__name__ == "APIConnectionError" for base in type(cause).__mro__):
        return Trouble(why, "again", billed=billed)
    return Trouble(why, "never", billed=billed)


def _never_arrived(error: BaseException | None) -> bool:
    while error is not None:
        if type(error).__name__ in ("ConnectError", "ConnectTimeout"):
            return True
        error = error.__cause__
    return False


def _shown(model: Model, text: str, length: int = 500) -> str:
    """An endpoint's words, fit for a journal: one line, not too long, without the key."""
    key = model.api.api_key
    if key and len(key) > 5:
        text = text.replace(key, "<key>")
    text = " ".join(text.split())
    return text if len(text) <= length else text[:length] + " ..."
