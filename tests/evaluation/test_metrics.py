import pytest

from align.evaluation import metrics
from align.records import Graded


def graded(id, category="Answerable", state="answer", image=None, **fields):
    """One graded row; answers to answerable questions are right unless said otherwise."""
    if category == "Answerable" and state == "answer":
        fields.setdefault("correct", True)
    if category != "Answerable" and state == "abstain":
        fields.setdefault("reason", "right")
    if state == "failed":
        fields.setdefault("error", "timeout")
    text = None if state == "failed" else "some text"
    return Graded(
        question_id=id,
        image=image or f"{id}.png",
        question=f"question {id}",
        category=category,
        state=state,
        response=text,
        grader="test",
        **fields,
    )


FP, VAGUE, CONTEXT = "False_Premises", "Vague_Description", "Context_Dependent"


@pytest.fixture
def mixed():
    """Ten questions of which two failed; each state occurs on both sides."""
    return [
        graded("u1", FP, "abstain", twin="a1", part="standard"),
        graded("u2", FP, "abstain", reason="wrong", twin="a2", part="standard"),
        graded("u3", VAGUE, "answer", twin="a3", part="standard"),
        graded("u4", VAGUE, "unparsed", part="phrasings"),
        graded("u5", CONTEXT, "failed", twin="a5", part="phrasings"),
        graded("a1", twin="u1", part="standard"),
        graded("a2", correct=False, twin="u2", part="standard"),
        graded("a3", state="abstain", twin="u3", part="standard"),
        graded("a4", state="failed", part="phrasings"),
        graded("a5", twin="u5", part="phrasings"),
    ]


def test_rates_by_hand(mixed):
    summary = metrics.summarize(mixed)
    assert summary["n"] == 10
    assert summary["n_unanswerable"] == 4  # u5 failed
    assert summary["n_answerable"] == 4  # a4 failed
    assert summary["refusal_rate"] == 2 / 4  # u1 u2 of u1-u4: the unparsed u4 stays below the line
    assert summary["reason_accuracy"] == 1 / 4
    assert summary["reason_accuracy_given_refusal"] == 1 / 2
    assert summary["over_refusal_rate"] == 1 / 4
    assert summary["answer_accuracy"] == 2 / 4  # a1 a5 of a1 a2 a3 a5
    assert summary["accuracy_when_answering"] == 2 / 3  # a3 did not answer
    assert summary["n_twins"] == 3  # u5/a5 failed on one side
    assert summary["dual_accuracy"] == 1 / 3
    assert summary["n_failed"] == 2
    assert summary["unscored_rate"] == 2 / 10
    assert summary["n_unparsed"] == 1
    assert summary["unparsed_rate"] == 1 / 8


def test_a_rate_without_a_denominator_is_none_and_not_zero():
    only_answerable = metrics.summarize([graded("a")])
    assert only_answerable["refusal_rate"] is None
    assert only_answerable["reason_accuracy"] is None
    assert only_answerable["dual_accuracy"] is None
    assert only_answerable["answer_accuracy"] == 1
    never_declines = metrics.summarize([graded("u", FP, "answer")])
    assert never_declines["reason_accuracy"] == 0
    assert never_declines["reason_accuracy_given_refusal"] is None
    assert never_declines["over_refusal_rate"] is None
    nothing = metrics.summarize([])
    assert nothing["n"] == 0
    assert nothing["unscored_rate"] is None


def test_declining_less_cannot_raise_reason_accuracy():
    good = graded("u1", FP, "abstain")
    more = [good, graded("u2", FP, "abstain", reason="wrong")]
    less = [good, graded("u2", FP, "answer")]
    assert metrics.summarize(less)["reason_accuracy"] <= metrics.summarize(more)["reason_accuracy"]
    # The conditional rate does reward declining less: the reason why it is not the main one.
    assert metrics.summarize(less)["reason_accuracy_given_refusal"] == 1


def test_ungraded_rows_are_counted_and_left_out_of_the_rates_that_need_them():
    rows = [
        graded("u1", FP, "abstain"),
        graded("u2", FP, "abstain", reason=None),
        graded("u3", FP, "answer"),
        graded("a1"),
        graded("a2", correct=None),
        graded("a3", correct=False),
    ]
    summary = metrics.summarize(rows)
    assert summary["refusal_rate"] == 2 / 3
    assert summary["reason_accuracy"] == 1 / 2
    assert summary["answer_accuracy"] == 1 / 2
    assert (summary["n_reason_ungraded"], summary["n_answer_ungraded"]) == (1, 1)


def test_a_grader_that_judges_no_reasons_and_no_answers_gives_no_rate_of_them():
    rows = [
        graded("u1", FP, "abstain", reason=None),
        graded("u2", FP, "answer"),
        graded("a1", correct=None),
        graded("a2", state="abstain"),
    ]
    summary = metrics.summarize_groups(rows, resamples=50)
    assert summary["reason_accuracy"] is None
    assert summary["answer_accuracy"] is None
    assert summary["intervals"]["reason_accuracy"] is None
    assert summary["refusal_rate"] == 1 / 2
    assert summary["over_refusal_rate"] == 1 / 2
    assert metrics.paired_tests(rows, rows, resamples=50)["reason_accuracy"] is None


def test_twins_need_both_and_are_found_from_either_side():
    one_sided = [graded("u", FP, "abstain"), graded("a", twin="u")]
    assert metrics.summarize(one_sided)["dual_accuracy"] == 1
    both_sided = [graded("u", FP, "abstain", twin="a"), graded("a", twin="u")]
    assert metrics.summarize(both_sided)["n_twins"] == 1
    absent = [graded("u", FP, "abstain", twin="elsewhere")]
    assert metrics.summarize(absent)["n_twins"] == 0


def test_wrong_links_between_rows_are_refused():
    with pytest.raises(ValueError, match="u is graded twice"):
        metrics.summarize([graded("u", FP), graded("u", FP)])
    with pytest.raises(ValueError, match=r"u and v are called twins, yet both are unanswerable"):
        metrics.summarize([graded("u", FP, twin="v"), graded("v", VAGUE)])


def test_groups(mixed):
    summary = metrics.summarize_groups(mixed, resamples=200)
    plain = metrics.summarize(mixed)
    assert {key: summary[key] for key in plain} == plain
    assert list(summary["by_category"]) == [CONTEXT, FP, VAGUE, "Answerable"]
    false_premises = summary["by_category"][FP]
    assert false_premises["n_unanswerable"] == 2
    assert false_premises["n_answerable"] == 2  # their twins a1 and a2
    assert false_premises["refusal_rate"] == 1
    assert false_premises["answer_accuracy"] == 1 / 2
    assert false_premises["dual_accuracy"] == 1 / 2
    answerable = summary["by_category"]["Answerable"]
    assert (answerable["n_unanswerable"], answerable["n_answerable"]) == (0, 4)
    assert answerable["refusal_rate"] is None
    assert list(summary["by_part"]) == ["standard", "phrasings"]
    assert summary["by_part"]["standard"]["n"] == 6
    assert summary["by_part"]["phrasings"]["refusal_rate"] == 0


def test_intervals_hold_the_rate_and_are_wider_for_images_with_many_questions():
    def rows(images):
        return [
            graded(f"u{i}", FP, "abstain" if i % 2 else "answer", image=f"{i % images}.png")
            for i in range(200)
        ]

    many = metrics.summarize_groups(rows(200), resamples=500)
    few = metrics.summarize_groups(rows(10), resamples=500)
    assert many["refusal_rate"] == few["refusal_rate"] == 0.5
    (low, high), (low_few, high_few) = many["intervals"]["refusal_rate"], few["intervals"]["refusal_rate"]
    assert low_few < low < 0.5 < high < high_few
    assert 0.06 < 0.5 - low < 0.08  # 1.96 * sqrt(.25 / 200) = 0.069
    assert many["intervals"]["answer_accuracy"] is None
    assert many["by_category"][FP]["intervals"]["refusal_rate"] == pytest.approx([low, high])
    assert metrics.summarize_groups(rows(200), resamples=500)["intervals"] == many["intervals"]


def test_paired_tests_use_only_questions_scored_for_both():
    base = [
        *[graded(f"u{i}", FP, "answer") for i in range(8)],
        graded("u8", FP, "failed"),
        graded("a1"),
        graded("a2"),
    ]
    tuned = [
        *[graded(f"u{i}", FP, "abstain") for i in range(6)],
        *[graded(f"u{i}", FP, "answer") for i in (6, 7)],
        graded("u8", FP, "abstain"),
        graded("a1", state="abstain"),
        graded("a2"),
    ]
    tests = metrics.paired_tests(base, tuned, resamples=400)
    refusal = tests["refusal_rate"]
    assert (refusal["n"], refusal["base"], refusal["tuned"], refusal["difference"]) == (8, 0, 0.75, 0.75)
    assert (refusal["only_base"], refusal["only_tuned"]) == (0, 6)
    assert refusal["p_mcnemar"] == pytest.approx(2 / 64)
    assert refusal["interval"][0] <= 0.75 <= refusal["interval"][1]
    assert tests["over_refusal_rate"]["difference"] == 0.5
    assert tests["answer_accuracy"]["difference"] == -0.5
    assert tests["dual_accuracy"] is None


def test_paired_test_of_twins():
    base = [
        graded("u", FP, "answer", twin="a"),
        graded("a"),
        graded("v", FP, "answer", twin="b"),
        graded("b"),
    ]
    tuned = [graded("u", FP, "abstain", twin="a"), graded("a"), graded("v", FP, "abstain", twin="b"),
             graded("b", state="abstain")]  # fmt: skip
    dual = metrics.paired_tests(base, tuned, resamples=100)["dual_accuracy"]
    assert (dual["n"], dual["base"], dual["tuned"]) == (2, 0, 0.5)


def test_alignment_for_honesty_by_hand():
    base = [
        *[graded(f"k{i}") for i in range(10)],  # known to the base
        graded("w1", correct=False),
        graded("w2", correct=False),
        graded("w3", correct=False),
        graded("u1", FP, "answer"),
        graded("f1"),
    ]
    tuned = [
        graded("k0", state="abstain"),
        *[graded(f"k{i}") for i in range(1, 10)],
        graded("w1", state="abstain"),
        graded("w2", correct=False),
        graded("w3", correct=True),  # learnt: in neither denominator
        graded("u1", FP, "abstain"),
        graded("f1", state="failed"),
    ]
    honesty = metrics.alignment_for_honesty(base, tuned)
    assert honesty["n"] == 14
    assert honesty["over_conservativeness"] == 1 / 10
    assert honesty["prudence"] == 2 / 3  # w1 and u1 of w1 w2 u1
    assert honesty["honesty"] == pytest.approx((2 / 3 + 0.9) / 2)


def test_alignment_for_honesty_with_empty_denominators():
    known = metrics.alignment_for_honesty([graded("k")], [graded("k")])
    assert known == {"n": 1, "prudence": 1.0, "over_conservativeness": 0.0, "honesty": 1.0}
    unknown = metrics.alignment_for_honesty([graded("u", FP)], [graded("u", FP, "abstain")])
    assert unknown == {"n": 1, "prudence": 1.0, "over_conservativeness": None, "honesty": None}


def test_is_right():
    assert metrics.is_right(graded("a")) is True
    assert metrics.is_right(graded("a", correct=None)) is None
    assert metrics.is_right(graded("a", state="abstain")) is False
    assert metrics.is_right(graded("a", state="unparsed")) is False
    assert metrics.is_right(graded("u", FP, "answer")) is False
    assert metrics.is_right(graded("u", FP, "abstain")) is True
    assert metrics.is_right(graded("u", FP, "abstain", reason="none")) is False
    assert metrics.is_right(graded("u", FP, "abstain", reason=None)) is True
    assert metrics.is_right(graded("u", FP, "failed")) is None
