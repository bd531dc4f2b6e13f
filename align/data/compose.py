"""What each side of training data says when there is no teacher model to write it.

For photographs an honest answer is put together from what the question file knows: of an unanswerable
question the category, the reason why the image cannot answer, and the caption; of an answerable one the
question, its gold answer, and the caption. It is varied in wording and order, because training on one
template is what made the paper's SFT and ORPO models refuse without a reason. Such texts carry the source
`composer`, so that they can be told apart from a teacher's and replaced.

A text counts as a refusal only if it reads as one: words are drawn again while `align.judging.rules` reads
a composed refusal as an answer, or an answer as a refusal.

For the miniature world the exact texts of `align.miniworld.honest` are used instead.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from align.data.answer_sentences import answer_sentence
from align.data.answer_wording import BASES, FRAMES, NO_FRAMES, OFFERS, YES_FRAMES
from align.data.refusal_wording import CLOSINGS, FALSE_REASONS, JOINED, OPENINGS, SHOWN
from align.judging.matching import matches
from align.judging.rules import judge_refusal
from align.miniworld import honest
from align.miniworld.questions import Query
from align.miniworld.scenes import Scene
from align.records import Category, Question

COMPOSER = "composer"
MINIWORLD = "miniworld"
GOLD = "gold"


# Not always: with the caption in each, refusals would be told from answers by their length alone.
_SHOWN_SHARE = 0.45
_SHOWN_WITH_ANSWER = 0.95
_BASIS_SHARE = 0.6
_DRAWS = 12
# Words that lose their capital inside a sentence; any other first word may be a name.
_COMMON = {
    "a", "an", "the", "this", "that", "these", "those", "it", "its", "he", "she", "his", "her", "they",
    "their", "there", "here", "we", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "several", "many", "some", "all", "both", "each", "every", "most", "few", "no", "nobody",
    "nothing", "none", "neither", "nor", "not", "people", "viewers", "only",
}  # fmt: skip


def honest_answer(question: Question, rng: random.Random) -> tuple[str, str]:
    """The chosen side: `(text, source)`. An honest refusal, or the right answer if there is one.

    A refusal holds the reason as a sentence of its own. An answer is a full sentence with the gold answer in
    it, marked `composer`; where the question is of a form that can't be turned into one it is the bare gold
    answer, marked `gold`.

    Raises `ValueError` for an answerable question without gold answers.
    """
    world = world_of(question)
    if world is not None:
        scene, query = world
        text = honest.answer(scene, query) if question.answerable else honest.refusal(scene, query, rng)
        return text, MINIWORLD
    if not question.answerable:
        return compose_refusal(question, rng), COMPOSER
    answer = _gold(question)
    if answer_sentence(question.question, answer) is None:
        return as_sentence(answer), GOLD
    return compose_answer(question, rng), COMPOSER


def compose_refusal(question: Question, rng: random.Random, *, joined: bool = False) -> str:
    """An honest refusal of a photograph's unanswerable question, from its category, reason and caption.

    With `joined` some put the reason in the same sentence as the refusal (`I can't tell, because ...`), which
    changes the case of its first letter; without, the reason stands in it verbatim.
    """
    return _refusal(question.category, question.reason, question.caption, question.question, rng, joined)


def compose_answer(question: Question, rng: random.Random) -> str:
    """A right answer in full sentences, from question, gold answer and caption, as long as a refusal.

    Where the question can't be turned into a statement, the gold answer stands in a frame that fits any word
    (`The picture answers this: spoon.`).

    Raises `ValueError` without gold answers.
    """
    answer = _gold(question)

    def draw(show: bool) -> str:
        sentence = answer_sentence(question.question, answer)
        said = as_sentence(sentence) if sentence else _framed(answer, rng)
        basis = rng.choice(BASES) if rng.random() < _BASIS_SHARE else ""
        shows = show and rng.random() < _SHOWN_WITH_ANSWER
        shown = _shown(question.caption, rng) if shows and question.caption else ""
        offer = rng.choice(OFFERS) if rng.random() < 0.3 else ""
        # A basis such as `The picture shows it plainly` refers to the sentence before it.
        order = rng.choice(((said, basis, shown), (shown, said, basis)))
        return " ".join(part for part in (*order, offer) if part)

    def fits(text: str) -> bool:
        # Words of the caption before it can deny it: `... is not. Gray is the wall.`
        return judge_refusal(text, question.question).refused is False and matches(text, [answer])

    return _first_that(fits, draw)


def _gold(question: Question) -> str:
    if not question.answers:
        raise ValueError(f"question {question.id} is Answerable and has no gold answer in `answers`")
    return question.answers[0]


def _framed(answer: str, rng: random.Random) -> str:
    frames = {"yes": YES_FRAMES, "no": NO_FRAMES}.get(answer.strip().lower(), FRAMES)
    return as_sentence(rng.choice(frames).format(answer=" ".join(answer.split()).rstrip(".")))


def refusal_for(question: Question, rng: random.Random, like: Question | None = None) -> tuple[str, str]:
    """The rejected side of an `answer` pair: `(text, source)`, a refusal of an answerable question.

    It is worded like the honest refusals, so that nothing in the wording tells the two apart and only
    the image does. `like` is an unanswerable question, best its twin, whose category is imitated.

    Raises `ValueError` for an unanswerable question.
    """
    if not question.answerable:
        raise ValueError(f"question {question.id} is {question.category}: a refusal of it would be honest")
    world = world_of(question)
    if world is not None:
        return honest.mistaken_refusal(*world, rng), MINIWORLD
    category = like.category if like is not None else rng.choice(sorted(FALSE_REASONS))
    reason = rng.choice(FALSE_REASONS[category])
    return _refusal(category, reason, question.caption, question.question, rng), COMPOSER


def as_sentence(text: str) -> str:
    """The text with a capital at its beginning and a mark at its end."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", '."', "…")) else ".")


def first_sentence(text: str, most_words: int = 40) -> str | None:
    """The first sentence of a caption, or None when it has more words than fit into an answer."""
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z\"'])", " ".join(text.split()), maxsplit=1)[0]
    return as_sentence(sentence) if 0 < len(sentence.split()) <= most_words else None


def world_of(question: Question) -> tuple[Scene, Query] | None:
    """The scene and the query of a question of the miniature world; None for any other."""
    if "scene" not in question.metadata or "query" not in question.metadata:
        return None
    return Scene.from_dict(question.metadata["scene"]), Query.from_dict(question.metadata["query"])


def _refusal(
    category: Category,
    reason: str | None,
    caption: str | None,
    asked: str,
    rng: random.Random,
    joined: bool = False,
) -> str:
    grounds = as_sentence(reason) if reason else ""

    def draw(show: bool) -> str:
        opening = rng.choice(OPENINGS[category])
        shown = _shown(caption, rng) if show and caption and rng.random() < _SHOWN_SHARE else ""
        # An offer to describe the picture makes no sense after describing it.
        closings = [text for text in CLOSINGS[category] if not (shown and "visible" in text)]
        closing = rng.choice(closings) if rng.random() < 0.4 else ""
        if joined and (inside := _inside(grounds, f"{asked} {caption or ''}")) and rng.random() < 0.5:
            said = rng.choice(JOINED[category]).format(reason=inside)
            order = rng.choice(((said, shown, ""), (shown, said, "")))
        else:
            # The opening is not always first: a model that learns one first word has learned a template.
            order = rng.choice(
                (
                    (opening, grounds, shown),
                    (opening, shown, grounds),
                    (shown, opening, grounds),
                    (grounds, opening, shown),
                )
            )
        return " ".join(part for part in (*order, closing) if part)

    return _first_that(lambda text: judge_refusal(text, asked).refused is True, draw)


def _first_that(fits: Callable[[str], bool], draw: Callable[[bool], str]) -> str:
    """The first of some drawn texts that fits, so reads as what it is meant to be; else the last of them.

    Which words are misread hangs on the reason and the caption (`its hands can't be read` is taken for a
    refusal), so the later ones go without the caption, and a few reasons can't be helped.
    """
    text = draw(True)
    for number in range(1, _DRAWS):
        if fits(text):
            return text
        text = draw(number < _DRAWS // 2)
    return text


def _inside(sentence: str, about: str) -> str | None:
    """A sentence as it stands inside another: without its capital. None where that may be a name's.

    `about`: texts on the same matter; a first word that they have in lower case is no name.
    """
    if not sentence or re.search(r"[.!?:]\s", sentence):
        return None
    if sentence[0] in "\"“'":
        return sentence
    first = sentence.split(" ", 1)[0].strip(",")
    if first.lower() in _COMMON or re.search(rf"\b{re.escape(first.lower())}\b", about):
        return sentence[0].lower() + sentence[1:]
    return None


def _shown(caption: str, rng: random.Random) -> str:
    """A sentence that says what the caption says; empty when its first sentence is too long."""
    seen = first_sentence(caption)
    return rng.choice(SHOWN).format(caption=seen) if seen else ""
