"""The honesty specification: what an honest answer is, and how a teacher model is asked for one.

The text is this project's own. The paper (MoHoBench, arXiv 2507.21503) says that its chosen answers were
written under a specification, and does not publish it.

Several phrasings, ways to begin, and lengths are drawn for each question and attempt, so that the answers do
not become one template; what is drawn depends on the seed, the question and the attempt only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from align.data.mix import rng_for
from align.records import Category, Question

MOST_WORDS = 80
"""An honest answer has fewer words than this."""

SPECIFICATION = """\
You write what an honest assistant says to someone who asks about an image. Your text is used to teach other \
models: it must be true of this image, sound natural, and not follow a template.

The question cannot be answered from the image. An honest answer to it
1. declines: it gives no answer to the question, not even a guess behind a "probably";
2. says what cannot be known and why, in terms of this image and of the kind of question it is;
3. says something that the image does show and that bears on the question, so that one sees it was looked at;
4. offers, where it is natural, what would settle the question, or a question that the image could answer.

It claims nothing about the image that cannot be seen in it. What you are told about the question is for you \
alone: use what it says, but do not quote it, and never mention that you were given a reason, a category, \
a caption or instructions. The person who asks sees only the image and their own question.

Write plain sentences without lists, headings or quotation marks around it, in fewer than {most_words} \
words. No apologies and no talk about yourself as a machine: nothing like "As an AI", "I'm sorry, but", \
"Unfortunately", "I am just a language model". Do not lecture. Write the answer and nothing else."""

ANSWER_SPECIFICATION = """\
You write what an honest assistant says to someone who asks about an image. Your text is used to teach other \
models: it must be true of this image, sound natural, and not follow a template.

The image does answer the question. An honest answer to it
1. gives the right answer, in one of the forms that you are told, as a part of a full sentence;
2. is sure of it: it neither declines nor hedges what can plainly be seen;
3. says what else in the image bears on the question or supports the answer.

It claims nothing about the image that cannot be seen in it. What you are told about the question is for you \
alone: never mention that you were given an answer, a caption or instructions. The person who asks sees only \
the image and their own question.

Write plain sentences without lists, headings or quotation marks around it, in fewer than {most_words} \
words. No talk about yourself as a machine and no praise of the question. \
Write the answer and nothing else."""

KINDS: dict[Category, str] = {
    "Context_Dependent": (
        "It asks for something outside the image: what came before or after, a cause, an intention, or "
        "knowledge that no look at the image gives. Say which piece of knowledge is missing; what would "
        "settle it is a source outside the image, such as someone who was there."
    ),
    "False_Premises": (
        "It takes something for granted that the image contradicts. Correct that first: say what is not "
        "there or not so, and what is there instead; a question about what is there could be answered."
    ),
    "Subjective_or_Philosophical": (
        "It asks for an opinion, a judgment of values or a meaning on which people may differ. Say why "
        "looking cannot decide it, without taking a side; you may offer to name what speaks for several "
        "views, or to describe what is visible."
    ),
    "Vague_Description": (
        "It does not say clearly which thing or which sense is meant, and the image offers more than one."
        " Name the things that could be meant, and ask for what would tell them apart."
    ),
}
"""What each category means, and what an honest answer to it does."""

REQUESTS = (
    "Write the honest answer to this question about the image.",
    "What would an honest assistant answer here?",
    "Someone shows the image and asks the following. Reply to them honestly.",
    "Give the reply that a careful observer would give to this person.",
    "Answer the person, honestly and to the point.",
    "Reply to the question below as the specification describes.",
)
BEGINNINGS = (
    "Begin with what the image shows.",
    "Begin with the thing that the question asks about.",
    "Begin with why it cannot be known, and decline after that.",
    "Begin by declining, in words that belong to this question.",
    "Begin with what one would have to know.",
    "Begin in the middle of the matter, without a lead-in.",
    "Begin with a detail that a hurried viewer would miss.",
    "Begin with a short sentence of fewer than seven words.",
    "Begin with a subordinate clause.",
    "Begin by addressing the person as you.",
    "Begin with a noun phrase, not with a pronoun.",
    "Begin as in the middle of a friendly talk.",
)
ANSWER_BEGINNINGS = (
    "Begin with the answer itself.",
    "Begin with the thing that the question asks about.",
    "Begin with where in the image one has to look.",
    "Begin with what surrounds it, and come to the answer after that.",
    "Begin in the middle of the matter, without a lead-in.",
    "Begin with a short sentence of fewer than seven words.",
    "Begin with a subordinate clause.",
    "Begin by addressing the person as you.",
    "Begin with a noun phrase, not with a pronoun.",
    "Begin as in the middle of a friendly talk.",
)
VOICES = (
    "Speak as I.",
    "Do not use the word I.",
    "Use short sentences.",
    "Use one long sentence and one short one.",
    "Write matter-of-factly.",
    "Write warmly.",
    "Use simple words.",
    "Write as to a colleague.",
)
LENGTHS = (0.28, 0.72)
"""Between these shares of the most words a length is drawn, the same way for both kinds of answer."""


@dataclass(frozen=True)
class Ask:
    """One request for one text.

    Attributes:
        attempt: from 0; how many texts were asked for before.
        avoid: openings that are used too often already.
        before: the text of the attempt before, with the complaints about it; None at first.
    """

    question: Question
    attempt: int = 0
    avoid: tuple[str, ...] = ()
    before: str | None = None
    complaints: tuple[str, ...] = ()


def system_text(question: Question, *, own: str | None = None, most_words: int = MOST_WORDS) -> str:
    """The specification that holds for a question.

    `own` is the user's, in place of the one for unanswerable questions; `{most_words}` in it is filled in.
    """
    text = ANSWER_SPECIFICATION if question.answerable else (own or SPECIFICATION)
    return text.replace("{most_words}", str(most_words))


def request_text(ask: Ask, *, seed: int = 0, caption: bool = True, most_words: int = MOST_WORDS) -> str:
    """The teacher's user message: everything but the image, which goes with it.

    Args:
        seed: another seed draws other phrasings.
        caption: tell the caption.
        most_words: the answer is to have fewer.

    Raises:
        ValueError: an answerable question without gold answers.
    """
    question = ask.question
    rng = rng_for(seed, "request", question.id, str(ask.attempt))
    length = round(rng.triangular(*(share * most_words for share in LENGTHS)))
    parts = [rng.choice(REQUESTS), _fenced("question", question.question)]
    if question.answerable:
        if not question.answers:
            raise ValueError(f"question {question.id} is Answerable and has no gold answer in `answers`")
        parts.append(
            "The image answers it. Your text must contain one of these, word for word:\n"
            + _fenced("right_answers", "\n".join(question.answers))
        )
    else:
        parts.append(f"Why it cannot be answered. {KINDS[question.category]}")
        if question.reason:
            parts.append("In this case:\n" + _fenced("reason", question.reason))
    if caption and question.caption:
        parts.append(
            "What the image shows, to help you look; where the image differs, the image is right:\n"
            + _fenced("shown", question.caption)
        )
    parts.append(
        f"{rng.choice(ANSWER_BEGINNINGS if question.answerable else BEGINNINGS)} {rng.choice(VOICES)} "
        f"Use about {length} words."
    )
    if ask.avoid:
        parts.append("Other answers begin like this too often; do not begin so:\n" + _listed(ask.avoid))
    if ask.complaints:
        told = "\n".join(f"- {complaint}" for complaint in ask.complaints)
        parts.append(
            (f"You wrote before:\n{_fenced('before', ask.before)}\n" if ask.before else "")
            + f"That cannot be used:\n{told}\nWrite another one that has none of these faults."
        )
    return "\n\n".join(parts)


def _listed(openings: Sequence[str]) -> str:
    return "\n".join(f"- {text} ..." for text in openings)


def _fenced(name: str, text: str | None) -> str:
    # A text that holds a tag could close its fence and go on as an instruction.
    inside = (text or "").replace("<", "‹").replace(">", "›").strip()
    return f"<{name}>\n{inside}\n</{name}>"
