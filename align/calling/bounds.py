"""How much a call can take at most, before it is made.

Text: a token for each byte of UTF-8. The tokenizers of today's models work on bytes, or fall back to them, so
no text has more tokens than bytes; English has about a quarter. Pictures: `IMAGE_TOKENS`, or one token for
each 28 x 28 pixels where that is more; `endpoint.image_tokens` where it is given. Output: `max_new_tokens`.

Providers may count otherwise, above all pictures, so the bound is raised by what they say that a call took
(`Raised`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from align.calling.call import Call, Decoding, schema_text
from align.calling.endpoint import Endpoint
from align.calling.pictures import size

IMAGE_TOKENS = 3400
"""More than InternVL (13 tiles of 256), LLaVA-NeXT (2,880) and GPT-4o (85 + 8 tiles of 170) make of one."""
PATCH = 28
"""Qwen2-VL and later give a token to each patch of so many pixels a side, however many there are."""
TEMPLATE_TOKENS = 128
"""What a chat template adds: roles, a date, a system prompt of its own."""
_MARGIN = 1.1


@dataclass(frozen=True)
class Amount:
    """Requests and tokens."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    def __sub__(self, other: Amount) -> Amount:
        return Amount(
            self.calls - other.calls,
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
        )


@dataclass
class Raised:
    """By how much the bounds are raised, since a call took more: 1 as long as none did."""

    input: float = 1.0
    output: float = 1.0

    def learn(self, bound: Amount, taken: Amount) -> None:
        """`bound` as it was before it was raised."""
        most = self.apply(bound)
        if taken.input_tokens > most.input_tokens:
            self.input = taken.input_tokens / bound.input_tokens * _MARGIN
        if taken.output_tokens > most.output_tokens:
            self.output = taken.output_tokens / bound.output_tokens * _MARGIN

    def apply(self, bound: Amount) -> Amount:
        return Amount(
            bound.calls, ceil(bound.input_tokens * self.input), ceil(bound.output_tokens * self.output)
        )


def upper_bound(call: Call, endpoint: Endpoint, decoding: Decoding) -> Amount:
    """What one request for this call takes at most, before it is raised by what was seen."""
    text = call.text + (call.system or "")
    if call.schema is not None and endpoint.structured:
        text += schema_text(call.schema)
    tokens = TEMPLATE_TOKENS + len(text.encode())
    for path in call.images:
        if endpoint.image_tokens is not None:
            tokens += endpoint.image_tokens
        else:
            width, height = size(path)
            tokens += max(IMAGE_TOKENS, ceil(width / PATCH) * ceil(height / PATCH))
    return Amount(1, tokens, decoding.max_new_tokens)
