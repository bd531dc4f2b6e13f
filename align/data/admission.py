"""Which texts may stand beside each other: no near-copies, and no opening beyond its share."""

from __future__ import annotations

from collections.abc import Mapping

from align.data.honest_checks import Complaint
from align.data.near_copies import NearCopies
from align.data.openings import WORDS, opening, within_bound


class Admission:
    """Asked again and again about texts of one kind, of which most stay the same."""

    def __init__(self, *, near_copy: float, opening_share: float, opening_words: int = WORDS) -> None:
        self._copies = NearCopies(near_copy)
        self._share, self._words = opening_share, opening_words

    def outside(self, texts: Mapping[str, str], total: int | None = None) -> dict[str, Complaint]:
        """Those that can't stand beside the earlier ones, and why; the rest can.

        `total` is what an opening's share is of; None: of what stays.
        """
        found = {
            id: Complaint(
                "near-copy",
                f'it nearly repeats another answer ({alike:.0%} alike): "{texts[other]}"; write it anew in '
                "other words, about what is special to this image",
            )
            for id, (other, alike) in self._copies.among(texts).items()
        }
        left = {id: text for id, text in texts.items() if id not in found}
        kept = within_bound(left, self._share, self._words, total)
        for id, text in left.items():
            if id not in kept:
                start = opening(text, self._words)
                message = f'too many answers begin with "{start}" already: begin in another way'
                found[id] = Complaint("opening", message)
        return found
