"""Is the adapter that a server was asked for at work?

A server can lose an adapter in silence: it gives an unknown name to the base, or ignores what it has no
kernels for, as vLLM does with a vision tower's. Then the base is scored under the tuned model's name.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass

import httpx
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig, Model

from align.calling.asking import open_model
from align.calling.endpoint import Endpoint
from align.evaluation.adapted_parts import adapted_parts
from align.evaluation.adapter_check import PROBES, InactiveAdapterError, probe_image
from align.evaluation.response_logprob import response_logprob
from align.evaluation.served import Served, service_name
from align.evaluation.served_api import EndpointFailed, ServedAPI

_TOKENS = 24
_TIMES_NOISE = 5.0
"""A change counts if it is so many times what two answers of one model differ by: batches differ."""
_SMALLEST_CHANGE = 1e-4
"""In an answer's log-probability (nats)."""
_LISTING_TIMEOUT = 30.0


@dataclass(frozen=True)
class _Said:
    """The greedy answer to one probe, and its log-probability, None where the server gives none."""

    text: str
    logprob: float | None


def require_active_served_adapter(tuned: Endpoint, base: Endpoint, served: Served) -> float | None:
    """Ask the tuned model and its base the same probes, twice each, and compare the greedy answers.

    Returns the largest change of an answer's log-probability in nats, None if the texts alone showed that
    they differ. Raises `InactiveAdapterError` if they don't, and `EndpointFailed` if a probe has no answer.
    """
    name, of = service_name(tuned.model), service_name(base.model)
    _refuse_ignored_parts(served)
    _require_listed(tuned, [name, of])
    if tuned.model == base.model:
        raise InactiveAdapterError(
            f"served.adapter and served.base are both {name!r}: there is nothing to compare. Give the name "
            "that the adapter was served under (--lora-modules NAME=FOLDER)"
        )
    answers = asyncio.run(_ask_all(tuned, base))
    change = noise = 0.0
    compared = False
    for first, again, of_base, of_base_again in answers:
        # A model that disagrees with itself shows nothing.
        if first.text != again.text or of_base.text != of_base_again.text:
            continue
        if first.text != of_base.text:
            return None
        values = [said.logprob for said in (first, again, of_base, of_base_again)]
        if None not in values:
            a, b, c, d = (value for value in values if value is not None)
            compared = True
            noise = max(noise, abs(a - b), abs(c - d))
            change = max(change, abs(a - c))
    if not compared:
        raise InactiveAdapterError(
            f"{name!r} and {of!r} answer {len(answers)} probes with the same words, and the server gives no "
            "log-probabilities that would tell them apart: the adapter may be at work or not. Use a server "
            "that gives them (vLLM does), or take this one's word with served.check=false, which is recorded"
        )
    if change <= max(_SMALLEST_CHANGE, _TIMES_NOISE * noise):
        raise InactiveAdapterError(
            f"{name!r} answers {len(answers)} probes as {of!r} does: the same words, and log-probabilities "
            f"that differ by {change:.1e} at most, where two answers of one model differ by {noise:.1e}. The "
            "adapter is not at work. Start the server with it (vllm serve BASE --enable-lora "
            "--lora-modules NAME=FOLDER) and see whether its log says that weights are ignored; or merge it "
            "(recipes/merge.py) and serve the merged model. If it is meant to change so little, take the "
            "server's word with served.check=false, which is recorded"
        )
    return change


def _refuse_ignored_parts(served: Served) -> None:
    if served.folder is None or served.tower:
        return
    parts = adapted_parts(served.folder)
    ignored = {part: n for part, n in parts.items() if part in ("vision_tower", "projector")}
    if ignored:
        named = ", ".join(f"{n} modules of the {part}" for part, n in ignored.items())
        raise InactiveAdapterError(
            f"the adapter in {served.folder} changes {named}. vLLM ignores these with a warning, and the "
            "rest would be scored as if it were the whole. Merge the adapter (recipes/merge.py) and serve "
            "the merged model; or, if your vLLM has it for this family, start it with "
            "--enable-tower-connector-lora and say so with served.tower=true"
        )


def _require_listed(endpoint: Endpoint, names: list[str]) -> None:
    """Where the server lists its models, those that are asked must be among them."""
    if endpoint.base_url is None:
        return
    key = endpoint.api_key()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"{endpoint.base_url.rstrip('/')}/models"
    try:
        answer = httpx.get(address, headers=headers, timeout=_LISTING_TIMEOUT)
        listed = [str(card["id"]) for card in answer.json()["data"]] if answer.status_code == 200 else []
    except httpx.TransportError as error:
        raise EndpointFailed(f"{address}: {type(error).__name__}: {error}") from error
    except (ValueError, KeyError, TypeError):
        listed = []  # not every server has a list: the probes tell as well
    # SGLang's name of an adapter is BASE:NAME, and its list has the base alone.
    missing = [name for name in names if name not in listed and name.partition(":")[0] not in listed]
    if listed and missing:
        raise InactiveAdapterError(
            f"the server at {endpoint.base_url} has no model {', '.join(map(repr, missing))}: it lists "
            f"{', '.join(map(repr, listed))}. Set served.adapter and served.base to two of these"
        )


async def _ask_all(tuned: Endpoint, base: Endpoint) -> list[tuple[_Said, _Said, _Said, _Said]]:
    models = [_model(endpoint) for endpoint in (tuned, base)]
    image = f"data:image/png;base64,{base64.b64encode(probe_image()).decode()}"
    logprobs = await _gives_logprobs(models[0], image)
    answers = []
    for question in PROBES:
        # One at a time, so that a server has the same batch for each.
        said = [await _ask(model, question, image, logprobs) for model in models for _ in range(2)]
        answers.append((said[0], said[1], said[2], said[3]))
    return answers


async def _gives_logprobs(model: Model, image: str) -> bool:
    try:
        await _ask(model, PROBES[0], image, True)
    except EndpointFailed:
        # A server may refuse a parameter that it doesn't know; one that is down refuses the next call, too.
        return False
    return True


async def _ask(model: Model, question: str, image: str, logprobs: bool) -> _Said:
    message = ChatMessageUser(content=[ContentImage(image=image), ContentText(text=question)])
    config = GenerateConfig(
        max_tokens=_TOKENS, temperature=0.0, logprobs=logprobs or None, max_retries=0, max_connections=8
    )
    output = await model.generate([message], config=config)
    return _Said(output.completion, response_logprob(output)[0])


def _model(endpoint: Endpoint) -> Model:
    model = open_model(endpoint)
    return Model(ServedAPI(model, endpoint, quiet=True), model.config)
