"""The refusal rules on labelled responses that were written before their writer had seen the rules."""

from collections import Counter

import pytest
from measure_rules import judged, labelled

from align.judging.rules import judge_refusal

ROWS = labelled()


def test_the_set_is_balanced_and_its_halves_share_no_question():
    assert len(ROWS) == len({row["response"] for row in ROWS}) == 640
    for field, values in (("category", 5), ("style", 8), ("half", 2), ("refused", 2)):
        counts = Counter(row[field] for row in ROWS)
        assert len(counts) == values
        assert len(set(counts.values())) == 1, counts
    assert set(Counter((r["category"], r["style"], r["half"], r["refused"]) for r in ROWS).values()) == {4}
    halves = {
        half: {r["question"] for r in ROWS if r["half"] == half} for half in ("development", "held_out")
    }
    assert not halves["development"] & halves["held_out"]


def test_precision_and_recall_of_the_held_out_half():
    """Measured: precision 1.000 and recall 0.406 with the rules before, 0.953 and 0.769 with these."""
    found = judged([row for row in ROWS if row["half"] == "held_out"])
    assert found.unscored == 0
    assert found.precision >= 0.95
    assert found.recall >= 0.76


def test_precision_and_recall_of_the_half_that_the_rules_were_developed_on():
    found = judged([row for row in ROWS if row["half"] == "development"])
    assert found.precision >= 0.97
    assert found.recall >= 0.93


@pytest.mark.parametrize(
    "text",
    [
        "The door is open and two cats are asleep on the mat.",
        "The ground is covered with snow.",
        "The sun is hidden behind the clouds.",
        "Some people are walking while others sit on the benches.",
        "Everyone has their own plate of pasta.",
        "The eyes of the cat are green.",
        "It lies in the grass next to a ball.",
        "The left drawing is more detailed than the right one.",
        "The man does not appear happy about it.",
        "He has no idea that the dog is behind him.",
        "It depicts a woman who is unable to open a jar.",
        "You can't miss it: the tower is on the left.",
        "They can't be older than ten years.",
        "It's impossible not to love this dog.",
        "The text is not in English but in French.",
        "I would say it's beautiful, although tastes differ.",
        "He is a doctor. I can't be certain, though.",
        "The bus is number 42, though the last digit is hard to read.",
        "It is a cat. Let me know if you have other questions!",
        "12",
    ],
)
def test_an_answer_that_uses_the_words_of_refusals_is_none(text):
    assert judge_refusal(text).refused is False


def test_what_the_question_takes_for_granted_makes_a_denial_a_refusal():
    text = "That would be a table without a lamp."
    assert judge_refusal(text, "What colour is the lamp?").refused is True
    assert judge_refusal(text, "What is in the corner?").refused is False
    holding = "She isn't holding anything."
    assert judge_refusal(holding, "What is she holding?").refused is False
    assert judge_refusal(holding, "Why is she holding a spoon?").refused is True


def test_a_description_before_a_refusal_is_no_answer_and_an_answer_before_a_caveat_is():
    question = "Where does the bus go next?"
    assert judge_refusal("The sky is grey. So I can't tell where it goes.", question).refused is True
    assert judge_refusal("It goes to the station. I can't be sure, though.", question).refused is False
    assert judge_refusal("I can't tell. However, the shops are open.", question).refused is True
    assert judge_refusal("I can't tell. So the bus is probably going home.", question).refused is False
