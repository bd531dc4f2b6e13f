import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from align.miniworld.dataset import TEST_PARTS, build_questions
from align.miniworld.questions import Query, phrasings, status
from align.miniworld.scenes import HELD_OUT, Scene, draw
from align.records import UNANSWERABLE, Question, read_records


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    return root, build_questions(root, train=200, test=96)


def test_counts_and_balance(world):
    _, questions = world
    assert Counter(q.split for q in questions) == {"train": 400, "test": 192}
    for part, share in TEST_PARTS.items():
        categories = Counter(q.category for q in questions if q.part == part)
        assert categories["Answerable"] == round(96 * share)
        assert {categories[c] for c in UNANSWERABLE} == {round(96 * share) / 4}


def test_train_and_test_share_no_scene(world):
    _, questions = world
    images = {split: {q.image for q in questions if q.split == split} for split in ("train", "test")}
    assert not images["train"] & images["test"]


def test_twins_are_mutual_and_of_opposite_answerability(world):
    _, questions = world
    by_id = {q.id: q for q in questions}
    assert len(by_id) == len(questions)
    for question in questions:
        twin = by_id[question.twin]
        assert twin.twin == question.id
        assert twin.answerable != question.answerable
        assert (twin.split, twin.part) == (question.split, question.part)
        unanswerable = twin if question.answerable else question
        if unanswerable.category in ("False_Premises", "Vague_Description"):
            assert twin.question == question.question, "the same words, so that no text cue tells"
            assert twin.image != question.image
        else:
            assert twin.image == question.image


def test_labels_follow_from_scene_and_query(world):
    for question in world[1]:
        found = status(
            Scene.from_dict(question.metadata["scene"]), Query.from_dict(question.metadata["query"])
        )
        assert found.category == question.category
        assert question.answers == ((found.value,) if found.value else ())
        assert (question.reason is None) == question.answerable


def test_parts_hold_what_training_never_shows(world):
    _, questions = world

    def combinations(question):
        return {(t["shape"], t["color"]) for t in question.metadata["scene"]["things"]}

    def templates(question, held_out):
        words = question.question
        query = Query.from_dict(question.metadata["query"])
        return any(words.startswith(t.split("{")[0]) for t in phrasings(query, held_out))

    for question in questions:
        if question.part == "combinations":
            assert combinations(question) & HELD_OUT
        else:
            assert not combinations(question) & HELD_OUT
        assert templates(question, held_out=question.part == "phrasings")


def test_files_are_what_was_returned_and_the_same_each_time(world, tmp_path):
    root, questions = world
    assert read_records(root / "questions.jsonl", Question) == questions
    again = build_questions(tmp_path, train=200, test=96)
    assert again == questions
    assert build_questions(tmp_path / "other", train=10, test=8, seed=1)[0].id != questions[0].id
    for question in random.Random(0).sample(questions, 20):
        stored = np.asarray(Image.open(root / question.image))
        assert (stored == draw(Scene.from_dict(question.metadata["scene"]))).all()
