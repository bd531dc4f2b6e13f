"""What each side of training data says when there is no teacher model to write it.

For photographs an honest answer is put together from what the question file knows: the category, the
reason why the image cannot answer, and the caption. It is varied in wording and order, because training
on one template is what made the paper's SFT and ORPO models refuse without a reason. Such texts carry
the source `composer`, so that they can be told apart from a teacher's and replaced.

For the miniature world the exact texts of `align.miniworld.honest` are used instead.
"""

from __future__ import annotations

import random
import re

from align.miniworld import honest
from align.miniworld.questions import Query
from align.miniworld.scenes import Scene
from align.records import Category, Question

COMPOSER = "composer"
MINIWORLD = "miniworld"
GOLD = "gold"

# {shown} is a sentence from the caption; openings never say why, since the reason follows.
_OPENINGS: dict[Category, tuple[str, ...]] = {
    "Context_Dependent": (
        "The image alone can't answer this.",
        "I can't tell that from this picture.",
        "That goes beyond what the picture shows.",
        "Nothing visible here settles that, so I won't guess.",
        "I'd only be guessing if I answered that.",
        "That isn't something that I can see here.",
        "The answer would have to come from outside this image.",
        "I don't know, and the picture doesn't say.",
    ),
    "False_Premises": (
        "The question assumes something that the image doesn't show.",
        "I can't answer that as asked, because it doesn't match the picture.",
        "That isn't what the picture shows.",
        "The premise doesn't hold for this image.",
        "I don't see what the question describes.",
        "Before answering: the picture contradicts the question.",
        "There is a mismatch between the question and the image, so I can't give an answer.",
        "I can't answer this, since what it asks about isn't in the picture.",
    ),
    "Subjective_or_Philosophical": (
        "There is no answer to this that the image could prove.",
        "That is a matter of opinion, which a picture can't settle.",
        "I can't decide that from an image.",
        "People could answer that differently, and the picture takes no side.",
        "I don't have a factual answer to that.",
        "That depends on one's own view rather than on what is visible.",
        "The picture shows what is there, not what to think of it.",
        "I can't give a definite answer to a question of this sort.",
    ),
    "Vague_Description": (
        "I'm not sure what the question refers to.",
        "The question doesn't say clearly what it is about, so I can't answer it.",
        "I can't tell what is meant here.",
        "That could be about more than one thing in the picture.",
        "The question is too unspecific for a definite answer.",
        "I'd need to know what exactly you mean.",
        "It isn't clear which part of the picture you are asking about.",
        "I can't answer without knowing what you refer to.",
    ),
}
_CLOSINGS: dict[Category, tuple[str, ...]] = {
    "Context_Dependent": (
        "If you know more about the occasion, I can work with that.",
        "More information than the image holds would be needed.",
        "I can describe what is visible, if that helps.",
    ),
    "False_Premises": (
        "If you meant something else in the picture, tell me which.",
        "I'm glad to answer a question about what is there.",
        "Did you perhaps mean another image?",
    ),
    "Subjective_or_Philosophical": (
        "I can describe what is visible and leave the judgment to you.",
        "What is your own view?",
        "I can name what speaks for one view or the other, if you like.",
    ),
    "Vague_Description": (
        "Could you say which one you mean?",
        "Please point out what you are asking about.",
        "With a more precise question I can try again.",
    ),
}
# Not always: with the caption in each, refusals would be told from answers by their length alone.
_SHOWN_SHARE = 0.6
_SHOWN = (
    "What I can see: {caption}",
    "The picture itself shows this: {caption}",
    "What is visible: {caption}",
    "Here is what I do see: {caption}",
)
# For the rejected side of answerable questions: reasons that sound right and are not.
_FALSE_REASONS: dict[Category, tuple[str, ...]] = {
    "Context_Dependent": (
        "The picture gives no information about it.",
        "It would take knowledge of what happened before or after.",
        "Nothing in view has a bearing on it.",
    ),
    "False_Premises": (
        "What you ask about does not appear in the image.",
        "The picture shows something else.",
        "No such thing can be seen here.",
    ),
    "Subjective_or_Philosophical": (
        "Different people would see it differently.",
        "It is a question of taste and interpretation.",
        "No observation could decide it.",
    ),
    "Vague_Description": (
        "Several things in the picture would fit.",
        "The question does not say which part of the image it is about.",
        "What is meant could be one of several things.",
    ),
}


def honest_answer(question: Question, rng: random.Random) -> tuple[str, str]:
    """The chosen side: `(text, source)`. An honest refusal, or the right answer if there is one.

    Raises `ValueError` for an answerable question without gold answers.
    """
    world = world_of(question)
    if world is not None:
        scene, query = world
        text = honest.answer(scene, query) if question.answerable else honest.refusal(scene, query, rng)
        return text, MINIWORLD
    if question.answerable:
        if not question.answers:
            raise ValueError(f"question {question.id} is Answerable and has no gold answer in `answers`")
        return as_sentence(question.answers[0]), GOLD
    return _refusal(question.category, question.reason, question.caption, rng), COMPOSER


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
    category = like.category if like is not None else rng.choice(sorted(_FALSE_REASONS))
    return _refusal(category, rng.choice(_FALSE_REASONS[category]), question.caption, rng), COMPOSER


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


def _refusal(category: Category, reason: str | None, caption: str | None, rng: random.Random) -> str:
    opening = rng.choice(_OPENINGS[category])
    grounds = as_sentence(reason) if reason else ""
    seen = first_sentence(caption) if caption else None
    shown = rng.choice(_SHOWN).format(caption=seen) if seen and rng.random() < _SHOWN_SHARE else ""
    # An offer to describe the picture makes no sense after describing it.
    closings = [text for text in _CLOSINGS[category] if not (shown and "visible" in text)]
    closing = rng.choice(closings) if rng.random() < 0.4 else ""
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
