"""Reads a free answer to "Is there a ...?": yes, no, declined, or nothing of these."""

from __future__ import annotations

import re
from typing import Literal

from align.evaluation.general.base import declines

Reading = tuple[Literal["answer", "abstain", "unparsed"], str | None]

_FINAL = re.compile(r"\b(?:answer|verdict|conclusion)\s*(?:is|would be|should be|:)\s*:?\s*(yes|no)\b")
_BOTH = re.compile(r"\byes\s*(?:or|/|and)\s*no\b|\bneither yes nor no\b")
_LEADS = re.compile(
    r"^(?:(?:well|so|oh|ok|okay|sure|sorry|hmm|and|or|but|thus|therefore|a)\W+"
    r"|(?:i (?:think|believe|guess|would say)|probably|maybe|perhaps)\W+)*"
    r"(yes|yeah|yep|no|nope)\b(.*)"
)
# `No dog is visible` is a statement, `No there is none` an answer.
_AFTER_NO = re.compile(r"\s*(?:$|[,:\-–—(]|(?:there|it|i|we|the|this|that|he|she|they|you|sir|not|none)\b)")
_HEDGED = re.compile(
    r"\b(?:probably|likely|maybe|perhaps|possibly|think|believe|guess|say|lean(?:ing)? towards?)\W+(yes|no)\b"
)
_UNKNOWING = re.compile(
    r"\b(?:(?:can|could|do|does) not|unable to|impossible to|not (?:possible|able|enough|sure|certain|clear)"
    r"|hard to|difficult to|no (?:way|idea)|unclear|uncertain|not know|insufficient)\b"
)
_KNOW = re.compile(
    r"\b(?:determin|tell\b|say\b|know|sure\b|certain|confirm|answer|judge|decid|verif|assess|assist|help\b"
    r"|conclud|view\b|whether\b|if there\b|unclear|uncertain|insufficient|possible\b|able to make out)"
)
_QUESTION = re.compile(
    r"^\W*(?:is|are) there (?:an?\s|any\s|the\s|some\s)?(.+?)(?: (?:in|on) (?:the|this) "
    r"(?:image|picture|photo|photograph|scene))?\s*\?"
)
_LINK = (
    r"(?:an?|any|the|such|single|visible|clear|actual|apparent|real|other|sign|signs|evidence|trace|of|see|seen|find"
    r"|spot|detect|identify|observe|show|shown|depict|contain|include|feature|have|has|appear|seem|to|be|present"
    r"|that|which|is|are|there|it|presence|in|image|picture|photo)"
)
_ABSENT_AFTER = (
    r"(?:\s\w+){0,3}?\s(?:not|nowhere|never)\s(?:\w+\s){0,2}?(?:present|visible|seen|there|shown|depicted|appear"
    r"|in (?:the|this) (?:image|picture|photo|scene)|found|exist|any)"
    r"|\s(?:is|are|seems|appears)\s(?:to be\s)?(?:absent|missing)"
)
_CONTRACTIONS = (("won't", "will not"), ("can't", "can not"), ("cannot", "can not"), ("n't", " not"))


def read_yes_no(response: str, question: str) -> Reading:
    """What a response says to a yes-no question: the state, and `yes` or `no` for an answer.

    A last "the answer is ..." counts before all else, then a yes or no that begins a sentence; two that
    differ are not an answer. Where there is neither, and the question is whether there is a thing, a
    statement that the thing is or is not there answers it: "I cannot see a dog" is a no, "I cannot tell
    whether there is a dog" an abstention. A statement about other things is `unparsed`, however well
    a reader might guess what follows.
    """
    text = _plain(response)
    if final := _FINAL.findall(text):
        return "answer", final[-1]
    sentences = [s.strip() for s in re.split(r"[.!?;\n]+", _BOTH.sub(" ", text)) if s.strip()]
    leading = {said for sentence in sentences if (said := _leading(sentence))}
    if "undecided" in leading:
        return "abstain", None
    if leading:
        return ("answer", leading.pop()) if len(leading) == 1 else ("unparsed", None)
    stated = _stated(sentences, question)
    if stated == "no":
        return "answer", "no"
    refused = declines(response, question)
    if refused:
        return "abstain", None
    if refused is None:
        return "unparsed", None
    if hedged := _HEDGED.search(text):
        return "answer", hedged[1]
    return ("answer", stated) if stated else ("unparsed", None)


def _plain(text: str) -> str:
    text = re.sub(r"[’‘`´]", "'", text).lower()
    for short, long in _CONTRACTIONS:
        text = text.replace(short, long)
    return re.sub(r"[*_#\"“”]+", "", text)


def _leading(sentence: str) -> str | None:
    """`yes` or `no` at the head of a sentence; `undecided` for "No, it is impossible to tell"."""
    match = _LEADS.match(re.sub(r"^\W+", "", sentence))
    if match is None:
        return None
    if match[1] in ("yes", "yeah", "yep"):
        return "yes"
    if not _AFTER_NO.match(match[2]):
        return None
    # What follows `although` or `but` is a caveat; what follows the `no` itself says what it is about.
    first = re.split(r"\b(?:although|though|but|however)\b", match[2])[0]
    return "undecided" if _UNKNOWING.search(first) and _KNOW.search(first) else "no"


def _stated(sentences: list[str], question: str) -> str | None:
    """Is the thing that is asked for said to be there, or not to be there?"""
    asked = _QUESTION.match(question.lower())
    if asked is None:
        return None
    thing = r"\s+".join(re.escape(_singular(word)) + r"(?:e?s)?" for word in asked[1].split())
    absent = re.compile(
        rf"\b(?:no|not|never|without|none of|nor|neither)\s(?:{_LINK}\s){{0,7}}{thing}\b"
        rf"|\b{thing}(?:{_ABSENT_AFTER})\b"
    )
    there = re.compile(rf"\b{thing}\b")
    for sentence in sentences:
        words = " ".join(re.sub(r"[^\w' -]", " ", sentence).split())
        if not there.search(words) or (_UNKNOWING.search(words) and _KNOW.search(words)):
            continue
        return "no" if absent.search(words) else "yes"
    return None


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
