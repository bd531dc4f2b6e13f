"""What the calls to come will take, before the first is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from align.calling.bounds import Amount, upper_bound
from align.calling.call import Call, Decoding
from align.calling.digests import call_digest, run_digest
from align.calling.endpoint import Endpoint
from align.calling.journal import read_journal


@dataclass(frozen=True)
class Estimate:
    """An upper bound of what the calls that are not in the journal take, if each is made once.

    `cached` are in the journal. `usual` is the mean that a request of this journal took so far (input tokens,
    output tokens), null before the first. `dollars` is null where the endpoint has no price.
    """

    calls: int
    cached: int
    input_tokens: int
    output_tokens: int
    dollars: float | None
    usual: tuple[float, float] | None = None


def estimate_calls(
    calls: Sequence[Call], endpoint: Endpoint, decoding: Decoding, journal: Path, *, seed: int = 0
) -> Estimate:
    """Bound what `run_calls` with the same arguments would take. Sends nothing and writes nothing."""
    history = read_journal(journal)
    digest = run_digest(endpoint, decoding)
    bound, todo = Amount(), 0
    for call in calls:
        state = history.calls.get(call_digest(call, digest, seed))
        if state is None or state.text is None:
            bound += history.raised.apply(upper_bound(call, endpoint, decoding))
            todo += 1
    seen = history.answered
    return Estimate(
        calls=todo,
        cached=len(calls) - todo,
        input_tokens=bound.input_tokens,
        output_tokens=bound.output_tokens,
        dollars=endpoint.price.dollars(bound.input_tokens, bound.output_tokens),
        usual=(seen.input_tokens / seen.calls, seen.output_tokens / seen.calls) if seen.calls else None,
    )


def print_estimate(estimate: Estimate, endpoint: Endpoint) -> None:
    """Say it on the terminal, with the budget that bounds it."""
    lines = [
        f"{estimate.calls:,} call(s) to {endpoint.model}, {estimate.cached:,} more in the journal: "
        f"at most {estimate.input_tokens:,} input and {estimate.output_tokens:,} output tokens"
        + (f", ${estimate.dollars:,.2f}" if estimate.dollars is not None else " (no price is set)")
    ]
    if estimate.usual is not None and estimate.calls:
        read, written = (round(mean * estimate.calls) for mean in estimate.usual)
        dollars = endpoint.price.dollars(read, written)
        lines.append(
            f"at the mean of the requests so far: {read:,} input and {written:,} output tokens"
            + (f", ${dollars:,.2f}" if dollars is not None else "")
        )
    budget = endpoint.budget.model_dump(exclude_none=True)
    if budget:
        named = ", ".join(f"{name} {value:,}" for name, value in budget.items())
        lines.append(f"budget of all runs on this journal together: {named}")
    for line in lines:
        Console().print(line, markup=False, highlight=False, soft_wrap=True)
