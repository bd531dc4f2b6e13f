"""HaloQuest from its CSV: declining where it is right, corrected premises, and a judge's verdicts."""

from pathlib import Path

import pytest

from align.evaluation.general.base import Item, summarize_general
from align.evaluation.general.haloquest import CORRECTS, DECLINES, haloquest
from align.evaluation.general.judging import judge_scored
from align.evaluation.general.pope import PopeBenchmark
from align.judging.judged import verdict_on
from align.records import DataError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "general"
PHOTOS = str(Path(__file__).parents[3] / "samples" / "photos" / "images")
COLLAR, DOG, PILOT, COINS, ANYONE = range(5)


@pytest.fixture(scope="module")
def task():
    return haloquest(str(FIXTURES / "haloquest-eval.csv"), PHOTOS)


def test_rows_of_the_split(task):
    assert len(task.items) == 5
    collar = task.items[COLLAR]
    assert (collar.image, collar.part, collar.should_abstain) == ("chelsea.jpg", "false premises", True)
    assert collar.gold == ("The cat is not wearing a collar", "There is no collar")
    assert [item.should_abstain for item in task.items] == [True, True, True, False, False]
    assert [item.part for item in haloquest(task.source, PHOTOS, split="train").items] == ["visual challenge"]
    assert len(haloquest(task.source, PHOTOS, split=None).items) == 6


@pytest.mark.parametrize(
    ("place", "response", "state", "parsed", "score"),
    [
        (COLLAR, "The cat isn't wearing a collar.", "abstain", CORRECTS, 1),
        (COLLAR, "There's no collar in this picture.", "abstain", CORRECTS, 1),
        (COLLAR, "I'm sorry, but I can't assist with that.", "abstain", DECLINES, 1),
        (COLLAR, "The cat's collar is red.", "answer", None, 0),
        (COLLAR, "nothing", "answer", None, 0),
        (COLLAR, "qqq xxzz", "unparsed", None, 0),
        # A denial answers a question of this form elsewhere; here the groundtruth says what is not there.
        (DOG, "There is no dog, only a cup of coffee.", "abstain", CORRECTS, 1),
        (DOG, "No, the dog is not asleep.", "answer", None, 0),
        (DOG, "no", "answer", None, 0),
        (PILOT, "I cannot tell who the pilot is.", "abstain", DECLINES, 1),
        (PILOT, "The pilot is Neil Armstrong.", "answer", None, 0),
        (PILOT, "The name isn't visible, nor is the pilot.", "abstain", CORRECTS, 1),
        (COINS, "There are 24 coins.", "answer", "24", 1),
        (COINS, "I count 24 of them on the table.", "answer", "24", 1),
        (COINS, "There are 24 coins in 4 rows, or 20.", "answer", "24", 1),
        (COINS, "There are 12 coins.", "answer", None, 0),
        (COINS, "twenty", "answer", None, 0),
        (COINS, "It is hard to tell how many there are.", "abstain", DECLINES, 0),
        # The right answer to a visual challenge may sound like a refusal.
        (ANYONE, "There are no people in the image.", "answer", "There are no people in the image", 1),
        (ANYONE, "Yes, a man.", "answer", None, 0),
    ],
)
def test_states_without_a_judge(task, place, response, state, parsed, score):
    row = task.benchmark.grade(task.items[place], response)
    assert (row.state, row.parsed, row.score) == (state, parsed, score)
    assert row.official is None


@pytest.mark.parametrize(
    ("question", "gold", "response", "right"),
    [
        ("How many lines are there?", "There are three white lines", "I see 3 lines on the road.", True),
        ("How many lines are there?", "There are three white lines", "There are three or four.", False),
        ("Is the chain silver or gold?", "It is gold", "The chain is a golden one, made of gold.", True),
        ("Is the chain silver or gold?", "It is gold", "It is silver.", False),
        ("Is the chain silver or gold?", "It is gold", "Either silver or gold.", False),
        ("What color is the van?", "The van is red", "red", True),
        ("What color is the van?", "The van is not red but blue", "red", False),
        ("What color is the van?", "The van is red", "the van", False),
    ],
)
def test_an_answer_agrees_with_a_groundtruth_in_other_words(task, question, gold, response, right):
    item = Item("x", None, question, (gold,), part="visual challenge", facts={"question": question})
    assert task.benchmark.grade(item, response).score == right


def test_figures(task):
    said = ["There is no collar.", "No.", "I cannot know.", "24", "I cannot tell."]
    rows = [task.benchmark.grade(item, text) for item, text in zip(task.items, said, strict=True)]
    summary = summarize_general(task.benchmark, rows)
    figures = {name: (figure["value"], figure["n"]) for name, figure in summary["figures"].items()}
    assert figures["abstained_when_due"] == (2 / 3, 3)
    assert figures["premise_corrected"] == (1 / 2, 2)
    assert figures["over_abstention"] == (1 / 2, 2)
    assert figures["accuracy"] == (3 / 5, 5)
    assert figures["accuracy_when_answering"] == (1, 1)  # of questions that have an answer
    assert figures["official"] == (None, 0)  # its auto-rater is no rule


class Judge:
    """Says of each response what the test wants."""

    name, digest, asks = "test-judge", "0", frozenset({"refusal", "correctness"})

    def __init__(self, *said):
        self.said, self.items = said, []

    def judge(self, items):
        self.items = list(items)
        return [verdict_on(item, self, **said) for item, said in zip(items, self.said, strict=True)]


def test_a_judges_verdicts_take_the_place_of_the_rules(task):
    said = ["It is red.", "No.", "Neil Armstrong.", "about two dozen", ""]
    rows = [task.benchmark.grade(item, text) for item, text in zip(task.items, said, strict=True)]
    judge = Judge(
        {"refused": True},
        {"refused": None, "error": "no reply"},
        {"refused": False},
        {"refused": False, "correct": True},
    )
    by_id = {item.id: item for item in task.items}
    judged = judge_scored(task.benchmark, by_id, rows, judge, model="m")
    outcome = [(row.state, row.score, row.grader) for row in judged]
    assert outcome == [
        ("abstain", 1, "test-judge"),
        ("failed", None, "test-judge"),
        ("answer", 0, "test-judge"),
        ("answer", 1, "test-judge"),
        ("unparsed", 0, "haloquest"),  # nothing to judge
    ]
    assert judged[1].error == "judge test-judge: no reply"
    shown = judge.items[0].question
    assert (shown.category, shown.reason) == ("False_Premises", "The cat is not wearing a collar")
    assert judge.items[3].question.answers == ("There are 24 coins in this photo.", "24")


def test_other_benchmarks_are_not_judged(task):
    with pytest.raises(TypeError, match="pope is graded by its own rules"):
        judge_scored(PopeBenchmark(), {}, [], Judge(), model="m")


def test_images_that_are_gone_fail_or_are_left_out_and_listed(task, tmp_path):
    for name in ("chelsea.jpg", "coffee.jpg"):
        (tmp_path / name).write_bytes((Path(PHOTOS) / name).read_bytes())
    assert len(haloquest(task.source, str(tmp_path)).items) == 5
    few = haloquest(task.source, str(tmp_path), leave_out_missing=True)
    assert [item.image for item in few.items] == ["chelsea.jpg", "coffee.jpg"]
    assert [(p.line, p.field) for p in few.problems] == [(n, "image_name") for n in (4, 5, 6, 7)]
    assert "rocket.jpg is not in" in few.problems[0].message


def test_broken_rows_are_problems_with_their_place(tmp_path):
    file = tmp_path / "halo.csv"
    file.write_text(
        "image_name,url,image type,hallucination type,question,groundtruth responses,split\n"
        "coffee.jpg,u,real,false premises,What is on the dog?,There is no dog,eval\n"
        "coffee.jpg,u,real,false promises,What is on the cat?,There is no cat,eval\n"
        "coffee.jpg,u,real,visual challenge,How many?, ; ,eval\n"
        "coffee.jpg,u,real\n"
    )
    task = haloquest(str(file), PHOTOS)
    assert len(task.items) == 1
    assert [(p.line, p.field) for p in task.problems] == [
        (3, "hallucination type"),
        (4, "groundtruth responses"),
        (5, None),
    ]
    assert "did you mean false premises" in task.problems[0].message
    with pytest.raises(DataError, match="no question of split train"):
        haloquest(str(file), PHOTOS, split="train")
    with pytest.raises(ValueError, match="split='dev'"):
        haloquest(str(file), PHOTOS, split="dev")
