"""Does a judge say the same when it is asked again?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from align.records import Verdict

_FIELDS = ("refused", "rationality", "helpfulness", "correct")


def consistency(passes: Sequence[Sequence[Verdict]]) -> dict[str, dict[str, Any]]:
    """How far passes over the same responses agree, of every two passes and every response.

    Of each field that was given at all: `n` comparisons where both passes gave it, `same`: the share of equal
    ones (None for n = 0), `one_unscored`: comparisons where only one pass gave it; for marks also
    `within_one`, the share at most 1 apart, and `mean_difference`.
    """
    found: dict[str, dict[str, Any]] = {}
    for field in _FIELDS:
        values = [[getattr(verdict, field) for verdict in verdicts] for verdicts in passes]
        pairs = [(a, b) for x, y in combinations(values, 2) for a, b in zip(x, y, strict=True)]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        lone = sum((a is None) != (b is None) for a, b in pairs)
        if not both and not lone:
            continue
        found[field] = {"n": len(both), "same": _share(both, lambda a, b: a == b), "one_unscored": lone}
        if field in ("rationality", "helpfulness"):
            apart = [abs(a - b) for a, b in both]
            found[field]["within_one"] = _share(both, lambda a, b: abs(a - b) <= 1)
            found[field]["mean_difference"] = sum(apart) / len(apart) if apart else None
    return found


def _share(pairs: Sequence[tuple[Any, Any]], same: Callable[[Any, Any], bool]) -> float | None:
    return sum(same(a, b) for a, b in pairs) / len(pairs) if pairs else None
