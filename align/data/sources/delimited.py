"""Rows of a CSV or TSV file, each with the line that it begins on.

A row whose number of cells is not the header's is a problem. Where such a row spans several lines it was
most likely a stray quotation mark that swallowed them, so the reading goes on at its second line: what
stood on the others is read as rows of their own and not lost.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from align.data.json_rows import MAX_ROW, Row, skip_line, too_long
from align.records import Problem

csv.field_size_limit(2**31 - 1)  # rows are bounded below, and pictures in base64 pass the default of 128 KiB


class _RowTooLong(Exception):
    """A row passed the limit; the stream stands at the beginning of a line."""


def iter_delimited(
    path: str | Path, *, delimiter: str, encoding: str = "utf-8", max_row: int = MAX_ROW
) -> Iterator[Row]:
    """Yield the rows below the header as `{column: cell}`, all cells as texts.

    Args:
        encoding: any in which ASCII characters are themselves; a byte that is none of it is a problem of its
            row. A byte order mark is passed over.
        max_row: bytes that one row may have.

    Raises `FileNotFoundError`, `LookupError` for an unknown encoding, `ValueError` for one that cannot be
    read by lines.
    """
    path = Path(path)
    ascii_ = "".join(map(chr, range(128)))
    if ascii_.encode("ascii").decode(encoding, "replace") != ascii_:
        raise ValueError(f"encoding={encoding} cannot be read by lines: convert the file to UTF-8")
    with path.open("rb") as stream:
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            message = "the file is UTF-16: convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"
            yield Row(1, _problem(path, 1, message), last=True)
            return
        stream.seek(0)
        yield from _rows(path, stream, delimiter, encoding, max_row)


def _rows(path: Path, stream: IO[bytes], delimiter: str, encoding: str, max_row: int) -> Iterator[Row]:
    lines = _Lines(stream, encoding, max_row)
    header: list[str] | None = None
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            cells = next(reader, None)
        except (csv.Error, _RowTooLong) as error:
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            lines.back_to_second_line()
            message = (
                too_long(f"a row of at least {lines.used:,} bytes", max_row)
                if isinstance(error, _RowTooLong)
                else f"not a row: {error}"
            )
            if isinstance(error, csv.Error) and lines.spanned > 1:
                message += f", with a quotation mark that is open to line {lines.first + lines.spanned - 1}"
            yield Row(lines.first, _problem(path, lines.first, message), last=header is None)
            if header is None:
                return
            continue
        if cells is None:
            if header is None:
                yield Row(
                    1, _problem(path, 1, "the file is empty: expected a line of column names"), last=True
                )
            return
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            continue  # an empty line
        if header is None:
            header = [cell.strip() for cell in cells]
            repeated = sorted({name for name in header if header.count(name) > 1})
            if repeated or _foreign(header):
                what = f"the column {', '.join(map(repr, repeated))} is there twice" if repeated else (
                    f"the names of the columns are not {encoding}: convert the file, or set its encoding"
                )  # fmt: skip
                yield Row(lines.first, _problem(path, lines.first, what), last=True)
                return
            continue
        if len(cells) != len(header):
            message = f"{len(cells)} cells, where the header has {len(header)}"
            if lines.spanned > 1:
                message += (
                    f"; the row spans lines {lines.first} to {lines.first + lines.spanned - 1}, "
                    "likely by a stray quotation mark: reading goes on at its second line"
                )
                lines.back_to_second_line()
                reader = csv.reader(lines, delimiter=delimiter, strict=True)
            yield Row(lines.first, _problem(path, lines.first, message))
            continue
        row = dict(zip(header, cells, strict=True))
        bad = _foreign(cells)
        if bad:
            name = header[bad[0]]
            message = f"not {encoding} text: byte {bad[1]:#x}; save the file as UTF-8, or set its encoding"
            yield Row(lines.first, _problem(path, lines.first, message, name))
            continue
        yield Row(lines.first, row)


class _Lines:
    """The lines of a file for `csv.reader`, with a bound on the bytes of all lines of one row."""

    def __init__(self, stream: IO[bytes], encoding: str, max_row: int) -> None:
        self.stream, self.encoding, self.max_row = stream, encoding, max_row
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """What follows is a new row."""
        self.first, self.used, self.spanned, self._second = self.number + 1, 0, 0, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self.stream.readline(self.max_row - self.used + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        self.spanned += 1
        self.used += len(raw)
        too_long = self.used > self.max_row
        if too_long and not raw.endswith(b"\n"):
            self.used += skip_line(self.stream)
        if self.spanned == 1:
            self._second = self.stream.tell()
        if too_long:
            raise _RowTooLong
        if self.number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        return raw.decode(self.encoding, "surrogateescape")

    def back_to_second_line(self) -> None:
        if self.spanned > 1:
            self.stream.seek(self._second)
            self.number = self.first


def _foreign(cells: list[str]) -> tuple[int, int] | None:
    """(index of the cell, byte) of the first byte that could not be decoded."""
    for index, cell in enumerate(cells):
        if not cell.isascii() and (found := re.search("[\udc80-\udcff]", cell)):
            return index, ord(found.group()) - 0xDC00
    return None


def _problem(path: Path, line: int, message: str, field: str | None = None) -> Problem:
    return Problem(file=str(path), line=line, field=field, message=message)
