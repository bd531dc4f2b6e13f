"""The words of composed refusals: openings, reasons joined to them, closings, false reasons.

Tables only; `align.data.compose` puts them together. Each opening declines in plain words and gives no
reason, since the question's own reason follows it.
"""

from __future__ import annotations

from align.records import Category

OPENINGS: dict[Category, tuple[str, ...]] = {
    "Context_Dependent": (
        "The image alone can't answer this.",
        "I can't tell that from this picture.",
        "That goes beyond what the picture shows.",
        "I don't know, and I won't guess.",
        "I can't know that from what is visible here.",
        "It is impossible to tell from this image.",
        "There is no way to tell that from the picture.",
        "Nobody could say that from this picture alone.",
        "This can't be known from the photo.",
        "One would have to guess, and I would rather not guess.",
        "Whatever the answer is, the image does not show it.",
        "Nothing in the picture settles this.",
        "I have no way of knowing that.",
        "For this I would need more than the image.",
        "An answer lies outside what the picture shows.",
        "The photo gives no answer to this.",
        "Looking at the image alone, I can't say.",
        "That can't be determined from what is in view.",
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
        "I don't see any such thing in the picture.",
        "No such thing is visible here.",
        "As asked, this can't be answered.",
        "Something in the question is mistaken, so I can't answer it.",
        "You describe something that the image does not show.",
        "You ask about something that is not in the image.",
        "I looked for it, and I can't find any such thing here.",
        "Before an answer, a correction: the question assumes too much.",
        "That does not match the image, so I can't answer it.",
        "The picture contradicts the question, so I can't answer.",
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
        "A question like this can't be decided by looking.",
        "Here I would rather not take a side.",
        "This is a question of judgment, and the image can't answer it.",
        "People may disagree about this, and I can't decide it for them.",
        "The answer is up to the viewer.",
        "Looking closer would not help, since this is a matter of opinion.",
        "I won't pretend to know, since this is a matter of opinion.",
        "The image can't decide a question of this kind.",
        "It is subjective, so there is no single answer to give.",
        "Values decide this, and I can't read them off a picture.",
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
        "As it stands, this can't be answered.",
        "More than one thing could be meant, so I can't answer yet.",
        "Without knowing which one you mean, I can't answer.",
        "That could be read in more than one way, so I can't say.",
        "Which one do you mean?",
        "An answer would be a guess, since the question is ambiguous.",
        "Please tell me which one you mean, because I can't tell.",
        "Your question leaves open what it is about, so I can't answer it.",
        "Here I can't be sure what you are pointing at.",
        "My answer would depend on what you mean, and I can't tell.",
    ),
}
# The same without a full stop, for a reason that goes on in the same sentence.
JOINED: dict[Category, tuple[str, ...]] = {
    "Context_Dependent": (
        "I can't tell from the picture, because {reason}",
        "The image doesn't say, since {reason}",
        "This can't be known from the photo, as {reason}",
        "Nobody can say from the image, for {reason}",
        "That can't be told from what is in view, since {reason}",
        "I would only be guessing, because {reason}",
    ),
    "False_Premises": (
        "I can't answer that as asked, because {reason}",
        "The question doesn't fit the picture, and I can't answer it, since {reason}",
        "What you describe is not in the image, for {reason}",
        "I don't see any such thing, since {reason}",
        "That can't be answered, since {reason}",
        "The premise is mistaken, as {reason}",
    ),
    "Subjective_or_Philosophical": (
        "I can't decide that from a picture, because {reason}",
        "The image can't decide this, since {reason}",
        "I won't choose for you here, and I can't give one answer, because {reason}",
        "There is no single right answer to give, since {reason}",
        "This can't be decided by looking, for {reason}",
        "I would rather leave that open, because {reason}",
    ),
    "Vague_Description": (
        "I can't tell what you mean, because {reason}",
        "The question is ambiguous, since {reason}",
        "I'd need to know more about what you mean, because {reason}",
        "It is unclear what to answer, as {reason}",
        "As it stands, that can't be answered, since {reason}",
        "I'm not sure which one is meant, for {reason}",
    ),
}
CLOSINGS: dict[Category, tuple[str, ...]] = {
    "Context_Dependent": (
        "If you know more about the occasion, I can work with that.",
        "More information than the image holds would be needed.",
        "I can describe what is visible, if that helps.",
        "Whoever took the picture might know more.",
        "A note on when and why it was taken would help.",
    ),
    "False_Premises": (
        "If you meant something else in the picture, tell me which.",
        "I'm glad to answer a question about what is there.",
        "Please ask about something that the picture shows.",
        "If another picture was meant, please share that one.",
        "Ask about what is visible, and I will answer.",
    ),
    "Subjective_or_Philosophical": (
        "I can describe what is visible and leave the judgment to you.",
        "What is your own view?",
        "I can name what speaks for one view or the other, if you like.",
        "Tell me what matters to you here, and I can weigh it.",
        "A question about what is visible I could answer.",
    ),
    "Vague_Description": (
        "Could you say which one you mean?",
        "Please point out what you are asking about.",
        "With a more precise question I can try again.",
        "Its place or its color would be enough to go by.",
        "Tell me where in the picture it is, and I will try again.",
    ),
}
# With a colon, since a caption may be a noun phrase or a whole sentence.
SHOWN = (
    "What I can see: {caption}",
    "I can describe what is there: {caption}",
    "In the picture I see this: {caption}",
    "Here is what the image shows: {caption}",
    "This much is visible: {caption}",
    "The photo shows the following: {caption}",
    "What is in view: {caption}",
    "To describe it: {caption}",
    "Visible in the image: {caption}",
    "In short, the image shows this: {caption}",
    "{caption}",
    "{caption} That is what the picture shows.",
    "{caption} So much can be seen.",
)
# For the rejected side of answerable questions: reasons that sound right and are not.
FALSE_REASONS: dict[Category, tuple[str, ...]] = {
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
