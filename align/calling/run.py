"""Making many calls: at once, within the rate and the budget, with every answer in a journal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from align.calling.call import Call, Decoding, Outcome
from align.calling.digests import call_digest, run_digest
from align.calling.endpoint import Endpoint
from align.calling.engine import Accept, Engine
from align.calling.estimate import Estimate, estimate_calls, print_estimate
from align.calling.journal import Journal

__all__ = ["CallReport", "Estimate", "estimate_calls", "print_estimate", "run_calls"]


@dataclass(frozen=True)
class CallReport:
    """What came of all calls. `outcomes` are in the calls' order; a call that was not made has none.

    `counts`: `asked`, `cached` (from the journal), `finished` (in this run), `failed`, `not_made`, `requests`
    (sent in this run). `tokens` (`input`, `output`) and `dollars` are what all runs on this journal took.
    `stopped`: null, or a sentence on why not all calls were made, or the last ones failed, and how to go on.
    `digest`: of model and decoding.
    """

    outcomes: dict[str, Outcome]
    counts: dict[str, int]
    tokens: dict[str, int]
    dollars: float | None
    stopped: str | None
    digest: str
    interrupted: bool = False


def run_calls(
    calls: Sequence[Call],
    endpoint: Endpoint,
    decoding: Decoding,
    journal: Path,
    *,
    accept: Accept | None = None,
    whole: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CallReport:
    """Make the calls that the journal does not hold, and return the outcomes of all.

    A call whose text is in the journal is not made again: a run that was killed, started again, ends as one
    that was not. Calls that failed are tried again by the next run. Ctrl-C waits for what is in flight; a
    second one does not.

    Args:
        journal: a JSON Lines file, appended to; one job's own.
        accept: raises `Unusable` for a text that is of no use; it is asked of texts from the journal, too. An
            empty text, and one with a broken character in it, are unusable without it.
        whole: a text that was cut off at `max_new_tokens` is unusable.
        seed: the seeds that go into the requests are made from it and the calls' keys.
        progress: called with (done, all) after each call.

    Raises:
        ValueError: two calls with one key.
        EndpointError: the endpoint cannot be used as it is described.
        JournalBusy: another process writes this journal.
        DataError: the journal has an unreadable line.
        FileNotFoundError: a picture is not there.
    """
    double = [key for key, count in Counter(call.key for call in calls).items() if count > 1]
    if double:
        raise ValueError(f"several calls have the key {double[0]!r}: a key names one call")
    digest = run_digest(endpoint, decoding)
    named = [(call_digest(call, digest, seed), call) for call in calls]

    async def make(journal: Journal) -> Engine:
        engine = Engine(endpoint, decoding, journal, accept=accept, whole=whole, seed=seed, progress=progress)
        await engine.make(named)
        return engine

    with Journal(Path(journal)) as opened:
        engine = asyncio.run(make(opened))
        spent = opened.history.spent
    outcomes = {call.key: engine.outcomes[call.key] for call in calls if call.key in engine.outcomes}
    return CallReport(
        outcomes=outcomes,
        counts=(counts := _counts(outcomes, len(calls), engine.requests)),
        tokens={"input": spent.input_tokens, "output": spent.output_tokens},
        dollars=endpoint.price.dollars(spent.input_tokens, spent.output_tokens),
        stopped=_sentence(engine.stopped, counts, engine.interrupted),
        digest=digest,
        interrupted=engine.interrupted,
    )


def _counts(outcomes: dict[str, Outcome], asked: int, requests: int) -> dict[str, int]:
    cached = sum(outcome.cached for outcome in outcomes.values())
    failed = sum(outcome.text is None for outcome in outcomes.values())
    return {
        "asked": asked,
        "cached": cached,
        "finished": len(outcomes) - cached - failed,
        "failed": failed,
        "not_made": asked - len(outcomes),
        "requests": requests,
    }


def _sentence(why: str | None, counts: dict[str, int], interrupted: bool) -> str | None:
    if why is None:
        return None
    if counts["not_made"]:
        left = f"{counts['not_made']} call(s) not made"
    elif counts["failed"] and not interrupted:
        left = f"{counts['failed']} call(s) failed"  # the endpoint went down with the last ones
    else:
        return None  # what stopped the run came when all was done
    return f"{left}: {why.rstrip('.')}. What is finished is kept; the same command goes on from there."
