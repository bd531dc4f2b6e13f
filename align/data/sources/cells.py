"""The cells of one row, read by name and kind; what is wrong with them is collected, not raised."""

from __future__ import annotations

import base64
import binascii
import difflib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_EMPTY = ("", "nan", "none", "null", "n/a")
"""What pandas and others write into a cell that holds nothing. `none` can be an answer: see `text`."""


class Cells:
    """Access to a row.

    Every method returns None, or what is empty of its kind, for a cell that is missing or wrong, and reports
    what is wrong to `reject(field, message)`. `read` are the names that were asked for.
    """

    def __init__(self, values: dict[str, Any], reject: Callable[[str | None, str], None]) -> None:
        self.values = values
        self.read: set[str] = set()
        self.good = True
        self._reject = reject

    def bad(self, name: str | None, message: str) -> None:
        """Say what is wrong with a field, which puts the row out of use."""
        self.good = False
        self._reject(name, message)

    def first(self, *names: str) -> str | None:
        """The first of several fields that holds something; all of them count as read."""
        self.read.update(names)
        return next((name for name in names if self.values.get(name) not in (None, "", [])), None)

    def text(self, *names: str, required: bool = True) -> str | None:
        """The text under the first of `names` that holds something."""
        name = self.first(*names)
        if name is None:
            if required:
                self.missing(names)
            return None
        value = self.values[name]
        if isinstance(value, bool | int | float):
            value = str(value)
        if not isinstance(value, str):
            self.bad(name, f"expected a text, found {type(value).__name__}: {value!r:.80}")
            return None
        if not value.strip():
            if required:
                self.bad(name, "is empty")
            return None
        return value.strip()

    def optional(self, *names: str) -> str | None:
        """Like `text`, for a cell that may be empty, or hold what programs write for nothing (`nan`)."""
        value = self.text(*names, required=False)
        return None if value is None or value.casefold() in _EMPTY else value

    def number(self, name: str) -> int | None:
        """A whole number; a text of digits and a float without a fraction are taken as well."""
        self.read.add(name)
        value = self.values.get(name)
        if value is None or value == "":
            self.missing((name,))
            return None
        try:
            if isinstance(value, bool) or float(value) != int(float(value)):
                raise ValueError
            return int(value) if isinstance(value, int) else int(float(value))
        except (TypeError, ValueError, OverflowError):
            self.bad(name, f"expected a whole number, found {value!r:.80}")
            return None

    def one_of(self, name: str, choices: Iterable[str], *names: str) -> str | None:
        """A text that is one of `choices` but for case, spaces and punctuation; returns the choice."""
        value = self.text(name, *names)
        if value is None:
            return None
        by_key = {_key(choice): choice for choice in choices}
        if _key(value) in by_key:
            return by_key[_key(value)]
        near = difflib.get_close_matches(_key(value), list(by_key), n=1)
        hint = f" (did you mean {by_key[near[0]]}?)" if near else ""
        self.bad(name, f"unknown value {value!r:.80}: expected one of {', '.join(by_key.values())}{hint}")
        return None

    def object(self, name: str) -> dict[str, Any] | None:
        """An object, or a text that holds one as JSON."""
        self.read.add(name)
        value = self.values.get(name)
        if value is None or value == "":
            self.missing((name,))
            return None
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                self.bad(name, f"expected an object as JSON: {error}")
                return None
        if not isinstance(value, dict):
            self.bad(name, f"expected an object, found {type(value).__name__}: {value!r:.80}")
            return None
        return value

    def image(self, *names: str) -> str | bytes | None:
        """A path of an image, or its bytes: a text in base64, bytes, or `{"bytes": ..., "path": ...}`.

        A text is taken for base64 when it is longer than a path can be, or a `data:` URL.
        """
        name = self.first(*names)
        if name is None:
            self.missing(names)
            return None
        value = self.values[name]
        if isinstance(value, dict) and {"bytes", "path"} & set(value):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str) or not value.strip():
            self.bad(name, f"expected a path, base64 or bytes, found {type(value).__name__}: {value!r:.80}")
            return None
        value = value.strip()
        if value.startswith("data:"):
            value = value.partition(",")[2]
        elif len(value) <= 1000:
            return value
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            self.bad(name, f"not base64: {error}")
            return None

    def missing(self, names: tuple[str, ...]) -> None:
        """Say that none of the fields holds anything, with the nearest fields that the row has."""
        if set(names) & set(self.values):
            self.bad(names[0], "is empty")
            return
        near = nearest(names[0], self.values)
        wanted = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
        self.bad(names[0], f"is missing: expected {wanted}; {near}")

    def rest(self) -> dict[str, Any]:
        """What nobody read, for a question's metadata; pictures and the like are left out."""
        return {
            name: value
            for name, value in self.values.items()
            if name and name not in self.read and value not in (None, "") and _keepable(value)
        }


def nearest(name: str, columns: Iterable[str]) -> str:
    """Which of the columns there are is likely meant."""
    columns = [column for column in columns if column]
    by_key = {_key(column): column for column in columns}
    near = difflib.get_close_matches(_key(name), list(by_key), n=3, cutoff=0.5)
    if near:
        return "nearest: " + ", ".join(by_key[key] for key in near)
    shown = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
    return f"there is {shown or 'no column'}"


def bare_name(path: str) -> str:
    """The file name of a path of any system."""
    return Path(path.replace("\\", "/")).name


def _key(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _keepable(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 10_000
    if isinstance(value, bool | int | float):
        return value == value  # not NaN, which JSON has not
    if isinstance(value, list):
        return len(value) <= 1000 and all(_keepable(item) for item in value)
    return isinstance(value, dict) and all(_keepable(item) for item in value.values())
