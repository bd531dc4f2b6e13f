"""Does length tell chosen from rejected? Preference training learns it if so: measured, bounded by choice.

The measure is the AUC of the number of words as a classifier of chosen against rejected sides: the chance
that a chosen text, drawn at random from all, is longer than a rejected one drawn at random, ties counting
half. 0.5 is none; 1 says that every chosen text is longer than every rejected one. It looks at all pairs
together, not within pairs: what a model can learn from length alone is a threshold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from align.data.mix import shuffled
from align.records import PairKind

RESAMPLES = 1000
_STEPS = 40


class _Sides(Protocol):
    @property
    def question_id(self) -> str: ...
    @property
    def chosen(self) -> str: ...
    @property
    def rejected(self) -> str: ...
    @property
    def kind(self) -> PairKind: ...


S = TypeVar("S", bound=_Sides)


@dataclass(frozen=True)
class LengthBias:
    """Lengths in words. `low` and `high`: the AUC's 95 % interval, whole questions resampled."""

    pairs: int
    mean_difference: float  # chosen minus rejected
    chosen_longer: float  # share of pairs, 0-1; equal lengths count as not longer
    auc: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Bounded:
    """What a bound on the AUC cost."""

    bound: float
    auc_before: float
    auc_after: float
    rows_before: int
    rows_after: int
    set_aside: int  # pairs that could have been taken and were not

    def as_dict(self) -> dict[str, Any]:
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


def length_bias(pairs: Sequence[_Sides], seed: int = 0) -> LengthBias:
    """Measure pairs. Raises `ValueError` when there is none."""
    if not pairs:
        raise ValueError("no pairs: there is no length to compare")
    chosen, rejected = _words(pairs)
    _, question = np.unique([pair.question_id for pair in pairs], return_inverse=True)
    low, high = np.percentile(_resampled_auc(chosen, rejected, question, seed), [2.5, 97.5])
    return LengthBias(
        pairs=len(pairs),
        mean_difference=float(np.mean(chosen - rejected)),
        chosen_longer=float(np.mean(chosen > rejected)),
        auc=auc(chosen, rejected),
        low=float(low),
        high=float(high),
    )


def auc(chosen: NDArray[np.int64], rejected: NDArray[np.int64]) -> float:
    """The chance that a chosen text has more words than a rejected one, ties counting half.

    `chosen`, `rejected`: words of each pair's sides, [N].
    """
    top = int(max(chosen.max(), rejected.max())) + 1
    return float(_auc(np.bincount(chosen, minlength=top), np.bincount(rejected, minlength=top)))


def _auc(chosen: NDArray[Any], rejected: NDArray[Any]) -> NDArray[np.float64]:
    """The AUC from how many texts have each length, [..., L]."""
    shorter = np.cumsum(rejected, axis=-1) - rejected  # rejected texts with fewer words than each length
    won = (chosen * (shorter + rejected / 2)).sum(axis=-1)
    return won / (chosen.sum(axis=-1) * rejected.sum(axis=-1))


def _resampled_auc(
    chosen: NDArray[np.int64], rejected: NDArray[np.int64], question: NDArray[np.intp], seed: int
) -> NDArray[np.float64]:
    """The AUC of samples that draw whole questions with replacement, [RESAMPLES]."""
    rng = np.random.default_rng(seed)
    questions, top = int(question.max()) + 1, int(max(chosen.max(), rejected.max())) + 1
    ones = np.ones(len(chosen))
    by_length = [
        csr_array((ones, (question, words)), shape=(questions, top)).T for words in (chosen, rejected)
    ]
    found = []
    chunk = max(1, 2_000_000 // questions)  # bounds the memory
    for start in range(0, RESAMPLES, chunk):
        n = min(chunk, RESAMPLES - start)
        drawn = rng.integers(questions, size=(n, questions)) + questions * np.arange(n)[:, None]
        times = np.bincount(drawn.ravel(), minlength=n * questions).reshape(n, questions)
        found.append(_auc(*[(lengths @ times.T).T for lengths in by_length]))
    return np.concatenate(found)


def bounded_choice(
    candidates: Sequence[S], bound: float, choose: Callable[[Sequence[S]], list[S]], seed: int = 0
) -> tuple[list[S], list[S], Bounded]:
    """Choose pairs whose length AUC is within `bound` of both ends: from 1 - bound to bound.

    Candidates are set aside in the order of how much they add to the bias, the same share of each kind, and
    as few as it takes, while `choose` fills up from the others and keeps ratios as it always does; so where
    there are more candidates than the ratio has room for, the bound costs no rows.

    Returns:
        The pairs, the candidates that were set aside, and what the bound cost.

    Raises:
        ValueError: no choice is within the bound.
    """
    chosen, rejected = _words(candidates)
    row = {id(pair): index for index, pair in enumerate(candidates)}

    def auc_of(pairs: Sequence[S]) -> float:
        rows = [row[id(pair)] for pair in pairs]
        return auc(chosen[rows], rejected[rows])

    first = choose(candidates)
    before = auc_of(first)
    added = _bias(chosen, rejected, *_words(first), sign=1 if before > 0.5 else -1)
    ranked = _most_biased_first(candidates, added, seed)
    kinds = {pair.kind for pair in first}

    def attempt(aside: int) -> tuple[list[S], float] | None:
        gone = {id(pair) for pair in ranked[:aside]}
        left = [pair for pair in candidates if id(pair) not in gone]
        if {pair.kind for pair in left} < kinds:
            return None  # a kind would be gone, and with it the ratio
        taken = choose(left)
        return taken, auc_of(taken)

    low, found, nearest = 0, None, before
    for aside in sorted({round(step * (len(ranked) - 1) / _STEPS) for step in range(_STEPS + 1)}):
        result = attempt(aside)
        if result is None:
            break
        nearest = min(nearest, result[1], key=lambda value: abs(value - 0.5))
        if _within(result[1], bound):
            found = (aside, *result)
            break
        low = aside
    if found is None:
        raise ValueError(
            f"max_length_auc={bound} cannot be reached by choice of pairs: the AUC of length is {before:.3f} "
            f"and comes to {nearest:.3f} at best. Raise the bound, set length=closest, sample more responses "
            "a question, or have the answers written nearer to the responses' length"
        )
    high = found[0]
    while high - low > 1:
        middle = (low + high) // 2
        result = attempt(middle)
        if result is not None and _within(result[1], bound):
            high, found = middle, (middle, *result)
        else:
            low = middle
    aside, pairs, after = found
    return pairs, ranked[:aside], Bounded(bound, before, after, len(first), len(pairs), aside)


def _most_biased_first(candidates: Sequence[S], added: NDArray[np.float64], seed: int) -> list[S]:
    # Pairs of the same lengths add the same; which of them goes first is the seed's choice.
    order = sorted(
        range(len(candidates)),
        key=lambda i: (-added[i], shuffled(seed, f"{candidates[i].question_id}\x1f{candidates[i].rejected}")),
    )
    # A fixed ratio makes every kind as small as the scarcest, so each may as well lose its own most biased.
    of_kind = Counter(pair.kind for pair in candidates)
    before: Counter[PairKind] = Counter()
    share = {}
    for i in order:
        kind = candidates[i].kind
        share[i] = before[kind] / of_kind[kind]
        before[kind] += 1
    return [candidates[i] for i in sorted(order, key=lambda i: share[i])]


def _within(value: float, bound: float) -> bool:
    return 1 - bound <= value <= bound


def _bias(
    chosen: NDArray[np.int64],
    rejected: NDArray[np.int64],
    all_chosen: NDArray[np.int64],
    all_rejected: NDArray[np.int64],
    sign: int,
) -> NDArray[np.float64]:
    """What each pair adds to the AUC: its chosen against all rejected, its rejected against all chosen."""
    wins = _share_below(chosen, all_rejected)
    losses = 1 - _share_below(rejected, all_chosen)
    return sign * (wins + losses - 1)


def _share_below(values: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of `others` below each value, ties counting half."""
    ordered = np.sort(others)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (below + up_to) / (2 * len(ordered))


def _words(pairs: Sequence[_Sides]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words of the chosen and of the rejected sides, [N] each."""
    return (
        np.array([len(pair.chosen.split()) for pair in pairs], dtype=np.int64),
        np.array([len(pair.rejected.split()) for pair in pairs], dtype=np.int64),
    )
