"""The words of composed answers to answerable questions: frames, bases, offers.

Tables only; `align.data.compose` puts them together. None of them may sound like a refusal.
"""

from __future__ import annotations

# For answers that can't be put into a sentence of their own: a word of any kind fits behind a colon, and as
# what an answer is.
FRAMES = (
    "{answer}, going by the picture",
    "{answer}: the picture shows that much plainly",
    "from what is visible, the answer is {answer}",
    "the picture answers this: {answer}",
    "this can be read off the image: {answer}",
    "the image is clear on this point: {answer}",
    "{answer} is the answer that the picture gives",
    "looking at the image, I would answer: {answer}",
    "the answer is in plain view: {answer}",
    "to answer from the image: {answer}",
    "in this picture, the answer is {answer}",
    "what the photo shows here is this: {answer}",
)
YES_FRAMES = (
    "{answer}, the picture shows that",
    "{answer}, that is what the image shows",
    "{answer}, and it can be seen in the picture",
    "{answer}, going by the image that is so",
)
NO_FRAMES = (
    "{answer}, the picture shows otherwise",
    "{answer}, going by the image that is not so",
    "{answer}, that is not the case in this picture",
    "{answer}, what the image shows is different",
)
# Each goes after the answer and says that it was seen.
BASES = (
    "The picture shows it plainly.",
    "That is in plain view.",
    "One can see this directly in the image.",
    "I take that from the image itself.",
    "It takes no guessing, since the image shows it.",
    "The image leaves little room for doubt here.",
    "A look at the photo is enough for that.",
    "That much can be seen at a glance.",
)
OFFERS = (
    "Ask on, if you want more detail.",
    "I can go into more detail, if that helps.",
    "If you need another detail of the picture, ask for it.",
    "Would a fuller description help?",
)
