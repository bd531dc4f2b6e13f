"""How many rows of each kind and category training data has: ratios, turned into exact numbers."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import mean, median
from typing import Any, Protocol, TypeVar, get_args

from align.records import UNANSWERABLE, Category, PairKind

BEYOND = "beyond the ratio, the category weights or the total"
"""Why `choose` does not take a row that could have been taken."""


class _Row(Protocol):
    @property
    def question_id(self) -> str: ...
    @property
    def kind(self) -> PairKind: ...
    @property
    def category(self) -> Category | None: ...


RowT = TypeVar("RowT", bound=_Row)


@dataclass(frozen=True)
class Mix:
    """The composition that is wanted.

    Attributes:
        ratio: weight of each kind, for instance `{"refuse": 1, "answer": 2}`. The scarcest kind limits
            the number of rows, so the ratio is kept exactly (to a row); 0 leaves a kind out. `retain` rows
            are general preference data from a file; the paper's mix is `{"refuse": 1, "retain": 1}`.
        categories: weight of each category within the `refuse` rows. A category that has too few rows
            gives all it has, and the others fill its place. 0 leaves a category out.
        total: the number of rows at most; None takes as many as the ratio allows.
        per_question: rows at most for one question.
    """

    ratio: Mapping[str, float] = field(default_factory=lambda: {"refuse": 1.0, "answer": 1.0})
    categories: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(UNANSWERABLE, 1.0))
    total: int | None = None
    per_question: int = 1

    def __post_init__(self) -> None:
        for name, weights, known in (
            ("ratio", self.ratio, list(get_args(PairKind))),
            ("categories", self.categories, list(UNANSWERABLE)),
        ):
            unknown = sorted(set(weights) - set(known))
            if unknown:
                raise ValueError(f"{name} has no {', '.join(unknown)}: its keys are {', '.join(known)}")
            if any(weight < 0 or not math.isfinite(weight) for weight in weights.values()):
                raise ValueError(f"the weights of {name} must be 0 or more, not {dict(weights)}")
        if not any(self.ratio.values()):
            raise ValueError("ratio leaves every kind out: give one a weight above 0")
        if self.ratio.get("refuse") and not any(self.categories.values()):
            raise ValueError("categories leaves every category out: set ratio.refuse=0 if that is meant")
        if self.total is not None and self.total < 1:
            raise ValueError(f"total must be 1 or more, or null for all, not {self.total}")
        if self.per_question < 1:
            raise ValueError(f"per_question must be 1 or more, not {self.per_question}")


def apportion(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that sum to `total` in the ratio of the weights (largest remainders; ties by name)."""
    whole = sum(weights.values())
    if whole <= 0:
        raise ValueError("no weight is above 0")
    exact = {key: total * weight / whole for key, weight in weights.items()}
    counts = {key: math.floor(value + 1e-9) for key, value in exact.items()}
    by_remainder = sorted(weights, key=lambda key: (counts[key] - exact[key], key))
    for key in by_remainder[: total - sum(counts.values())]:
        counts[key] += 1
    return counts


def fill(total: int, weights: Mapping[str, float], available: Mapping[str, int]) -> dict[str, int]:
    """Like `apportion`, but nothing gives more than it has: what one lacks, the others take over."""
    counts = dict.fromkeys(weights, 0)
    left = min(total, sum(available.get(key, 0) for key, weight in weights.items() if weight > 0))
    while left:
        open_ = {k: w for k, w in weights.items() if w > 0 and counts[k] < available.get(k, 0)}
        for key, share in apportion(left, open_).items():
            taken = min(share, available[key] - counts[key])
            counts[key] += taken
            left -= taken
    return counts


def choose(
    rows: Sequence[RowT],
    mix: Mix,
    seed: int,
    twin_of: Mapping[str, str],
    hardness: Mapping[str, float] | None = None,
) -> tuple[list[RowT], list[str]]:
    """Choose rows so that they have the wanted composition, the same for the same seed.

    With `hardness` (by question id) the hardest questions of each kind and category are taken first, ties in
    the seeded order; a question without one comes last. The rows that come out are in the seeded order all
    the same: sorted by hardness they would teach one kind before the other.

    Among the `answer` rows those come first whose twin is among the chosen `refuse` rows, so that the
    two directions are taught on the same words or the same object wherever possible.

    Returns the rows in a seeded order, and what could not be kept, in sentences.

    Raises:
        ValueError: a kind with a weight above 0 has no row at all.
    """
    weights = {kind: weight for kind, weight in mix.ratio.items() if weight > 0}
    ranked = _spread(rows, seed, hardness or {})
    pools: dict[str, list[RowT]] = {kind: [row for row in ranked if row.kind == kind] for kind in weights}
    if "refuse" in pools:
        pools["refuse"] = [row for row in pools["refuse"] if mix.categories.get(row.category or "", 0) > 0]
    for kind, pool in pools.items():
        if not pool:
            raise ValueError(
                f"no `{kind}` row could be made, and ratio wants some: set ratio.{kind}=0 to do without"
            )
    whole = sum(weights.values())
    possible = min(math.floor(len(pools[kind]) * whole / weight + 1e-9) for kind, weight in weights.items())
    total = min(possible, mix.total or possible)
    # Rounding may ask the scarcest kind for one row more than it has.
    counts = {kind: min(n, len(pools[kind])) for kind, n in apportion(total, weights).items()}
    notes = []
    if mix.total is not None and sum(counts.values()) < mix.total:
        scarce = min(weights, key=lambda kind: len(pools[kind]) / weights[kind])
        notes.append(
            f"total={mix.total} cannot be reached at this ratio: only {sum(counts.values())} rows, "
            f"since there are {len(pools[scarce])} `{scarce}` rows"
        )
    chosen: list[RowT] = []
    if "refuse" in counts:
        available = {c: sum(row.category == c for row in pools["refuse"]) for c in mix.categories}
        wanted = apportion(counts["refuse"], {c: w for c, w in mix.categories.items() if w > 0})
        quota = fill(counts["refuse"], mix.categories, available)
        notes += [
            f"{category}: only {available[category]} `refuse` rows of the {n} that its weight asks for"
            for category, n in sorted(wanted.items())
            # With every row taken there is nothing to have taken instead.
            if available[category] < n and counts["refuse"] < len(pools["refuse"])
        ]
        for row in pools["refuse"]:
            if quota[row.category or ""] > 0:
                quota[row.category or ""] -= 1
                chosen.append(row)
    if "answer" in counts:
        taught = {row.question_id for row in chosen}
        twins_first = sorted(pools["answer"], key=lambda row: twin_of.get(row.question_id) not in taught)
        chosen += twins_first[: counts["answer"]]
    chosen += pools.get("retain", [])[: counts.get("retain", 0)]
    return sorted(chosen, key=lambda row: shuffled(seed + 1, row.question_id)), notes


def _spread(rows: Sequence[RowT], seed: int, hardness: Mapping[str, float]) -> list[RowT]:
    """Rows hardest first and in a seeded order, every question's first row before any question's second."""
    before: Counter[str] = Counter()
    keyed = []
    for row in rows:
        id_ = row.question_id
        keyed.append((before[id_], -hardness.get(id_, 0.0), shuffled(seed, id_), row))
        before[id_] += 1
    return [row for *_, row in sorted(keyed, key=lambda entry: entry[:3])]


@lru_cache(maxsize=1 << 18)  # a bound on the length of texts chooses among the same rows many times
def shuffled(seed: int, key: str) -> str:
    """A sort key that shuffles by content, so the order of the input does not matter."""
    return hashlib.sha256(f"{seed}\x1f{key}".encode()).hexdigest()


def rng_for(seed: int, *key: str) -> random.Random:
    """A generator of one row's own, so that other rows coming or going does not change it."""
    return random.Random("\x1f".join((str(seed), *key)))


def word_lengths(texts: Sequence[str]) -> dict[str, float]:
    """Mean, median, least and most words."""
    lengths = [len(text.split()) for text in texts]
    return {
        "mean": round(mean(lengths), 1),
        "median": median(lengths),
        "min": min(lengths),
        "max": max(lengths),
    }


def summary_of(
    rows: Sequence[RowT],
    sides: Mapping[str, str],
    twin_of: Mapping[str, str],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What came out: kinds, categories, twins, sources and word lengths of each side.

    `sides` maps the name of a text field to the field that says where it came from.
    """
    kinds = sorted({row.kind for row in rows})
    refused = {row.question_id for row in rows if row.kind == "refuse"}
    return {
        "rows": len(rows),
        "kinds": dict(sorted(Counter(row.kind for row in rows).items())),
        "categories": dict(sorted(Counter(row.category or "none" for row in rows).items())),
        "questions": len({row.question_id for row in rows}),
        "both_twins": sum(row.kind == "answer" and twin_of.get(row.question_id) in refused for row in rows),
        "words": {
            side: {kind: word_lengths([getattr(r, side) for r in rows if r.kind == kind]) for kind in kinds}
            for side in sides
        },
        "distinct_texts": {side: len({getattr(row, side) for row in rows}) for side in sides},
        "sources": {
            side: dict(sorted(Counter(getattr(row, source) for row in rows).items()))
            for side, source in sides.items()
        },
        "notes": list(notes),
    }
