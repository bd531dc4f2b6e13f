"""Drafts are read strictly and checked by rules."""

import json

import pytest

from align.construction import drafts
from align.construction.drafts import Draft, Fault, Rules, check_draft, gives_away, read_draft
from align.construction.examples import load_guides

GOOD = {
    "caption": "A red kettle stands on a gas stove.",
    "question": "Who put the red kettle on the stove this morning?",
    "reason": "Nobody is in the picture.",
    "twin_question": "What stands on the stove in this kitchen?",
    "twin_answers": ["a kettle", "kettle"],
}
EXAMPLES = [example for guide in load_guides().values() for example in guide.examples]


def text(**changes):
    return json.dumps(GOOD | changes)


@pytest.mark.parametrize(
    "reply",
    [
        text(),
        f"```json\n{text()}\n```",
        f"```\n{text()}\n```",
        f"<think>The kettle {{ is red.</think>\n\n{text()}\n",
        json.dumps(GOOD, indent=2),
    ],
)
def test_the_form_is_read(reply):
    assert read_draft(reply).model_dump() == GOOD


@pytest.mark.parametrize(
    "reply",
    [
        text()[: len(text()) // 2],
        text()[:-1],
        "I'm sorry, but I can't help with that.",
        f"Here it is: {text()}",
        f"{text()}\n{text()}",
        f"[{text()}]",
        "{}",
        text(caption=""),
        text(question="  \n"),
        text(question=None),
        text(question=["Who put the kettle there?"]),
        text(twin_answers=[]),
        text(twin_answers="kettle"),
        text(twin_answers=["kettle", " - "]),
        text(twin_answers=["word " * 13]),
        text(extra="more"),
        text()[:-1] + ', "question": "Another one, is it?"}',
        "<think>" + text(),
        "[" * 20000,
    ],
    ids=lambda reply: reply[:30],
)
def test_nothing_else_is_a_draft(reply):
    with pytest.raises(Fault) as raised:
        read_draft(reply)
    assert raised.value.code == drafts.FORM
    assert len(str(raised.value)) < 400


def test_white_space_is_normalised_and_answers_are_given_once():
    draft = read_draft(
        text(question=" Who  put\nthe kettle on the stove? ", twin_answers=["kettle", " kettle "])
    )
    assert draft.question == "Who put the kettle on the stove?"
    assert draft.twin_answers == ["kettle"]


def test_a_good_draft_passes():
    check_draft(Draft(**GOOD), EXAMPLES, Rules())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"question": "Who did it?"}, drafts.LENGTH),
        ({"question": "who " * 45 + "did it?"}, drafts.LENGTH),
        ({"twin_question": "What stands there?"}, drafts.LENGTH),
        ({"question": "Tell me who put the kettle there."}, drafts.NO_QUESTION),
        ({"twin_question": "Say what stands on the stove here."}, drafts.NO_QUESTION),
        ({"question": EXAMPLES[0].question}, drafts.COPY),
        ({"question": EXAMPLES[0].question.replace("man", "woman").upper()}, drafts.COPY),
        ({"question": EXAMPLES[3].twin_question}, drafts.COPY),
        ({"twin_question": EXAMPLES[20].twin_question, "twin_answers": ["marble"]}, drafts.COPY),
        ({"twin_question": "What color is the kettle on the stove?"}, drafts.GIVEN_AWAY),
        ({"twin_question": "who put the red kettle on the stove, this morning?"}, drafts.TWIN),
        ({"question": "Who wrote the caption of the picture here?"}, drafts.MAKING),
        ({"twin_question": "Which part of this is unanswerable to you?"}, drafts.MAKING),
    ],
)
def test_a_draft_that_breaks_a_rule_is_a_fault(changes, code):
    with pytest.raises(Fault) as raised:
        check_draft(Draft(**GOOD | changes), EXAMPLES, Rules())
    assert raised.value.code == code
    assert code in drafts.CODES


@pytest.mark.parametrize("words", [5, 45])
def test_the_bounds_of_length_are_included(words):
    check_draft(Draft(**GOOD | {"question": "so " * (words - 1) + "what?"}), EXAMPLES, Rules())
    for bad in (words - 1, words + 1):
        rules = Rules(least_words=words, most_words=words)
        with pytest.raises(Fault, match=f"{bad} words"):
            check_draft(Draft(**GOOD | {"question": "so " * (bad - 1) + "what?"}), EXAMPLES, rules)


@pytest.mark.parametrize(
    ("question", "answer", "given"),
    [
        ("What color is the red kettle?", "red", True),
        ("Is the kettle red or blue?", "red", False),
        ("Is there no kettle on it?", "no", False),
        ("How many of the two cups are full?", "2", True),
        ("Which cup is the redder one?", "red", False),
    ],
)
def test_an_answer_in_its_own_question(question, answer, given):
    assert gives_away(question, answer) is given


@pytest.mark.parametrize(
    "bad", [{"least_words": 0}, {"least_words": 9, "most_words": 8}, {"copy": 0}, {"copy": 1.1}]
)
def test_rules_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError):
        Rules(**bad)
