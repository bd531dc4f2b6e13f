"""From free English to chunks of canonical words: the first step of the grader.

Contractions are opened, synonyms are replaced by the miniature world's own words (`tiny` -> `small`,
`doughnut` -> `ring`, `upper` -> `top`), and the text is cut into chunks of about one clause each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from align.miniworld.scenes import BACKGROUNDS, COLORS, SHAPES, SIZES


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that name a color, shape or size which no scene has: a claim with one of them is always wrong.
FOREIGN_COLORS = words(
    "magenta teal gold golden silver beige lime navy maroon indigo tan crimson scarlet olive lavender peach "
    "transparent colorless rainbow multicolored"
)
FOREIGN_SHAPES = words(
    "hexagon pentagon octagon oval ellipse rectangle cube sphere cylinder cone pyramid arrow moon crescent "
    "trapezoid parallelogram polygon spiral line flower tree house person man woman child dog cat bird fish "
    "car apple sun cloud"
)
COLOR_WORDS = frozenset((*COLORS, *BACKGROUNDS)) | FOREIGN_COLORS
SHAPE_WORDS = frozenset(SHAPES) | FOREIGN_SHAPES
SIZE_WORDS = frozenset(SIZES) | {"medium"}
GENERIC_WORDS = words("object thing shape figure item form element symbol")
PLACE_WORDS = words("top bottom left right center middle")
NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
MANY = -1
"""The number of `several`, `many`, `more than one`: at least two."""

_SYNONYMS = {
    "colour": "color", "colours": "colors", "coloured": "colored", "grey": "gray", "greyish": "gray",
    "grayish": "gray", "violet": "purple", "turquoise": "cyan", "aqua": "cyan", "reddish": "red",
    "bluish": "blue", "greenish": "green", "pinkish": "pink", "yellowish": "yellow", "purplish": "purple",
    "brownish": "brown", "whitish": "white", "blackish": "black",
    "circular": "circle", "round": "circle", "disc": "circle", "disk": "circle", "dot": "circle",
    "discs": "circles", "disks": "circles", "dots": "circles", "ball": "circle", "balls": "circles",
    "triangular": "triangle", "doughnut": "ring", "donut": "ring", "annulus": "ring", "hoop": "ring",
    "doughnuts": "rings", "donuts": "rings", "hoops": "rings", "rhombus": "diamond", "rhombuses": "diamonds",
    "rhombi": "diamonds", "lozenge": "diamond", "lozenges": "diamonds", "pluses": "crosses",
    "tiny": "small", "little": "small", "smaller": "small", "smallest": "small", "mini": "small",
    "smallish": "small", "big": "large", "huge": "large", "bigger": "large", "larger": "large",
    "largest": "large", "biggest": "large", "giant": "large", "largish": "large", "upper": "top",
    "uppermost": "top", "topmost": "top", "lower": "bottom", "lowermost": "bottom", "centre": "center",
    "central": "center", "centered": "center", "centred": "center", "leftmost": "left", "rightmost": "right",
    "lefthand": "left", "righthand": "right", "picture": "image", "photo": "image", "photograph": "image",
    "drawing": "image", "pic": "image", "scene": "image", "illustration": "image", "canvas": "image",
    "figures": "objects", "backdrop": "background", "beneath": "below",
    "underneath": "below", "under": "below",
    "multiple": "several", "many": "several", "numerous": "several", "various": "several",
    "yeah": "yes", "yep": "yes", "yup": "yes", "nope": "no", "nah": "no", "cannot": "can not",
    "dont": "do not", "doesnt": "does not", "cant": "can not", "isnt": "is not", "arent": "are not",
    "wont": "will not", "couldnt": "could not", "didnt": "did not", "im": "i am", "ive": "i have",
    "theres": "there is", "wasnt": "was not", "unfortunately": "", "actually": "", "really": "",
    "clearly": "",
    "honestly": "", "simply": "", "definitely": "", "certainly": "", "currently": "", "also": "",
}  # fmt: skip
_PLURALS = {
    **{f"{word}s": word for word in SHAPE_WORDS | GENERIC_WORDS},
    "crosses": "cross", "ellipses": "ellipse", "people": "person", "ones": "one",
}  # fmt: skip

_APOSTROPHES = re.compile(r"[’‘`´]")
_CONTRACTIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bwon't\b", "will not"),
        (r"\bcan't\b|\bcannot\b", "can not"),
        (r"\bain't\b", "is not"),
        (r"\blet's\b", "let us"),
        (r"n't\b", " not"),
        (r"'m\b", " am"),
        (r"'re\b", " are"),
        (r"'ve\b", " have"),
        (r"'d\b", " would"),
        (r"'ll\b", " will"),
        # `the star's color` keeps its possessive as `of`-less juxtaposition; any other `'s` is `is`.
        (
            r"'s (?=colou?rs?\b|shapes?\b|sizes?\b|position\b|location\b|place\b|feelings?\b|maker\b|price\b"
            r"|meaning\b|owner\b|purpose\b|creator\b|age\b|origin\b|history\b|future\b|past\b|beauty\b)",
            " ",
        ),
        (r"'s\b", " is"),
        (r"'", ""),
    )
)
_WORD = re.compile(r"[a-z]+|\d+|[.,;:!?]")
_BREAKS = re.compile(r"\s[-–—]+\s|[—()\[\]]|\.{3,}|…")
_NEWLINES = re.compile(r"\s*\n+\s*")

_THING = r"(?:objects?|things?|shapes?|items?|elements?|one|them|these|those)"
_HERE = r"(?: (?:here|there|in (?:the|this) image|present|visible))?"
_X = r"(?P<x>" + "|".join(f"{word}e?s?" for word in (*COLORS, *SHAPES, *SIZES)) + r")\b"
_REWRITES: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (needs, re.compile(pattern), replacement)
    for needs, pattern, replacement in (
        ("blue", r"\b(?:light|sky|baby|pale) blue\b", "cyan"),
        ("plus", r"\bplus (?:sign|shape|symbol)\b", "cross"),
        (
            " plus",
            r"\b(a|the|an|no|any|one|[a-z]+(?:red|low|een|yan|lue|ple|ink)|orange|small|large"
            r"|is) plus\b(?! a\b| an\b| the\b)",
            r"\1 cross",
        ),
        ("thing", r"\b(?:nothing|not anything) (?:but|except|other than|besides)(?: for)?\b", "only"),
        ("", r"\bno doubt\b|\bwithout (?:a |any )?doubt\b|\bno question\b", "surely"),
        # `the star you asked about is red`: the relative clause says nothing
        (
            " you ",
            r"\b(the (?:\w+ ){1,3}?)(?:that |which )?you (?:are |were )?(?:ask|asked|asking|mention"
            r"|mentioned|mean|meant|refer|referred|referring|talking|described?)(?: about"
            r"| to)?(?= (?:is|are|was|were|does|do|has|looks|in|at)\b)",
            r"\1",
        ),
        # `the star is at the top left and the ring at the bottom`: the verb stands once and holds twice
        (
            " and the ",
            r"\b(is|are) ((?:at|in) the [a-z]+(?: [a-z]+)?)(?: ,)? and (the (?:[a-z]+ )?[a-z]+) "
            r"(at|in) the\b",
            r"\1 \2 and \3 \1 \4 the",
        ),
        ("longer", r"\bno longer\b", "now not"),
        ("not ", r"\bnot (?:only|just|merely)\b", "only"),
        ("top", r"\bat (?:the )?top of\b", "in the top of"),
        ("top", r"\bon top of\b", "above"),
        ("row", r"\b(?:first|1 st) row\b|\btop row\b", "top"),
        ("row", r"\bsecond row\b|\bmiddle row\b", "middle"),
        ("row", r"\b(?:third|last) row\b", "bottom"),
        ("column", r"\b(?:first) column\b", "left"),
        ("column", r"\bsecond column\b|\bmiddle column\b", "center"),
        ("column", r"\b(?:third|last) column\b", "right"),
        ("hand", r"\b(left|right) hand\b", r"\1"),
        ("right", r"\b(?:right now|all right|that is right|you are right|right away)\b", "yes"),
        ("nothing", rf"\bnothing{_HERE} (?:that )?(?:is|looks) (?:an? )?{_X}", r"no \g<x> thing"),
        (
            "none of",
            rf"\bnone of (?:the |these |those )?{_THING}{_HERE} (?:is|are|looks?) (?:an? )?{_X}",
            r"no \g<x> thing",
        ),
        ("no ", rf"\bno (?:object|thing|shape|item){_HERE} (?:is|looks) (?:an? )?{_X}", r"no \g<x> thing"),
        (
            "thing",
            r"\b(no|any|some)thing (?:that is |which is )?(?=(?:" + "|".join(COLORS) + r")\b)",
            r"\1 thing_",
        ),
        (" of", r"\ba (?:couple|pair) of\b", "two"),
        (
            "",
            r"\bmore than one\b|\ba few\b|\ba number of\b|\ba lot of\b|\blots of\b|\bat least two\b",
            "several",
        ),
        ("not ", r"\bnot (?:a single|one|even one|even a)\b(?= [a-z])", "no"),
        (
            "the only",
            r"\bthe only (?:shapes?|things?|objects?|one)(?: (?:that )?(?:i (?:can )?see|here|there"
            r"|in (?:the|this) image|present|visible))* (?:is|are)\b",
            "there is only",
        ),
        ("", r"\b(?:a single|exactly one|just one|only one)\b", "one"),
        ("the only", r"\bthe only\b", "the one"),
        ("right", r"\b(seems|sounds|feels|be) right(?= ?[.,!?]|$)", r"\1 so"),
        ("exist", r"\bthere (?:exists?|remains?)\b", "there is"),
    )
)
"""(a text that must be there for the pattern to be worth trying, pattern, replacement)"""
_NOTHING_COLOR = re.compile(r"\b(no|any|some) thing_ ?([a-z]+)")

_SENTENCE_END = frozenset(".!?")
_CUT_BEFORE = words("but because since although though while whereas however therefore thus hence yet")
_AND_CUTS = words("i it there so therefore this that you they its we as no thus hence then")
_AS_CUTS = words("there i it the no you both several two three four five neither nothing this that we")
_CUT_INABILITY = re.compile(
    r"(?<=[a-z]) (?=(?:i|we) (?:\w+ )?(?:can not|could not|do not know|am (?:not|un\w+)|have no)\b"
    r"|it is (?:impossible|not possible|unclear|hard|not clear)\b|there is no way\b)"
)
_NO_CUT_AFTER = re.compile(r"\b(?:that|which|what|and|so|but|because|as|since|if|where|sorry|afraid) ?$")
_AND_SUBJECT = re.compile(r" and (?=(?:the|one|a|an|another) (?:[a-z]+ ){0,4}(?:is|are|looks)\b)")


@dataclass
class Chunk:
    """About one clause. `sep` is what stood before it; `question` when its sentence ended with `?`."""

    tokens: list[str]
    sep: str
    sentence: int
    question: bool = False
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = " ".join(self.tokens)


def singular(word: str) -> str:
    return _PLURALS.get(word, word)


def number_of(word: str) -> int | None:
    """`two` and `2` are 2, `several` is `MANY`, anything else None."""
    if word.isdigit():
        return int(word)
    return MANY if word == "several" else NUMBER_WORDS.get(word)


def canonical(text: str) -> str:
    """Lower-case words of the miniature world and punctuation, one blank between any two."""
    text = _APOSTROPHES.sub("'", text).lower()
    text = _NEWLINES.sub(" . ", _BREAKS.sub(" , ", text))
    if "'" in text or "cannot" in text:
        for pattern, replacement in _CONTRACTIONS:
            text = pattern.sub(replacement, text)
    text = " ".join(filter(None, (_SYNONYMS.get(word, word) for word in _WORD.findall(text))))
    for needs, pattern, replacement in _REWRITES:
        if needs in text:
            text = pattern.sub(replacement, text)
    return _NOTHING_COLOR.sub(r"\1 \2 thing", text)


def chunks(text: str) -> list[Chunk]:
    """Cut canonical text at punctuation and at the words that join clauses."""

    def cut(match: re.Match[str]) -> str:
        return " " if _NO_CUT_AFTER.search(text[: match.start()]) else " , "

    text = _CUT_INABILITY.sub(cut, text)
    text = _AND_SUBJECT.sub(" ; ", text)
    tokens = text.split()
    result: list[Chunk] = []
    current: list[str] = []
    sep, sentence = "", 0

    def close(next_sep: str) -> None:
        nonlocal current, sep
        if current:
            result.append(Chunk(current, sep, sentence))
            current, sep = [], next_sep
        elif next_sep != "," or not sep:
            sep = next_sep

    for i, word in enumerate(tokens):
        after = tokens[i + 1] if i + 1 < len(tokens) else ""
        if word in _SENTENCE_END:
            close(".")
            if word == "?":
                for chunk in reversed(result):
                    if chunk.sentence != sentence:
                        break
                    chunk.question = True
            sentence += 1
        elif (
            word in ",;:"
            or (word in _CUT_BEFORE and not (word == "yet" and tokens[i - 1 : i] == ["not"]))
            or (word == "so" and after not in ("many", "much", "far", "on", "."))
            or (word == "and" and (after in _AND_CUTS or tokens[i + 1 : i + 3] == ["the", "image"]))
            or (word == "as" and after in _AS_CUTS and tokens[i + 2 : i + 3] != ["same"])
        ):
            close(word)
        elif word == "no" and not current and after in ("there", "i", "it", "the"):
            current = [word]  # `no there is a star`: an answer word whose comma is missing
            close(",")
        else:
            current.append(word)
    close("")
    return result
