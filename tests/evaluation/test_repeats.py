import numpy as np
import pytest

from align.evaluation import metrics
from align.evaluation.repeats import paired_tests_of_repeats, summarize_repeats
from align.records import Graded


def run(declined, images=None, category="False_Premises", **marks):
    """One run: question i was declined where `declined[i]` is true; None: its call failed."""
    return [
        Graded(
            question_id=str(i),
            image=f"{images[i] if images else i}.png",
            question="q",
            category=category,
            state="failed" if value is None else "abstain" if value else "answer",
            response=None if value is None else "text",
            error="timeout" if value is None else None,
            correct=True if category == "Answerable" and value is False else None,
            grader="test",
            **marks,
        )
        for i, value in enumerate(declined)
    ]


def test_figures_by_hand():
    runs = [run([1, 1, 0, 0]), run([1, 0, 0, 0]), run([1, 1, 1, None])]
    found = summarize_repeats(runs, resamples=200)["refusal_rate"]
    assert (found["value"], found["n"]) == (6 / 11, 11)
    assert found["by_repeat"] == [2 / 4, 1 / 4, 3 / 3]
    assert (found["least"], found["greatest"]) == (1 / 4, 1)
    assert found["mean"] == pytest.approx(1.75 / 3)
    assert found["sd"] == pytest.approx(np.std([0.5, 0.25, 1], ddof=1))
    low, high = found["interval"]
    assert low < found["value"] < high
    assert summarize_repeats(runs, resamples=50)["answer_accuracy"]["value"] is None


def test_order_of_rows_does_not_matter():
    runs = [run([1, 1, 0, 0]), run([1, 0, 0, 0])[::-1]]
    assert summarize_repeats(runs, resamples=50)["refusal_rate"]["by_repeat"] == [2 / 4, 1 / 4]


def test_one_run_is_the_plain_summary():
    rows = run([i % 3 == 0 for i in range(60)])
    found = summarize_repeats([rows], resamples=300)["refusal_rate"]
    plain = metrics.summarize_groups(rows, resamples=300)
    assert found["value"] == plain["refusal_rate"]
    assert found["interval"] == pytest.approx(plain["intervals"]["refusal_rate"])
    assert (found["interval_crossed"], found["sd"]) == (None, None)


def test_copies_of_a_run_are_no_more_certain():
    rows = run([i % 3 == 0 for i in range(60)])
    once, thrice = (summarize_repeats([rows] * k, resamples=300)["refusal_rate"] for k in (1, 3))
    assert thrice["interval"] == pytest.approx(once["interval"])
    assert thrice["interval_crossed"] == pytest.approx(once["interval"], abs=0.01)
    assert thrice["sd"] == 0


def test_seeds_that_differ_widen_the_crossed_interval_only():
    rng = np.random.default_rng(0)
    alike = [run(list(rng.random(200) < 0.5)) for _ in range(4)]
    apart = [run(list(rng.random(200) < rate)) for rate in (0.3, 0.45, 0.55, 0.7)]

    def widths(runs):
        found = summarize_repeats(runs, resamples=500)["refusal_rate"]
        return [np.ptp(found[name]) for name in ("interval", "interval_crossed")]

    (_, crossed_alike), (images, crossed) = widths(alike), widths(apart)
    assert crossed > 2 * crossed_alike
    # Four rates with a standard deviation of 0.168: 3.18 * 0.168 / sqrt(4) = 0.27 to either side, at least.
    assert crossed > 0.45 > 3 * images


def test_two_repeats_have_no_crossed_interval():
    assert summarize_repeats([run([1, 0, 1])] * 2, resamples=50)["refusal_rate"]["interval_crossed"] is None


def test_marks_are_on_their_own_scale():
    runs = [run([1] * 20, rationality=m, helpfulness=m) for m in (4, 6, 8)]
    found = summarize_repeats(runs, resamples=200)["rationality"]
    assert (found["value"], found["by_repeat"], found["n"]) == (6, [4, 6, 8], 60)
    assert 1 <= found["interval_crossed"][0] < 4 < 8 < found["interval_crossed"][1] <= 10


def test_paired_tests_by_hand():
    base = [run([0] * 6), run([0] * 6)]
    tuned = [run([1] * 6), run([1] * 5 + [0]), run([1] * 6)]
    test = paired_tests_of_repeats(base, tuned, resamples=100)["refusal_rate"]
    assert (test["n"], test["clusters"], test["base"]) == (6, 6, 0)
    assert test["difference"] == pytest.approx((5 + 2 / 3) / 6)
    assert test["p"] == pytest.approx(2 / 2**6)
    assert (test["interval_crossed"], test["p_crossed"]) == (None, None)  # two repeats of the base
    assert test["tuned_repeats"]["by_repeat"] == pytest.approx([1, 5 / 6, 1])
    assert paired_tests_of_repeats(base, tuned, resamples=100)["over_refusal_rate"] is None


def test_a_question_counts_where_each_model_was_scored_once():
    base = [run([0, 0, None]), run([0, None, None])]
    tuned = [run([1, None, 1]), run([1, None, 1])]
    test = paired_tests_of_repeats(base, tuned, resamples=50)["refusal_rate"]
    assert (test["n"], test["base"], test["tuned"]) == (1, 0, 1)
    assert test["interval"] is None  # one image


def test_seeds_of_training_are_a_sample_too():
    """Both methods have the same true rate; their seeds differ, so images alone find a difference."""
    rng = np.random.default_rng(3)

    def method(rates):
        return [run(list(rng.random(400) < rate)) for rate in rates]

    test = paired_tests_of_repeats(method([0.4, 0.5, 0.6]), method([0.5, 0.6, 0.7]), resamples=300)
    refusal = test["refusal_rate"]
    assert refusal["p"] < 0.001
    assert refusal["p_crossed"] > 0.1
    assert refusal["interval_crossed"][0] < 0 < refusal["interval"][0]


def test_methods_that_differ_more_than_their_seeds():
    rng = np.random.default_rng(4)
    base, tuned = (
        [run(list(rng.random(300) < r)) for r in rates] for rates in ((0.2, 0.22, 0.18), (0.8,) * 3)
    )
    refusal = paired_tests_of_repeats(base, tuned, resamples=300)["refusal_rate"]
    assert refusal["p_crossed"] < 0.01
    low, high = refusal["interval_crossed"]
    assert 0.4 < low < 0.6 < high < 0.8


def test_repeats_must_be_of_the_same_questions():
    with pytest.raises(ValueError, match="question 2 is in repeat 1 and not in repeat 2"):
        summarize_repeats([run([1, 1, 1]), run([1, 1])])
    with pytest.raises(ValueError, match="question 2 is in repeat 2 and not in repeat 1"):
        summarize_repeats([run([1, 1]), run([1, 1, 1])])
    with pytest.raises(ValueError, match="repeat 2 has a question twice"):
        summarize_repeats([run([1, 1]), [*run([1, 1]), *run([1])]])
    with pytest.raises(ValueError, match="no repeat with a graded response"):
        summarize_repeats([])
