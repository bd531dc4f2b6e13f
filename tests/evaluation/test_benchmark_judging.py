"""A judge's verdicts in a benchmark's rows: what each reply becomes, and what it never becomes."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from inspect_ai.dataset import Sample

from align.evaluation.general.haloquest import haloquest
from align.evaluation.general.pope import PopeBenchmark
from align.evaluation.judging import judge_rows, task_judge
from align.evaluation.scorers import graded_record
from align.judging.judged import verdict_on
from align.records import DataError, Question

SUBJECT = SimpleNamespace(label="a model", digest="0123")
IDS = iter(range(1_000))


@dataclass
class Saying:
    """A judge that says what it was told to say about each text."""

    said: dict
    asks: frozenset = frozenset({"refusal", "rationality", "helpfulness"})
    name: str = "saying"
    digest: str = "d"

    def judge(self, items):
        return [verdict_on(item, self, **self.said[item.response.text]) for item in items]


def question(category="Context_Dependent", answers=()):
    return Question(
        id=f"q{next(IDS)}", image="a.png", question="What?", category=category, answers=answers, source="t"
    )


def judged(judge, *rows):
    """The rows `(question, response, grader's outcome)` after the judge."""
    samples = [Sample(input="", metadata={"record": q.model_dump_json()}) for q, _, _ in rows]
    dataset = SimpleNamespace(dataset=samples)
    task = SimpleNamespace(task=dataset, kind="honesty", data_root=".", benchmark=None)
    graded = [graded_record(q, text, **({"grader": "refusal-rules"} | outcome)) for q, text, outcome in rows]
    return judge_rows(graded, task, judge, SUBJECT)


def test_the_judge_decides_where_rules_had_graded():
    judge = Saying(
        {
            "no idea": {"refused": True, "rationality": 2, "helpfulness": 3, "raw": "declines"},
            "a dog": {"refused": False, "helpfulness": 8},
        }
    )
    declined, answered = judged(
        judge,
        (question(), "no idea", {"state": "answer"}),
        (question("Answerable", ("Dog",)), "a dog", {"state": "abstain"}),
    )
    assert (declined.state, declined.rationality, declined.helpfulness) == ("abstain", 2, 3)
    assert (declined.judge_said, declined.grader) == ("declines", "saying")
    assert (answered.state, answered.correct, answered.helpfulness) == ("answer", True, 8)


def test_a_judge_that_failed_gives_no_score_and_no_mark():
    [row] = judged(
        Saying({"no idea": {"error": "half a JSON", "raw": '{"refus'}}),
        (question(), "no idea", {"state": "abstain"}),
    )
    assert row.state == "failed"
    assert row.error == "judge saying: half a JSON"
    assert (row.response, row.rationality, row.helpfulness, row.correct) == ("no idea", None, None, None)


def test_a_mark_that_failed_leaves_the_rest_and_says_why():
    [row] = judged(
        Saying({"no idea": {"refused": True, "helpfulness": 4, "error": "rationality: 11 is off the scale"}}),
        (question(), "no idea", {"state": "abstain"}),
    )
    assert (row.state, row.rationality, row.helpfulness) == ("abstain", None, 4)
    assert "11 is off the scale" in row.error


def test_the_exact_grader_is_not_overruled():
    judge = Saying(
        {
            "no idea": {"refused": False, "helpfulness": 9},
            "can't say": {"refused": True, "rationality": 7, "helpfulness": 5},
        }
    )
    exact = {"state": "abstain", "reason": "wrong", "grader": "miniworld"}
    first, second = judged(judge, (question(), "no idea", exact), (question(), "can't say", exact))
    assert (first.state, first.reason, first.rationality, first.helpfulness) == ("abstain", "wrong", None, 9)
    assert (second.state, second.reason, second.rationality) == ("abstain", "wrong", 7)


def test_what_is_no_response_is_not_judged():
    judge = Saying({})
    failed, empty = judged(
        judge,
        (question(), None, {"state": "failed", "error": "500", "grader": "none"}),
        (question(), "  ", {"state": "unparsed"}),
    )
    assert (failed.error, failed.state) == ("500", "failed")
    assert empty.state == "unparsed"
    no_marks = Saying({}, asks=frozenset({"refusal"}))
    exact = {"state": "abstain", "reason": "right", "grader": "miniworld"}
    [row] = judged(no_marks, (question(), "no", exact))
    assert row.reason == "right"


def test_correctness_is_the_judges_where_it_was_asked():
    asks = frozenset({"refusal", "correctness"})
    [row] = judged(
        Saying({"a hound": {"refused": False, "correct": True}}, asks=asks),
        (question("Answerable", ("dog",)), "a hound", {"state": "answer", "correct": False}),
    )
    assert row.correct is True


@pytest.mark.parametrize("kind", ["honesty", "corruption", "general"])
def test_which_tasks_are_judged_and_for_what(kind, tmp_path):
    ask = {
        "endpoint": {"model": "openai/gpt-4o"},
        "decoding": {"temperature": 0.0, "top_p": None, "max_new_tokens": 64},
        "image": False,
        "category": True,
        "caption": False,
    }
    config = {"kind": "model", "asks": {"refusal": ask, "rationality": ask, "helpfulness": ask}}
    task = SimpleNamespace(kind=kind, data_root=".", benchmark=PopeBenchmark() if kind == "general" else None)
    judge = task_judge(config, task, tmp_path)
    wanted = {"honesty": {"refusal", "rationality", "helpfulness"}, "corruption": {"refusal"}}
    assert (judge.asks if judge else None) == wanted.get(kind)
    for none in (None, {"kind": "rules"}):
        assert task_judge(none, task, tmp_path) is None


def test_no_judge_is_shown_another_image_than_the_model(tmp_path):
    ask = {
        "endpoint": {"model": "openai/gpt-4o"},
        "decoding": {"temperature": 0.0, "top_p": None, "max_new_tokens": 64},
        "image": True,
        "category": True,
        "caption": False,
    }
    config = {"kind": "model", "asks": {"refusal": ask}}
    task = SimpleNamespace(name="corruption", kind="corruption", data_root=".", benchmark=None)
    with pytest.raises(DataError, match=r"asks\.refusal\.image"):
        task_judge(config, task, tmp_path)
    honest = SimpleNamespace(name="mohobench", kind="honesty", data_root=".", benchmark=None)
    assert task_judge(config, honest, tmp_path) is not None


def test_a_general_benchmark_that_wants_a_judge_gets_its_verdicts(tmp_path):
    root = Path(__file__).parents[2]
    made = haloquest(
        str(root / "tests/fixtures/general/haloquest-eval.csv"), str(root / "samples/photos/images")
    )
    item, benchmark = made.items[0], made.benchmark
    task = SimpleNamespace(task=made.task, kind="general", data_root=".", benchmark=benchmark)
    row = benchmark.grade(item, "The cat's collar is red.")
    assert row.score == 0
    verdicts = {"The cat's collar is red.": {"refused": True}}
    [judged_row] = judge_rows([row], task, Saying(verdicts, asks=frozenset({"refusal"})), SUBJECT)
    assert (judged_row.state, judged_row.score) == ("abstain", 1)
    assert "saying" in judged_row.grader
    [failed] = judge_rows([row], task, Saying({"The cat's collar is red.": {"error": "500"}}), SUBJECT)
    assert (failed.state, failed.score) == ("failed", None)
