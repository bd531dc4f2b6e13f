"""A short answer as a full sentence: the question turned into a statement that holds the gold answer.

Rules over the commonest forms of visual questions, without a parser: a form is turned only where the words
that move can be told from the others (`What color is THE WHOLE REST?`, `How many THINGS lie there?`). Any
other question gives None, and a bare gold word is never put where its grammar needs an article that isn't
known.
The idea of turning a question with its answer into a statement is that of QA2D (Demszky et al. 2018).
"""

from __future__ import annotations

import re

_BE = r"(?P<be>is|are|was|were)"
_PREPOSITION = (
    r"(?:in|on|at|under|behind|beside|above|below|near|next to|between|inside|outside|in front of|around|over"
    r"|underneath|beneath|against|along|across from|to the (?:left|right) of|on top of)"
)
_ATTRIBUTE = (
    r"(?P<attribute>colou?r|shape|size|brand|breed|kind of animal|type of animal|number|time|sport|name"
    r"|flavor|word)"
)
_DETERMINERS = (
    r"(?:a|an|the|his|her|its|their|some|several|many|no|two|three|four|five|six|seven|eight|nine|ten|\d+)"
)
# Nouns without a plural: a sentence takes them as they are.
_MASS = {
    "wood", "metal", "glass", "plastic", "gravel", "grass", "sand", "snow", "water", "ice", "concrete",
    "brick", "stone", "leather", "paper", "cloth", "cotton", "wool", "food", "bread", "rice", "cheese",
    "milk", "coffee", "tea", "wine", "beer", "fog", "smoke", "rain", "dirt", "mud", "hay", "straw", "fur",
    "hair", "foliage", "traffic", "luggage", "furniture", "equipment", "money", "jewelry", "clothing",
    "graffiti",
}  # fmt: skip
_SINGULAR_S = ("ss", "us", "is")
_STRANDED = re.compile(r"\b(?:in|on|at|by|from|with|of|to|for|about|under|like|made|doing|called)$")
_OPENERS = re.compile(
    r"^(?:(?:in|on|from|looking at|according to) (?:this|the) (?:image|picture|photo|photograph|scene)\s*,\s*"
    r"|(?:please )?(?:can|could) you (?:tell me|see) (?=what|which|who|where|how))",
    re.IGNORECASE,
)
_YES_NO = {"yes": True, "no": False}


def answer_sentence(question: str, answer: str) -> str | None:
    """A sentence, without its full stop, that answers `question` with `answer`; None for other forms.

    The answer stands in it verbatim but for the case of a first letter; `yes` and `no` begin it.
    """
    text = _OPENERS.sub("", " ".join(question.split()).rstrip("?! ."))
    answer = " ".join(answer.split()).rstrip(".")
    if not answer or not text:
        return None
    for form in _FORMS:
        made = form(text, answer)
        if made:
            return made[:1].upper() + made[1:]
    return None


def _existence(text: str, answer: str) -> str | None:
    """`Is there a dog in the image?`"""
    match = re.match(r"(is|are) there (?P<what>(?:an?|any|some) .+)$", text, re.IGNORECASE)
    said = _YES_NO.get(answer.lower())
    if match is None or said is None or re.search(r"\bor\b", text):
        return None
    be, what = match[1].lower(), match["what"]
    if said:
        return f"{answer}, there {be} {re.sub(r'^any ', 'some ', what)}"
    return f"{answer}, there {be} no {re.sub(r'^(?:an?|any|some) ', '', what)}"


def _either_or(text: str, answer: str) -> str | None:
    """`Is NP white or black?`, `Are NP lighter or darker than that?`, `Is NP in color or in black and white?`

    The two choices are single words, or the second begins with a preposition that the first begins with too.
    """
    match = re.match(rf"{_BE} (?P<left>.+) or (?P<right>.+)$", text, re.IGNORECASE)
    if match is None or "," in text or match["left"].lower().startswith("there "):
        return None
    left, right, be = match["left"].split(), match["right"].split(), match["be"].lower()
    wanted, start = answer.lower(), len(left) - 1
    shared = ""
    if re.fullmatch(rf"{_PREPOSITION}|with|by|from|of|for|to", right[0]):
        if re.fullmatch(_PREPOSITION, left[-1]):  # `above or below the large flower`
            np = " ".join(left[:-1])
            fits = start > 1 and wanted in (left[-1].lower(), right[0].lower())
            return f"{np} {be} {answer} {' '.join(right[1:])}" if fits and len(right) > 1 else None
        places = [n for n, word in enumerate(left) if word == right[0] and n > 0]
        if not places:
            return None
        start = places[-1]
        if re.fullmatch(r"\w+ed", left[start - 1]):  # `filled with stones or with water`
            start -= 1
            shared = left[start] + " "
    np, first, second = " ".join(left[:start]), " ".join(left[start:]), shared + " ".join(right)
    if not np or np.split()[-1].lower() in ("a", "an", "the") or _STRANDED.search(np.lower()):
        return None
    if start < 2 and np.lower() not in ("it", "he", "she", "they", "this", "that", "these", "those"):
        return None
    than = re.search(r"\bthan .+$", second)  # what follows the second choice belongs to both in a comparison
    if first.lower() == wanted or first.lower().endswith(f" {wanted}"):
        return f"{np} {be} {first}" + (f" {than[0]}" if than else "")
    chosen = second[: than.start()].strip() if than else second
    if chosen.lower() == wanted or chosen.lower().endswith(f" {wanted}"):
        return f"{np} {be} {second}"
    return None


def _attribute(text: str, answer: str) -> str | None:
    """`What color is NP?`, with or without choices after a comma."""
    match = re.match(
        rf"(?:what|which) {_ATTRIBUTE} {_BE} (?P<np>[^,]+)(?:, [^,]+ or [^,]+)?$", text, re.IGNORECASE
    )
    if match is None or not _noun_phrase(match["np"]):
        return None
    attribute, be = match["attribute"].lower(), match["be"].lower()
    if attribute in ("color", "colour") and not re.match(_DETERMINERS + r"\b", answer, re.IGNORECASE):
        return f"{match['np']} {be} {answer.lower()}"
    return f"the {attribute} of {match['np']} {'was' if be in ('was', 'were') else 'is'} {answer}"


def _attribute_had(text: str, answer: str) -> str | None:
    """`What shape does NP have?`"""
    match = re.match(rf"what {_ATTRIBUTE} (?:does|do) (?P<np>[^,]+) have$", text, re.IGNORECASE)
    return f"the {match['attribute'].lower()} of {match['np']} is {answer}" if match else None


def _made_of(text: str, answer: str) -> str | None:
    """`What is NP made of?`, `What material is NP made of?`"""
    match = re.match(
        rf"what(?: kind of)?(?: material)? {_BE} (?P<np>[^,]+) made (?:of|from|out of)$", text, re.I
    )
    return (
        f"{match['np']} {match['be'].lower()} made of {answer}"
        if match and _noun_phrase(match["np"])
        else None
    )


def _how_many(text: str, answer: str) -> str | None:
    """`How many THINGS are there?`, `How many THINGS lie in the row?`, `How many THINGS does NP have?`"""
    if not re.match(r"how many ", text, re.IGNORECASE) or not re.fullmatch(r"[\w-]+", answer):
        return None
    rest = text[len("how many ") :]
    one = answer.lower() in ("1", "one")
    if match := re.match(r"(?P<things>[^,]+?) (?P<do>does|do|did) (?P<np>[^,]+) have$", rest):
        has = {"does": "has", "do": "have", "did": "had"}[match["do"]]
        things = match["things"]
        return f"the number of {things} that {match['np']} {has} is {answer}" if one else (
            f"{match['np']} {has} {answer} {things}"
        )  # fmt: skip
    if re.search(r"\b(?:do|does|did|is|was|has|will|would)\b", rest):
        return None
    if match := re.match(r"(?P<things>[^,]+?) are there(?P<where>(?: .+)?)$", rest):
        if one:
            return f"the number of {match['things']}{match['where']} is {answer}"
        return f"there are {answer} {match['things']}{match['where']}"
    match = re.match(r"(?P<things>[\w -]+?s|people|men|women|children|sheep|fish|mice) (?P<does>.+)$", rest)
    if match is None or not re.match(
        r"(?:are|can be|have been|lie|stand|sit|hang|show|appear|float|fly|walk|wear|hold|grow|face)\b",
        match["does"],
    ):
        return None
    if one:
        return f"the number of {match['things']} that {match['does']} is {answer}"
    return f"{answer} {match['things']} {match['does']}"


def _where(text: str, answer: str) -> str | None:
    """`Where is NP?`, answered with a preposition."""
    match = re.match(rf"where {_BE} (?P<np>[^,]+?)(?P<doing> \w+ing)?$", text, re.IGNORECASE)
    if (
        match is None
        or not re.match(rf"{_PREPOSITION} ", answer, re.IGNORECASE)
        or not _noun_phrase(match["np"])
    ):
        return None
    return f"{match['np']} {match['be'].lower()}{match['doing'] or ''} {answer}"


def _doing(text: str, answer: str) -> str | None:
    """`What is NP doing?`, `What is NP holding?`"""
    match = re.match(
        rf"what {_BE} (?P<np>[^,]+?) (?P<verb>\w+ing)(?P<rest> (?:on|in|at|with))?$", text, re.IGNORECASE
    )
    if match is None or not _noun_phrase(match["np"]):
        return None
    np, be = match["np"], match["be"].lower()
    if match["verb"] == "doing":
        return f"{np} {be} {answer}" if re.match(r"\w+ing\b", answer) else None
    if not _stands_alone(answer):
        return None
    return f"{np} {be} {match['verb']}{match['rest'] or ''} {answer}"


def _chosen(text: str, answer: str) -> str | None:
    """`Which THING is larger, THIS ONE or THAT ONE?`, `What is behind NP, THIS or THAT?`"""
    match = re.match(r"(?P<head>[^,]+), (?P<a>[^,]+) or (?P<b>[^,]+)$", text)
    if match is None:
        return None
    wanted = f" {answer.lower()} "
    fits = [choice for choice in (match["a"], match["b"]) if wanted in f" {choice.lower()} "]
    if len(fits) != 1:
        return None
    head = match["head"]
    if which := re.match(rf"which .+ {_BE} (?P<like>[\w-]+)$", head, re.IGNORECASE):
        return f"{fits[0]} {which['be'].lower()} {which['like']}"
    if place := re.match(rf"what is (?P<place>{_PREPOSITION} .+)$", head, re.IGNORECASE):
        return f"{place['place']}, the picture shows {fits[0]}"
    return None


def _subject(text: str, answer: str) -> str | None:
    """`What covers the ground?`, `Who holds the umbrella?`: the answer takes the place of the first word."""
    match = re.match(
        r"(?:what|who) (?P<does>(?!is |are |was |has |does |did )[a-z]+[^s]s (?!the$)[^,]+)$", text, re.I
    )
    if match is None or not _stands_alone(answer) or _plural(answer):
        return None
    return f"{answer} {match['does']}"


_FORMS = (
    _existence,
    _either_or,
    _attribute,
    _attribute_had,
    _made_of,
    _how_many,
    _where,
    _doing,
    _chosen,
    _subject,
)


def _noun_phrase(text: str) -> bool:
    """Is it one as a whole? A rest that begins with a participle or a preposition is none, and one that ends
    with it only where a relative clause can hold it."""
    words = text.lower().split()
    if len(words) < 2 or words[0] == "there" or re.fullmatch(r"\w+ing|\w+ed", words[0]):
        return False
    if re.fullmatch(_PREPOSITION, words[0]):
        return False
    relative = {"that", "which", "who", "whom"} & set(words[1:])
    return bool(relative) or not (_STRANDED.search(text.lower()) or re.fullmatch(r"\w+(?:ed|ing)", words[-1]))


def _stands_alone(answer: str) -> bool:
    """Can it stand as a noun phrase as it is?"""
    words = answer.split()
    return bool(
        re.match(_DETERMINERS + r"\b", answer, re.IGNORECASE)
        or words[-1].lower() in _MASS
        or _plural(answer)
        or all(word[:1].isupper() for word in words)
    )


def _plural(answer: str) -> bool:
    last = answer.split()[-1].lower()
    return last in ("people", "men", "women", "children") or (
        len(last) > 3 and last.endswith("s") and not last.endswith(_SINGULAR_S)
    )
