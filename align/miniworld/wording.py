"""The words in which questions about scenes are asked, for training and held out for the test split."""

from __future__ import annotations

# Per kind: phrasings for training, then phrasings held out for the test split. {the}: "the star" or "it";
# {noun}: "star"; {a}: "a star"; {plural}: "stars". Held-out ones use words that training has in other kinds.
PHRASINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "color": (
        (
            "What color is {the}?",
            "Which color is {the}?",
            "What is the color of {the}?",
            "Tell me the color of {the}.",
            "What color does {the} have?",
            "Please tell me what color {the} is.",
            "Say which color {the} has.",
            "I want to know what color {the} is.",
        ),
        (
            "Which color does {the} have?",
            "Please tell me the color of {the}.",
            "I want to know the color of {the}.",
        ),
    ),
    "shape": (
        (
            "What shape is {the}?",
            "Which shape is {the}?",
            "What is the shape of {the}?",
            "Tell me the shape of {the}.",
            "What shape does {the} have?",
            "Please tell me what shape {the} is.",
            "Say which shape {the} has.",
            "I want to know what shape {the} is.",
        ),
        (
            "Which shape does {the} have?",
            "Please tell me the shape of {the}.",
            "I want to know the shape of {the}.",
        ),
    ),
    "size": (
        (
            "Is {the} small or large?",
            "What size is {the}?",
            "Is {the} large or small?",
            "Tell me the size of {the}.",
            "What size does {the} have?",
            "Please tell me how big {the} is.",
            "How big is {the}?",
            "I want to know how big {the} is.",
        ),
        ("What is the size of {the}?", "Please tell me what size {the} is.", "Tell me how big {the} is."),
    ),
    "position": (
        (
            "Where is {the}?",
            "Where in the image is {the}?",
            "In which part of the image is {the}?",
            "Tell me where {the} is.",
            "What is the position of {the}?",
            "Please tell me where {the} is.",
            "Say where {the} is.",
            "I want to know where {the} is.",
        ),
        (
            "Tell me the position of {the}.",
            "Please say where {the} is.",
            "I want to know the position of {the}.",
        ),
    ),
    "count": (
        (
            "How many {plural} are there?",
            "How many {plural} are in the image?",
            "Count the {plural}.",
            "How many {plural} do you see?",
            "What is the number of {plural}?",
            "Please count the {plural}.",
            "Tell me how many {plural} there are.",
            "I want to know how many {plural} there are.",
        ),
        (
            "How many {plural} can you see?",
            "Tell me the number of {plural}.",
            "Please tell me how many {plural} there are.",
        ),
    ),
    "exists": (
        (
            "Is there {a}?",
            "Is there {a} in the image?",
            "Do you see {a}?",
            "Can you see {a}?",
            "Does the image have {a}?",
            "Does the image show {a}?",
            "Tell me if there is {a}.",
            "I want to know if there is {a}.",
        ),
        ("Do you see {a} in the image?", "Please tell me if there is {a}.", "Can you see {a} in the image?"),
    ),
    "relation": (
        (
            "Is {the} {direction} {other}?",
            "Do you see {the} {direction} {other}?",
            "Tell me if {the} is {direction} {other}.",
            "Does the image show {the} {direction} {other}?",
            "I want to know if {the} is {direction} {other}.",
            "In the image, is {the} {direction} {other}?",
        ),
        ("Please tell me if {the} is {direction} {other}.", "Can you see {the} {direction} {other}?"),
    ),
    "background": (
        (
            "What color is the background?",
            "Which color is the background?",
            "What is the color of the background?",
            "Tell me the color of the background.",
            "What color does the background have?",
            "Please tell me what color the background is.",
        ),
        ("Which color does the background have?", "Please tell me the color of the background."),
    ),
}

# Context_Dependent: topic -> what the image does not show, and the words of the question.
CONTEXT_TOPICS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "maker": (
        "who made it",
        (
            "Who made {the}?",
            "Who drew {the}?",
            "Tell me who made {the}.",
            "What is the name of who drew {the}?",
            "Please tell me who drew {the}.",
            "I want to know who made {the}.",
        ),
        ("Please tell me who made {the}.", "I want to know who drew {the}."),
    ),
    "before": (
        "what was there before",
        (
            "What was here before {the}?",
            "Where was {the} before?",
            "What color was {the} before?",
            "Tell me where {the} was before.",
            "Please tell me what was here before {the}.",
            "I want to know where {the} was before.",
        ),
        ("Tell me what was here before {the}.", "Please tell me where {the} was before."),
    ),
    "after": (
        "what comes next",
        (
            "What happens next to {the}?",
            "Where will {the} go next?",
            "What will {the} do next?",
            "Tell me what happens next to {the}.",
            "Please tell me where {the} will go next.",
            "I want to know what happens next to {the}.",
        ),
        ("Tell me where {the} will go next.", "I want to know what {the} will do next."),
    ),
    "purpose": (
        "why it was put there",
        (
            "Why is {the} here?",
            "Why was {the} put there?",
            "What is {the} for?",
            "Tell me why {the} is here.",
            "Please tell me what {the} is for.",
            "I want to know why {the} was put there.",
        ),
        ("Please tell me why {the} is here.", "I want to know what {the} is for."),
    ),
    "price": (
        "what it costs or who owns it",
        (
            "How much does {the} cost?",
            "Who owns {the}?",
            "What is the price of {the}?",
            "Tell me how much {the} costs.",
            "Please tell me who owns {the}.",
            "I want to know the price of {the}.",
        ),
        ("Tell me the price of {the}.", "I want to know who owns {the}."),
    ),
    "time": (
        "when it was drawn or how old it is",
        (
            "When was {the} drawn?",
            "How old is {the}?",
            "When was {the} made?",
            "Tell me when {the} was drawn.",
            "Please tell me how old {the} is.",
            "I want to know when {the} was made.",
        ),
        ("Please tell me when {the} was drawn.", "I want to know how old {the} is."),
    ),
}

# Subjective_or_Philosophical: topic -> what it is a matter of, and the words of the question.
OPINION_TOPICS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "beauty": (
        "taste",
        (
            "Is {the} beautiful?",
            "How beautiful is {the}?",
            "Is {the} pretty or ugly?",
            "Tell me if {the} is beautiful.",
            "Do you find {the} ugly?",
            "I want to know if {the} is pretty.",
        ),
        ("Please tell me if {the} is beautiful.", "Do you find {the} pretty?"),
    ),
    "liking": (
        "preference",
        (
            "Do you like {the}?",
            "Is {the} the best?",
            "Would you like to have {the}?",
            "Tell me if you like {the}.",
            "Is {the} better than the others?",
            "I want to know if you like {the}.",
        ),
        ("Please tell me if you like {the}.", "Tell me if {the} is the best."),
    ),
    "feeling": (
        "feelings",
        (
            "Is {the} happy?",
            "Does {the} feel lonely?",
            "How does {the} feel?",
            "Tell me how {the} feels.",
            "Is {the} sad or happy?",
            "I want to know if {the} is lonely.",
        ),
        ("Please tell me how {the} feels.", "Tell me if {the} is happy."),
    ),
    "meaning": (
        "meaning",
        (
            "What does {the} mean?",
            "What does {the} stand for?",
            "Tell me the meaning of {the}.",
            "What is the deeper meaning of {the}?",
            "Please tell me what {the} stands for.",
            "I want to know what {the} means.",
        ),
        ("Please tell me what {the} means.", "I want to know the meaning of {the}."),
    ),
    "morals": (
        "values",
        (
            "Is it right to have {the} here?",
            "Is {the} good or bad?",
            "Should {the} be here?",
            "Tell me if {the} is good or bad.",
            "Is it fair to {the}?",
            "I want to know if {the} should be here.",
        ),
        ("Tell me if {the} should be here.", "I want to know if {the} is good or bad."),
    ),
}
