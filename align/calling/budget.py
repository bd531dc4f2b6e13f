"""A budget that holds while calls are in flight."""

from __future__ import annotations

import asyncio

from align.calling.bounds import Amount
from align.calling.endpoint import Budget, Price


class BudgetReached(Exception):
    """Nothing is in flight, and the next call may not fit. The message names the bound."""


class Ledger:
    """What was spent and what is in flight, at its upper bound; a call goes out only if it all fits."""

    def __init__(self, budget: Budget, price: Price, spent: Amount) -> None:
        self.budget, self.price, self.spent = budget, price, spent
        self.reserved = Amount()
        self._changed = asyncio.Event()

    async def reserve(self, bound: Amount) -> None:
        """Wait until `bound` fits beside what is in flight. Raises `BudgetReached`."""
        while (limit := self._limit_passed_by(bound)) is not None:
            # What is in flight is mostly less than its bound, so there may be room once it is settled.
            if self.reserved.calls == 0:
                raise BudgetReached(limit)
            await self._changed.wait()
        self.reserved += bound

    def settle(self, bound: Amount, taken: Amount) -> None:
        self.reserved -= bound
        self.spent += taken
        self._changed.set()
        self._changed = asyncio.Event()

    def _limit_passed_by(self, bound: Amount) -> str | None:
        total = self.spent + self.reserved + bound
        if self.budget.calls is not None and total.calls > self.budget.calls:
            return f"calls={self.budget.calls}"
        tokens = total.input_tokens + total.output_tokens
        if self.budget.tokens is not None and tokens > self.budget.tokens:
            return f"tokens={self.budget.tokens}"
        dollars = self.price.dollars(total.input_tokens, total.output_tokens)
        if self.budget.dollars is not None and (dollars is None or dollars > self.budget.dollars):
            return f"dollars={self.budget.dollars:g}"
        return None
