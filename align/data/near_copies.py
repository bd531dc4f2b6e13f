"""Which texts nearly repeat another one: Jaccard similarity of their three-word shingles.

Exact, and still fast for tens of thousands of texts: two sets with a Jaccard similarity of at least t share
an element among the first `n - ceil(t n) + 1` of each, in any fixed order (prefix filtering: Chaudhuri et al.
2006, Bayardo et al. 2007). With the rarest shingles first few pairs have to be compared.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping

WORDS = 3


def shingles(text: str, words: int = WORDS) -> frozenset[str]:
    """All runs of `words` words, in lower case and without punctuation; a shorter text is one run."""
    found = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.replace("’", "'").lower())
    if len(found) < words:
        return frozenset([" ".join(found)])
    return frozenset(" ".join(found[n : n + words]) for n in range(len(found) - words + 1))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: what two sets share over what either holds, in 0-1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def near_copies(texts: Mapping[str, str], threshold: float) -> dict[str, tuple[str, float]]:
    """The texts that are at least `threshold` similar to an earlier one that is no near-copy itself.

    Returns the key of each with the key of the most similar such text and the similarity.
    """
    return NearCopies(threshold).among(texts)


class NearCopies:
    """`near_copies` of a collection that grows: what is known of texts that stay is not found out again.

    Args:
        threshold: the similarity from which a text is a near-copy.

    Raises:
        ValueError: a threshold outside 0-1, or 0, at which every text repeats the first.
    """

    def __init__(self, threshold: float) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"near_copy is a similarity and must be above 0 and at most 1, not {threshold}")
        self.threshold = threshold
        self._texts: dict[str, str] = {}
        self._sets: dict[str, frozenset[str]] = {}
        self._holders: dict[str, dict[str, None]] = defaultdict(dict)
        self._like: dict[str, dict[str, float]] = defaultdict(dict)
        self._frequency: Counter[str] | None = None

    def among(self, texts: Mapping[str, str]) -> dict[str, tuple[str, float]]:
        """Make `texts` the collection, and return its near-copies; their order says which is earlier."""
        gone = [key for key, text in self._texts.items() if texts.get(key) != text]
        for key in gone:
            self._remove(key)
        new = [key for key in texts if key not in self._texts]
        for key in new:
            self._texts[key] = texts[key]
            self._sets[key] = shingles(texts[key])
        if self._frequency is None and new:
            # Any order will do as long as it stays; what the first texts share is what most of them will.
            self._frequency = Counter(shingle for key in new for shingle in self._sets[key])
        for key in new:
            self._add(key)
        copies: dict[str, tuple[str, float]] = {}
        kept: set[str] = set()
        for key in texts:
            found = [(alike, other) for other, alike in self._like.get(key, {}).items() if other in kept]
            if found:
                alike, other = max(found)
                copies[key] = (other, alike)
            else:
                kept.add(key)
        return copies

    def _prefix(self, key: str) -> list[str]:
        own, frequency = self._sets[key], self._frequency or Counter()
        ranked = sorted(own, key=lambda shingle: (frequency[shingle], shingle))
        return ranked[: len(own) - math.ceil(self.threshold * len(own) - 1e-9) + 1]

    def _add(self, key: str) -> None:
        own, prefix = self._sets[key], self._prefix(key)
        size, least = len(own), self.threshold
        for other in dict.fromkeys(other for shingle in prefix for other in self._holders[shingle]):
            if not least * size <= len(self._sets[other]) <= size / least:
                continue
            alike = similarity(own, self._sets[other])
            if alike >= least:
                self._like[key][other] = self._like[other][key] = alike
        for shingle in prefix:
            self._holders[shingle][key] = None

    def _remove(self, key: str) -> None:
        for shingle in self._prefix(key):
            del self._holders[shingle][key]
        for other in self._like.pop(key, {}):
            del self._like[other][key]
        del self._texts[key], self._sets[key]
