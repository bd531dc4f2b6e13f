"""Asking a served model: attempts, waits and rate as its endpoint says, around one of Inspect's providers.

Inspect would try again without bound, count a rate limit like a fault and take no notice of how long the
server asks to be left alone; so its retries are off, and these are those of `align.calling.engine`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import re
import time
from typing import Any

from aiolimiter import AsyncLimiter
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelCall, ModelOutput
from inspect_ai.tool import ToolChoice, ToolInfo

from align.calling.asking import Trouble, trouble_of, without_hidden_retries
from align.calling.digests import request_seed
from align.calling.endpoint import Endpoint, EndpointError
from align.calling.engine import FAILURES_IN_A_ROW, LONGEST_BACKOFF, LONGEST_WAIT
from align.evaluation.response_cache import no_response
from align.evaluation.response_logprob import LOGPROB, TOKENS, response_logprob
from align.evaluation.wrapping import WrappedAPI, current_epoch

logger = logging.getLogger(__name__)

_BROKEN = re.compile("[\ud800-\udfff]|\ufffd(?!$)")
"""Half a character, which no UTF-8 file can hold, or one that the server lost; the last of a text that
`max_tokens` cut may be half a character in all honesty."""

Result = ModelOutput | tuple[ModelOutput | Exception, ModelCall]


class EndpointFailed(EndpointError):
    """No response came; the message says why. Not to be tried again within this run."""


class ServedAPI(WrappedAPI):
    """A provider that is asked as its endpoint says.

    - A call is tried `attempts` times, each for `timeout` seconds, with `backoff` between; a rate limit is
      waited out (600 s in all) and counts as none. No more than `requests_per_minute` go out, evenly spaced.
    - What is no response of the model (an error, a filter's complaint, a broken text) is never returned.
    - Once the endpoint refuses every call (a wrong key, an unknown model), or ten in a row had no answer
      before there was any, the rest fail at once with the reason.
    - A seed is made into one for each prompt and epoch, or repeats under one seed would all be the same.
    - The log-probabilities of the tokens are summed into the output's metadata: see `response_logprob`.
      Unless `quiet`, a warning says so if they were asked for and none came.
    """

    def __init__(self, model: Model, endpoint: Endpoint, *, quiet: bool = False) -> None:
        super().__init__(model.api)
        self.endpoint = endpoint
        self.requests = 0
        self._model = model
        self._down: str | None = None
        self._answered = False
        self._without_answer = 0
        self._not_before = 0.0
        self._limiter: tuple[asyncio.AbstractEventLoop, AsyncLimiter] | None = None
        self._told = quiet

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> Result:
        if config.seed is not None:
            config = config.model_copy(update={"seed": _own_seed(config.seed, input)})
        failures = waits = 0
        held_up = 0.0
        while True:
            await self._turn()
            try:
                result = await self._once(input, tools, tool_choice, config)
            except Trouble as trouble:
                if trouble.then == "stop":
                    self._down = (
                        f"the endpoint refuses every call ({trouble}): check its model, address and key"
                    )
                if trouble.then in ("stop", "never"):
                    raise self._failed(trouble) from trouble
                if trouble.then == "wait":
                    seconds = self._backoff(waits) if trouble.retry_after is None else trouble.retry_after
                    waits, held_up = waits + 1, held_up + seconds
                    if held_up > LONGEST_WAIT:
                        raise self._failed(trouble) from trouble
                    # The limit is the endpoint's, not this call's: nobody sends before it has passed.
                    self._not_before = max(self._not_before, time.monotonic() + seconds)
                    continue
                failures += 1
                if failures >= self.endpoint.attempts:
                    raise self._failed(trouble) from trouble
                wished = min(trouble.retry_after or 0.0, LONGEST_WAIT)
                await asyncio.sleep(max(self._backoff(failures - 1), wished))
            else:
                self._answered = True
                return result

    async def _once(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> Result:
        # Before each request: a provider that starts its own server makes its client with the first.
        without_hidden_retries(self._model)
        self.requests += 1
        try:
            async with asyncio.timeout(self.endpoint.timeout):
                result = await self.inner.generate(input, tools, tool_choice, config)
        except TimeoutError as error:
            raise Trouble(f"no answer within {self.endpoint.timeout:g} s", "again", billed=True) from error
        except Exception as error:  # whatever a provider raises: `trouble_of` tells it apart
            raise trouble_of(self._model, error) from error
        output = result[0] if isinstance(result, tuple) else result
        if isinstance(output, Exception):
            raise trouble_of(self._model, output) from output
        why = no_response(output)
        if why is not None:
            then = "never" if output.choices and output.stop_reason == "model_length" else "again"
            raise Trouble(why, then, billed=True, down=False)  # type: ignore[arg-type]
        if _BROKEN.search(output.completion):
            raise Trouble("a broken character: the endpoint's encoding is wrong", "again", billed=True)
        self._sum_logprobs(output, config)
        return result

    def _sum_logprobs(self, output: ModelOutput, config: GenerateConfig) -> None:
        if not config.logprobs:
            return
        logprob, tokens = response_logprob(output)
        if logprob is not None:
            output.metadata = (output.metadata or {}) | {LOGPROB: logprob, TOKENS: tokens}
        elif not self._told:
            self._told = True
            logger.warning("%s gives no log-probabilities: logprobs=true has no effect", self.endpoint.model)
        if config.top_logprobs is None:
            # A line for each token would make Inspect's log many times as large.
            for choice in output.choices:
                choice.logprobs = None

    def _failed(self, trouble: Trouble) -> EndpointFailed:
        if trouble.down and not self._answered:
            self._without_answer += 1
            if self._without_answer >= FAILURES_IN_A_ROW and self._down is None:
                self._down = f"{self._without_answer} calls in a row had no answer, the last: {trouble}"
        why = self._down or str(trouble)
        hint = " (logprobs=false does without)" if "logprobs" in why else ""
        return EndpointFailed(why + hint)

    async def _turn(self) -> None:
        """Wait until a request may be sent. Raises `EndpointFailed` once none would do better."""
        while True:
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            if self.endpoint.requests_per_minute is not None:
                await self._rate(self.endpoint.requests_per_minute).acquire()
            if self._down is not None:
                raise EndpointFailed(self._down)
            if time.monotonic() >= self._not_before:
                return

    def _rate(self, per_minute: float) -> AsyncLimiter:
        loop = asyncio.get_running_loop()
        if self._limiter is None or self._limiter[0] is not loop:
            # Evenly spaced: a bucket of a minute's requests lets twice as many through in its first minute.
            self._limiter = (loop, AsyncLimiter(1, 60 / per_minute))
        return self._limiter[1]

    def _backoff(self, tries: int) -> float:
        # Jitter, so that calls which failed together do not come back together.
        longest: float = min(LONGEST_BACKOFF, self.endpoint.backoff * 2.0**tries)
        return longest * random.uniform(0.5, 1.0)


def _own_seed(seed: int, messages: list[ChatMessage]) -> int:
    shown: list[Any] = [message.model_dump(mode="json", include={"role", "content"}) for message in messages]
    key = hashlib.sha256(repr((shown, current_epoch())).encode("utf-8", "surrogatepass")).hexdigest()
    return request_seed(seed, key, 0)
