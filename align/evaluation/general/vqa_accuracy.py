"""The official VQA accuracy (Antol et al. 2015; `vqaEval.py` of the authors, as it has been since VQA v2).

An answer is compared with ten annotators' answers. Each annotator is left out in turn; the answer is worth
min(1, matches / 3) against the other nine; the mean of the ten is its accuracy. So 1 match gives 0.3, 2 give
0.6, 3 give 0.9, and 4 or more give 1.

Known quirks, all reproduced here, since a figure that is to be compared must have them:

- Answers are normalised only where the ten differ. Where all agree, case and punctuation count: "Yes." is
  worth 0 against ten times "yes".
- "none" is the number 0, and numbers above ten keep their words.
- Punctuation becomes a space, but nothing where a space is beside it or where the text has a number with
  commas. So "black-white" is "black white", and "black - white" is "black  white" and then "black white".
- The pattern for full stops was meant to spare those of numbers. It spares those *before* a digit only, and
  only the first 32 are removed, because a flag stands where the count belongs.
- Missing apostrophes are put back ("dont" is "don't"), except that "somebody'd" loses its own.
- A whole sentence is compared as a whole: "It is red." is worth 0 against ten times "red".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ANNOTATORS = 10

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_THOUSANDS = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_FULL_STOPS = int(re.UNICODE)
_ARTICLES = ("a", "an", "the")
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())} | {"none": "0"}
_FORMS = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've
somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll
that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've
weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've
why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're
you've
"""
_CONTRACTIONS = {
    form[:place] + form[place + 1 :]: form
    for form in _FORMS.split()
    for place, character in enumerate(form)
    if character == "'"
} | {"somebody'd": "somebodyd"}


def vqa_accuracy(answer: str, annotated: Sequence[str]) -> float:
    """The accuracy (0-1) of an answer against the annotators' answers, of which there are ten."""
    said = _on_one_line(answer)
    gold = [_on_one_line(text) for text in annotated]
    if len(set(gold)) > 1:
        said, gold = normalise_answer(said), [normalise_answer(text) for text in gold]
    same = [text == said for text in gold]
    matches = sum(same)
    return sum(min(1.0, (matches - left_out) / 3) for left_out in same) / len(gold)


def normalise_answer(text: str) -> str:
    """An answer as it is compared where the annotators differ."""
    return _words(_without_punctuation(text))


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _without_punctuation(text: str) -> str:
    changed = text
    has_thousands = _THOUSANDS.search(text) is not None
    for mark in _PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        changed = changed.replace(mark, "" if beside_space or has_thousands else " ")
    return _FULL_STOP.sub("", changed, count=_MOST_FULL_STOPS)


def _words(text: str) -> str:
    words = [_NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
