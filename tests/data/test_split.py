"""Splits by image: nothing leaks, shares are kept, and only content and seed decide."""

import random
from collections import Counter

import pytest

from align.data.split import select_split, split_questions
from align.records import UNANSWERABLE, DataError, Question

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def make(n_images=100, per_image=UNANSWERABLE, **changes):
    return [
        Question(
            id=f"{i}-{c}", image=f"{i}.jpg", question=f"Question {i} {c}?", category=c, source="s", **changes
        )
        for i in range(n_images)
        for c in per_image
    ]


def splits_of_images(questions, key=lambda q: q.image):
    found = {}
    for question in questions:
        found.setdefault(key(question), set()).add(question.split)
    return found


def test_all_questions_of_an_image_are_in_one_split_and_shares_hold_in_each_category():
    questions = split_questions(make(), SHARES)
    assert all(len(splits) == 1 for splits in splits_of_images(questions).values())
    for category in UNANSWERABLE:
        counts = Counter(q.split for q in questions if q.category == category)
        assert counts == {"train": 80, "validation": 10, "test": 10}


def test_a_rare_category_is_shared_out_too():
    questions = make(60, ("Context_Dependent",))
    rare = [q.model_copy(update={"category": "Vague_Description"}) for q in questions[:10]]
    result = split_questions(rare + questions[10:], {"train": 0.8, "validation": 0, "test": 0.2})
    assert Counter(q.split for q in result if q.category == "Vague_Description") == {"train": 8, "test": 2}
    assert Counter(q.split for q in result)["test"] == 12


def test_the_seed_decides_and_the_order_does_not():
    questions = make()
    first = {q.id: q.split for q in split_questions(questions, SHARES, seed=3)}
    shuffled = list(questions)
    random.Random(0).shuffle(shuffled)
    again = split_questions(shuffled, SHARES, seed=3)
    assert {q.id: q.split for q in again} == first
    assert [q.id for q in again] == [q.id for q in shuffled]
    assert {q.id: q.split for q in split_questions(questions, SHARES, seed=4)} != first


def test_one_picture_under_two_names_goes_to_one_split():
    questions = make(100)
    digests = {f"{i}.jpg": f"content {i // 2}" for i in range(100)}
    together = splits_of_images(
        split_questions(questions, SHARES, digests=digests), lambda q: digests[q.image]
    )
    assert all(len(splits) == 1 for splits in together.values())
    apart = splits_of_images(split_questions(questions, SHARES), lambda q: digests[q.image])
    assert any(len(splits) == 2 for splits in apart.values())


def test_with_digests_the_names_of_files_do_not_matter():
    questions = make(30)
    renamed = [q.model_copy(update={"image": f"x/{q.image}"}) for q in questions]
    one = split_questions(questions, SHARES, digests={f"{i}.jpg": f"d{i}" for i in range(30)})
    two = split_questions(renamed, SHARES, digests={f"x/{i}.jpg": f"d{i}" for i in range(30)})
    assert [q.split for q in one] == [q.split for q in two]


def test_twins_on_two_images_stay_together():
    questions = []
    for q in make(100, ("Vague_Description",)):
        number = int(q.id.split("-")[0])
        questions.append(q.model_copy(update={"twin": f"{number ^ 1}-Vague_Description"}))
    split = {q.id: q.split for q in split_questions(questions, SHARES)}
    assert all(split[q.id] == split[q.twin] for q in questions)


def test_a_given_split_is_kept_with_the_whole_image():
    questions = make(20)
    questions[0] = questions[0].model_copy(update={"split": "test"})
    result = split_questions(questions, {"train": 1.0})
    assert {q.split for q in result if q.image == "0.jpg"} == {"test"}
    assert {q.split for q in result if q.image != "0.jpg"} == {"train"}


def test_one_image_in_two_given_splits_is_an_error():
    questions = make(2)
    questions[0] = questions[0].model_copy(update={"split": "test"})
    questions[1] = questions[1].model_copy(update={"split": "train"})
    with pytest.raises(DataError, match=r"'0\.jpg'.*test and train"):
        split_questions(questions, SHARES)


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"train": 0.8, "test": 0.1}, "sum to 1"),
        ({"train": 1.2, "test": -0.2}, "sum to 1"),
        ({"train": 0.8, "dev": 0.2}, "unknown split dev"),
    ],
)
def test_impossible_shares(shares, says):
    with pytest.raises(ValueError, match=says):
        split_questions(make(10), shares)


def test_too_few_images_for_a_split():
    with pytest.raises(ValueError, match="got no question"):
        split_questions(make(3), {"train": 0.98, "validation": 0.01, "test": 0.01})


def test_training_data_is_selected_from_a_split_that_is_not_the_test_split():
    questions = split_questions(make(), SHARES)
    assert len(select_split(questions, "train")) == 320
    with pytest.raises(DataError, match="never built from the test split"):
        select_split(questions, "test")
    with pytest.raises(DataError, match="has no split"):
        select_split(make(1), "train")
    with pytest.raises(DataError, match=r"no question in 'validation'; there is train \(4\)"):
        select_split(make(1, split="train"), "validation")


def test_an_image_of_the_test_split_is_found_in_training():
    questions = make(2, split="train")
    questions[-1] = questions[-1].model_copy(update={"split": "test"})
    with pytest.raises(DataError, match=r"'1\.jpg' is in the test split too"):
        select_split(questions, "train")
