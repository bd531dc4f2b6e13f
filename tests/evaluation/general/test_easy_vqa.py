"""easy-vqa, whose questions and images come with its package."""

import sys

import pytest

from align.evaluation.general.base import Item, summarize_general
from align.evaluation.general.easy_vqa import COLORS, SHAPES, EasyVqaBenchmark, easy_vqa, kind_of, read_answer
from align.records import DataError


@pytest.fixture(scope="module")
def task():
    return easy_vqa()


def test_the_questions_are_those_of_the_package(task):
    import easy_vqa as package

    texts, answers, numbers = package.get_test_questions()
    assert len(task.items) == 9673
    assert [item.prompt for item in task.items[:50]] == texts[:50]
    assert [item.gold for item in task.items[:50]] == [(answer,) for answer in answers[:50]]
    assert task.items[20].image == f"{numbers[20]}.png"
    assert set(package.get_answers()) == {*COLORS, *SHAPES, "yes", "no"}


def test_the_kind_of_a_question_agrees_with_its_answer(task):
    kinds = (
        {"yes": "yes-no", "no": "yes-no"} | dict.fromkeys(COLORS, "color") | dict.fromkeys(SHAPES, "shape")
    )
    assert {item.id for item in task.items if kinds[item.gold[0]] != kind_of(item.prompt)} == set()


def test_a_right_class_is_right_by_both_rules(task):
    rows = [task.benchmark.grade(item, item.gold[0].title() + ".") for item in task.items[:500]]
    figures = summarize_general(task.benchmark, rows)["figures"]
    assert figures["accuracy"]["value"] == figures["official"]["value"] == 1


@pytest.mark.parametrize(
    ("question", "response", "state", "parsed"),
    [
        ("what color is the shape?", "It's a red circle.", "answer", "red"),
        ("what is the red shape?", "It's a red circle.", "answer", "circle"),
        ("what is the color of the shape?", "Grey", "answer", "gray"),
        ("what color is the circle?", "The circle is blue on a white background.", "answer", "blue"),
        ("what color is the circle?", "The circle isn't red, it is blue.", "answer", "blue"),
        ("what color is the circle?", "It is red or blue.", "unparsed", None),
        ("what color is the circle?", "The object is a triangle.", "unparsed", None),
        ("what color is the circle?", "It is orange.", "answer", "orange"),  # no class: wrong
        ("what shape is present?", "A square.", "answer", "square"),
        ("what shape is present?", "It is triangular.", "answer", "triangle"),
        ("what shape is present?", "I cannot tell what shape it is.", "abstain", None),
        ("what shape is present?", "", "unparsed", None),
        ("is there a circle?", "Yes, there is a red circle.", "answer", "yes"),
        ("is there a circle?", "It is impossible to tell.", "abstain", None),
        ("is there a circle?", "A triangle.", "unparsed", None),
        # Both of these say that there is no circle, and `yes` is the class for that.
        ("is there not a circle?", "No, there is no circle.", "answer", "yes"),
        ("is there not a circle?", "Yes, there is no circle.", "answer", "yes"),
        ("does the image not contain a circle?", "Yes, there is a circle.", "answer", "no"),
        ("is no green shape present?", "No green shape is there.", "answer", "yes"),
        ("is there not a circle?", "no", "answer", "no"),  # alone, the word counts
        ("is there not a circle?", "Yes, there is a triangle.", "answer", "yes"),
    ],
)
def test_the_answer_in_a_sentence(question, response, state, parsed):
    assert read_answer(response, question) == (state, parsed)


def test_official_is_the_class_itself():
    item = Item(
        "x", None, "what is the red shape?", ("circle",), facts={"question": "what is the red shape?"}
    )
    for response, official in (("circle", 1), ("Circle.", 1), ("a circle", 0), ("It's a red circle.", 0)):
        row = EasyVqaBenchmark().grade(item, response)
        assert (row.official, row.score) == (official, 1)


def test_a_limit_is_a_fixed_subset_of_whole_images(task):
    few = easy_vqa(limit=300).items
    assert 280 < len(few) <= 300
    images = {item.image for item in few}
    assert len(few) == sum(item.image in images for item in task.items)
    assert {item.id for item in few} <= {item.id for item in easy_vqa(limit=1000).items}
    assert easy_vqa(limit=3, prompt="Look. {question}").items[0].prompt.startswith("Look. ")


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "easy_vqa", None)
    with pytest.raises(DataError, match="pip install easy-vqa"):
        easy_vqa()
