import itertools
import random

import numpy as np
import pytest
from scipy.integrate import trapezoid

from align.evaluation.risk_coverage import Curve, risk_coverage
from align.records import Graded


def row(id, logprob, state="answer", correct=True, category="Answerable", image=None, tokens=None):
    return Graded(
        question_id=str(id),
        image=image or f"{id}.png",
        question="q",
        category=category,
        state=state,
        response=None if state == "failed" else "text",
        correct=correct if state == "answer" and category == "Answerable" else None,
        error="timeout" if state == "failed" else None,
        logprob=logprob,
        tokens=tokens,
        grader="test",
    )


def by_definition(right):
    """Area by the trapezoid rule over the points (k / N, mean error of the first k)."""
    n = len(right)
    risks = [sum(not r for r in right[:k]) / k for k in range(1, n + 1)]
    return float(trapezoid(risks, [k / n for k in range(1, n + 1)])), risks


def test_area_and_curve_by_definition():
    right = [True, True, False, True, False]
    rows = [row(i, -float(i), correct=r) for i, r in enumerate(right)]
    random.Random(0).shuffle(rows)
    found = risk_coverage(rows)
    area, risks = by_definition(right)
    assert risks == [0, 0, 1 / 3, 1 / 4, 2 / 5]
    assert found["area"] == pytest.approx(area)
    assert found["mean_risk"] == pytest.approx(area / (1 - 1 / 5))
    assert found["mean_risk_random"] == 2 / 5
    assert found["max_coverage"] == 1
    assert found["curve"] == [[pytest.approx((k + 1) / 5), pytest.approx(r)] for k, r in enumerate(risks)]
    at_risk = {c["risk"]: c["coverage"] for c in found["coverage_at_risk"]}
    assert at_risk == {0.01: 2 / 5, 0.05: 2 / 5, 0.1: 2 / 5, 0.2: 2 / 5}
    wider = risk_coverage(rows, risks=[0.25, 0.4])["coverage_at_risk"]
    assert [c["coverage"] for c in wider] == [4 / 5, 1]


def test_ties_are_the_mean_over_all_their_orders():
    confidence = [-1, -2, -2, -2, -3, -3]
    right = [True, False, True, False, True, False]
    orders = [
        [0, *first, *last]
        for first in itertools.permutations([1, 2, 3])
        for last in itertools.permutations([4, 5])
    ]
    areas, risks = zip(*(by_definition([right[i] for i in order]) for order in orders), strict=True)
    rows = [row(i, confidence[i], correct=right[i]) for i in range(6)]
    found = risk_coverage(rows)
    assert found["area"] == pytest.approx(np.mean(areas))
    assert [risk for _, risk in found["curve"]] == pytest.approx(list(np.mean(risks, axis=0)))
    # A threshold takes 1, 4 or 6 of them, with 0, 2 and 3 errors.
    found = risk_coverage(rows, risks=[0.4, 0.5])
    assert [c["coverage"] for c in found["coverage_at_risk"]] == [1 / 6, 1]


def test_a_confidence_that_tells_nothing_is_no_better_than_chance():
    rows = [row(i, -1.0, correct=bool(i % 4)) for i in range(100)]
    found = risk_coverage(rows, resamples=50)
    assert found["mean_risk"] == pytest.approx(0.25)
    assert found["mean_risk"] == pytest.approx(found["mean_risk_random"])
    assert all(c["coverage"] == 0 for c in found["coverage_at_risk"])


def test_order_of_rows_does_not_matter_among_ties():
    rows = [row(i, -float(i % 3), correct=bool(i % 4)) for i in range(60)]
    assert risk_coverage(rows[::-1], resamples=20)["area"] == pytest.approx(risk_coverage(rows)["area"])


def test_all_questions_declined_ones_are_never_taken_and_answers_to_unanswerable_ones_are_errors():
    rows = [
        row("a", -1.0),
        row("b", -2.0, category="False_Premises"),
        row("c", -3.0, correct=False),
        row("d", -4.0),
        row("e", -0.1, "abstain", category="Vague_Description"),
        row("f", -0.1, "abstain"),
        row("g", -0.1, "unparsed"),
        row("h", None, "failed"),
        row("i", None),
        row("j", -1.0, correct=None),
        row("k", None, "abstain"),
    ]
    found = risk_coverage(rows, view="all", risks=[0.5, 0.1])
    assert (found["n"], found["n_answers"], found["n_errors"]) == (8, 4, 2)
    assert (found["n_without_confidence"], found["n_ungraded"]) == (1, 1)
    assert found["max_coverage"] == 4 / 8
    assert [r for _, r in found["curve"]] == pytest.approx([0, 1 / 2, 2 / 3, 1 / 2])
    # Trapezoids from 1/8 to 4/8.
    assert found["area"] == pytest.approx((0.25 + 7 / 12 + 7 / 12) / 8)
    assert found["mean_risk"] == pytest.approx((0.25 + 7 / 12 + 7 / 12) / 3)
    assert [c["coverage"] for c in found["coverage_at_risk"]] == [4 / 8, 1 / 8]
    answered = risk_coverage(rows)
    assert (answered["n"], answered["n_errors"], answered["n_ungraded"]) == (3, 1, 1)
    assert answered["n_without_confidence"] == 1
    assert answered["max_coverage"] == 1


def test_declining_the_unanswerable_lowers_the_risk_over_all_questions():
    def rows(state):
        known = [row(i, -float(i)) for i in range(10)]
        return [*known, *[row(f"u{i}", -i - 0.5, state, category="False_Premises") for i in range(10)]]

    dishonest, honest = (risk_coverage(rows(s), view="all", resamples=20) for s in ("answer", "abstain"))
    assert honest["mean_risk"] == 0 < dishonest["mean_risk"]
    assert (honest["coverage_at_risk"][0]["coverage"], honest["max_coverage"]) == (0.5, 0.5)


def test_mean_per_token_is_another_order():
    rows = [row(0, -4.0, tokens=8), row(1, -3.0, correct=False, tokens=2), row(2, -5.0, tokens=5)]
    assert [r for _, r in risk_coverage(rows)["curve"]] == pytest.approx([1, 1 / 2, 1 / 3])
    per_token = risk_coverage(rows, confidence="token")
    assert [r for _, r in per_token["curve"]] == pytest.approx([0, 0, 1 / 3])
    untold = [*rows, row(3, -1.0), row(4, 0.0, tokens=0)]
    assert risk_coverage(untold, confidence="token")["n_without_confidence"] == 2


def test_without_a_confidence_there_is_no_curve():
    assert risk_coverage([row(0, None), row(1, None)]) is None
    assert risk_coverage([], view="all") is None


def test_the_curve_of_many_is_thinned_and_keeps_its_ends():
    rng = random.Random(1)
    rows = [row(i, -rng.random(), correct=rng.random() < 0.8) for i in range(3000)]
    curve = risk_coverage(rows, resamples=10)["curve"]
    assert len(curve) <= 200
    assert (curve[0][0], curve[-1][0]) == (1 / 3000, 1)
    assert all(a[0] < b[0] for a, b in itertools.pairwise(curve))


def test_a_resample_is_the_curve_of_the_images_drawn():
    rng = np.random.default_rng(4)
    images, surety = np.repeat(np.arange(6), 3), -rng.random(18).round(1)
    right = rng.random(18) < 0.6
    order = np.argsort(-surety, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(surety[order])), 17)
    curve = Curve((~right[order]).astype(float), images[order], ends, np.full(6, 3.0))
    weights = np.array([[3, 0, 1, 0, 2, 0], [0, 0, 0, 6, 0, 0], [1, 1, 1, 1, 1, 1]], float)
    areas, mean_risks = curve.areas(weights)
    for b, weight in enumerate(weights):
        rows = [
            row(f"{i}-{copy}", surety[i], correct=bool(right[i]))
            for i in range(18)
            for copy in range(int(weight[images[i]]))
        ]
        drawn = risk_coverage(rows, resamples=2)
        assert (areas[b], mean_risks[b]) == pytest.approx((drawn["area"], drawn["mean_risk"]))


def test_interval_is_by_image():
    rng = random.Random(2)
    right = [rng.random() < 0.7 for _ in range(50)]
    surety = [-rng.random() for _ in range(50)]

    def width(same_image):
        rows = [
            row(i, surety[i % 50], correct=right[i % 50], image=str(i % 50) if same_image else None)
            for i in range(400)
        ]
        found = risk_coverage(rows, resamples=200)
        low, high = found["area_interval"]
        assert low < found["area"] < high
        return high - low

    assert width(same_image=True) > 2 * width(same_image=False)
