"""How texts begin: the diversity of their openings, and a bound on the most frequent one.

Training on a few templates is what made the paper's SFT and ORPO models refuse without a reason: their
rationality fell to 3-4 of 10 (MoHoBench, Table 3). A template shows in the first words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

WORDS = 4
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_APOSTROPHE = re.compile(r"[’‘`´]")


def opening(text: str, words: int = WORDS) -> str:
    """The first words, in lower case and without punctuation: `I can't tell, but` -> `i can't tell but`."""
    found = _WORD.finditer(_APOSTROPHE.sub("'", text).lower())
    return " ".join(match[0] for match in islice(found, words))


def diversity(texts: Sequence[str], words: int = WORDS, most: int = 10) -> dict[str, Any]:
    """How varied the first `words` words of texts are.

    Returns:
        `texts`; `words`; `distinct` openings; `top_share`: the share of the most frequent one, in 0-1;
        `entropy_bits` of their distribution and `evenness`: that entropy over the one of openings that are
        all different, log2(texts), in 0-1; `most_frequent`: the first `most` with their counts.
    """
    counts = Counter(opening(text, words) for text in texts)
    total = len(texts)
    entropy = -sum(n / total * math.log2(n / total) for n in counts.values()) if total else 0.0
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "texts": total,
        "words": words,
        "distinct": len(counts),
        "top_share": round(ranked[0][1] / total, 4) if total else 0.0,
        "entropy_bits": round(entropy + 0.0, 3),
        "evenness": round(entropy / math.log2(total), 3) if total > 1 else 1.0,
        "most_frequent": dict(ranked[:most]),
    }


def allowed(total: int, share: float) -> int:
    """How many of `total` texts may begin alike: a share of them, and one at least."""
    if not 0 < share <= 1:
        raise ValueError(f"the share of an opening must be above 0 and at most 1, not {share}")
    return max(1, math.floor(total * share + 1e-9))


def overused(texts: Iterable[str], share: float, words: int = WORDS, most: int = 12) -> list[str]:
    """The openings that have reached half of what `share` allows, the most frequent first, at most `most`.

    An opening that stands once is never among them.
    """
    counts = Counter(opening(text, words) for text in texts)
    reached = max(2, math.ceil(allowed(sum(counts.values()), share) / 2))
    ranked = sorted(
        ((n, text) for text, n in counts.items() if n >= reached), key=lambda item: (-item[0], item[1])
    )
    return [text for _, text in ranked[:most]]


def within_bound(
    texts: Mapping[str, str], share: float, words: int = WORDS, total: int | None = None
) -> set[str]:
    """The keys of those texts that may stay so that no opening makes up more than `share` of `total`.

    Of those that begin alike the first ones stay, in the order of `texts`. Without `total` the share is of
    what stays: leaving texts out makes the whole smaller, so the bound is lowered until it holds for them.
    """
    begins = {key: opening(text, words) for key, text in texts.items()}
    whole = len(begins) if total is None else total
    while True:
        most, seen, kept = allowed(whole, share), Counter[str](), set()
        for key, start in begins.items():
            seen[start] += 1
            if seen[start] <= most:
                kept.add(key)
        if total is not None or len(kept) == whole or most == 1:
            return kept
        whole = len(kept)
