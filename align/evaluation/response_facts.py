"""What is known of a response beside its text: whether it was cut off, and the tokens that it took.

The facts go with a sample's score through Inspect's log, from the response cache as from the model. So those
of a run that was cut off and went on are those of all its responses, whichever part of it asked them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from align.evaluation.general.figures import rates

if TYPE_CHECKING:
    from inspect_ai.model import ModelOutput

MANY = 0.05
"""A share of truncated responses above this is worth a note: what was cut off may have been the answer."""


@dataclass(frozen=True)
class Facts:
    """Of one response. `truncated`: it ended at the limit of tokens; None: the server does not say so.

    The tokens are None where the server does not say them; `input_tokens` includes those that it had cached.
    """

    truncated: bool | None
    input_tokens: int | None
    output_tokens: int | None


def facts_of(output: ModelOutput) -> dict[str, Any]:
    """The facts of a response as metadata of its score, which `read_facts` reads back."""
    reason = output.stop_reason if output.choices else "unknown"
    usage, read, written = output.usage, None, None
    if usage is not None and usage.input_tokens + usage.output_tokens + usage.total_tokens > 0:
        cached = (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
        read, written = usage.input_tokens + cached, usage.output_tokens
    return asdict(Facts(None if reason == "unknown" else reason == "max_tokens", read, written))


def read_facts(metadata: Mapping[str, Any]) -> Facts:
    """The facts in a score's metadata."""
    return Facts(metadata.get("truncated"), metadata.get("input_tokens"), metadata.get("output_tokens"))


def summarize_facts(
    facts: Sequence[Facts | None],
    clusters: Sequence[str],
    *,
    limit: int,
    dollars: Callable[[int, int], float | None],
) -> dict[str, Any]:
    """`responses` of results.json.

    Args:
        facts: of each row; None where there is no response.
        clusters: of each row, its image: what the interval resamples together.
        limit: the most tokens that a response could have.
        dollars: the price of input and output tokens, None where it is not known.

    Returns `truncated_rate` (`value`, 95 % `interval` and `n`: responses whose end is known), `n_truncated`,
    `max_new_tokens`, and `input_tokens`, `output_tokens` and `dollars` of all responses. These are what the
    responses took when they were asked, also where another run asked them and a shared cache has them;
    attempts that gave no response are not in them. They are left out where any response's are not known.
    """
    known = [fact is not None and fact.truncated is not None for fact in facts]
    cut = [bool(fact and fact.truncated) for fact in facts]
    summary: dict[str, Any] = {
        "truncated_rate": rates(clusters, {"truncated_rate": (cut, known)})["truncated_rate"],
        "n_truncated": sum(cut),
        "max_new_tokens": limit,
    }
    there = [fact for fact in facts if fact is not None]
    read = [fact.input_tokens for fact in there if fact.input_tokens is not None]
    written = [fact.output_tokens for fact in there if fact.output_tokens is not None]
    if len(read) == len(written) == len(there):
        summary |= {"input_tokens": sum(read), "output_tokens": sum(written)}
        price = dollars(sum(read), sum(written))
        summary |= {} if price is None else {"dollars": price}
    return summary


def truncation_note(responses: Mapping[str, Any] | None) -> str | None:
    """What to say where many responses were cut off, and which setting to raise; None where few were."""
    rate = ((responses or {}).get("truncated_rate") or {}).get("value")
    if responses is None or rate is None or rate <= MANY:
        return None
    return (
        f"{100 * rate:.1f} % of the responses were cut off at {responses['max_new_tokens']} tokens, and what "
        "was cut off is not graded: raise decoding.max_new_tokens"
    )
