"""Self-BLEU (Zhu et al. 2018): how much each text repeats the others of its set. Lower is more diverse.

Each text's sentence BLEU against all the others as references, averaged. Tokens (13a, as WMT), smoothing and
score are sacrebleu's; only the counting is done here, once for all texts instead of once a text: what a
text's n-grams are clipped at is the most that any *other* text has of them, and for that the two highest
counts of each n-gram are enough. So 12,158 questions take seconds, and no sample has to be drawn.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence

SMOOTHING = ("exp", "floor", "add-k", "none")


def self_bleu(texts: Sequence[str], *, n: int = 4, smoothing: str = "exp") -> float | None:
    """Mean sentence BLEU of each text against all others, 0-100. None for fewer than two texts.

    It grows with the number of texts, as more references match more: compare sets of like size.

    Args:
        n: n-grams of 1 to `n` words. Where a text is shorter than `n`, those that it has (effective order).
        smoothing: sacrebleu's name of it; `exp` is its default (Chen and Cherry 2014, method 3).

    Raises:
        ValueError: an unknown smoothing, or an `n` below 1.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    if smoothing not in SMOOTHING:
        raise ValueError(f"self_bleu.smoothing must be one of {', '.join(SMOOTHING)}, not {smoothing!r}")
    if n < 1:
        raise ValueError(f"self_bleu.n must be 1 or more, not {n}")
    if len(texts) < 2:
        return None
    tokenize = Tokenizer13a()
    words = [tokenize(text.strip()).split() for text in texts]
    counts = [_ngrams(tokens, n) for tokens in words]
    highest = _two_highest(counts)
    lengths = sorted(len(tokens) for tokens in words)
    total = 0.0
    for number, (tokens, own) in enumerate(zip(words, counts, strict=True)):
        correct, possible = [0] * n, [0] * n
        for ngram, count in own.items():
            first, owner, second = highest[ngram]
            possible[len(ngram) - 1] += count
            correct[len(ngram) - 1] += min(count, second if owner == number else first)
        score = BLEU.compute_bleu(
            correct=correct,
            total=possible,
            sys_len=len(tokens),
            ref_len=_closest(lengths, len(tokens)),
            smooth_method=smoothing,
            effective_order=True,
            max_ngram_order=n,
        )
        total += score.score
    return total / len(texts)


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(tokens[start : start + width])
        for width in range(1, n + 1)
        for start in range(len(tokens) - width + 1)
    )


def _two_highest(
    counts: Sequence[Counter[tuple[str, ...]]],
) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """For each n-gram the highest count in a text, which text that is, and the highest in any other text."""
    highest: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for number, own in enumerate(counts):
        for ngram, count in own.items():
            first, owner, second = highest.get(ngram, (0, -1, 0))
            if count > first:
                highest[ngram] = (count, number, first)
            elif count > second:
                highest[ngram] = (first, owner, count)
    return highest


def _closest(lengths: Sequence[int], own: int) -> int:
    """The length next to `own` among the other texts', of two the shorter. `lengths`: all, sorted."""
    left = bisect.bisect_left(lengths, own)
    right = bisect.bisect_right(lengths, own)
    if right - left > 1:
        return own
    below = lengths[left - 1] if left else None
    above = lengths[right] if right < len(lengths) else None
    if below is None or above is None:
        return next(length for length in (below, above) if length is not None)
    return below if own - below <= above - own else above
