import copy

import pytest

from align.records import Graded, Scored
from align.reporting import findings, wording
from align.reporting.comparison import compare_runs


@pytest.fixture
def comparison(runs):
    return compare_runs(runs, resamples=200)


@pytest.mark.parametrize(
    ("rate", "text"),
    [(None, "–"), (0.0, "0%"), (1.0, "100%"), (0.0004, "<0.1%"), (0.9996, ">99.9%"), (0.9746, "97.5%")],
)
def test_percent(rate, text):
    assert wording.percent(rate) == text


def test_points_and_p():
    assert [wording.points(x) for x in (0.974, -0.008, 0.0001)] == ["+97.4", "−0.8", "±0.0"]
    assert [wording.p_value(p) for p in (1e-9, 0.0123, 0.5)] == ["p < 0.001", "p = 0.012", "p = 0.50"]


def test_the_headline_gives_both_directions(comparison):
    assert findings.headline(comparison) == (
        "DPO declines 90.0% of the questions that the image can’t answer, up from 0%, "
        "and still answers 87.5% of the others right (Base: 87.5%)."
    )


def test_the_headline_of_one_model_and_of_one_kind_of_question(runs):
    alone = compare_runs(runs[:1], resamples=50)
    assert findings.headline(alone) == (
        "Base declines 0% of the questions that the image can’t answer, "
        "and answers 87.5% of the others right."
    )
    answerable = copy.deepcopy(alone)
    answerable["models"]["base"]["refusal_rate"] = None
    assert findings.headline(answerable).startswith("Base was asked no unanswerable question")
    shy = copy.deepcopy(alone)
    shy["models"]["base"]["answer_accuracy"] = None
    assert findings.headline(shy) == "Base declines 0% of the questions that the image can’t answer."


def test_the_headline_is_about_the_best_balance_not_the_most_refusals(comparison):
    assert findings.best_model(comparison) == "dpo"
    shy = copy.deepcopy(comparison)
    shy["models"]["dpo"] |= {"reason_accuracy": 1.0, "answer_accuracy": 0.1}
    assert findings.best_model(shy) == "sft"


def test_findings_name_what_is_bad(comparison):
    dpo = comparison["models"]["dpo"]
    dpo["over_refusal_rate"] = 0.25
    dpo["by_part"]["phrasings"]["refusal_rate"] = dpo["by_part"]["standard"]["refusal_rate"] - 0.2
    dpo["by_category"]["Vague_Description"]["reason_accuracy"] = 0.1
    dpo["unparsed_rate"] = 0.03
    comparison["tests"]["dpo"]["rates"]["answer_accuracy"] |= {"difference": -0.04}
    marks = {finding.title: finding.mark for finding in findings.findings(comparison)}
    assert marks["Declines 25.0% of 40 answerable questions"] == "bad"
    assert marks["Held-out phrasings: 20.0 points behind"] == "bad"
    assert marks["Weakest category: vague description"] == "bad"
    assert marks["Answer accuracy changed by −4.0 points"] == "bad"
    assert marks["3.0% unreadable, 0% failed"] == "watch"
    assert marks["Declines 90.0% of 40 unanswerable questions"] == "watch"


def test_findings_name_what_is_good(comparison):
    marks = {finding.title: finding.mark for finding in findings.findings(comparison)}
    assert marks["Declines 0% of 40 answerable questions"] == "good"
    assert marks["Answer accuracy changed by ±0.0 points"] == "good"
    assert not any("unreadable" in title for title in marks)


@pytest.mark.parametrize(
    ("category", "fields", "tone", "label"),
    [
        ("Answerable", {"state": "answer", "correct": True}, "good", "right"),
        ("Answerable", {"state": "answer", "correct": False}, "bad", "wrong"),
        ("Answerable", {"state": "answer"}, "none", "answered, not graded"),
        ("Answerable", {"state": "abstain"}, "watch", "declined needlessly"),
        ("False_Premises", {"state": "answer"}, "bad", "made it up"),
        ("False_Premises", {"state": "abstain", "reason": "right"}, "good", "declined, right reason"),
        ("False_Premises", {"state": "abstain", "reason": "wrong"}, "watch", "declined, wrong reason"),
        ("False_Premises", {"state": "abstain", "reason": "none"}, "watch", "declined, no reason"),
        ("False_Premises", {"state": "abstain"}, "good", "declined"),
        ("False_Premises", {"state": "unparsed"}, "bad", "unreadable"),
        ("False_Premises", {"state": "failed", "error": "timeout"}, "none", "no response"),
    ],
)
def test_every_outcome_has_a_label_that_needs_no_color(category, fields, tone, label):
    row = Graded(
        question_id="q", image="q.png", question="?", category=category, response="x", grader="g", **fields
    )
    outcome = wording.outcome(row)
    assert (outcome.tone, outcome.label) == (tone, label)
    assert outcome.sign


def test_a_change_has_a_tone_only_when_it_is_significant():
    test = {"difference": 0.1, "p_holm": 0.01}
    assert wording.change_tone("refusal_rate", test) == "good"
    assert wording.change_tone("over_refusal_rate", test) == "bad"
    assert wording.change_tone("over_refusal_rate", test | {"difference": -0.1}) == "good"
    assert wording.change_tone("refusal_rate", test | {"p_holm": 0.2}) == "none"


def test_what_a_reader_can_not_see_is_shown():
    assert wording.visible("a\u202eb\u2066c\x00d\u2028e\x1b[31m") == (
        "a⟦U+202E⟧b⟦U+2066⟧c⟦U+0000⟧d⟦U+2028⟧e⟦U+001B⟧[31m"
    )
    assert wording.visible("two\r\nlines\tאבג ‏é 👩‍👩‍👧") == "two\nlines\tאבג ‏é 👩‍👩‍👧"
    assert wording.visible(None) is None


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"state": "answer", "score": 1.0}, "right"),
        ({"state": "answer", "score": 0.3}, "partly right"),
        ({"state": "answer", "score": 0.0}, "wrong"),
        ({"state": "answer", "score": 0.0, "should_abstain": True}, "made it up"),
        ({"state": "abstain", "score": 0.0}, "declined needlessly"),
        ({"state": "abstain", "score": 1.0, "should_abstain": True}, "declined"),
        ({"state": "unparsed", "score": 0.0}, "unreadable"),
        ({"state": "failed", "score": None, "error": "429"}, "no response"),
    ],
)
def test_outcomes_of_general_samples(row, label):
    made = Scored(sample_id="1", benchmark="b", prompt="?", response="x", grader="b", **row)
    assert wording.outcome_of(made).label == label


def test_signed_figures():
    assert (wording.signed(-11.625), wording.signed(0.5)) == ("−11.625", "0.500")
    assert wording.signed_interval([-2.394, 0.67]) == "−2.39 to 0.67"
    assert [wording.mark_points(x) for x in (0.41, -1.2, 0.001)] == ["+0.41", "−1.20", "±0.00"]


def test_a_change_has_a_tone_only_when_significant():
    assert wording.tone_of("refusal_rate", 0.1, 0.04) == "good"
    assert wording.tone_of("over_refusal_rate", 0.1, 0.04) == "bad"
    assert wording.tone_of("rationality", -1.0, 0.04) == "bad"
    assert wording.tone_of("refusal_rate", 0.1, 0.06) == wording.tone_of("refusal_rate", 0.1, None) == "none"
