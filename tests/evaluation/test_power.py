import math

import numpy as np
import pytest

from align.evaluation import power
from align.evaluation import statistics as st
from align.evaluation.power import Design, questions_needed, smallest_difference
from align.records import Graded


def test_questions_needed_by_hand():
    # K = 1.95996 sqrt(0.3) + 0.84162 sqrt(0.3 - 0.01) = 1.52675; 0.1 n - 1 = K sqrt(n) at n = 252.7
    assert questions_needed(0.1, Design(0.3)) == 253
    assert questions_needed(-0.1, Design(0.3)) == 253
    # Connor's number without the correction is K^2 / 0.01 = 233.1.
    assert 0.1 * 253 - 1 >= 1.52675 * math.sqrt(253) > 0.1 * 252 - 1 + 0.02
    # 90 %: K = 1.07352 + 1.28155 * 0.53852 = 1.76366, n = 330.8
    assert questions_needed(0.1, Design(0.3), power=0.9) == 331
    # Five questions an image that correlate by 0.25 count half: 1 + 4 * 0.25 = 2, K = 2.15915, n = 485.8.
    assert questions_needed(0.1, Design(0.3, correlation=0.25, per_image=5)) == 486


def test_a_difference_takes_as_much_discordance():
    assert questions_needed(0.2, Design(0.05)) == questions_needed(0.2, Design(0.2))


def test_smallest_difference_is_the_inverse():
    design = Design(0.2, correlation=0.1, per_image=4)
    for difference in (0.01, 0.05, 0.2):
        n = questions_needed(difference, design)
        assert smallest_difference(n, design) == pytest.approx(difference, rel=0.01)
        assert smallest_difference(n, design) <= difference < smallest_difference(n - 2, design)
    assert smallest_difference(1, design) is None
    assert smallest_difference(0, design) is None


def test_values_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="the difference is 0: "):
        questions_needed(0, Design(0.2))
    with pytest.raises(ValueError, match="the difference is 5: it must be in 0-1"):
        questions_needed(5, Design(0.2))
    with pytest.raises(ValueError, match="discordance is 20: it must be in 0-1"):
        Design(20)
    with pytest.raises(ValueError, match=r"per_image is 0\.5"):
        Design(0.2, per_image=0.5)


def sums(d):
    """`Pairing.sums` of paired differences `[C, m]`."""
    return np.stack(
        [(d < 0).sum(1), (d > 0).sum(1), np.full(len(d), d.shape[1]), (d < 0).sum(1), (d > 0).sum(1)], axis=1
    ).astype(float)


def test_measured_design_by_hand():
    alike = power.measured_design(sums(np.array([[1, 1], [-1, -1], [0, 0]])))
    assert (alike.discordance, alike.correlation, alike.per_image) == (4 / 6, 1, 2)
    assert alike.effect == 2
    assert (alike.churn, alike.discordance_at(0.1)) == (4 / 6, pytest.approx(4 / 6 + 0.1))
    # All discordant, and all one way: a small difference between such models is seen with few questions.
    apart = power.measured_design(sums(np.ones((1200, 1))))
    assert (apart.discordance, apart.churn) == (1, 0)
    assert smallest_difference(1200, apart) < 0.02 < smallest_difference(1200, Design(1.0))
    # Between images nothing differs: less than chance, taken as none.
    assert power.measured_design(sums(np.array([[1, -1], [1, -1], [0, 0]]))).correlation == 0
    single = power.measured_design(sums(np.array([[1], [-1], [0]])))
    assert (single.correlation, single.per_image, single.effect) == (0, 1, 1)
    uneven = np.array([[1.0, 0, 1, 1, 0], [0, 1, 3, 0, 1]])
    assert power.measured_design(uneven).per_image == (1 + 9) / 4
    with pytest.raises(ValueError, match="nothing to measure"):
        power.measured_design(np.zeros((3, 5)))


def test_measured_correlation_is_that_of_the_world():
    rng = np.random.default_rng(0)
    common = rng.choice([-1, 0, 1], size=(4000, 1), p=[0.1, 0.7, 0.2])
    own = rng.choice([-1, 0, 1], size=(4000, 4), p=[0.1, 0.7, 0.2])
    d = np.where(rng.random((4000, 4)) < 0.5, common, own)  # two of an image agree by common: 0.5^2
    design = power.measured_design(sums(d))
    assert design.correlation == pytest.approx(0.25, abs=0.03)
    assert design.discordance == pytest.approx(0.3, abs=0.02)
    # And the design effect is what the variance between images says.
    variance = d.sum(axis=1).var() / 16
    assert design.effect == pytest.approx(variance / (d.var() / 4), rel=0.03)


@pytest.mark.parametrize(("likeness", "per_image"), [(0.0, 1), (0.5, 5)])
def test_the_named_number_of_questions_has_the_power(likeness, per_image):
    design = Design(0.3, correlation=likeness**2, per_image=per_image)
    images = math.ceil(questions_needed(0.1, design) / per_image)
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(400):
        own = rng.choice([-1, 0, 1], size=(images, per_image), p=[0.1, 0.7, 0.2])
        common = rng.choice([-1, 0, 1], size=(images, 1), p=[0.1, 0.7, 0.2])
        d = np.where(rng.random((images, per_image)) < likeness, common, own)
        found += st.sign_flip(d.sum(axis=1).astype(float)) < 0.05
    # 400 runs: the standard error is 0.02. Without the design effect it would be 0.52.
    assert 0.76 <= found / 400 <= 0.86


def test_table():
    def rows(declined):
        return [
            Graded(question_id=str(i), image=f"{i // 2}.png", question="q", category="False_Premises",
                   state="abstain" if declined(i) else "answer", response="text", grader="test")
            for i in range(200)
        ]  # fmt: skip

    base, tuned = rows(lambda i: i % 10 == 0), rows(lambda i: i % 5 == 0)
    table = power.power_table(base, tuned, [0.05, 0.1])
    refusal = table["refusal_rate"]
    assert (refusal["n"], refusal["clusters"], refusal["discordance"]) == (200, 100, 0.1)
    assert refusal["churn"] == 0
    design = Design(refusal["discordance"], refusal["correlation"], refusal["per_image"], refusal["churn"])
    assert refusal["design_effect"] == design.effect
    assert refusal["smallest_difference"] == smallest_difference(200, design)
    first = refusal["needed"][0]
    assert first == {
        "difference": 0.05,
        "questions": questions_needed(0.05, design),
        "images": math.ceil(questions_needed(0.05, design) / 2),
    }
    assert table["answer_accuracy"] is None
