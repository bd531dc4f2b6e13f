"""What a source is: where its rows are, and how a row becomes questions or pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from align.data.json_rows import MAX_ROW, Row
from align.data.reading import ParsedRow
from align.data.sources.cells import Cells
from align.data.sources.files import iter_input


@dataclass(frozen=True)
class Draft:
    """A record before its image has a name and itself an id.

    Attributes:
        fields: of a `Question`, or of a `Pair` where `is_pair`; without `image` (`images`), `source` and
            `license`.
        image: a path relative to the folder of images, or the bytes of an image file.
        image_field: which field of the row that came from, for messages.
        id: of the question; None makes one from source, image, part and text.
        link: what the rows of a pair of twins have in common, for `Source.twins`.
    """

    fields: dict[str, Any]
    image: str | bytes
    image_field: str = "image"
    id: str | None = None
    link: str | None = None
    is_pair: bool = False


@dataclass(frozen=True)
class Source:
    """A data set's form. A subclass is one data set; its fields are the options in configs/source.

    Attributes:
        name: what `Question.source` says, and the first part of ids.
        license: of the data, kept in every question.
        split: the split of all rows that name none themselves; None leaves it to the split by image.
        image_name_only: use only the file name of an image that is given with a longer path.
        hub_subset, hub_split, hub_revision: of a Hugging Face data set, given as its folder or `OWNER/NAME`.
        max_row: bytes that one row of a text file may have.
    """

    name: str = ""
    license: str | None = None
    split: str | None = None
    image_name_only: bool = False
    hub_subset: str | None = None
    hub_split: str | None = None
    hub_revision: str | None = None
    max_row: int = MAX_ROW

    warning: ClassVar[str | None] = None
    """What a user must know before using the data, such as a restriction in its license."""
    key: ClassVar[str | None] = None
    """Where the rows are, in a JSON file that is one object."""

    def rows(self, path: str | Path) -> Iterator[Row]:
        """The rows of the input."""
        return iter_input(
            path,
            key=self.key,
            max_row=self.max_row,
            subset=self.hub_subset,
            split=self.hub_split,
            revision=self.hub_revision,
        )

    def inputs(self, path: str | Path) -> dict[str, str | Path]:
        """Files that the rows come from, by the name of their option, for run.json."""
        return {"input": path} if Path(path).exists() else {}

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        """What a row says; an empty sequence where `cells` is not good."""
        raise NotImplementedError

    def twins(self, rows: Sequence[tuple[ParsedRow, str | None]]) -> dict[str, str]:
        """Twins among all questions, id to id; `rows` come with their `Draft.link`."""
        return {}

    def notes(self) -> list[str]:
        """What the report says about reading this source."""
        return []


@dataclass(frozen=True)
class Option:
    """One option of a multiple-choice question."""

    letter: str
    text: str


def with_options(question: str, options: Sequence[Option]) -> str:
    """The question with its options, a line each."""
    return "\n".join([question, *(f"{option.letter}. {option.text}" for option in options)])


def choice_answers(options: Sequence[Option], letter: str) -> tuple[str, ...]:
    """What counts as choosing an option: its text, or its letter with its text."""
    text = next(option.text for option in options if option.letter == letter)
    return (text, f"{letter}. {text}")
