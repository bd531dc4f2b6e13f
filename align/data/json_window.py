"""A window that moves over a JSON text: decoding one element at a time of a file of any size."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

_CHUNK = 2**20
_MAX_INDENT = 1000
_IN_TEXT = re.compile(r'["\\]')
_OUT_OF_TEXT = re.compile(r'["\[\]{}]')
_BARE_END = re.compile(r'["\[\]{},]')


class Broken(Exception):
    """The text is not JSON here."""


class TooLong(Exception):
    """An element is longer than the limit."""


class NotText(ValueError):
    """An element that is JSON in form, of bytes that are not UTF-8. The window has moved past it."""


class Window:
    """The text of a file around the place that is being read.

    `line` is the number of the line of that place, from 1; `indent` the white space before it on its line,
    None where something else stands there. `limit` bounds the characters of one element, and with it what
    is held in memory: about three times that.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.stream = stream
        self.limit = limit
        self.line = 1
        self.indent: str | None = ""
        # Bytes that are no UTF-8 become lone surrogates, which nothing else can: `element` finds them.
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(errors="surrogateescape").decode
        self._text = ""
        self._at = 0
        self._ended = False

    def fill(self) -> bool:
        """Read on; what is held is doubled at least. False at the end of the file."""
        if self._ended:
            return False
        self._text = self._text[self._at :]
        self._at = 0
        raw = self.stream.read(max(_CHUNK, len(self._text)))
        self._ended = not raw
        self._text += self._decode(raw, final=self._ended)
        return True

    def advance(self, count: int) -> None:
        """Move on by so many characters of what is held."""
        passed = self._text[self._at : self._at + count]
        self._at += count
        self.line += passed.count("\n")
        if "\n" in passed:
            self.indent, passed = "", passed[passed.rindex("\n") + 1 :]
        if self.indent is not None:
            white = not passed.strip(" \t\r") and len(self.indent) + len(passed) <= _MAX_INDENT
            self.indent = self.indent + passed if white else None

    def ahead(self, count: int) -> str:
        """The next characters, for a message."""
        return self._text[self._at : self._at + count]

    def skip_space(self) -> str:
        """Move to the next character that is not white space, and return it; "" at the end of the file."""
        while True:
            end = self._at
            while end < len(self._text) and self._text[end] in " \t\r\n":
                end += 1
            self.advance(end - self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self.fill():
                return ""

    def element(self, decoder: json.JSONDecoder) -> Any:
        """Decode the element that begins here, and move past it.

        Raises `Broken`, `TooLong`, `RecursionError`, and whatever `ValueError` the decoder's hooks raise,
        and has not moved then; or `NotText`.
        """
        while True:
            held = len(self._text) - self._at
            try:
                value, end = decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_be_cut(error):
                    raise Broken(self._where(error)) from error
                if held > self.limit:
                    raise TooLong from error
                if not self.fill():
                    raise Broken(self._where(error)) from error
                continue
            if end == len(self._text) and self.fill():
                continue  # a number may go on
            if end - self._at > self.limit:
                raise TooLong
            text = self._text[self._at : end]
            self.advance(end - self._at)
            if not text.isascii() and (bad := re.search("[\udc80-\udcff]", text)):
                byte = ord(bad.group()) - 0xDC00
                raise NotText(
                    f"not UTF-8: byte {byte:#x} after {text[max(0, bad.start() - 20) : bad.start()]!r}"
                )
            return value

    def skip_value(self) -> bool:
        """Move past the value that begins here, of any length. False if the file ends inside it."""
        self.skip_space()
        depth, inside, at = 0, False, self._at
        while True:
            pattern = _IN_TEXT if inside else _OUT_OF_TEXT if depth else _BARE_END
            found = pattern.search(self._text, at)
            if found is None or found.start() + 1 == len(self._text):
                rest = len(self._text) - at if found is None else found.start() - at
                self.advance(at - self._at + rest)
                ended = not self.fill()
                at = self._at
                if ended:
                    return found is not None and self._closes(found.group(), depth, inside)
                continue
            at = found.end()
            character = found.group()
            if inside:
                at += character == "\\"
                inside = character != '"'
                done = not inside and depth == 0
            elif character == '"':
                inside, done = True, False
            elif character in "[{":
                depth, done = depth + 1, False
            elif depth == 0:
                at, done = at - 1, True  # a comma or a bracket that ends a number or a word
            else:
                depth -= 1
                done = depth == 0
            if done:
                self.advance(at - self._at)
                return True

    def _closes(self, character: str, depth: int, inside: bool) -> bool:
        """Whether a file's last character ends the value that stands open there; moves past it."""
        self.advance(len(self._text) - self._at)
        return (character in "]}" and depth == 1 and not inside) or (
            character == '"' and depth == 0 and inside
        )

    def object_keys(self) -> Iterator[str]:
        """The keys of the object that begins here, each with the window before its value.

        Whoever iterates moves past the value. Raises `Broken`.
        """
        if self.skip_space() != "{":
            raise Broken(f"expected an object, found {self.ahead(20)!r}")
        self.advance(1)
        first = True
        while True:
            character = self.skip_space()
            if character == "}":
                self.advance(1)
                return
            if not first:
                if character != ",":
                    raise Broken(f"expected ',' or '}}', found {self.ahead(20)!r}")
                self.advance(1)
                self.skip_space()
            name = self.element(json.JSONDecoder())
            if not isinstance(name, str) or self.skip_space() != ":":
                raise Broken(f"expected a key and ':', found {name!r:.40} and {self.ahead(20)!r}")
            self.advance(1)
            yield name
            first = False

    def resume(self, opening: str) -> bool:
        """Move to the last character of the next `opening`. False if there is none."""
        while True:
            found = self._text.find(opening, self._at + 1)
            if found >= 0:
                self.advance(found + len(opening) - 1 - self._at)
                return True
            self.advance(max(0, len(self._text) - len(opening) - self._at))
            if not self.fill():
                return False

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether more text could mend it: it breaks at the end of what is held."""
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - 16

    def _where(self, error: json.JSONDecodeError) -> str:
        line = self.line + self._text.count("\n", self._at, error.pos)
        return f"{error.msg} (line {line}, before {self._text[error.pos : error.pos + 20]!r})"
