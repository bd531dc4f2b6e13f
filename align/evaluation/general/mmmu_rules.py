"""MMMU's official rules for reading a response (`eval/eval_utils.py` of the authors), with their quirks.

Multiple choice: `(B)` anywhere, else ` B ` between spaces, else, in responses of more than five words, an
option's text as part of the response; of several the last one. Where nothing is found, a random option: "I
cannot determine the answer" is right once in four times. "A closer look shows ..." is an A.

Open questions: sentences are searched for key words (`is `, `answer `, `so `, ...) and what follows the last
of them is compared to the gold answers: a text counts where the gold is part of it, a number where it is
equal after rounding to two places. The response is made lower case before it is split into sentences at full
stops that a capital follows, so that it never is split there; only line breaks separate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from align.records import stable_id

_KEYS = ["could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result "]
_TRIVIAL = (":", ",", ".", "!", "?", ";", "'")
_WITH_COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+")
_SIMPLE = re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])")


@dataclass(frozen=True)
class Parsed:
    """The letter that the official rule takes a response for, and whether it was drawn at random."""

    letter: str
    random: bool = False


def parse_choice(response: str, options: Mapping[str, str], *, seed: int = 0, sample: str = "") -> Parsed:
    """The official reading of a response to lettered options.

    The random option is drawn for each sample by itself, from `seed` and the sample's id: the authors draw
    one after another from a generator seeded once, which makes a sample's score depend on the others before
    it.
    """
    for mark in (",", ".", "!", "?", ";", ":", "'"):
        response = response.strip(mark)
    text = f" {response} "
    found = {letter: text.rfind(f"({letter})") for letter in options if f"({letter})" in text}
    if not found:
        found = {letter: text.rfind(f" {letter} ") for letter in options if f" {letter} " in text}
    if not found and len(text.split()) > 5:
        lower = text.lower()
        found = {
            letter: lower.rfind(option.lower())
            for letter, option in options.items()
            if option.lower() in lower
        }
    if not found:
        return Parsed(Random(stable_id(str(seed), sample)).choice(list(options)), random=True)
    return Parsed(max(found, key=lambda letter: found[letter]))


def open_is_right(response: str, gold: Sequence[str]) -> bool:
    """The official score of a response to a question without options."""
    wanted = [form for answer in gold for form in _normalised(answer)]
    for said in _parsed_open(response):
        if isinstance(said, str):
            if any(isinstance(form, str) and form in said for form in wanted):
                return True
        elif said in wanted:
            return True
    return False


def _parsed_open(response: str) -> list[str | float]:
    keys = _key_parts(response)
    numbers = [
        number
        for part in keys
        for pattern in (_WITH_COMMAS, _SCIENTIFIC, _SIMPLE)
        for number in pattern.findall(part)
    ]
    return [form for part in [*keys, *numbers] for form in _normalised(part)]


def _key_parts(response: str) -> list[str]:
    text = response.strip().strip(".").lower()
    parts = re.split(r"\.\s(?=[A-Z])|\n", text)
    keys, found = list(_KEYS), []
    for number, part in enumerate(parts, start=1):
        if number == len(parts):
            keys.append("=")  # only the last one may be an equation
        tails = [part.split(key)[-1].strip() for key in keys if key in part]
        # The authors' loop: an empty tail is replaced by whichever comes next, else the shortest stays.
        shortest = ""
        for tail in tails:
            if not shortest or len(tail) < len(shortest):
                shortest = tail
        if shortest and shortest not in _TRIVIAL:
            found.append(shortest)
    return found or [text]


def _normalised(text: str) -> list[str | float]:
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lower = text.lower()
        return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]
