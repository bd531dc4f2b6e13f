"""What a reading collects: claims about the image, and the words of declining."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from align.miniworld.grader_mentions import NOWHERE, Mention, Place
from align.miniworld.grader_text import Chunk


@dataclass
class Claim:
    """`base` is the noun phrase, `whole` the same with what is predicated of it: `the star` and `red star`.

    `predicate`: something is predicated of it (`the star is red`); otherwise it is only said to be there.
    `attribute`: what is predicated, `color`, `size`, `position`, or `identity` (`the red object is a star`).
    `hedged`: one of several alternatives (`red or blue`). `impossible`: contradicts itself.
    """

    base: Mention
    whole: Mention
    positive: bool
    predicate: bool = False
    attribute: str | None = None
    hedged: bool = False
    impossible: bool = False


@dataclass
class Reading:
    """Everything that a response says, in one place.

    The flags tell how it declines: `inability` (`I can't say`), `which` (the referent is ambiguous),
    `context` (the image does not tell), `weak_context` (`I can't tell from the image`), `opinion` (a matter
    of taste), `only` (nothing else is there), `denies_referent` (`there is none`), `conditional` (`if you
    mean ...`).
    """

    claims: list[Claim] = field(default_factory=list)
    relations: list[tuple[Mention | None, str, Mention | None, bool]] = field(default_factory=list)
    """(first, direction, second, positive); None stands for what the question names"""
    backgrounds: list[tuple[str, bool, bool]] = field(default_factory=list)
    """(color, positive, hedged)"""
    numbers: list[int] = field(default_factory=list)
    yes: set[bool] = field(default_factory=set)
    inability: bool = False
    which: bool = False
    context: bool = False
    weak_context: bool = False
    opinion: bool = False
    only: bool = False
    denies_referent: bool = False
    conditional: bool = False
    statements: list[Chunk] = field(default_factory=list)
    """Every chunk but those of inability, questions and apologies."""


def merge(subject: Mention, predicate: Mention) -> tuple[Mention, bool]:
    """The subject with what is predicated of it; True if both cannot be (`the star is a circle`)."""
    impossible = False
    values: dict[str, object] = {}
    for name in ("shape", "color", "size"):
        said, new = getattr(subject, name), getattr(predicate, name)
        if name == "shape" and subject.partial:
            said = said if new is None else None
        impossible |= said is not None and new is not None and said != new
        values[name] = new if new is not None else said
    place: Place = predicate.place if predicate.place != NOWHERE else subject.place
    number = subject.number if subject.number is not None else predicate.number
    return replace(subject, place=place, number=number, colors=(), **values), impossible  # type: ignore[arg-type]
