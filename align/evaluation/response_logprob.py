"""How probable a response was under the model that gave it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inspect_ai.model import ModelOutput

LOGPROB = "logprob"
TOKENS = "logprob_tokens"
"""Keys of `ModelOutput.metadata`."""


def response_logprob(output: ModelOutput) -> tuple[float | None, int | None]:
    """(log-probability, tokens) of a response.

    The first is the sum over the generated tokens of the natural logarithm of their probability, null where
    it was not asked for or the server gives none; the second is how many tokens that sum is over, or, without
    it, how many were generated, as far as is known. A local model counts the end-of-sequence token where it
    was generated; a server counts what it lists.
    """
    metadata = output.metadata or {}
    if metadata.get(LOGPROB) is not None:
        return metadata[LOGPROB], metadata[TOKENS]
    listed = output.choices[0].logprobs if output.choices else None
    if listed is not None and listed.content:
        total = math.fsum(token.logprob for token in listed.content)
        if math.isfinite(total):
            # Rounding in a server can put a token a hair above probability 1.
            return min(total, 0.0), len(listed.content)
    usage = output.usage
    return None, usage.output_tokens if usage is not None and usage.output_tokens > 0 else None
