"""A judge against a reference: figures worked out by hand, and what is in no figure."""

import numpy as np
import pytest

from align.judging.agreement import compare, correlation_of, counted, kappa_of, matrix
from align.judging.raters import CONSENSUS, Rater, Said, consensus, raters_in, require_unique
from align.records import DataError, Verdict
from align.reviewing.agreement import cohen_kappa

REFUSED = {"q1": True, "q2": True, "q3": False, "q4": False, "q5": True}


def rater(name, values, field="refused", **more):
    """A rater by question; a value may be a whole `Said`."""
    said = {
        (id, "m", 0): value if isinstance(value, Said) else Said(**{field: value} | more)
        for id, value in values.items()
    }
    return Rater(name, said)


def figures(reference, judge, name="refused", group="all", by=(), facts=None):
    return compare(reference, judge, facts=facts or {}, by=by, resamples=500)[name][group]


def test_agreement_and_kappa_by_hand():
    """Both yes 2, only the judge 1, only the labels 1, both no 1; chance agrees in 3/5 3/5 + 2/5 2/5."""
    found = figures(rater("people", REFUSED), rater("judge", REFUSED | {"q1": False, "q3": True}))
    assert (found["labelled"], found["n"], found["agreement"]) == (5, 5, pytest.approx(3 / 5))
    assert found["kappa"] == pytest.approx((0.6 - 0.52) / (1 - 0.52))
    assert found["confusion"] == [[False, False, 1], [False, True, 1], [True, False, 1], [True, True, 2]]
    assert (found["precision"], found["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    low, high = found["agreement_interval"]
    assert low < 0.6 < high


def test_what_a_judge_left_unscored_is_no_agreement_and_no_disagreement():
    judge = rater("judge", REFUSED | {"q1": None, "q3": None})
    judge.said["q4", "m", 0] = Said(refused=False, text_digest="of another text")
    people = rater("people", REFUSED, text_digest="of the text")
    del judge.said["q5", "m", 0]
    found = figures(people, judge)
    assert (found["labelled"], found["n"], found["unscored"], found["not_judged"]) == (5, 1, 2, 2)
    assert (found["agreement"], found["unscored_share"]) == (1.0, pytest.approx(2 / 3))
    # The refusal that the judge failed on was not found; those that it was never shown are not its fault.
    assert (found["recall"], found["unscored_refusals"]) == (0.5, 1)
    assert found["kappa"] is None  # one label throughout


def test_a_judge_that_said_nothing_has_no_figure():
    found = figures(rater("people", REFUSED), rater("judge", {"q1": None, "q9": True}))
    assert (found["n"], found["unscored"], found["agreement"], found["kappa"]) == (0, 1, None, None)


def test_a_reason_that_was_not_asked_for_is_not_unscored():
    people = rater("people", {f"q{i}": Said(refused=True, rationality=5 + i) for i in range(4)})
    judge = rater(
        "judge",
        {
            "q0": Said(refused=True, rationality=7),
            "q1": Said(refused=True, rationality=8),
            "q2": Said(refused=False),
            "q3": Said(refused=True),
        },
    )
    found = figures(people, judge, "rationality")
    assert (found["n"], found["not_asked"], found["unscored"]) == (2, 1, 1)
    assert found["mean_difference"] == pytest.approx(2.0)  # the judge is two marks kinder


def test_marks_have_drift_weighted_kappa_and_correlation():
    rng = np.random.default_rng(1)
    truth = rng.integers(1, 11, 200)
    said = np.clip(truth + rng.integers(-1, 3, 200), 1, 10)
    pairs = list(zip(truth.tolist(), said.tolist(), strict=True))
    found = counted(pairs, [str(i // 2) for i in range(200)], marks=True, resamples=500)
    assert found["weighted_kappa"] == pytest.approx(
        cohen_kappa(truth.tolist(), said.tolist(), quadratic=True)
    )
    assert found["kappa"] == pytest.approx(cohen_kappa(truth.tolist(), said.tolist()))
    assert found["correlation"] == pytest.approx(np.corrcoef(truth, said)[0, 1])
    assert found["mean_difference"] == pytest.approx((said - truth).mean())
    assert found["clusters"] == 100
    for name in ("weighted_kappa", "kappa", "correlation", "mean_difference", "agreement"):
        low, high = found[f"{name}_interval"]
        assert low < found[name] < high, name
    assert found["mean_difference_interval"][0] > 0


def test_bands_are_those_of_the_rubric():
    pairs = {"q0": (3, 4), "q1": (4, 6), "q2": (7, 9), "q3": (1, 3)}
    people = rater("people", {id: a for id, (a, _) in pairs.items()}, "helpfulness")
    judge = rater("judge", {id: b for id, (_, b) in pairs.items()}, "helpfulness")
    found = figures(people, judge, "helpfulness")
    assert (found["same_band"], found["within_one"], found["agreement"]) == (0.5, 0.25, 0.0)


def test_a_judge_that_always_agreed_is_not_certain_to():
    values = {f"q{i}": i % 2 == 0 for i in range(30)}
    found = figures(rater("people", values), rater("judge", values))
    assert (found["agreement"], found["kappa"]) == (1.0, 1.0)
    low, high = found["kappa_interval"]
    assert 0.7 < low < 0.9
    assert high == 1.0
    assert low == pytest.approx(2 * found["agreement_interval"][0] - 1)  # chance agrees in half of them


def test_intervals_are_wider_when_responses_share_an_image():
    truth = {f"q{i}": i % 2 == 0 for i in range(120)}
    said = {f"q{i}": (i % 2 == 0) ^ (i // 12 in (0, 5)) for i in range(120)}
    alone = {(id, "m", 0): {"cluster": id} for id in truth}
    shared = {(f"q{i}", "m", 0): {"cluster": str(i // 12)} for i in range(120)}
    width = {}
    for name, facts in (("alone", alone), ("shared", shared)):
        low, high = figures(rater("p", truth), rater("j", said), facts=facts)["kappa_interval"]
        width[name] = high - low
    assert width["shared"] > 1.5 * width["alone"]


def test_groups():
    facts = {(id, "m", 0): {"category": "a" if id < "q3" else "b"} for id in REFUSED}
    people, judge = rater("people", REFUSED), rater("judge", REFUSED | {"q1": False})
    found = compare(people, judge, facts=facts, by=["category"], resamples=100)["refused"]
    assert list(found) == ["all", "category=a", "category=b"]
    assert [found[g]["agreement"] for g in found] == [0.8, 0.5, 1.0]


def test_kappa_and_correlation_of_many_tables_at_once():
    tables = np.asarray([[[2, 1], [1, 1]], [[0, 0], [0, 4]], [[3, 0], [0, 3]]], float)
    distance = 1 - np.eye(2)
    kappa = kappa_of(tables, distance)
    assert kappa[0] == pytest.approx(cohen_kappa([0, 0, 0, 1, 1], [0, 0, 1, 0, 1]))
    assert np.isnan(kappa[1])
    assert kappa[2] == 1.0
    assert np.isnan(correlation_of(tables, np.asarray([0.0, 1.0]))[1])


def test_several_people_are_their_majority():
    people = [
        rater("ana", {"q1": Said(refused=True, rationality=4, helpfulness=3), "q2": True, "q3": False}),
        rater("ben", {"q1": Said(refused=True, rationality=9, helpfulness=4), "q2": False, "q3": None}),
        rater("cleo", {"q1": Said(refused=False, helpfulness=8)}),
    ]
    joined = consensus(people)
    assert joined.name == CONSENSUS
    first = joined.said["q1", "m", 0]
    assert (first.refused, first.rationality, first.helpfulness) == (True, 6.5, 4)
    assert joined.said["q2", "m", 0].refused is None  # a tie is no label
    assert joined.said["q3", "m", 0].refused is False


def test_the_matrix_has_every_two_on_what_both_said_of_the_same_text():
    a = rater("a", REFUSED, text_digest="x")
    b = rater("b", REFUSED | {"q1": False, "q2": None})
    b.said["q3", "m", 0] = Said(refused=True, text_digest="another")
    c = rater("c", {"q1": True, "q4": True})
    found = matrix([a, b, c])["refused"]
    assert found["raters"] == ["a", "b", "c"]
    assert [(p["a"], p["b"], p["n"], p["percent"]) for p in found["pairs"]] == [
        ("a", "b", 3, pytest.approx(200 / 3)),
        ("a", "c", 2, 50.0),
        ("b", "c", 2, 0.0),
    ]


def verdict(judge="j", question_id="q", digest="d", **more):
    return Verdict(question_id=question_id, model="m", judge=judge, judge_digest=digest, refused=True, **more)


def test_raters_of_a_file_and_their_names():
    verdicts = [verdict("j"), verdict("k"), verdict("j", "r")]
    assert [(r.name, len(r.said)) for r in raters_in(verdicts, "f")] == [("j", 2), ("k", 1)]
    assert [r.name for r in raters_in(verdicts, "f", "old")] == ["old/j", "old/k"]
    assert [r.name for r in raters_in([verdict("j")], "f", "old")] == ["old"]
    with pytest.raises(DataError, match="two verdicts"):
        raters_in([verdict(), verdict()], "f")
    with pytest.raises(DataError, match="different models or prompts"):
        raters_in([verdict(), verdict(question_id="r", digest="e")], "f")
    with pytest.raises(ValueError, match=r"'j' is the name of several judges \(f, g\)"):
        require_unique([*raters_in([verdict()], "f"), *raters_in([verdict()], "g")])
