"""Reads a free response to a question with lettered options: one option, declined, or nothing of these.

In this order, because models reason before they answer and quote options while they do:

1. What is said to be the answer (`The answer is B`, `\\boxed{B}`, `Answer: B because ...`, `C is correct`, a
   line that is a letter alone), and statements that no option is right. The last such statement counts.
2. The text of an option where the response is that text, or begins with it.
3. A refusal (`align.judging.rules`).
4. The text of exactly one option, whole words, neither denied nor part of a longer option's text.
5. A letter that the response names and no other.

Two options named alike (`B or C`) are `unparsed`, and so is an answer that is none of the options. `A` and
`I` in running text are words: they count as letters only where something marks them as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from align.evaluation.general import choice_wording as say
from align.evaluation.general.base import declines
from align.evaluation.general.yes_no import read_yes_no
from align.judging.matching import normalise

State = Literal["answer", "abstain", "unparsed"]


@dataclass(frozen=True)
class Choice:
    """What a response chooses: a letter for `answer`, else none."""

    state: State
    letter: str | None = None


ABSTAIN, UNPARSED = Choice("abstain"), Choice("unparsed")

_WIDE = str.maketrans(
    {"（": "(", "）": ")", "【": "[", "】": "]", "：": ":", "。": ".", "，": ",", "、": ",", "’": "'"}
)


def read_choice(response: str, options: Mapping[str, str], question: str | None = None) -> Choice:
    """The option that a response chooses, if it chooses one.

    Args:
        options: letter to text, capital letters.
        question: its stem, without the options: it tells a denial that answers from one that declines.
    """
    text = _without_echo(_plain(response), options)
    if not text.strip():
        return UNPARSED
    none_letter = next((k for k, v in options.items() if say.NONE_OPTION.fullmatch(v)), None)
    if whole := _whole_text(text, options):
        return Choice("answer", whole)
    said = _last_statement(text, options, none_letter)
    if said == UNPARSED and declines(text, question):
        return ABSTAIN  # `I can't say which of A, B and C is right`
    if said is not None:
        return said
    if {option.casefold() for option in options.values()} == {"yes", "no"} and question is not None:
        _, yes_or_no = read_yes_no(text, question)
        if yes_or_no is not None:
            return Choice("answer", next(k for k, v in options.items() if v.casefold() == yes_or_no))
    if begins := _beginning_text(text, options):
        return Choice("answer", begins)
    named = _texts_in(text, options)
    refused = declines(text, question)
    if refused:
        if len(named) == 1 and declines(options[named[0]], question):
            return Choice("answer", named[0])
        return ABSTAIN
    if len(named) == 1:
        return Choice("answer", named[0])
    if refused is None or named:
        return UNPARSED
    if declines(text, None):  # `There is no man`, where the question is whether he wears a hat
        return ABSTAIN
    letters = set(_loose_letters(text, options))
    return Choice("answer", letters.pop()) if len(letters) == 1 else UNPARSED


def _plain(response: str) -> str:
    """Without a hidden chain of thought, emphasis and wide punctuation."""
    text = re.sub(r"^.*</think(?:ing)?>", "", response, flags=re.S | re.I).translate(_WIDE)
    return re.sub(r"\*\*|__|`|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)", "", text).strip()


def _without_echo(text: str, options: Mapping[str, str]) -> str:
    """Without a copy of the list of options, which chooses none of them."""
    items = (rf"\(?{letter}\s*[.):]\s*{re.escape(option.strip())}\W*?" for letter, option in options.items())
    return re.sub(
        r"(?:options|choices)?\s*:?\s*" + r"\s*".join(items) + r"(?=\s|$|[A-Z])", " ", text, flags=re.I
    )


# --- 1. What is said to be the answer ---------------------------------------------------------------------


def _last_statement(text: str, options: Mapping[str, str], none_letter: str | None) -> Choice | None:
    """The last statement of what the answer is; None where there is none at all."""
    found: list[tuple[int, Choice]] = []
    for end, letter, joined in _statements(text, options):
        if joined:
            found.append((end, UNPARSED))
        elif letter in options:
            found.append((end, Choice("answer", letter)))
        elif say.NONE_OPTION.match(re.sub(r"^\W+", "", text[end : end + 60])):
            found.append((end, ABSTAIN))  # `F. None of the above`, where there is no F
        else:
            found.append((end, UNPARSED))
    for match in say.NO_OPTION.finditer(text):
        found.append((match.end(), Choice("answer", none_letter) if none_letter else ABSTAIN))
    if say.BARE_NONE.fullmatch(text):
        found.append((len(text), Choice("answer", none_letter) if none_letter else ABSTAIN))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _statements(text: str, options: Mapping[str, str]) -> Iterator[tuple[int, str, bool]]:
    """(where it ends, letter, whether another letter is joined to it) of each statement of an answer."""
    for pattern in say.MARKED:
        for match in pattern.finditer(text):
            yield match.end(), match["l1"].upper(), False
    for pattern in (say.SAID, say.CHOSEN, say.LEFT, say.SO, say.CORRECT, say.TAIL, say.BUT):
        for match in pattern.finditer(text):
            letter, end = _of(match, text)
            if letter is None or match.groupdict().get("not"):
                continue
            if say.REJECTED.match(text[end:]) or say.DOUBTED.search(text[: match.start()]):
                continue
            if pattern in (say.CORRECT, say.TAIL):
                joined = bool(say.JOINED_BEFORE.search(text[: match.start()]))
            else:
                joined = bool(_joined(text[end:], letter))
            yield end, letter, joined
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and not _lists(lines, options) and (head := _head(lines[0], alone=False)):
        yield text.find(lines[0]) + head[2], head[0], head[1]
    if len(lines) > 1 and (head := _head(lines[-1], alone=True)):
        yield text.rfind(lines[-1]) + head[2], head[0], head[1]


def _lists(lines: list[str], options: Mapping[str, str]) -> bool:
    """Do the first lines go through the options? Then the first is no answer."""
    heads = [head[0] for line in lines[:2] if (head := _head(line, alone=False))]
    return heads == list(options)[:2]


def _of(match: re.Match[str], text: str) -> tuple[str | None, int]:
    """The letter of a match and where it ends; None where it is a word (`the answer is a dog`)."""
    name = next((n for n in ("p1", "b1", "l1") if match.groupdict().get(n)), "l1")
    letter, end = match[name], match.end(name)
    if name == "l1" and _is_word(letter, text[end:]):
        return None, end
    return letter.upper(), match.end(name) + (name != "l1")


def _is_word(letter: str, after: str) -> bool:
    """Is a letter without brackets an article or a pronoun? `a dog`, `I think`, `A photo of ...`."""
    if letter not in "aAiI":
        return letter.islower() and bool(re.match(r"\s+\w", after))
    return bool(re.match(r"\s+(?!is\b|because\b|since\b|as\b|and\b|or\b|it is\b|-)[\w'$]", after))


def _joined(after: str, letter: str) -> bool:
    """Does another letter follow as an alternative? `B or C`, `A and D`."""
    match = say.JOINS.match(after)
    if match is None:
        return False
    other = match["p2"] or match["b2"] or match["l2"]
    if other is None or other.upper() == letter:
        return False
    return bool(other.isupper() and not _is_word(other, after[match.end() :]))


def _head(line: str, *, alone: bool) -> tuple[str, bool, int] | None:
    """(letter, joined, end) of a line that begins with a letter, or where `alone` is one and nothing else."""
    match = say.HEAD.match(line)
    if match is None:
        return None
    letter, end = _of(match, line)
    after = line[end:]
    marked = match["p1"] or match["b1"] or re.match(r"\s*[.):,\-–—](?!\w)|\s*$|\s*\n", after)
    if letter is None or not (marked or _joined(after, letter)):
        return None
    if re.match(r"\W*$", after):
        return letter, False, end
    if alone and not re.match(r"\s*[.):]\s*\S", after):
        return None
    if match["l1"] and match["l1"].islower() and not re.match(r"\s*[.)]", after):
        return None
    return letter, _joined(after, letter), end


# --- 2. and 4. The text of an option ----------------------------------------------------------------------


def _whole_text(text: str, options: Mapping[str, str]) -> str | None:
    words = normalise(text)
    same = [letter for letter, option in options.items() if words and normalise(option) == words]
    return same[0] if len(same) == 1 else None


def _beginning_text(text: str, options: Mapping[str, str]) -> str | None:
    """`No, he is not`: what comes first is the answer, whatever is denied after it."""
    if _lists([line for line in text.splitlines() if line.strip()], options):
        return None
    sentence = re.split(r"[,.;:\n]", text, maxsplit=1)[0]
    return _whole_text(sentence, options) or _first_word(text, options) or _shortened(text, options)


def _first_word(text: str, options: Mapping[str, str]) -> str | None:
    first = normalise(text)[:1]
    return (
        next((k for k, v in options.items() if normalise(v) == first), None)
        if first in (["yes"], ["no"])
        else None
    )


def _shortened(text: str, options: Mapping[str, str]) -> str | None:
    """`In front of the car`, where that is a part of one option only."""
    words = normalise(text)
    part = f" {' '.join(words)} "
    within = [k for k, v in options.items() if part in f" {' '.join(normalise(v))} "]
    return within[0] if len(words) > 1 and len(within) == 1 else None


def _texts_in(text: str, options: Mapping[str, str]) -> list[str]:
    """Options whose text occurs in a response, but for what is denied and what a longer one contains."""
    plain = " ".join(re.sub(r"[^\w$%.'-]+", " ", text.lower()).split())
    plain = re.sub(r"\.(?=\s|$)", " ", plain)
    taken: list[tuple[int, int]] = []
    named = []
    for letter, option in sorted(options.items(), key=lambda pair: -len(pair[1])):
        wanted = " ".join(re.sub(r"[^\w$%.'-]+", " ", option.lower()).split()).strip(". ")
        if wanted in ("", "yes", "no"):  # these answer where they come first; `there is no man` does not
            continue
        spots = [
            (m.start(), m.end())
            for m in re.finditer(rf"(?<![\w$]){re.escape(wanted)}(?![\w%])", plain)
            if not any(a <= m.start() and m.end() <= b for a, b in taken)
        ]
        taken += spots
        if any(not say.DENIED.search(plain[:start]) for start, _ in spots):
            named.append(letter)
    return sorted(named)


# --- 5. A letter that is named ----------------------------------------------------------------------------


def _loose_letters(text: str, options: Mapping[str, str]) -> Iterator[str]:
    for match in say.NAMED.finditer(text):
        letter = (match["a"] or match["b"] or match["c"]).upper()
        if match["c"] and _is_word(letter, text[match.end() :]):
            continue
        if letter in options and not say.DENIED.search(text[: match.start()]):
            yield letter
