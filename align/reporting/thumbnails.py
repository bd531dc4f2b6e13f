"""Small pictures for the samples browser, as many as fit a budget."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from align.records import DataError, Problem
from align.reporting.images import ImageError, path_of, thumbnail

Picture = tuple[Path, str]
"""A data root and the path of an image in it."""

_AHEAD = 64  # pictures made before it is known whether they fit


@dataclass
class Thumbnails:
    """`text` is the base64 of all pictures, one after another; `at` says where each one's part is.

    `wanted` is how many pictures there are; `unreadable` are those that can't be shown, with the reason.
    """

    text: str
    at: dict[Picture, tuple[str, int, int]]
    wanted: int
    unreadable: dict[Picture, str] = field(default_factory=dict)


def megabytes(budget: str | float) -> int:
    """Bytes of a budget such as `20MB`, `0` or `1.5` (megabytes, of 10^6 bytes). Raises `DataError`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:MB)?\s*", str(budget), re.IGNORECASE)
    if found is None:
        text = f"{budget!r} is no size: give megabytes, such as 20MB, or 0 for no pictures"
        raise DataError([Problem(file="images", message=text)])
    return int(float(found[1]) * 1e6)


def make_thumbnails(pictures: Iterable[Picture], budget: int) -> Thumbnails:
    """Pictures in the given order until the next one would exceed `budget` bytes of the page.

    A picture that is missing or broken takes no place, and is told. Beyond the budget files are only looked
    for, not decoded.
    """
    order = list(dict.fromkeys(pictures))
    parts: list[str] = []
    at: dict[Picture, tuple[str, int, int]] = {}
    unreadable: dict[Picture, str] = {}
    length, full = 0, budget <= 0
    for picture, made in _made(order) if not full else ():
        if isinstance(made, ImageError):
            unreadable[picture] = str(made)
            continue
        kind, text = made
        if length + len(text) > budget:
            break
        at[picture] = (kind, length, len(text))
        parts.append(text)
        length += len(text)
    for picture in order:
        if picture not in at and picture not in unreadable:
            try:
                path_of(*picture)
            except ImageError as error:
                unreadable[picture] = str(error)
    return Thumbnails("".join(parts), at, len(order), unreadable)


def _made(order: list[Picture]) -> Iterator[tuple[Picture, tuple[str, str] | ImageError]]:
    """Each picture's kind and base64. Pillow lets go of the interpreter, so threads are enough."""

    def make(picture: Picture) -> tuple[str, str] | ImageError:
        try:
            kind, content = thumbnail(*picture)
        except ImageError as error:
            return error
        return kind, base64.b64encode(content).decode()

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        rest = iter(order)
        while batch := list(islice(rest, _AHEAD)):
            yield from zip(batch, pool.map(make, batch), strict=True)
