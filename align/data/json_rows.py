"""Rows of a JSON file whose form is not known beforehand: one object a line, or one array of objects.

MoHoBench's `mohobench.json` is JSON Lines in spite of its name, and people convert it to an array. Both
are read, every row with the line that it begins on, and what cannot be read is a `Problem`, never a gap.

A file is read in pieces. No row needs more memory than `max_row` allows: a longer one is a problem with its
line, and the reading goes on after it.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from align.data.json_window import Broken, NotText, TooLong, Window
from align.records import Problem

MAX_ROW = 64 * 2**20
"""Bytes of a line, or characters of an element of an array, that are read as one row."""

_WIDE_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


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


def iter_rows(path: str | Path, *, key: str | None = None, max_row: int = MAX_ROW) -> Iterator[Row]:
    """Yield the rows of a JSON Lines file or of a JSON array, in their order.

    A line, or an element of the array, that is not a JSON object is yielded as a `Problem` with its line
    and the reading goes on after it. In an array whose element is broken it goes on at the next line that
    opens an object in the same column; if there is none, the problem says that the rest was not read.

    Args:
        key: the file is one object, and the rows are the array that it has under this key.
        max_row: see `MAX_ROW`.

    Raises `FileNotFoundError`.
    """
    path = Path(path)
    with path.open("rb") as stream:
        first, wide = _first_character(stream)
        if wide:
            message = "the file is UTF-16 or UTF-32: convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"
            yield _problem(path, 1, message, last=True)
        elif not first:
            yield _problem(path, 1, "the file is empty: expected JSON Lines or a JSON array", last=True)
        elif key is not None:
            yield from _keyed_rows(path, Window(stream, max_row), key)
        elif first == b"[":
            yield from _array_rows(path, Window(stream, max_row))
        else:
            yield from _line_rows(path, stream, max_row)


def skip_line(stream: IO[bytes]) -> int:
    """Read to the end of a line in pieces. Returns how many bytes that were."""
    size = 0
    while piece := stream.readline(2**20):
        size += len(piece)
        if piece.endswith(b"\n"):
            break
    return size


def too_long(size: str, max_row: int) -> str:
    """What a problem says of a row that is longer than the limit."""
    return f"{size} is more than the {max_row:,} bytes that one row may have, so it was not read"


def _line_rows(path: Path, stream: IO[bytes], max_row: int) -> Iterator[Row]:
    line, any_row = 0, False
    # Not `splitlines`: it also breaks at characters such as U+2028 that may stand inside a JSON string.
    while raw := stream.readline(max_row + 1):
        line += 1
        if len(raw) > max_row and not raw.endswith(b"\n"):
            size = len(raw) + skip_line(stream)
            any_row = True
            yield _problem(path, line, too_long(f"a line of {size:,} bytes", max_row))
            continue
        if not raw.strip():
            continue
        try:
            value = _decoder.decode(raw.decode("utf-8-sig" if line == 1 else "utf-8").strip())
        except (ValueError, RecursionError) as error:  # decoding errors of UTF-8 and of JSON are ValueErrors
            keys = None if any_row else _keys_of_whole_object(path, max_row)
            if keys is not None:
                message = (
                    f"the file is one JSON object with the keys {', '.join(map(repr, keys))}: "
                    "expected one object a line, or an array of objects"
                )
                yield _problem(path, 1, message, last=True)
                return
            any_row = True
            yield _problem(path, line, f"not a line of UTF-8 JSON: {error}")
            continue
        any_row = True
        yield _checked(value, path, line)


def _array_rows(path: Path, window: Window, whole_file: bool = True) -> Iterator[Row]:
    window.skip_space()
    window.advance(1)  # past the bracket
    needs_comma = False
    while True:
        character = window.skip_space()
        if needs_comma and character == ",":
            window.advance(1)
            character, needs_comma = window.skip_space(), False
        if character == "]":
            line = window.line
            window.advance(1)
            if whole_file and window.skip_space():
                message = f"text after the end of the array: {window.ahead(60)!r}"
                yield _problem(path, line, message, last=True)
            return
        line, indent = window.line, window.indent
        try:
            if needs_comma:
                raise Broken(f"expected ',' or ']', found {window.ahead(20)!r}")
            value = _element(window)
        except TooLong:
            ended = window.skip_value()
            yield _problem(path, line, too_long("an element of the array", window.limit), last=not ended)
            if not ended:
                return
            needs_comma = True
        except (Broken, RecursionError) as error:
            resumed = indent is not None and window.resume("\n" + indent + "{")
            fate = "reading goes on at the next object" if resumed else "the rest of the file was NOT read"
            yield _problem(path, line, f"not a JSON object: {error}; {fate}", last=not resumed)
            if not resumed:
                return
            needs_comma = False
        else:
            yield _checked(value, path, line)
            needs_comma = True


def _element(window: Window) -> Any:
    """The next element, or the `ValueError` that says why a whole one is refused."""
    try:
        return window.element(_decoder)
    except NotText as error:
        return error
    except ValueError as error:
        try:
            window.element(_shape)  # finds its end
        except NotText as reason:
            return reason
        return error


def _keyed_rows(path: Path, window: Window, key: str) -> Iterator[Row]:
    found: list[str] = []
    try:
        for name in window.object_keys():
            if name == key and window.skip_space() == "[":
                yield from _array_rows(path, window, whole_file=False)
                return
            found.append(name)
            if not window.skip_value():
                raise Broken("the file ends inside an object")
    except (Broken, TooLong, ValueError) as error:
        message = f"not an object with an array under {key!r}: {error}; nothing was read"
        yield _problem(path, window.line, message, last=True)
        return
    names = ", ".join(map(repr, found)) or "no key"
    yield _problem(path, 1, f"there is no array under the key {key!r}: found {names}", last=True)


def _keys_of_whole_object(path: Path, max_row: int) -> list[str] | None:
    """The keys of a file that is one object over several lines, or None when it is not that."""
    with path.open("rb") as stream:
        window = Window(stream, max_row)
        found = []
        try:
            for name in window.object_keys():
                found.append(name)
                if not window.skip_value():
                    return None
        except (Broken, TooLong, ValueError):
            return None
        return None if window.skip_space() else found


def _first_character(stream: IO[bytes]) -> tuple[bytes, bool]:
    """(the first byte that is not white space, whether the file is UTF-16 or UTF-32); rewinds the stream."""
    head = stream.read(2**16)
    wide = head.startswith(_WIDE_MARKS)
    head = head.removeprefix(codecs.BOM_UTF8)
    while head and not head.strip():
        head = stream.read(2**16)
    stream.seek(0)
    return head.strip()[:1], wide


def _checked(value: Any, path: Path, line: int) -> Row:
    if isinstance(value, ValueError):
        return _problem(path, line, str(value))
    if not isinstance(value, dict):
        return _problem(path, line, f"expected a JSON object, found {type(value).__name__}")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        # An escape such as \\ud800 names half of a character: it can be read, and never be written.
        return _problem(path, line, f"half of a surrogate pair, {error.object[error.start]!a}, is no text")
    return Row(line, value)


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
_shape = json.JSONDecoder(parse_constant=str, parse_int=len, parse_float=len)
"""Refuses nothing that is JSON in form: for finding the end of what was refused."""
