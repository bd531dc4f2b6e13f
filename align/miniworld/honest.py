"""What can be said to a question about a scene: the right answer, an honest refusal, or an invention.

Answers have one canonical form a kind, which keeps the tiny model's task small. Refusals come in many
phrasings, since template refusals are what made the paper's SFT and ORPO rationality fall to 3-4; each
gives the true reason and names what the image shows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from align.miniworld.questions import (
    NUMBERS,
    Query,
    Referent,
    attribute,
    listing,
    plural,
    status,
    things_matching,
    where_of,
    with_article,
)
from align.miniworld.scenes import Scene, Thing
from align.miniworld.wording import CONTEXT_TOPICS, OPINION_TOPICS


def naming(things: Sequence[Thing], most: int = 5) -> str:
    """`two red circles and a blue ring`: equal things are counted together, in reading order.

    Beyond `most` different ones the rest are `other things`.
    """
    counts: dict[str, int] = {}
    for thing in things:
        counts[thing.name] = counts.get(thing.name, 0) + 1
    names = [with_article(n) if k == 1 else f"{NUMBERS[k]} {plural(n)}" for n, k in counts.items()]
    return listing(names if len(names) <= most else [*names[:most], "other things"])


def answer(scene: Scene, query: Query) -> str:
    """The right answer as a sentence. Raises `ValueError` for an unanswerable query."""
    found = status(scene, query)
    if found.value is None:
        raise ValueError(f"{query} is {found.category} in this scene: it has no answer")
    matching = things_matching(scene, query.target)
    noun, subject = query.target.noun, capital(query.target.the)
    if query.kind == "background":
        return f"The background is {found.value}."
    if query.kind == "count":
        if len(matching) == 1:
            return f"There is one {noun}."
        return f"There are {found.value if matching else 'no'} {plural(noun)}."
    if query.kind == "exists":
        if not matching:
            return f"No, there is no {noun}."
        return f"Yes, there {'is' if len(matching) == 1 else 'are'} {naming(matching)}."
    if query.kind == "relation":
        assert query.other is not None
        # The places first: comparing two things that have been looked up is within a tiny model's means.
        (thing,), (other,) = matching, things_matching(scene, query.other)
        return (
            f"{subject} is at the {thing.place} and {query.other.the} at the {other.place}, so {found.value}."
        )
    if query.kind == "shape":
        return f"{subject} is {with_article(found.value)}."
    if query.kind == "position":
        return f"{subject} is at the {found.value}."
    return f"{subject} is {found.value}."


def refusal(scene: Scene, query: Query, rng: random.Random) -> str:
    """An honest refusal with the true reason. Raises `ValueError` for an answerable query."""
    category = status(scene, query).category
    if category == "False_Premises":
        return _absent(scene, query, rng)
    if category == "Vague_Description":
        return _vague(scene, query, rng)
    if category == "Answerable":
        raise ValueError(f"{query} is answerable in this scene: it needs no refusal")
    shown = things_matching(scene, query.target)[:1] or scene.things
    templates = _CONTEXT if category == "Context_Dependent" else _OPINION
    return rng.choice(templates).format(matter=matter_of(query), shown=naming(shown))


def matter_of(query: Query) -> str:
    """What a context question asks for (`who made it`), or an opinion is a matter of (`taste`)."""
    topics = CONTEXT_TOPICS if query.kind == "context" else OPINION_TOPICS
    return topics[query.topic or ""][0]


def mistaken_refusal(scene: Scene, query: Query, rng: random.Random) -> str:
    """A refusal of an answerable query: the rejected side of an `answer` pair.

    It claims what the matching kind of unanswerable question would be refused with, and is false here.
    """
    what, noun = asked(query), query.target.noun
    denial = rng.choice(
        (
            f"There is no {noun} here, so I can't say {what}.",
            f"I can't say {what}: I don't see {query.target.a()} in the image.",
            f"There are several {plural(noun)}, so I can't tell which one you mean.",
            f"I can't tell which {noun} you mean, so I can't say {what}.",
            f"The image does not show {what}, so I can't say.",
            f"I can't tell {what} from the image.",
        )
    )
    if query.kind in ("background", "count", "exists", "relation"):
        return rng.choice(
            (f"The image does not show {what}, so I can't say.", f"I can't tell {what} from the image.")
        )
    return denial


def invention(scene: Scene, query: Query, rng: random.Random) -> str:
    """What a dishonest model says to an unanswerable query: a sure answer that the image does not give."""
    category = status(scene, query).category
    subject = capital(query.target.the)
    if category == "Vague_Description":
        thing = things_matching(scene, query.target)[0]
        return _assertion(subject, query, attribute(query.kind, thing))
    if category == "False_Premises":
        return _assertion(subject, query, attribute(query.kind, rng.choice(scene.things)))
    if category == "Answerable":
        raise ValueError(f"{query} is answerable in this scene: there is nothing to invent")
    return rng.choice(_INVENTIONS[query.topic or ""]).format(it=subject)


def asked(query: Query) -> str:
    """The question as a clause: `what color the star is`."""
    the = query.target.the
    if query.kind == "count":
        return f"how many {plural(query.target.noun)} there are"
    if query.kind == "exists":
        return f"if there is {query.target.a()}"
    if query.kind == "relation":
        assert query.other is not None
        return f"if {the} is {where_of(query)} {query.other.the}"
    if query.kind == "background":
        return "what color the background is"
    return {
        "color": "what color {the} is",
        "shape": "what shape {the} is",
        "size": "how big {the} is",
        "position": "where {the} is",
    }[query.kind].format(the=the)


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _assertion(subject: str, query: Query, value: str) -> str:
    if query.kind == "shape":
        return f"{subject} is {with_article(value)}."
    return f"{subject} is at the {value}." if query.kind == "position" else f"{subject} is {value}."


def _absent(scene: Scene, query: Query, rng: random.Random) -> str:
    noun, what = query.target.noun, asked(query)
    otherwise = (
        things_matching(scene, Referent(shape=query.target.shape))
        if query.target.color and query.target.shape
        else ()
    )
    if len(otherwise) == 1 and rng.random() < 0.5:
        blue = otherwise[0].color
        return rng.choice(
            (
                f"The {query.target.shape} is {blue}, not {query.target.color}, so I can't say {what}.",
                f"There is no {noun}: the {query.target.shape} is {blue}, so I can't say {what}.",
                f"I can't say {what}: the {query.target.shape} here is {blue}, not {query.target.color}.",
            )
        )
    return rng.choice(_ABSENT).format(
        noun=noun, a=query.target.a(), what=what, shown=naming(scene.things, most=2)
    )


def _vague(scene: Scene, query: Query, rng: random.Random) -> str:
    matching = things_matching(scene, query.target)
    noun, many = query.target.noun, f"{NUMBERS[len(matching)]} {plural(query.target.noun)}"
    if len({thing.name for thing in matching}) == 1:
        return rng.choice(_VAGUE_ALIKE).format(many=many, noun=noun, what=asked(query))
    return rng.choice(_VAGUE).format(many=many, noun=noun, what=asked(query), shown=naming(matching, most=3))


_ABSENT = (
    "There is no {noun} here; I see {shown}, so I can't say {what}.",
    "There is no {noun} in the image, only {shown}, so I can't say {what}.",
    "I don't see {a}. The image shows {shown}, so I can't tell {what}.",
    "I can't say {what}: there is no {noun} here, I see {shown}.",
    "I can't tell {what}, since the image does not show {a}. I see {shown}.",
    "The image shows {shown} but no {noun}, so I can't say {what}.",
    "I see {shown}, but no {noun}, so I can't tell {what}.",
    "I can't say {what}, since there is no {noun}; there is only {shown}.",
)
_VAGUE = (
    "There are {many}, {shown}, so I can't tell which one you mean.",
    "I see {many}: {shown}. I can't say {what} without knowing which one you mean.",
    "I can't say {what}: there are {many}, {shown}.",
    "Which {noun} do you mean? There are {many}: {shown}.",
    "It could be any of {many}: {shown}, so I can't tell {what}.",
    "I can't tell which {noun} you mean: I see {shown}.",
    "The image shows {many}, {shown}, so I can't say {what}.",
)
_VAGUE_ALIKE = (
    "There are {many}, so I can't tell which one you mean.",
    "I can't say {what}: there are {many}.",
    "Which {noun} do you mean? There are {many}.",
    "I see {many}, so I can't say {what}.",
)
_CONTEXT = (
    "The image only shows {shown}; it does not show {matter}, so I can't say.",
    "I can't say {matter}: the image only shows {shown}.",
    "I see {shown}, but the image does not show {matter}, so I can't tell.",
    "The image does not show {matter}. I only see {shown}, so I can't say.",
    "I can't tell {matter} from the image, which only shows {shown}.",
    "I can't know {matter}, since the image only shows {shown}.",
    "Nothing in the image tells {matter}; I only see {shown}.",
)
_OPINION = (
    "That is a matter of {matter}, so I can't say; the image only shows {shown}.",
    "I see {shown}, but this is a matter of {matter} that the image can't settle.",
    "I can't say: it is a matter of {matter}, and the image only shows {shown}.",
    "The image shows {shown}; the rest is a matter of {matter}, so I can't tell.",
    "This is a question of {matter}, not of what the image shows, so I can't say. I see {shown}.",
    "I can't tell, since this is a question of {matter}; I only see {shown}.",
)
_INVENTIONS: dict[str, tuple[str, ...]] = {
    "maker": ("A child made it.", "An artist drew it.", "A student made it."),
    "before": ("It was at the top left before.", "It was green before.", "It was in a box before."),
    "after": ("It will go to the right next.", "It will fall down next.", "It will turn blue next."),
    "purpose": ("It is here to fill the image.", "It is for a game.", "It was put there to show the way."),
    "price": ("It costs ten dollars.", "It costs two dollars.", "A child owns it."),
    "time": ("It is two years old.", "It was drawn last week.", "It was made in the morning."),
    "beauty": ("Yes, it is beautiful.", "Yes, it is pretty.", "No, it is ugly."),
    "liking": ("Yes, I like it.", "Yes, it is the best.", "No, I do not like it."),
    "feeling": ("It is happy.", "It feels lonely.", "It is sad."),
    "meaning": ("It stands for hope.", "It means peace.", "It stands for love."),
    "morals": ("Yes, it is good.", "Yes, it should be here.", "No, it is bad."),
}
"""Topic of a Context_Dependent or Subjective_or_Philosophical query -> sure answers that nothing supports."""
