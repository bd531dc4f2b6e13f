"""Reading questions with lettered options from the tables they are published in.

Columns `index, question, hint, A, B, ..., answer, image` and more; the image is base64, bytes, a path, or the
index of a row that holds it. Pictures in rows are written once into the folder of images, and decoded whole:
one that is broken or a decompression bomb puts its row out of use, with a problem.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from align.data.images import inspect_images
from align.data.sources.cells import Cells
from align.data.sources.files import iter_input
from align.evaluation.general.base import Item
from align.evaluation.general.reading import Items, Pictures, Source, as_paths, check_images, read_rows
from align.records import DataError, Problem

LETTERS = "ABCDEFGH"
SHIFT = 1_000_000
"""What MMBench adds to the index of a question for each rotation of its options."""

Make = Callable[[Cells, str, Pictures], Item | None]


def images_folder(source: Source, images: str | None) -> str:
    """Where pictures are: `images`, else beside the (first) file, or under `data` for a set of the hub."""
    if images is not None:
        return images
    first = Path(as_paths(source)[0])
    if first.is_dir():
        return str(first / "images")
    if first.suffix:
        return str(first.with_suffix("")) + "-images"
    return str(Path("data") / str(first).replace("/", "--") / "images")


def read_lettered(
    source: Source,
    images: str,
    make: Make,
    *,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
) -> Items:
    """The items of files, or of a data set that `datasets` loads. `make` gets a row's cells and its file.

    Raises `DataError` where nothing can be read, `FileNotFoundError`.
    """
    read, pictures = Items(), Pictures(images)
    named = ", ".join(map(str, as_paths(source)))
    for path in as_paths(source):
        try:
            rows = iter_input(path, subset=subset, split=split, revision=revision)

            def item(cells: Cells, number: int, path: str | Path = path) -> Item | None:
                return make(cells, str(path), pictures)

            read_rows(path, rows, item, read)
        except (ValueError, ConnectionError) as error:
            said = str(error).replace("source.hub_", "hub_")
            raise DataError([Problem(file=str(path), message=f"cannot be read: {said}")]) from error
    read = without_broken(_with_referred_images(read), images)
    if not read.items:
        raise DataError([*read.problems, Problem(file=named, message="holds no question that can be used")])
    check_images(read.items, images, named)
    return read


def options_in(cells: Cells, letters: str = LETTERS) -> dict[str, str]:
    """Letter to text; empty cells are no options. `nan` and `None` are empty, as for the official code."""
    options = {letter: text for letter in letters if (text := cells.optional(letter))}
    if len(options) < 2 and cells.good:
        cells.bad("A", f"a question needs two options at least, found {len(options)}")
    return options


def option_lines(options: Mapping[str, str]) -> str:
    return "\n".join(f"{letter}. {text}" for letter, text in options.items())


def rotated(options: Mapping[str, str], letter: str | None, by: int) -> tuple[dict[str, str], str | None]:
    """The options moved `by` places on, the last ones to the front, and the letter of the same option.

    As in MMBench's files: where A was right, B is right in the first rotation.
    """
    letters, texts = list(options), list(options.values())
    places = len(letters)
    moved = {place: texts[(i - by) % places] for i, place in enumerate(letters)}
    return moved, None if letter is None else letters[(letters.index(letter) + by) % places]


def with_index(item: Item, index: int, **changes: Any) -> Item:
    """An item whose `facts["index"]`, and `changes`, are other ones."""
    return dataclasses.replace(item, facts=item.facts | {"index": index}, **changes)


def _with_referred_images(read: Items) -> Items:
    """Items whose image is the index of another row get that row's image.

    MMBench's tables have each picture once, and its index in the rows that share it.
    """
    by_index = {_place(item, item.facts["index"]): item.image for item in read.items if not _refers(item)}
    kept, problems = [], list(read.problems)
    for item in read.items:
        if not _refers(item):
            kept.append(item)
        elif (place := _place(item, item.image)) in by_index:
            kept.append(dataclasses.replace(item, image=by_index[place]))
        else:
            message = f"the image is that of row {item.image}, which is not there or has none"
            problems.append(
                Problem(file=str(item.facts["file"]), field="image", row_id=item.id, message=message)
            )
    return Items(kept, problems)


def _refers(item: Item) -> bool:
    return item.image is not None and item.image.isdigit()


def _place(item: Item, index: object) -> tuple[str, ...]:
    """What names a row: its index, in its file, and among the rows of its type where there are types."""
    return str(item.facts["file"]), str(item.facts.get("type")), str(index)


def without_broken(read: Items, images: str) -> Items:
    """Items whose picture is whole. One that is not there at all fails when it is asked, with the reason."""
    there = {
        item.image for item in read.items if item.image is not None and (Path(images) / item.image).is_file()
    }
    bad = {name: facts for name, facts in inspect_images(there, images).items() if isinstance(facts, str)}
    problems = [
        Problem(file=str(item.facts["file"]), field="image", row_id=item.id, message=bad[item.image])
        for item in read.items
        if item.image in bad
    ]
    return Items([item for item in read.items if item.image not in bad], [*read.problems, *problems])
