"""What is wrong with one written answer, as far as its words alone tell: length, stock phrases, leaks.

Whether it declines, and how well its reason holds, a judge says; whether it repeats others,
`align.data.near_copies` and `align.data.openings` say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from align.data.honesty import MOST_WORDS
from align.judging.matching import matches
from align.records import Question

FEWEST_WORDS = 4


@dataclass(frozen=True)
class Complaint:
    """`fault` is a short name, to count by; `text` is what the writer is told."""

    fault: str
    text: str


_BOILERPLATE = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|assistant|machine)\b"
    r"|\bi(?:'m| am) (?:just |only )?an? (?:ai|(?:large )?language model|machine)\b"
    r"|\bi(?:'m| am) (?:so |very |really |truly )?sorry\b|^(?:sorry|apologies|unfortunately|regrettably)\b"
    r"|\bi apologi[sz]e\b|\bmy apologies\b|\bunfortunately,"
    r"|\b(?:great|good|interesting|thoughtful|intriguing|excellent|fascinating) question\b"
    r"|\bfeel free to\b|\bi hope this helps\b"
    r"|\bit(?:'s| is) (?:important|worth noting|essential) to (?:note|remember)\b"
    r"|\bi (?:don't|do not) have (?:personal )?(?:opinions|feelings|beliefs)\b"
    r"|\bi(?:'d| would) be happy to\b|\bmy (?:training data|knowledge cutoff|programming)\b",
    re.IGNORECASE,
)
_TOLD = r"(?:reason|category|caption|description|gold answer|right answer|instruction)s?"
_LEAK = re.compile(
    rf"\b{_TOLD} (?:that |which )?(?:i|we) (?:was|were|am|are|have been) (?:given|told|provided|shown)\b"
    rf"|\b(?:the|a|this|your) {_TOLD} (?:given|provided|supplied)\b"
    rf"|\b(?:given|provided|supplied|stated) {_TOLD}\b"
    r"|\b(?:according to|based on|as stated in|as given in) (?:the|my|your) "
    r"(?:caption|category|instructions?|prompt)\b"
    r"|\bthe caption (?:says|states|mentions|describes|tells|notes|reads)\b"
    r"|\bas (?:instructed|specified)\b|\b(?:honesty|the) specification\b|\bsystem prompt\b"
    r"|\b(?:unanswerable|context[- ]dependent|false[- ]premises?|vague[- ]description) "
    r"(?:question|category|kind)\b"
    r"|\b\w+_(?:dependent|premises|philosophical|description)\b|</?\w+>"
    r"|\bhere is (?:the|an|my) (?:honest |rewritten |new )?(?:answer|reply|response)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"^\s*(?:[-*•#>]|\d+[.)]\s)|\*\*|```|^\s*\|", re.MULTILINE)
_THINKING = re.compile(r"^.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_LABEL = re.compile(r"^\W*(?:honest |final )?(?:answer|reply|response)\W*:\W*(?=[\w\"“])", re.IGNORECASE)
_WRITES = (
    r"(?:assist|help(?: you)?|comply|fulfil?l?|proceed|process|engage|continue|complete|discuss|generate"
    r"|participate|create|write)"
)
_TEACHER_REFUSES = re.compile(
    rf"\b(?:can(?:no|')t|can not|unable to|not able to|won't|will not) {_WRITES}\b[^.]*"
    r"\b(?:request|this content|this image|this task|this conversation|with (?:that|this)(?! from| in))\b"
    r"|\b(?:against|violates?) (?:my|the|our|openai's|usage|content) (?:\w+ )?"
    r"(?:guidelines|polic(?:y|ies)|rules)\b",
    re.IGNORECASE,
)


def cleaned(text: str) -> str:
    """The answer without what models put around it: their thinking, a label, quotation marks, line breaks."""
    text = _THINKING.sub("", text.strip())
    text = _LABEL.sub("", text.strip())
    text = text.strip()
    for left, right in (('"', '"'), ("“", "”"), ("'", "'")):
        inner = text[1:-1]
        if (
            len(text) > 2
            and text[0] == left
            and text[-1] == right
            and left not in inner
            and right not in inner
        ):
            text = inner
    return text.strip() if _MARKUP.search(text) else " ".join(text.split())


def why_unusable(text: str) -> str | None:
    """Why a raw text is no attempt at an answer at all, so that the call is made again; else None."""
    if re.search(r"<think(?:ing)?>", text, re.IGNORECASE) and not _THINKING.search(text):
        return "it ends inside its thinking: give the teacher more max_new_tokens"
    answer = cleaned(text)
    if not re.search(r"\w", answer):
        return "it is empty"
    if len(answer.split()) < 40 and (match := _TEACHER_REFUSES.search(answer.replace("’", "'"))):
        return f"the teacher declined to write: {match[0]!r}"
    return None


def faults(text: str, question: Question, *, most_words: int = MOST_WORDS) -> list[Complaint]:
    """Everything that the words of a cleaned answer show to be wrong with it."""
    found = []
    plain = text.replace("’", "'")
    words = len(text.split())
    if words >= most_words:
        found.append(Complaint("too long", f"it has {words} words: use fewer than {most_words}"))
    if words < FEWEST_WORDS:
        found.append(Complaint("too short", f"it has {words} words: write a full sentence"))
    if match := _BOILERPLATE.search(plain):
        found.append(Complaint("boilerplate", f'it holds the stock phrase "{match[0]}": do without it'))
    if match := _LEAK.search(plain):
        found.append(
            Complaint(
                "leak",
                f'"{match[0]}" speaks of what only you were told: the reader knows only image and question',
            )
        )
    if _MARKUP.search(text) or "\n" in text:
        found.append(Complaint("markup", "it has a list or markup: write plain sentences"))
    if not re.search(r"[.!?…][\"'”’)]*$", text):
        found.append(Complaint("cut off", "it does not end with a whole sentence"))
    if question.answerable and not matches(text, question.answers):
        forms = " or ".join(f'"{answer}"' for answer in question.answers[:4])
        found.append(
            Complaint("no gold answer", f"it does not give the right answer, {forms}, in these words")
        )
    return found
