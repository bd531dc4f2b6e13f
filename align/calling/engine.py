"""The engine behind `run_calls`: workers that take calls in order and try each until it is settled."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiolimiter import AsyncLimiter

from align.calling.asking import Trouble, ask, open_model
from align.calling.bounds import Amount, upper_bound
from align.calling.budget import BudgetReached, Ledger
from align.calling.call import Call, Decoding, Outcome, Unusable
from align.calling.digests import request_seed
from align.calling.endpoint import Endpoint
from align.calling.journal import CallState, Journal

Accept = Callable[[Call, str], None]

FAILURES_IN_A_ROW = 10
"""So many calls without an answer, and none with one between them: it is the endpoint, not the calls. A call
that the endpoint itself calls bad counts only as long as there was no answer at all."""
LONGEST_WAIT = 600.0
"""Seconds that rate limits may hold up one call in all, before it counts as failed."""
LONGEST_BACKOFF = 60.0
_BROKEN = re.compile("[\ud800-\udfff\ufffd]")


class _Stopped(Exception):
    """No further request is to be sent."""


class Engine:
    """Makes calls until all are settled, or something stops it: then `stopped` says what.

    `outcomes` are by key, in the order in which they came.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        decoding: Decoding,
        journal: Journal,
        *,
        accept: Accept | None,
        whole: bool,
        seed: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.endpoint, self.decoding, self.journal, self.seed = endpoint, decoding, journal, seed
        self.accept, self.whole, self.progress = accept, whole, progress
        self.model = open_model(endpoint)
        self.ledger = Ledger(endpoint.budget, endpoint.price, journal.history.spent)
        # Evenly spaced: a bucket of a minute's requests lets twice as many through in its first minute.
        rate = endpoint.requests_per_minute
        self.limiter = AsyncLimiter(1, 60 / rate) if rate else None
        self.stopping = asyncio.Event()
        self.outcomes: dict[str, Outcome] = {}
        self.asked = self.requests = 0
        self.stopped: str | None = None
        self.interrupted = False
        self._without_answer, self._answered = 0, False
        self._not_before = 0.0

    # --- All calls -------------------------------------------------------------------------------------

    async def make(self, calls: Sequence[tuple[str, Call]]) -> None:
        """Settle all of `(digest, call)`, or stop."""
        self.asked = len(calls)
        todo = [(name, call) for name, call in calls if not self._in_journal(name, call)]
        # Those that failed before come last, or a few that can only fail would stop every run at its start.
        todo.sort(key=lambda entry: self.journal.history.state(entry[0]).why is not None)
        self._show_progress()
        with self._ctrl_c():
            while todo and self._bounds_are_untried() and not self.stopping.is_set():
                # The largest alone: what it takes says whether the bounds hold, before many go out on them.
                first = max(todo, key=lambda entry: self._bound(entry[1]).input_tokens)
                todo.remove(first)
                await self._work(iter([first]))
            queue = iter(todo)
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.endpoint.max_connections, len(todo))):
                        group.create_task(self._work(queue))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None

    def _bounds_are_untried(self) -> bool:
        return self.endpoint.budget.bounded and not self.journal.history.texts

    async def _work(self, queue: Iterator[tuple[str, Call]]) -> None:
        while not self.stopping.is_set() and (entry := next(queue, None)) is not None:
            try:
                await self._settle(*entry)
            except BudgetReached as reached:
                bound = str(reached).partition("=")[0]
                self.stop(f"the budget of {reached} is reached: raise endpoint.budget.{bound} to go on")
            except _Stopped:
                return

    def stop(self, why: str) -> None:
        """Send nothing more. The first reason is kept."""
        self.stopped = self.stopped or why
        self.stopping.set()

    # --- One call --------------------------------------------------------------------------------------

    async def _settle(self, name: str, call: Call) -> None:
        """Try until a text is accepted or the attempts are used up."""
        state = self.journal.history.state(name)
        waits, held_up = 0, 0.0
        trouble: Trouble | None = None
        while state.failures < self.endpoint.attempts:
            trouble = await self._attempt(name, call, state)
            if trouble is None:
                self._without_answer, self._answered = 0, True
                if self._accepted(name, call, state):
                    self._record(call, state)
                    return
            elif trouble.then == "stop":
                self.stop(f"the endpoint refuses every call ({trouble}): check its model, address and key")
                raise _Stopped
            elif trouble.then == "never":
                break
            elif trouble.then == "wait":
                seconds = self._backoff(waits) if trouble.retry_after is None else trouble.retry_after
                waits, held_up = waits + 1, held_up + seconds
                if held_up > LONGEST_WAIT:
                    break
                # The limit is the endpoint's, not this call's: nobody sends before it has passed.
                self._not_before = max(self._not_before, time.monotonic() + seconds)
            elif state.failures < self.endpoint.attempts:
                wished = min(trouble.retry_after or 0.0, LONGEST_WAIT)
                await self._sleep(max(self._backoff(state.failures - 1), wished))
        self.journal.write("gave_up", name, call.key, why=state.why)
        self._record(call, state)
        if trouble is not None and (trouble.down or not self._answered):
            self._without_answer += 1
            if self._without_answer >= FAILURES_IN_A_ROW:
                self.stop(f"{self._without_answer} calls in a row had no answer, the last: {trouble}")

    async def _attempt(self, name: str, call: Call, state: CallState) -> Trouble | None:
        """Send one request and write down what came; returns the trouble if it was no text."""
        base = self._bound(call)
        bound = self.journal.history.raised.apply(base)
        await self.ledger.reserve(bound)
        taken = bound
        try:
            await self._turn()
            attempt = state.sent + 1
            seed = None
            if self.endpoint.seeds and self.decoding.temperature != 0:
                seed = request_seed(self.seed, call.key, state.refused_texts)
            self.journal.write("sent", name, call.key, attempt=attempt, **_tokens(base))
            self.requests += 1
            try:
                reply = await ask(self.model, call, self.endpoint, self.decoding, seed)
            except Trouble as trouble:
                taken = bound if trouble.billed else Amount(1)
                self.journal.write(
                    "error",
                    name,
                    call.key,
                    attempt=attempt,
                    why=str(trouble),
                    counts=trouble.then != "wait",
                    **_tokens(taken),
                )
                return trouble
            taken = Amount(
                1,
                bound.input_tokens if reply.input_tokens is None else reply.input_tokens,
                bound.output_tokens if reply.output_tokens is None else reply.output_tokens,
            )
            self.journal.write(
                "text",
                name,
                call.key,
                attempt=attempt,
                text=reply.text,
                truncated=reply.truncated,
                **_tokens(taken),
            )
            return None
        except _Stopped:
            taken = Amount()
            raise
        finally:
            self.ledger.settle(bound, taken)

    def _accepted(self, name: str, call: Call, state: CallState) -> bool:
        assert state.text is not None
        why = self._refusal(call, state.text, state.truncated)
        if why is not None:
            self.journal.write("unusable", name, call.key, why=why)
        return why is None

    def _refusal(self, call: Call, text: str, truncated: bool) -> str | None:
        if not text.strip():
            return "an empty text"
        if _BROKEN.search(text):
            return "a broken character: the endpoint's encoding is wrong"
        if truncated and self.whole:
            return f"cut off at max_new_tokens={self.decoding.max_new_tokens}"
        if self.accept is not None:
            try:
                self.accept(call, text)
            except Unusable as error:
                return str(error) or "not accepted"
        return None

    def _in_journal(self, name: str, call: Call) -> bool:
        state = self.journal.history.calls.get(name)
        # The text passes the same gate as a new one: a check that was made stricter holds for it, too.
        if state is None or state.text is None or not self._accepted(name, call, state):
            return False
        self._record(call, state, cached=True)
        return True

    def _record(self, call: Call, state: CallState, cached: bool = False) -> None:
        self.outcomes[call.key] = Outcome(
            key=call.key,
            text=state.text,
            error=None if state.text is not None else state.why,
            attempts=state.sent,
            input_tokens=state.taken.input_tokens,
            output_tokens=state.taken.output_tokens,
            dollars=self.endpoint.price.dollars(state.taken.input_tokens, state.taken.output_tokens),
            cached=cached,
            truncated=state.text is not None and state.truncated,
        )
        if not cached:
            self._show_progress()

    def _show_progress(self) -> None:
        if self.progress is not None:
            self.progress(len(self.outcomes), self.asked)

    # --- When to send ----------------------------------------------------------------------------------

    def _bound(self, call: Call) -> Amount:
        return upper_bound(call, self.endpoint, self.decoding)

    async def _turn(self) -> None:
        """Wait until a request may be sent. Raises `_Stopped`."""
        while True:
            await self._sleep(self._not_before - time.monotonic())
            if self.limiter is not None:
                await self._unless_stopped(self.limiter.acquire())
            if self.stopping.is_set():
                raise _Stopped
            if time.monotonic() >= self._not_before:
                return

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self.stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _backoff(self, tries: int) -> float:
        # Jitter, so that calls which failed together do not come back together.
        longest: float = min(LONGEST_BACKOFF, self.endpoint.backoff * 2.0**tries)
        return longest * random.uniform(0.5, 1.0)

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            try:
                await asyncio.wait_for(self.stopping.wait(), seconds)
            except TimeoutError:
                return
        if self.stopping.is_set():
            raise _Stopped

    @contextmanager
    def _ctrl_c(self) -> Iterator[None]:
        """The first Ctrl-C waits for what is in flight, since it is paid for; the second does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def interrupted() -> None:
            if self.interrupted:
                task.cancel()
                return
            self.interrupted = True
            self.stop("interrupted")
            flying = self.ledger.reserved.calls
            print(f"\nwaiting for {flying} call(s) in flight; Ctrl-C again leaves them", file=sys.stderr)

        loop.add_signal_handler(signal.SIGINT, interrupted)
        try:
            yield
        except asyncio.CancelledError:
            if not self.interrupted:
                raise
        finally:
            loop.remove_signal_handler(signal.SIGINT)


def _tokens(amount: Amount) -> dict[str, int]:
    return {"in": amount.input_tokens, "out": amount.output_tokens}
