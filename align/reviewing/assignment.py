"""Who rates what, and in which order. All of it follows from the seed: nothing is stored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence


def own_order(keys: Collection[str], annotator: str, seed: int, purpose: str = "queue") -> list[str]:
    """The keys in an order of this annotator's own, so that tiredness falls on other items for each."""
    return sorted(keys, key=lambda key: _hash(seed, purpose, annotator, key))


def fixed_shares(
    keys: Collection[str], annotators: Sequence[str], overlap: int, seed: int
) -> dict[str, set[str]]:
    """Give each item to `overlap` of the named annotators, with loads that differ by one at most.

    Items in a seeded order go to those who have least so far; a hash breaks ties, so every pair of
    annotators comes to share about the same number of items, which agreement needs.

    Raises `ValueError` if there are fewer annotators than `overlap`, or a name comes twice.
    """
    if len(set(annotators)) != len(annotators):
        raise ValueError(f"annotators: a name comes twice in {list(annotators)}")
    if not 1 <= overlap <= len(annotators):
        raise ValueError(f"overlap={overlap}, but {len(annotators)} annotator(s) are named")
    shares: dict[str, set[str]] = {name: set() for name in annotators}
    for key in sorted(keys, key=lambda key: _hash(seed, "items", key)):
        least = sorted(annotators, key=lambda name: (len(shares[name]), _hash(seed, "team", key, name)))
        for name in least[:overlap]:
            shares[name].add(key)
    return shares


def second_pass(done: Collection[str], annotator: str, share: float, seed: int) -> tuple[str, ...]:
    """A seeded share of an annotator's own finished items, at least one, in an order of its own."""
    count = min(len(done), max(1, math.ceil(share * len(done))))
    drawn = own_order(done, annotator, seed, "draw")[:count]
    return tuple(own_order(drawn, annotator, seed, "second pass"))


def _hash(seed: int, *parts: str) -> str:
    return hashlib.sha256("\x1f".join((str(seed), *parts)).encode()).hexdigest()
