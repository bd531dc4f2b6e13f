"""p-values corrected for being some of many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

Method = Literal["holm", "bh"]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being one of many (Holm 1979), in the given order.

    Below 0.05: the chance that even one of all tests is wrong is below 5 %, however the tests depend on
    each other.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = floor
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that those below 0.05 hold at most 5 % false ones on average, in the given order.

    Benjamini and Hochberg (1995); holds for independent and positively dependent tests, as rates of one
    model on overlapping questions are. For many tests that are looked through, not for the one that decides.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i], reverse=True)
    adjusted = [0.0] * len(p_values)
    ceiling = 1.0
    for place, i in enumerate(order):
        ceiling = min(ceiling, p_values[i] * len(p_values) / (len(p_values) - place))
        adjusted[i] = ceiling
    return adjusted


METHODS: Mapping[Method, Callable[[Sequence[float]], list[float]]] = {
    "holm": holm,
    "bh": benjamini_hochberg,
}


def add_corrected(results: Any, method: Method = "holm", *, p: str = "p", into: str | None = None) -> int:
    """Correct every p-value in nested results for their number, and say how many there are.

    `results` is dicts and lists in any depth. Beside each number under the key `p` its corrected value is
    written under `into` (`p_holm` or `p_bh` unless named). Null stands for no test, and stays uncorrected.
    Raises ValueError for a p-value that is not a number in 0-1, with its place.
    """
    found = list(_tests(results, p, ""))
    corrected = METHODS[method]([test[p] for test in found])
    for test, value in zip(found, corrected, strict=True):
        test[into or f"p_{method}"] = value
    return len(found)


def _tests(results: Any, key: str, place: str) -> Iterator[dict[str, Any]]:
    if isinstance(results, dict):
        value = results.get(key)
        if value is not None and not isinstance(value, dict | list):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"{place}{key} is {value!r}: a p-value is a number in 0-1")
            yield results
        for name, inner in results.items():
            yield from _tests(inner, key, f"{place}{name}.")
    elif isinstance(results, list):
        for i, inner in enumerate(results):
            yield from _tests(inner, key, f"{place}{i}.")
