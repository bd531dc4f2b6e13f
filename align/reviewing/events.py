"""One line of the review's log: what an annotator decided, took back, or was given to rate again."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from align.records import Record

Pass = Literal[1, 2]
_NAME = re.compile(r"\w[\w .-]{0,38}[\w.]|\w")


class Header(Record):
    """The first line of a log. `review` tells one review from another, also to the browser's outbox."""

    kind: Literal["review"] = "review"
    format: Literal[1] = 1
    review: str = Field(min_length=8)
    mode: Literal["questions", "responses"]
    created: str


class Event(Record):
    """What one annotator did once. The id is made by the browser, so that sending twice counts once.

    `set`: `fields` of `item` were decided, `digest` being that of the item that was on the screen.
    `undo`: the event `undoes` no longer counts. `draw`: `items` are to be rated again, blind.
    """

    kind: Literal["set", "undo", "draw"]
    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    annotator: str
    round: Pass = 1
    item: str | None = None
    digest: str | None = None
    fields: dict[str, Any] | None = None
    undoes: str | None = None
    items: tuple[str, ...] | None = None
    made: str = Field(max_length=40, description="the browser's clock")
    received: str | None = Field(None, description="the server's clock")

    @field_validator("annotator")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        return checked_name(name)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Event:
        needs = {"set": ("item", "digest", "fields"), "undo": ("undoes",), "draw": ("items",)}[self.kind]
        for name in ("item", "digest", "fields", "undoes", "items"):
            if (getattr(self, name) is not None) != (name in needs):
                raise ValueError(f"an event of kind {self.kind} has {', '.join(needs)}; look at `{name}`")
        return self

    def same_as(self, other: Event) -> bool:
        """Whether both say the same; when the server received them does not matter."""
        return self.model_copy(update={"received": None}) == other.model_copy(update={"received": None})


def checked_name(name: str) -> str:
    """An annotator's name in its one spelling. Raises `ValueError` for one that can't be used."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:60]!r} can't be an annotator's name: 1 to 40 letters, digits, spaces, dots, dashes or "
            "underscores, and a letter or digit first"
        )
    return name
