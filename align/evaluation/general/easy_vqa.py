"""easy-vqa (Zhou 2019): drawn shapes, and questions with one of 13 answers. Its package holds all images.

It is the general benchmark that needs no download: `pip install easy-vqa`. The test split has 9,673 questions
about 1,000 images of 64 x 64 pixels; three quarters are yes-no questions, half of those with a `not` in them.

The task is classification: a model is to choose among `get_answers()` (8 colours, 3 shapes, yes and no), and
the package's own models have one output for each. The prompt is the question alone all the same: named in a
prompt, the 13 answers would turn a test of seeing into one of following a list, which a small model that was
never shown lists fails. `prompt=` adds them for a model that does better with them.

Official rule: the answer is exactly the class (here without case, spaces and final punctuation). A sentence
is never right by it. Ours reads the answer in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from align.evaluation.general.base import (
    GeneralTask,
    Item,
    code_digest,
    declines,
    fixed_subset,
    scored_record,
)
from align.evaluation.general.figures import Figure
from align.evaluation.general.reading import fill_prompt
from align.evaluation.general.yes_no import Reading, read_yes_no
from align.records import DataError, Problem, Scored

COLORS = ("green", "red", "gray", "teal", "black", "yellow", "brown", "blue")
SHAPES = ("circle", "rectangle", "triangle")
# Answers of the right kind that are no class: an answer, and a wrong one.
_OTHER_COLORS = (
    "white",
    "orange",
    "purple",
    "pink",
    "cyan",
    "magenta",
    "violet",
    "beige",
    "turquoise",
    "navy",
)
_OTHER_SHAPES = (
    "square",
    "ring",
    "oval",
    "ellipse",
    "star",
    "heart",
    "cross",
    "diamond",
    "hexagon",
    "pentagon",
)
_SAME = {"grey": "gray", "circular": "circle", "rectangular": "rectangle", "triangular": "triangle"}
_COLOR_ASKED = re.compile(r"^\W*what (?:is the )?colou?r\b")
_SHAPE_ASKED = re.compile(r"^\W*what (?:shape\b|is the \w+ shape\b|type of shape\b|is the shape\b)")
_NEGATED = re.compile(r"^\W*(?:is|are|does|do)\b.*?\b(?:not|no)\b")
# A `no` before a noun ("No circle is there") belongs to the statement.
_LEADING = re.compile(r"^\W*(?:yes|yeah|no)(?:\W*[,.:;!–—-]+\s*|\s+(?=(?:there|it|i|we|the|this)\b))")
_BACKGROUND = re.compile(
    r"\b(?:on|against|with|over) (?:an?|the) (?:\w+ )?(\w+) background\b|\b\w+ background\b"
)
_NOT_THIS = re.compile(
    r"\b(?:not|no|never|without|rather than|instead of)\s(?:an?\s|any\s|the\s)?(?:\w+\s)?$"
)
_ABSENT = re.compile(r"\b(?:no|not|n't|none|nothing|without|never)\b|n't\b")


@dataclass(frozen=True)
class EasyVqaBenchmark:
    """Parts are the kinds of question: `color`, `shape`, `yes-no`."""

    name: str = "easy_vqa"
    headline: str = "accuracy"

    @property
    def digest(self) -> str:
        return code_digest("evaluation/general/easy_vqa.py", "evaluation/general/yes_no.py")

    def grade(self, item: Item, response: str) -> Scored:
        [gold] = item.gold
        state, said = read_answer(response, str(item.facts["question"]))
        return scored_record(
            item,
            self,
            response,
            state=state,
            parsed=said,
            score=float(said == gold) if state == "answer" else None,
            official=float(response.strip().strip(".!").strip().casefold() == gold),
        )

    def figures(self, scored: Sequence[Scored]) -> dict[str, Figure]:
        return {}


def kind_of(question: str) -> str:
    """`color`, `shape` or `yes-no`, which the words of a question say."""
    asked = question.casefold()
    return "color" if _COLOR_ASKED.match(asked) else "shape" if _SHAPE_ASKED.match(asked) else "yes-no"


def read_answer(response: str, question: str) -> Reading:
    """The state of a response, and for an answer the colour, the shape, `yes` or `no` that it gives.

    Only a word of the kind that is asked for is an answer: in "a red circle" the shape, when that is asked.
    Two different ones are `unparsed`. To a question with a `not` in it people say both "No, there is no
    circle" and "Yes, there is no circle"; there, what is said of the thing decides, and the yes or no alone
    only where nothing is.
    """
    kind = kind_of(question)
    if kind == "yes-no":
        return _read_yes_no(response, question.casefold())
    classes, others = (COLORS, _OTHER_COLORS) if kind == "color" else (SHAPES, _OTHER_SHAPES)
    refused = declines(response, question)
    if refused:
        return "abstain", None
    text = _BACKGROUND.sub(" ", response.casefold())
    text = re.sub(r"n['’]t\b", " not", text)
    said = list(dict.fromkeys(_named(text, (*classes, *others))))
    return ("answer", said[0]) if len(said) == 1 else ("unparsed", None)


def _named(text: str, words: Sequence[str]) -> list[str]:
    pattern = re.compile(rf"\b({'|'.join([*words, *_SAME])})(?:e?s)?\b")
    found = [(match[1], text[: match.start()]) for match in pattern.finditer(text)]
    named = [_SAME.get(word, word) for word, before in found if not _NOT_THIS.search(before)]
    return [word for word in named if word in words]


def _read_yes_no(response: str, question: str) -> Reading:
    state, said = read_yes_no(response, question)
    if not _NEGATED.match(question) or state == "abstain":
        return state, said
    asked = [word for word in (*COLORS, *SHAPES) if re.search(rf"\b{word}\b", question)]
    rest = _LEADING.sub("", response.casefold())
    first = re.split(r"[.!?;,\n]| but ", rest)[0]
    if asked and all(word in _named_or_denied(first) for word in asked):
        # True of the question's own words: what it denies is there, or is not.
        return "answer", "yes" if _ABSENT.search(first) else "no"
    return state, said


def _named_or_denied(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text)
    return {_SAME.get(word, word) for word in words} | {word.removesuffix("s") for word in words}


def easy_vqa(*, split: str = "test", limit: int | None = None, prompt: str = "{question}") -> GeneralTask:
    """The questions of the installed package `easy_vqa`.

    Args:
        split: `test` or `train`.
        limit: at most that many questions, a fixed pseudo-random subset of whole images.
        prompt: what is asked, with `{question}` in it.

    Raises `DataError` without the package, ValueError for a setting that cannot be.
    """
    try:
        import easy_vqa as package
    except ImportError as error:
        message = "is not installed: pip install easy-vqa, or leave the task easy_vqa out"
        raise DataError([Problem(file="the package easy_vqa", message=message)]) from error
    if split not in ("test", "train"):
        raise ValueError(f"split={split!r}: choose test or train")
    texts, answers, numbers = getattr(package, f"get_{split}_questions")()
    paths = getattr(package, f"get_{split}_image_paths")()
    root = Path(next(iter(paths.values()))).parent
    items = [
        Item(
            id=f"{split}-{place}",
            image=Path(paths[number]).name,
            prompt=fill_prompt(prompt, text),
            gold=(answer,),
            part=kind_of(text),
            facts={"question": text},
        )
        for place, (text, answer, number) in enumerate(zip(texts, answers, numbers, strict=True))
    ]
    chosen = fixed_subset(items, limit, by="image")
    source = root.parent / "questions.json"
    return GeneralTask(EasyVqaBenchmark(), tuple(chosen), (), str(root), str(source))
