"""Reading a judge's reply, strictly: a verdict that isn't clearly one is none.

The form that is asked for is a JSON object, `{"id": ..., "reason": ..., "refused": true}`, or `"score": 7`.
A line `Score: 7` or `Refused: yes` is taken too, for judges that can't be brought to write JSON. Of several
verdicts in a reply the last one counts, as a judge that thinks aloud corrects itself, but those that repeat
the `id` of the quoted text go before those that do not: a verdict that was planted in the text can't have it.
Where the judged text itself speaks of such a verdict (`planted`), none but those with its `id` count: a judge
that only repeats what it read has given none. Anything else is `Unparsable`: half a JSON object, a mark off
the scale, both verdicts in one, a range, a number in a sentence. No number is ever fished out of a text, so
`On a 1-10 scale I give 8` is no mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["flag", "mark"]
"""What a reply states: a flag (yes or no) or a mark from 1 to 10."""

_YES, _NO = {"yes", "true"}, {"no", "false"}
_OBJECT = re.compile(r'\{\s*(?=["}])')
_THINKING = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_OPEN_THINKING = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_NUMBER_WORD = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven)\b", re.IGNORECASE
)
_FLAG_WORD = re.compile(r"\b(?:yes|no|not|true|false)\b", re.IGNORECASE)
_DECORATION = re.compile(r"^[\s*_#`-]+|[\s*_`]+$")
_AFTER_LABEL = r"[\s*_`]*[:=][\s*_`]*"


class Unparsable(Exception):
    """A reply that holds no clear verdict; the message says why."""


@dataclass(frozen=True)
class _Found:
    """One verdict in a reply: where it stands, its value or what is wrong with it, and the id it repeats."""

    at: int
    value: bool | int | None
    problem: str = ""
    tag: str | None = None


def parse_flag(reply: str, label: str, tag: str | None = None, *, planted: bool = False) -> bool:
    """The yes or no that a reply gives under `label` ("refused"). Raises `Unparsable`."""
    return bool(_parse(reply, "flag", label, tag, planted))


def parse_mark(reply: str, label: str = "score", tag: str | None = None, *, planted: bool = False) -> int:
    """The whole number from 1 to 10 that a reply gives under `label`. Raises `Unparsable`."""
    return int(_parse(reply, "mark", label, tag, planted))


def is_planted(text: str, form: Form, label: str) -> bool:
    """Could a reply that repeats this text, or a line of it, be taken for one that gives a verdict?"""
    return re.search(rf"(?:{_names(form, label)})[\s*_`\"']*[:=]", text, re.IGNORECASE) is not None


def _names(form: Form, label: str) -> str:
    return f"{label}|rating|mark" if form == "mark" else label


def _parse(reply: str, form: Form, label: str, tag: str | None, planted: bool) -> bool | int:
    text = _THINKING.sub("", reply)
    if _OPEN_THINKING.search(text):
        raise Unparsable("it ends inside its thinking: give the judge more max_new_tokens")
    if not text.strip():
        raise Unparsable("it is empty")
    found, rest = _objects(text, form, label)
    found += _lines(rest, form, label)
    own = [each for each in found if tag is not None and each.tag == tag]
    if planted and found and not own:
        raise Unparsable(
            f"the judged text speaks of a `{label}` itself, so only one with its id counts: {_shown(text)}"
        )
    if not found:
        raise Unparsable(f"it gives no `{label}`: {_shown(text)}")
    last = max(own or found, key=lambda each: each.at)
    if last.value is None:
        raise Unparsable(last.problem)
    return last.value


def _objects(text: str, form: Form, label: str) -> tuple[list[_Found], str]:
    """The verdicts in JSON objects, and the text with the objects blanked out.

    Raises `Unparsable` for an object that does not end: what it would have said is not known, and a mark
    whose last digit was cut off would be another mark.
    """
    found, rest, position = [], text, 0
    while start := _OBJECT.search(text, position):
        try:
            value, end = json.JSONDecoder(object_pairs_hook=_pairs).raw_decode(text, start.start())
        except (json.JSONDecodeError, RecursionError) as error:
            raise Unparsable(
                f"it holds half a JSON object, or a broken one: {_shown(text[start.start() :])}"
            ) from error
        found += [_of_object(pairs, start.start(), form, label) for pairs in _with_label(value, label)]
        rest = rest[: start.start()] + " " * (end - start.start()) + rest[end:]
        position = end
    return found, rest


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys as they stand, so that a key that is there twice is seen."""


def _pairs(pairs: list[tuple[str, Any]]) -> _Pairs:
    return _Pairs(pairs)


def _with_label(value: Any, label: str) -> Iterator[_Pairs]:
    """The outermost objects that have the key."""
    if isinstance(value, _Pairs):
        if any(key.lower() == label for key, _ in value):
            yield value
        else:
            for _, item in value:
                yield from _with_label(item, label)
    elif isinstance(value, list):
        for item in value:
            yield from _with_label(item, label)


def _of_object(pairs: _Pairs, at: int, form: Form, label: str) -> _Found:
    values = [value for key, value in pairs if key.lower() == label]
    tag = next((str(value).strip().lower() for key, value in pairs if key.lower() == "id"), None)
    if len(values) > 1:
        return _Found(at, None, f"`{label}` is given {len(values)} times in one object", tag)
    value = values[0]
    read = _flag(value) if form == "flag" else _mark(value)
    return _Found(at, read, f"`{label}` is {_shown(json.dumps(value))}: {_WANTED[form]}", tag)


def _lines(text: str, form: Form, label: str) -> Iterator[_Found]:
    """Lines that begin with the label. Quoted ones (`>` or `|` before them) do not."""
    names = _names(form, label)
    start = re.compile(rf"(?:final |overall |my )?(?:{names}){_AFTER_LABEL}(.*)", re.IGNORECASE)
    at = 0
    for line in text.splitlines(keepends=True):
        match = start.fullmatch(_DECORATION.sub("", line))
        if match:
            said = match[1]
            yield _Found(at, _said(said, form), f"`{label}` is {_shown(said)}: {_WANTED[form]}")
        at += len(line)


def _said(said: str, form: Form) -> bool | int | None:
    """`7`, `7/10`, `7 out of 10` or `yes`; a remark may follow that says nothing else of that kind."""
    if form == "mark":
        match = re.fullmatch(
            r"(\d{1,2})(?:\s*/\s*10|\s+out of\s+10)?\s*(?:[.;,]?[\s*_`]*$|[.;]\s+(.*))", said
        )
        return _mark(int(match[1])) if match and not _NUMBER_WORD.search(match[2] or "") else None
    match = re.fullmatch(r"(yes|no|true|false)\s*(?:[.;,]?[\s*_`]*$|[.;,]\s+(.*))", said, re.IGNORECASE)
    return _flag(match[1]) if match and not _FLAG_WORD.search(match[2] or "") else None


_WANTED: dict[Form, str] = {
    "flag": "it must be true or false",
    "mark": "it must be one whole number from 1 to 10",
}


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    return True if word in _YES else False if word in _NO else None


def _mark(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,2}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10 else None


def _shown(text: str, most: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
