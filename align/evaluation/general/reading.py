"""Reading the public files of a benchmark into items, with every row that cannot be read as a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from align.data.json_rows import Row
from align.data.sources.cells import Cells
from align.data.sources.store import BadBytes, ImageStore
from align.evaluation.general.base import Item
from align.records import DataError, Problem

Source = str | Path | Sequence[str | Path]

_LONGEST_NAME = 255
"""Bytes; no usual file system has longer ones. Broken base64 is, and looks like a name otherwise."""


@dataclass
class Items:
    """What was read. A row is among the items or has a problem; none is lost."""

    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class Pictures:
    """Images of rows as names under `root`; those that rows hold themselves are written there, once."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._store = ImageStore(root)

    def name(self, cells: Cells, *fields: str, suffix: str = "") -> str | None:
        """The image of a row. `suffix` is added to a name without one."""
        image = cells.image(*fields)
        if isinstance(image, bytes):
            try:
                return self._store.put(image)
            except BadBytes as error:
                cells.bad(fields[0], str(error))
                return None
        if image is None:
            return None
        path = Path(image)
        if any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
            cells.bad(
                fields[0], f"{len(image):,} characters that are neither a picture nor the name of a file"
            )
            return None
        if path.is_absolute() or ".." in path.parts:
            cells.bad(fields[0], f"{image!r} leaves the folder of images: give a path relative to it")
            return None
        return image if path.suffix else image + suffix


def read_rows(
    file: str | Path, rows: Iterable[Row], make: Callable[[Cells, int], Item | None], into: Items
) -> None:
    """Add the rows of one file to `into`.

    `make` is given a row's cells and its number (the line, or the place in a data set); where it returns
    None, or says that a cell is bad, the row has a problem.
    """
    for row in rows:
        if isinstance(row.value, Problem):
            into.problems.append(row.value)
            continue
        found: list[Problem] = []

        def reject(
            name: str | None, message: str, line: int = row.line, found: list[Problem] = found
        ) -> None:
            found.append(Problem(file=str(file), line=line, field=name, message=message))

        cells = Cells(row.value, reject)
        item = make(cells, row.line)
        if item is not None and cells.good:
            into.items.append(item)
        elif found:
            into.problems += found
        else:
            into.problems.append(Problem(file=str(file), line=row.line, message="holds no question"))


def check_images(items: Sequence[Item], root: str | Path, source: str) -> None:
    """Raise `DataError` where not one of the images exists: then `images` is wrong, not a file missing.

    A single missing image is a failed sample, with its reason, when the benchmark runs.
    """
    named = [item.image for item in items if item.image is not None]
    if named and not any((Path(root) / name).is_file() for name in dict.fromkeys(named)):
        message = (
            f"none of its {len(set(named)):,} images is in {root}, such as {named[0]}: set `images` to the "
            "folder that they are relative to"
        )
        raise DataError([Problem(file=source, message=message)])


def fill_prompt(template: str, question: str) -> str:
    """The prompt of a question. Raises ValueError for a template without `{question}`."""
    if "{question}" not in template:
        raise ValueError(f"prompt={template!r} has no {{question}}: say where the question is to stand")
    return template.replace("{question}", question)


def as_paths(source: Source) -> list[str | Path]:
    """One path or several as a list."""
    return [source] if isinstance(source, str | Path) else list(source)


def found_paths(source: Source, name: str) -> list[str | Path]:
    """`source` as a list. Raises `FileNotFoundError` for a path that is not there, with how to get it.

    Something of the form `OWNER/NAME` is left to `datasets`. `name` is that of `data_prep/download.py`.
    """
    paths = as_paths(source)
    for path in paths:
        if not Path(path).exists() and (str(path).count("/") != 1 or Path(path).suffix):
            raise FileNotFoundError(
                f"no such file or folder: {path}. `python data_prep/download.py get=[{name}]` fetches it to "
                f"data/raw/{name}; or set `source` to where it is"
            )
    return paths
