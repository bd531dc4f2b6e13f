"""Noun phrases of the miniature world: `two small red stars in the top left`."""

from __future__ import annotations

from dataclasses import dataclass

from align.miniworld.grader_text import (
    COLOR_WORDS,
    GENERIC_WORDS,
    MANY,
    PLACE_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    number_of,
    singular,
    words,
)
from align.miniworld.questions import Referent
from align.miniworld.scenes import Scene, Thing

Place = tuple[str | None, str | None]
"""(row, column), None where the text leaves it open."""

NOWHERE: Place = (None, None)

_IGNORED = words(
    "bright dark light solid plain same different filled nice simple colored such possible matching similar "
    "distinct separate pale deep vivid flat"
)
_INDEFINITE = frozenset(("a", "an", "another", "some", "no", "any"))
_DEFINITE = frozenset(
    ("the", "this", "that", "your", "its", "these", "those", "either", "each", "every", "all", "both")
)
_AFTER_SHAPE = frozenset((*GENERIC_WORDS, "shaped", "shapes", "objects", "figures"))
_AFTER_OTHER = SHAPE_WORDS | GENERIC_WORDS | COLOR_WORDS | {"one"}
_BEFORE_ONE = COLOR_WORDS | SIZE_WORDS | words("other another this that the each left right first second")
_IMAGE_WORDS = frozenset(("image", "frame", "background", "grid", "page"))


@dataclass
class Mention:
    """One noun phrase. `number` is None without a numeral, `MANY` for `several`. `start`, `end` index tokens.

    `partial`: `the other`, `one of them`: part of what the question asks about, not all of it.
    `reach`: up to where its place is told, a token index like `end`.
    `relative`: `such things`, `things that match`: counted among what the question's words fit.
    """

    shape: str | None = None
    color: str | None = None
    size: str | None = None
    number: int | None = None
    plural: bool = False
    definite: bool = False
    place: Place = NOWHERE
    partial: bool = False
    relative: bool = False
    colors: tuple[str, ...] = ()
    start: int = 0
    end: int = 0
    reach: int = 0

    def fits(self, thing: Thing) -> bool:
        row, column = thing.place.split()
        return (
            self.shape in (None, thing.shape)
            and (self.color in (None, thing.color) or thing.color in self.colors)
            and self.size in (None, thing.size)
            and self.place[0] in (None, row)
            and self.place[1] in (None, column)
        )

    @property
    def bare(self) -> bool:
        """No attribute at all: `things`, `three objects`."""
        return self.shape is None and self.color is None and self.size is None and self.place == NOWHERE

    def among(self, scene: Scene) -> list[Thing]:
        return [thing for thing in scene.things if self.fits(thing)]

    def names(self, target: Referent) -> bool:
        """Is this the question's referent, in its words or in fewer (`the star` for `the red star`)?"""
        return (
            not self.partial
            and self.shape in (None, target.shape)
            and self.color in (None, target.color)
            and self.size is None
            and self.place == NOWHERE
        )

    def within(self, target: Referent) -> bool:
        """Would everything that fits this also fit the question's referent?"""
        return target.shape in (None, self.shape) and target.color in (None, self.color)

    def clashes(self, target: Referent) -> bool:
        """Can nothing fit both?"""
        return (target.shape is not None and self.shape not in (None, target.shape)) or (
            target.color is not None and self.color not in (None, target.color) and not self.colors
        )

    def describe(self) -> str:
        noun = self.shape or "object"
        if self.plural or self.number not in (None, 0, 1):
            noun += "es" if noun.endswith("s") else "s"
        count = "several" if self.number == MANY else str(self.number) if self.number not in (None, 1) else ""
        where = " ".join(word for word in self.place if word)
        words = [count, self.size, self.color, noun, f"at the {where}" if where else ""]
        return " ".join(word for word in words if word)


def place_in(tokens: list[str], start: int, end: int) -> Place | None:
    """The place that tokens name, or None when they name two different ones.

    `top left` is (top, left); `top` alone leaves the column open; `middle` completes what is given
    (`top middle` is top center, `middle left` is middle left), and alone it is the middle of the image.
    """
    rows: set[str] = set()
    columns: set[str] = set()
    middle = False
    for i in range(start, end):
        word = tokens[i]
        if word not in PLACE_WORDS:
            continue
        if word in ("left", "right"):
            if is_relation(tokens, i):
                continue
            columns.add(word)
        elif word in ("top", "bottom"):
            rows.add(word)
        else:
            middle = True
    if len(rows) > 1 or len(columns) > 1:
        return None
    row, column = next(iter(rows), None), next(iter(columns), None)
    if middle and not (row and column):
        row, column = row or "middle", column or "center"
    return row, column


def is_relation(tokens: list[str], i: int) -> bool:
    """Is the `left` or `right` at `i` one of `left of the star`, not of `left side of the image`?"""
    return tokens[i + 1 : i + 2] == ["of"] and not _IMAGE_WORDS & set(tokens[i + 2 : i + 5])


def find_mentions(tokens: list[str], last_shape: str | None) -> list[Mention]:
    """Every noun phrase of a chunk, in order. `last_shape` is what `the red one` stands for."""
    found: list[Mention] = []
    used = 0
    for i, word in enumerate(tokens):
        mention = None
        base = singular(word)
        if base in SHAPE_WORDS:
            # `star shaped object`: the shape belongs to the noun that follows
            end = i + 1
            while end < len(tokens) and tokens[end] in _AFTER_SHAPE:
                end += 1
            plural = word != base or (end > i + 1 and tokens[end - 1] != singular(tokens[end - 1]))
            mention = _modified(tokens, used, i, Mention(shape=base, plural=plural, end=end))
        elif base in GENERIC_WORDS and i >= used:
            before = tokens[i - 1] if i else ""
            if tokens[i + 1 : i + 2] != ["of"] and before not in ("what", "which", "its", "whose"):
                mention = _modified(tokens, used, i, Mention(plural=word != base, end=i + 1))
                if mention.start == i and not mention.plural:
                    mention = None  # `shape` as the name of an attribute
        elif (
            base == "one"
            and i > used
            and tokens[i - 1] in _BEFORE_ONE
            and (i + 1 == len(tokens) or singular(tokens[i + 1]) not in _AFTER_OTHER | SIZE_WORDS)
        ):
            mention = _modified(tokens, used, i, Mention(shape=last_shape, plural=word != base, end=i + 1))
            if mention.color is None and mention.size is None:
                mention.partial = True
        elif word in ("other", "others", "former", "latter") and tokens[i - 1 : i] == ["the"]:
            if i + 1 == len(tokens) or singular(tokens[i + 1]) not in _AFTER_OTHER:
                mention = Mention(shape=last_shape, definite=True, partial=True, start=i - 1, end=i + 1)
        elif (
            word == "one" and i + 1 < len(tokens) and tokens[i + 1] in ("is", "of", "in", "at", "on", "looks")
        ):
            if i == 0 or tokens[i - 1] in ("and", "least"):
                mention = Mention(shape=last_shape, partial=True, start=i, end=i + 1)
        elif word in COLOR_WORDS and i >= used and _elliptical(tokens, i):
            mention = _modified(tokens, used, i + 1, Mention(end=i + 1))
            mention.shape = _next_shape(tokens, i) or last_shape
        if mention is not None and mention.start >= used:
            found.append(mention)
            used = mention.end
            if mention.shape is not None:
                last_shape = mention.shape
    for k, mention in enumerate(found):
        _place_after(tokens, mention, found[k + 1].start if k + 1 < len(found) else len(tokens))
    return found


def _modified(tokens: list[str], floor: int, head: int, mention: Mention) -> Mention:
    """Collect what stands before a noun: its modifiers, then its number, then its article."""
    row_column: list[int] = []
    i = head - 1
    colors: list[str] = []
    while i >= floor:
        word = tokens[i]
        if word in COLOR_WORDS:
            colors.insert(0, word)
        elif word in SIZE_WORDS:
            mention.size = word
        elif word in PLACE_WORDS:
            row_column.append(i)
        elif word == "such" or word == "matching":
            mention.relative = True
        elif word in ("and", "or") and colors and i > floor and tokens[i - 1] in COLOR_WORDS:
            pass
        elif word not in _IGNORED and word not in ("other", "more"):
            break
        i -= 1
    if colors:
        mention.color = colors[-1]
        mention.colors = tuple(colors) if len(colors) > 1 else ()
    if row_column:
        mention.place = place_in(tokens, row_column[-1], row_column[0] + 1) or NOWHERE
    if i >= floor and (number := number_of(tokens[i])) is not None:
        mention.number = number
        i -= 1
        if i >= floor and tokens[i] == "of":
            i += 1
    while i >= floor and tokens[i] in _DEFINITE | _INDEFINITE:
        if tokens[i] in _DEFINITE:
            mention.definite = True
        if tokens[i] == "both" and mention.plural:
            mention.number = 2
        i -= 1
    mention.start = i + 1
    return mention


def _elliptical(tokens: list[str], i: int) -> bool:
    """`a red` in `a red and a blue circle`; `one blue` in `one red and one blue`."""
    if tokens[i - 1 : i] and tokens[i - 1] in ("a", "an", "the", "one", "another", "two", "three"):
        return i + 1 == len(tokens) or tokens[i + 1] in ("and", "or", "in", "on", "at")
    return False


def _next_shape(tokens: list[str], i: int) -> str | None:
    for word in tokens[i + 1 :]:
        if singular(word) in SHAPE_WORDS:
            return singular(word)
    return None


def _place_after(tokens: list[str], mention: Mention, end: int) -> None:
    """Take up `... in the top left` after a noun, unless a verb makes it a statement of its own."""
    for i in range(mention.end, end):
        if tokens[i] in ("is", "are", "was", "not", "looks", "and"):
            return
        if tokens[i] in PLACE_WORDS:
            end = next((k for k in range(i, end) if tokens[k] in ("is", "are", "was", "looks")), end)
            place = place_in(tokens, i, end)
            if place and place != NOWHERE and mention.place == NOWHERE:
                mention.place, mention.reach = place, end
            return
