"""The official VQA accuracy: every value here was computed by hand from its definition."""

import pytest

from align.evaluation.general.vqa_accuracy import normalise_answer, vqa_accuracy


def ten(*counts):
    answers = [text for text, times in counts for _ in range(times)]
    assert len(answers) == 10
    return answers


@pytest.mark.parametrize(("matches", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (9, 1)])
def test_mean_of_the_ten_sets_of_nine(matches, accuracy):
    # Of m annotators who agree, each is left out once, in m of the ten sets: m (m - 1) / 3 + (10 - m) m / 3.
    answers = ["red"] * matches + [f"other {i}" for i in range(10 - matches)]
    assert vqa_accuracy("red", answers) == pytest.approx(accuracy)


def test_answers_are_normalised_only_where_the_ten_differ():
    agreed, differing = ten(("yes", 10)), ten(("yes", 9), ("no", 1))
    assert vqa_accuracy("yes", agreed) == 1
    assert vqa_accuracy("Yes", agreed) == 0  # the quirk
    assert vqa_accuracy("yes.", agreed) == 0
    assert vqa_accuracy(" yes\n", agreed) == 1  # white space around it is taken off always
    assert vqa_accuracy("Yes.", differing) == 1
    # Case alone makes the ten differ.
    assert vqa_accuracy("YES!", ten(("yes", 9), ("Yes", 1))) == 1


def test_annotators_answers_are_normalised_too():
    assert vqa_accuracy("2", ten(("two", 2), ("2", 1), ("Two.", 1), ("a few", 6))) == 1
    assert vqa_accuracy("few", ten(("two", 7), ("a few", 3))) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The dog", "dog"),
        ("a red and a blue one", "red and blue 1"),
        ("None", "0"),
        ("eleven", "eleven"),
        ("Ten!", "10"),
        ("dont know", "don't know"),
        ("I'm not sure", "i'm not sure"),
        ("couldnt've", "couldn't've"),
        ("somebody'd", "somebodyd"),
        ("black-white", "black white"),
        ("black - white", "black white"),
        ("left/right, up", "left right up"),
        ("cat,dog", "cat dog"),
        ("cat, dog", "cat dog"),
        ("1,000", "1000"),
        ("1,000 (men/women)", "1000 menwomen"),  # a number with commas: nothing becomes a space
        ("U.S.A.", "usa"),
        ("3.5", "3.5"),
        ("3.", "3"),
        ("." * 40, "." * 8),
        ("it's 5:30", "it's 5:30"),
    ],
)
def test_normalisation_with_its_quirks(text, normalised):
    assert normalise_answer(text) == normalised


def test_a_sentence_and_a_refusal_are_compared_as_they_stand():
    answers = ten(("red", 8), ("dark red", 2))
    assert vqa_accuracy("It is red.", answers) == 0
    assert vqa_accuracy("I cannot tell", answers) == 0
    assert vqa_accuracy("can't tell", ten(("cant tell", 4), ("unknown", 6))) == 1
