"""POPE: the official rule where the right figures are known by hand, and our four states beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from align.evaluation.general.base import Item, summarize_general
from align.evaluation.general.figures import rates
from align.evaluation.general.pope import PopeBenchmark, official_answer, pope
from align.evaluation.general.yes_no import read_yes_no
from align.records import DataError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "general"
PHOTOS = Path(__file__).parents[3] / "samples" / "photos" / "images"
DOG = "Is there a dog in the image?"


def graded(responses, task):
    by_id = {item.id: item for item in task.items}
    return [task.benchmark.grade(by_id[id], text) for id, text in responses.items()]


def value(figures, name):
    return figures[name]["value"]


def test_official_files_are_three_parts_in_which_the_same_question_may_stand():
    task = pope(FIXTURES, str(PHOTOS))
    assert [item.id for item in task.items][:3] == ["random-1", "random-2", "random-3"]
    assert {item.part for item in task.items} == {"random", "popular", "adversarial"}
    assert len(task.items) == 8
    assert not task.problems
    first = task.items[0]
    assert (first.image, first.prompt, first.gold) == ("coffee.jpg", "Is there a cup in the image?", ("yes",))
    assert [item.part for item in pope(FIXTURES, str(PHOTOS), part="popular").items] == ["popular"] * 2


def test_figures_are_those_computed_by_hand():
    # Gold: yes no yes no. Ours reads yes yes(wrong) - no; officially the refusal is one more yes.
    responses = {
        "random-1": "Yes, there is a cup.",
        "random-2": "There is a dog on the table.",
        "random-3": "I cannot determine whether there is a cat.",
        "random-4": "No.",
    }
    summary = summarize_general(PopeBenchmark(), graded(responses, pope(FIXTURES, str(PHOTOS))))
    figures = summary["figures"]
    assert summary["states"] == {"answer": 3, "abstain": 1, "unparsed": 0, "failed": 0}
    assert value(figures, "accuracy") == 2 / 4
    assert value(figures, "accuracy_when_answering") == 2 / 3
    assert value(figures, "abstain_rate") == 1 / 4
    assert value(figures, "precision") == 1 / 2  # one of the two that were said to be there
    assert value(figures, "recall") == 1 / 2  # one of the two that are there
    assert value(figures, "f1") == pytest.approx(2 * 0.5 * 0.5 / (0.5 + 0.5))
    assert value(figures, "yes_rate") == 2 / 3  # of three answers
    # The official reading: yes yes yes no, so TP 2, FP 1, TN 1, FN 0.
    assert value(figures, "official") == 3 / 4
    assert value(figures, "official_precision") == 2 / 3
    assert value(figures, "official_recall") == 1
    assert value(figures, "official_f1") == pytest.approx(0.8)
    assert value(figures, "official_yes_rate") == 3 / 4
    official = {name for name, figure in figures.items() if figure["official"]}
    assert official == {
        "official",
        *(f"official_{name}" for name in ("precision", "recall", "f1", "yes_rate")),
    }


def test_yes_rate_counts_predictions_and_not_labels():
    task = pope(FIXTURES, str(PHOTOS), part="random")
    rows = graded({item.id: "No." for item in task.items}, task)
    figures = summarize_general(task.benchmark, rows)["figures"]
    assert value(figures, "yes_rate") == value(figures, "official_yes_rate") == 0
    assert value(figures, "precision") is None  # nothing was said to be there
    assert value(figures, "f1") == 0
    assert figures["recall"] == {"value": 0, "interval": [0, pytest.approx(0.8419, abs=1e-3)]} | {
        "n": 2,
        "official": False,
    }


def test_parts_are_reported_apart_and_a_failure_is_in_no_score():
    task = pope(FIXTURES, str(PHOTOS))
    rows = graded({item.id: "Yes" for item in task.items if item.id != "random-4"}, task)
    failed = rows[0].model_copy(
        update={"sample_id": "random-4", "gold": ("no",), "state": "failed", "score": None, "parsed": None}
        | {"official": None, "response": None, "error": "image gone"}
    )
    parts = summarize_general(task.benchmark, [*rows, failed])["by_part"]
    random, popular = parts["random"]["figures"], parts["popular"]["figures"]
    assert value(random, "accuracy") == value(random, "official") == 2 / 3
    assert value(random, "failed_rate") == 1 / 4
    assert value(random, "yes_rate") == value(random, "official_yes_rate") == 1
    assert value(popular, "official_f1") == value(popular, "f1") == pytest.approx(2 / 3)


def test_intervals_resample_whole_images():
    def figures(images):
        item = Item("x", None, DOG, ("yes",), facts={"question": DOG})
        rows = []
        for place, image in enumerate(images):
            # Each image has one reading for all of its questions, as a model that misreads it would.
            said = "Yes" if int(image) % 2 else "No"
            row = PopeBenchmark().grade(item, said)
            rows.append(row.model_copy(update={"sample_id": str(place), "image": image}))
        return summarize_general(PopeBenchmark(), rows)["figures"]

    few, many = figures([str(i // 50) for i in range(400)]), figures([str(i) for i in range(400)])
    for name in ("accuracy", "f1", "yes_rate"):
        assert value(few, name) == value(many, name)
        width = [f[name]["interval"][1] - f[name]["interval"][0] for f in (few, many)]
        assert width[0] > 3 * width[1]


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Images of 6 questions, half of them yes; an image is read rightly with a probability of its own."""
    rng, runs, mean = np.random.default_rng(0), 200, 0.9
    held = {"accuracy": 0, "f1": 0, "yes_rate": 0}
    for _ in range(runs):
        skill = np.repeat(rng.beta(mean * 5, (1 - mean) * 5, size=60), 6)
        gold = np.tile([1, 0], 180)
        said = np.where(rng.random(360) < skill, gold, 1 - gold)
        fractions = {
            "accuracy": (said == gold, np.ones(360)),
            "f1": (2 * (said & gold), said + gold),
            "yes_rate": (said, np.ones(360)),
        }
        made = rates([str(i // 6) for i in range(360)], fractions, balanced={"yes_rate"}, resamples=300)
        for name, truth in (("accuracy", mean), ("f1", mean), ("yes_rate", 0.5)):
            low, high = made[name]["interval"]
            held[name] += low <= truth <= high
    assert all(count >= 0.92 * runs for count in held.values()), held
    assert held["yes_rate"] / runs < 0.985  # it would be 1, were it not known to be balanced


@pytest.mark.parametrize(
    ("response", "official", "state", "parsed"),
    [
        ("Yes, there is a dog.", "yes", "answer", "yes"),
        ("no", "no", "answer", "no"),
        # The official parser knows `No`, `no`, `not` as whole words of the first sentence, and nothing else.
        ("NO", "yes", "answer", "no"),
        ("No\nThere is a cat.", "yes", "answer", "no"),
        ("There isn't a dog.", "yes", "answer", "no"),
        ("The image shows a cat. There is no dog.", "yes", "answer", "no"),
        ("There is a man with no hat and a dog.", "no", "answer", "yes"),
        ("The dog is not black.", "no", "answer", "yes"),
        ("Nothing like a dog is there: a cat. The answer is no.", "yes", "answer", "no"),
        ("I cannot determine whether there is a dog.", "yes", "abstain", None),
        ("I can not determine whether there is a dog.", "no", "abstain", None),
        ("I'm sorry, but I can't assist with that.", "yes", "abstain", None),
        ("It is unclear.", "yes", "abstain", None),
        ("No, it is impossible to tell.", "no", "abstain", None),
        ("The question cannot be answered with yes or no.", "no", "abstain", None),
        ("", "yes", "unparsed", None),
        ("Yes. No.", "yes", "unparsed", None),
        ("The image shows a man riding a bike.", "yes", "unparsed", None),
        ("I cannot see a dog in the image.", "yes", "answer", "no"),
        ("There does not appear to be any dog.", "no", "answer", "no"),
        ("Two dogs are lying on the sofa.", "yes", "answer", "yes"),
        ("Yes, although I cannot be certain.", "yes", "answer", "yes"),
        ("No, although I cannot be certain.", "no", "answer", "no"),
    ],
)
def test_both_readings_of_a_response(response, official, state, parsed):
    assert official_answer(response) == official
    assert read_yes_no(response, DOG) == (state, parsed)
    row = PopeBenchmark().grade(Item("x", None, DOG, ("no",), facts={"question": DOG}), response)
    assert row.official == float(official == "no")
    assert row.score == float(parsed == "no")


def test_a_row_that_cannot_be_read_is_a_problem_with_its_place(tmp_path):
    good = {"question_id": 1, "image": "coffee.jpg", "text": DOG, "label": "no"}
    lines = [
        json.dumps(good),
        json.dumps(good | {"question_id": 2, "label": "maybe"}),
        "{broken",
        json.dumps({"question_id": 4, "image": "../../etc/passwd", "text": DOG, "label": "no"}),
        json.dumps({"question_id": 5, "image": "coffee.jpg", "label": "no"}),
    ]
    file = tmp_path / "coco_pope_random.json"
    file.write_text("\n".join(lines))
    task = pope(file, str(PHOTOS))
    assert [item.id for item in task.items] == ["random-1"]
    assert [(p.line, p.field) for p in task.problems] == [
        (2, "label"), (3, None), (4, "image"), (5, "question")
    ]  # fmt: skip
    assert {p.file for p in task.problems} == {str(file)}
    assert "maybe" in task.problems[0].message
    assert "leaves the folder" in task.problems[2].message


def test_what_cannot_be_used_is_said(tmp_path):
    with pytest.raises(ValueError, match="part='rare'"):
        pope(FIXTURES, str(PHOTOS), part="rare")
    with pytest.raises(ValueError, match=r"no \{question\}"):
        pope(FIXTURES, str(PHOTOS), prompt="Yes or no?")
    with pytest.raises(DataError, match=r"none of its 2 images is in .*set `images`"):
        pope(FIXTURES, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"download.py get=\[pope\]"):
        pope(FIXTURES / "coco_pope_randm.json", str(PHOTOS))
    file = tmp_path / "answers.json"  # no name that says which part it is, and no column
    file.write_text((FIXTURES / "coco_pope_random.json").read_text())
    with pytest.raises(DataError, match="category"):
        pope(file, str(PHOTOS))


def test_a_limit_takes_the_same_whole_images_every_time():
    chosen = pope(FIXTURES, str(PHOTOS), limit=7).items
    assert [item.id for item in chosen] == [item.id for item in pope(FIXTURES, str(PHOTOS), limit=6).items]
    assert len({item.image for item in chosen}) == 1
    assert len(chosen) in (2, 6)  # all questions of the one image or of the other
    with pytest.raises(ValueError, match="limit is 0"):
        pope(FIXTURES, str(PHOTOS), limit=0)


def test_the_form_of_the_hub_brings_its_pictures(tmp_path):
    import datasets

    rows = [
        {"id": "0", "question_id": "1", "question": DOG, "answer": "no", "image_source": "COCO_1"}
        | {"image": {"bytes": (PHOTOS / "coffee.jpg").read_bytes(), "path": None}, "category": "popular"},
    ]
    features = datasets.Features(
        {name: datasets.Value("string") for name in rows[0] if name != "image"} | {"image": datasets.Image()}
    )
    (tmp_path / "hub" / "data").mkdir(parents=True)
    data = datasets.Dataset.from_list(rows, features=features)
    data.to_parquet(str(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet"))
    task = pope(str(tmp_path / "hub"), str(tmp_path / "images"), hub_split="test")
    [item] = task.items
    assert (item.id, item.part, item.gold) == ("popular-1", "popular", ("no",))
    assert (tmp_path / "images" / item.image).read_bytes() == (PHOTOS / "coffee.jpg").read_bytes()
