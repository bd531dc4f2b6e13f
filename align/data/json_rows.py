"""Rows of a JSON file whose form is not known beforehand: one object a line, or one array of objects.

MoHoBench's `mohobench.json` is JSON Lines in spite of its name, and people convert it to an array. Both
are read, every row with the line that it begins on, and what cannot be read is a `Problem`, never a gap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.records import Problem


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes:
        line: the line that it begins on, from 1.
        value: the object, or what is wrong with it.
        last: nothing was read after it although there is more: an unknown number of rows is missing.
    """

    line: int
    value: dict[str, Any] | Problem
    last: bool = False


def iter_rows(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a JSON Lines file or of a JSON array, in their order.

    A line, or an element of the array, that is not a JSON object is yielded as a `Problem` with its line
    and the reading goes on after it. In an array whose element is broken it goes on at the next line that
    opens an object in the same column; if there is none, the problem says that the rest was not read.

    Raises `FileNotFoundError`.
    """
    path = Path(path)
    raw = path.read_bytes()
    if not raw.strip():
        yield _problem(path, 1, "the file is empty: expected JSON Lines or a JSON array", last=True)
    elif raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        yield from _array_rows(path, raw)
    else:
        yield from _line_rows(path, raw)


def _line_rows(path: Path, raw: bytes) -> Iterator[Row]:
    whole = _whole_object(raw)
    if whole is not None:
        keys = ", ".join(map(repr, whole))
        message = (
            f"the file is one JSON object with the keys {keys}: "
            "expected one object a line, or an array of objects"
        )
        yield _problem(path, 1, message, last=True)
        return
    # Not `splitlines`: it also breaks at characters such as U+2028 that may stand inside a JSON string.
    for line, text in enumerate(raw.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            value = _decoder.decode(text.decode("utf-8-sig" if line == 1 else "utf-8").strip())
        except (
            ValueError,
            RecursionError,
        ) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
            yield _problem(path, line, f"not a line of UTF-8 JSON: {error}")
            continue
        yield _checked(value, path, line)


def _array_rows(path: Path, raw: bytes) -> Iterator[Row]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        yield _problem(path, line, f"not UTF-8 text: {error}; no row of the array was read", last=True)
        return
    at = text.index("[") + 1
    line, counted = text.count("\n", 0, at) + 1, at
    needs_comma = False
    while True:
        at = _skip_space(text, at)
        if needs_comma and text[at : at + 1] == ",":
            at = _skip_space(text, at + 1)
            needs_comma = False
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            rest = text[at + 1 :].strip()
            if rest:
                yield _problem(path, line, f"text after the end of the array: {rest[:60]!r}", last=True)
            return
        try:
            if needs_comma:
                raise json.JSONDecodeError("expected ',' or ']'", text, at)
            value, after = _decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            resumed = _resume(text, at)
            fate = (
                "the rest of the file was NOT read"
                if resumed is None
                else "reading goes on at the next object"
            )
            yield _problem(path, line, f"not a JSON object: {error}; {fate}", last=resumed is None)
            if resumed is None:
                return
            at, needs_comma = resumed, False
        except ValueError as error:  # a whole object that is refused, so its end is known
            yield _problem(path, line, str(error))
            at, needs_comma = json.JSONDecoder().raw_decode(text, at)[1], True
        else:
            yield _checked(value, path, line)
            at, needs_comma = after, True


def _resume(text: str, broken_at: int) -> int | None:
    """Where the next element of an array may begin after a broken one: an object in the same column.

    Objects inside the broken element are indented deeper, so they are not taken for elements.
    """
    line_start = text.rfind("\n", 0, broken_at) + 1
    indent = text[line_start:broken_at]
    if indent.strip():
        return None
    found = re.compile(rf"^{re.escape(indent)}\{{", re.MULTILINE).search(text, broken_at + 1)
    return None if found is None else found.end() - 1


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _whole_object(raw: bytes) -> dict[str, Any] | None:
    """The file as one object that spans several lines, or None when it is not that."""
    first_line = raw.strip().split(b"\n", 1)
    if len(first_line) == 1:
        return None
    try:
        json.loads(first_line[0].decode("utf-8-sig"))
    except (ValueError, RecursionError):
        pass  # a first line that stands alone makes it JSON Lines; this one does not
    else:
        return None
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _checked(value: Any, path: Path, line: int) -> Row:
    if isinstance(value, dict):
        return Row(line, value)
    return _problem(path, line, f"expected a JSON object, found {type(value).__name__}")


def _problem(path: Path, line: int, message: str, last: bool = False) -> Row:
    return Row(line, Problem(file=str(path), line=line, message=message), last=last)


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two equal keys, which would drop the first value in silence.
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"the key {', '.join(map(repr, repeated))} is given twice in one object")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON: write null for a missing value")


_decoder = json.JSONDecoder(object_pairs_hook=_without_repeated_keys, parse_constant=_no_constant)
