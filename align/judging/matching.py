"""Does a free-form answer contain the gold answer?"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}
_ARTICLES = {"a", "an", "the"}
_NEGATIONS = {"not", "no", "never", "without", "neither", "nor"}
_YES = {"yes", "yeah", "yep", "correct", "true"}
_NO = {"no", "nope", "false"}


def normalise(text: str) -> list[str]:
    """Lower-case words without punctuation and articles, with number words as digits."""
    text = re.sub(r"n['’]t\b", " not", text.lower()).replace("cannot", "can not")
    words = re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+", re.sub(r"['’]s\b", "", text))
    return [_NUMBERS.get(word, word) for word in words if word not in _ARTICLES]


def matches(response: str, answers: Sequence[str]) -> bool:
    """True if one of the gold answers occurs in the response as whole words and isn't negated there.

    A gold `yes` or `no` must be the first word that says either: `Yes, there are no clouds` is a yes.
    """
    words = normalise(response)
    return any(_contains(words, normalise(answer)) for answer in answers)


def _contains(words: list[str], gold: list[str]) -> bool:
    if gold in (["yes"], ["no"]):
        said = next((word for word in words if word in _YES | _NO), None)
        return said is not None and (said in _YES) == (gold == ["yes"])
    width = len(gold)
    return width > 0 and any(
        words[start : start + width] == gold and not _NEGATIONS & set(words[max(0, start - 2) : start])
        for start in range(len(words) - width + 1)
    )
