"""Making many calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from align.calling.call import Call, Decoding, Outcome
from align.calling.endpoint import Endpoint


@dataclass(frozen=True)
class CallReport:
    """What came of all calls, in their order; calls that were not made are in no outcome.

    `counts`: asked, cached, finished, failed, not_made, attempts. `tokens`: input and output of this
    journal's attempts. `stopped`: null, or why not all calls were made. `digest`: of model and decoding.
    """

    outcomes: dict[str, Outcome]
    counts: dict[str, int]
    tokens: dict[str, int]
    dollars: float | None
    stopped: str | None
    digest: str


@dataclass(frozen=True)
class Estimate:
    """An upper bound of what the calls that are not in the journal will take."""

    calls: int
    cached: int
    input_tokens: int
    output_tokens: int
    dollars: float | None


def run_calls(
    calls: Sequence[Call],
    endpoint: Endpoint,
    decoding: Decoding,
    journal: Path,
    *,
    accept: Callable[[Call, str], None] | None = None,
    whole: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CallReport:
    """Make the calls that the journal does not hold yet. Returns the outcomes of all."""
    raise NotImplementedError("comes within the hour")


def estimate_calls(
    calls: Sequence[Call], endpoint: Endpoint, decoding: Decoding, journal: Path, *, seed: int = 0
) -> Estimate:
    """What the calls that are not in the journal will take, as an upper bound."""
    raise NotImplementedError("comes within the hour")
