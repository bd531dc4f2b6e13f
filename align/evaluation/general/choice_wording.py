"""How responses say which option is the answer, and that none is: patterns for `choices`."""

from __future__ import annotations

import re


def _any(*alternatives: str) -> str:
    return f"(?:{'|'.join(alternatives)})"


def letter(n: int) -> str:
    """A letter, in brackets (groups `p{n}`, `b{n}`) or alone (`l{n}`), which can still be a word: `A dog`."""
    return rf"(?:\(\s*(?P<p{n}>[A-Za-z])\s*\)|\[\s*(?P<b{n}>[A-Za-z])\s*\]|(?P<l{n}>[A-Za-z])(?![\w'’]))"


_OPTION = r"(?:(?:option|choice|letter|answer)\s+)?"
_IS = _any(
    "is", "would be", "should be", "must be", "will be", "has to be", "seems to be", "appears to be",
    "might be", "may be", "could be",
)  # fmt: skip
_SURELY = r"(?: (?:most likely|likely|probably|clearly|therefore|thus|definitely|also))?"
_LEAD = (
    r"(?:(?:final|correct|right|best|true|most likely|most suitable|most appropriate|my|the) ){0,4}"
    r"(?:answer|option|choice|response|pick|guess|selection|solution)"
)
_FILLER = r"(?:(?!\b(?-i:[A-Z])\b|\b(?:is|was|are|not)\b)[^.\n]){1,60}?"
_OPTIONS = r"(?:options|choices|answers|alternatives)"
_DETERMINERS = (
    r"(?:(?:the|these|those|this|four|five|three|given|provided|listed|offered|above|answer) ){0,4}"
)

MARKED = (
    re.compile(r"\\boxed\s*\{+(?:\\[a-z]+\s*\{+)?\s*\(?\s*(?P<l1>[A-Za-z])(?![A-Za-z])"),
    re.compile(r"<answer>\s*\(?\s*(?P<l1>[A-Za-z])(?![A-Za-z])", re.I),
    re.compile(r"[\"'](?:answer|option|choice|letter)[\"']\s*:\s*[\"']\(?(?P<l1>[A-Za-z])(?![A-Za-z])", re.I),
    re.compile(r"(?:答案|选项|选择|应选|选)(?:是|为|应为)?\s*:?\s*\(?(?P<l1>[A-Z])(?![A-Za-z])"),
)
"""Marked up as the answer: nothing about them needs to be weighed."""

SAID = re.compile(
    rf"\b{_LEAD}(?: here| to the question| for this question)?"
    rf"(?: {_IS}{_SURELY}| ?[:=\-–—]+| ?(?:is|was) ?:)\s*"
    rf"(?P<not>not )?(?:the )?{_OPTION}(?:is\s*)?[\"'“]?{letter(1)}",
    re.I,
)
"""`The answer is B`, `Answer: B`."""

CHOSEN = re.compile(
    r"\b(?:i|we|i would|we would|i'd|i'll|i will|i must|we must|let's|to|must|should)(?: \w+ly)?"
    r"(?: (?:have to|want to|therefore|thus))?"
    r" (?:choose|pick|select|go with|go for|opt for|answer|vote for|say|lean towards?|settle on)\s+"
    rf"(?P<not>neither )?(?:the )?{_OPTION}{letter(1)}",
    re.I,
)
"""`I would choose B`."""

LEFT = re.compile(
    r"\b(?:it (?:has to|must|should|can only|would|will) be|has to be|must be|left with"
    r"|(?:leaves?|leaving)(?: us)?(?: with)?|goes? with|so it is|points? to|guess(?: is| it is)?)\s*,?:?"
    rf"\s*(?:only\s+)?{_OPTION}{letter(1)}",
    re.I,
)
"""`It must be B`, `we are left with B`."""

SO = re.compile(
    r"\b(?:so|hence|therefore|thus|probably|likely)\b\s*,?:?\s*(?:it is |it's )?"
    rf"{_OPTION}{letter(1)}(?=\s*(?:[.!;,)]|$|because\b|since\b|it is\b))",
    re.I,
)
"""`So, B it is`."""

CORRECT = re.compile(
    rf"(?:\boption\s+|\bchoice\s+)?{letter(1)}(?:[,.]? ?\([^()]{{1,80}}\)|[.:,]? {_FILLER})?,? "
    r"(?:is|was|would be|seems|appears|looks|fits|matches)(?: to be)?"
    r"(?: (?:the|clearly|most likely|probably|also|likely))*"
    r"(?P<not> not| never| n't|n't)?(?: the| a| quite)?\s*"
    r"(?:most (?:likely|suitable|accurate|appropriate) )?"
    r"(?:correct|right|best|closest|true|most fitting|accurate)\b",
    re.I,
)
"""`B is the correct answer`."""

TAIL = re.compile(r"(?:\(|\b(?:[Oo]ption|[Cc]hoice)\s+\(?)(?P<l1>[A-Z])\)?\W*$")
"""`... a horse (option C).`"""

BUT = re.compile(r"\b(?:but|however|still|yet)\b[^.]*?\b(?:option|choice)\s+(?P<l1>[A-Za-z])\b", re.I)
"""`I can't be sure, but option C ...`"""

HEAD = re.compile(rf"^\W*?{_OPTION}{letter(1)}", re.I)
"""A line that begins with a letter."""

JOINS = re.compile(rf"^\W{{0,3}}(?:(?:and|or|and/or|nor|&|/|,)\s*)+(?:option\s+|choice\s+)?{letter(2)}", re.I)
"""A second letter after the first: `B or C`."""

JOINED_BEFORE = re.compile(
    r"(?:^|[\s(\[])\(?[A-Z]\)?\s*(?:,\s*(?:and|or)?|and|or|&|/)\s*(?:option\s+)?\(?(?:option\s+)?$"
)
"""A letter before: `both A and ...`."""

REJECTED = re.compile(
    r"\W*(?:is|was|are|can|could|does|would)(?:n't| not)?(?: \w+ly)?(?: be)?\s*"
    r"(?:wrong|incorrect|not|false|out|ruled|impossible|excluded|eliminated)\b|\W*(?:isn't|can't|cannot|doesn't)\b",
    re.I,
)
"""After a letter: `B is wrong`."""

DOUBTED = re.compile(
    r"(?:n't|not|never|cannot) (?:think|believe|say|agree|sure|claim|conclude)(?: that| if| whether)?\s*$"
    r"|\b(?:neither|nor)\s*$",
    re.I,
)
"""Before a letter: `I don't think B is right`."""

DENIED = re.compile(
    r"\b(?:not|isn't|aren't|no|never|neither|nor|without|rather than|instead of|unlike)\s+(?:\w+\s+){0,2}$",
    re.I,
)
"""Before an option's text: `not a dog`."""

NO_OPTION = re.compile(
    _any(
        r"\bnone of (?:the |these |those )?(?:\w+ )?(?:above|options?|choices?|answers?|alternatives?|these"
        r"|those|them|appl(?:y|ies)|is (?:right|correct))\b"
        r"(?! fits? perfectly)",
        r"\bnone (?:is|are|fits?|applies|apply|matches|match)\b",
        r"\bno (?:option|choice|answer|alternative)s?\b"
        r"(?: \w+){0,2}? (?:is|are|fits?|applies|matches|seems|given)\b",
        r"\b(?:there is|there's|there are|i see|i find) no"
        r" (?:correct|right|valid|suitable|matching|appropriate) (?:answer|option|choice)s?\b",
        r"\b(?:answer|option|choice) (?:is|was)(?: not|n't)"
        r" (?:among|in|one of|listed|included|given|provided|there)\b",
        rf"\ball (?:of )?{_DETERMINERS}{_OPTIONS} (?:are|seem|appear) (?:\w+ )?"
        r"(?:incorrect|wrong|irrelevant|false|not correct|not right)\b",
        rf"(?:n't|not|cannot)\b[^.\n]{{0,40}}\b(?:any|one) of {_DETERMINERS}(?:{_OPTIONS}|these|those|them)"
        r" (?:is|are|fits?|to be) (?:right|correct|valid)\b",
        r"\bneither (?:of (?:the|these|them)|(?:option )?[A-H](?: ?, ?[A-H])*,? n?or [A-H])\b",
        rf"\b{_OPTIONS} (?:do not|don't|does not|doesn't)"
        r" (?:match|fit|answer|apply|correspond|include|contain)",
        r"\b(?:image|picture|photo|question)(?: and (?:the )?(?:question|image|picture|photo))?"
        r" (?:is|are|seems?|appears?) (?:to be )?(?:\w+ )?"
        r"(?:irrelevant|unrelated|incompatible|mismatched|not (?:related|relevant|compatible))\b",
        r"\b(?:image|picture|photo|question) (?:does not|doesn't|do not|don't)"
        r" (?:match|fit|correspond|relate|belong) (?:to |with )?(?:the |this |any of |any |your |each )*"
        r"(?:question|options?|choices|image|picture|photo|other)\b",
        rf"\bnot (?:one of|among|in|listed in|part of|included in) {_DETERMINERS}{_OPTIONS}\b",
        r"\b(?:question|it) (?:can not|cannot|can't) be answered\b",
    ),
    re.I,
)
"""No option is right, or the question does not go with the image."""

BARE_NONE = re.compile(r"\W*(?:none|neither|no answer|unanswerable|no correct answer|n/?a)\W*", re.I)
"""The same, as a whole response."""

NONE_OPTION = re.compile(
    r"\s*(?:[\w\s,']*\bnone of (?:the |these |those )?(?:above|options|choices|answers|these|those|them)\b.*"
    r"|no answer|the image and (?:the )?question are irrelevant\.?)\s*",
    re.I | re.S,
)
"""The text of an option that stands for this."""

NAMED = re.compile(
    r"\((?P<a>[A-Z])\)|\b(?:[Oo]ption|[Cc]hoice)\s+(?P<b>[A-Za-z])\b|(?<![\w'$])(?P<c>[A-Z])(?![\w'])"
)
"""A letter in running text."""
