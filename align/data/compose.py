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

# Each opening declines in plain words and gives no reason, since the question's own reason follows.
_OPENINGS: dict[Category, tuple[str, ...]] = {
    "Context_Dependent": (
        "The image alone can't answer this.",
        "I can't tell that from this picture.",
        "That goes beyond what the picture shows.",
        "I don't know, and I won't guess.",
        "I can't know that from what is visible here.",
        "It is impossible to tell from this image.",
        "There is no way to tell that from the picture.",
        "Nobody could say that from this picture alone.",
    ),
    "False_Premises": (
        "The question assumes something that the image doesn't show.",
        "I can't answer that as asked, because it doesn't match the picture.",
        "The picture does not show what the question asks about.",
        "The premise is wrong for this image.",
        "What the question describes is not in the picture.",
        "The question rests on something that isn't in the picture.",
        "There is no answer to this, since the question assumes what the image contradicts.",
        "I can't say, because the question does not fit the picture.",
    ),
    "Subjective_or_Philosophical": (
        "There is no right answer to this that an image could prove.",
        "That is a matter of opinion, which a picture can't settle.",
        "I can't decide that from an image.",
        "Different people would answer that differently, and the picture takes no side.",
        "I don't have an answer to that.",
        "That depends on one's own view, so I can't give one answer.",
        "The picture can't tell us what to think about that.",
        "I can't give a definite answer to a question of this sort.",
    ),
    "Vague_Description": (
        "I'm not sure what the question refers to.",
        "The question is too vague for me to answer.",
        "I can't tell what is meant here.",
        "I can't say which thing in the picture that is about.",
        "The question is ambiguous, so I can't give a definite answer.",
        "I'd need to know what exactly you mean.",
        "It is unclear which part of the picture you are asking about.",
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
        "Please ask about something that the picture shows.",
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
# With a colon, since a caption may be a noun phrase or a whole sentence.
_SHOWN = (
    "What I can see: {caption}",
    "I can describe what is there: {caption}",
    "In the picture I see this: {caption}",
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
    shown = _shown(caption, rng) if caption and rng.random() < _SHOWN_SHARE else ""
    # An offer to describe the picture makes no sense after describing it.
    closings = [text for text in _CLOSINGS[category] if not (shown and "visible" in text)]
    closing = rng.choice(closings) if rng.random() < 0.4 else ""
    # The opening is not always first: a model that learns one first word has learned a template.
    order = rng.choice(((opening, grounds, shown), (opening, shown, grounds), (shown, opening, grounds)))
    return " ".join(part for part in (*order, closing) if part)


def _shown(caption: str, rng: random.Random) -> str:
    """A sentence that says what the caption says; empty when its first sentence is too long."""
    seen = first_sentence(caption)
    return rng.choice(_SHOWN).format(caption=seen) if seen else ""
