"""What decides a local model's response beside its files and settings: the code in between."""

from __future__ import annotations

from pathlib import Path

import align
from align.records import stable_id

FILES = (
    "evaluation/provider.py",
    "models/generation.py",
    "models/pixels.py",
    "models/quantization.py",
    "models/seeded_sampling.py",
    "models/special_tokens.py",
    "models/token_logprobs.py",
)
"""They spell the prompt, open and size the image, and choose and decode the tokens."""


def generation_digest() -> str:
    """16 hex digits that change with that code: a response of another version is not this one's."""
    package = Path(align.__file__).parent
    return stable_id(*((package / name).read_text(encoding="utf-8") for name in FILES))
