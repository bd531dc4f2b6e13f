"""Does a response deny what its question takes for granted, as `There is no umbrella` of its colour?

Only the question makes a denial a refusal: the same words answer `Is there an umbrella?`, and `It is not a
cat, it is a raccoon` answers `What animal is it?`.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z]+")
_NOT_CONTENT = {
    "a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "back", "be", "been",
    "before", "behind", "being", "beside", "best", "better", "between", "both", "but", "by", "can", "color",
    "colour", "could", "describe", "did", "do", "does", "during", "each", "else", "end", "ever", "every",
    "explain", "far", "first", "for", "from", "front", "give", "going", "had", "has", "have", "he", "her",
    "here", "hers", "him", "his", "how", "i", "if", "image", "in", "into", "is", "it", "its", "just", "kind",
    "last", "least", "left", "less", "like", "list", "long", "man", "many", "may", "me", "might", "more",
    "most", "much", "must", "my", "name", "next", "no", "not", "of", "old", "on", "one", "ones", "only", "or",
    "other", "others", "over", "people", "person", "photo", "photograph", "picture", "rank", "right", "say",
    "says", "scene", "seen", "shall", "she", "should", "show", "shown", "side", "so", "some", "somebody",
    "someone", "something", "tell", "than", "that", "the", "their", "theirs", "them", "then", "there",
    "these", "they", "thing", "things", "this", "those", "time", "to", "top", "type", "under", "very",
    "visible", "was", "way", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why",
    "will", "with", "without", "woman", "would", "you", "your",
}  # fmt: skip
_DENIES = re.compile(
    r"\b(?:no|not an?|not any|without an?|nor an?|neither an?|neither|rather than an?|instead of an?"
    r"|nothing is an?"
    r"|not have (?:an?|any)|not wear(?:ing)? (?:an?|any)|not (?:see|find|spot|detect) (?:an?|any|the)"
    r"|lacks an?"
    r"|(?:what|which)(?= \w+$)) (?!doubt|question|reason|need|way|longer|more|matter|wonder|problem"
    r"|chance|idea|clue|one|other)"
    r"(\w+(?: \w+){0,2})"
)
_DOES_NONE = re.compile(r"\b(?:is|are|was|were) not (\w+ing) (?:anything|anyone|anybody|one|any)\b")
_NOBODY = re.compile(r"\b(?:nobody|no one|none of (?:them|these|the \w+)) (?:is |are |here )?(\w+)")
_WHAT_IS_DONE = re.compile(r"^\W*(?:what|who|whom|which)\b", re.I)


def denied(sentence: str, question: str) -> re.Match[str] | None:
    """The words of a normalised sentence that deny a thing (or a deed) which the question speaks of."""
    asked = content(question)
    for match in _DENIES.finditer(sentence):
        if any(_stem(word) in asked for word in match[1].split()):
            return match
    # `She isn't holding anything` answers what she holds; why she does it, it denies.
    if not _WHAT_IS_DONE.match(question):
        none = _DOES_NONE.search(sentence)
        if none and _stem(none[1]) in asked:
            return none
    nobody = _NOBODY.search(sentence)
    return nobody if nobody and _stem(nobody[1]) in asked else None


def content(question: str) -> frozenset[str]:
    """Stems of the words by which a question speaks of something."""
    return frozenset(_stem(word) for word in _WORD.findall(question.lower()) if word not in _NOT_CONTENT)


def _stem(word: str) -> str:
    for ending in ("ing", "es", "s", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word.removesuffix("e")


def answers_with_none(hit: str, question: str) -> bool:
    """`She isn't holding anything` answers `What is she holding?`: the deed is the question's own."""
    deed = re.search(r"\bnot (\w+ing)\b", hit)
    return bool(deed and _WHAT_IS_DONE.match(question) and _stem(deed[1]) in content(question))
