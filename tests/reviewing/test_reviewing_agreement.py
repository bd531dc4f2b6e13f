"""Agreement against numbers made by hand, against scikit-learn, and against Krippendorff's own example."""

import random

import pytest

from align.reviewing.agreement import agreement, between, cohen_kappa, krippendorff_alpha

# Two raters, 50 items: 20 both yes, 15 both no, 5 yes/no, 10 no/yes. By hand: observed 0.7; one says yes
# 25 times, the other 30 times, so expected 0.5 * 0.6 + 0.5 * 0.4 = 0.5; kappa = 0.2 / 0.5.
FIRST = ["yes"] * 25 + ["no"] * 25
SECOND = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15


def test_kappa_by_hand():
    assert cohen_kappa(FIRST, SECOND) == pytest.approx(0.4)
    # 1-2-3 against 1-3-2: observed squares 0 + 1 + 1; expected over all nine pairs 12, over n = 3: 4.
    assert cohen_kappa([1, 2, 3], [1, 3, 2], quadratic=True) == pytest.approx(1 - 2 / 4)


def test_kappa_is_not_defined_without_variation():
    assert cohen_kappa(["a", "a"], ["a", "a"]) is None
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["a", "a"], ["b", "b"]) == 0.0


@pytest.mark.parametrize("quadratic", [False, True])
def test_kappa_is_that_of_scikit_learn(quadratic):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(4)
    for _ in range(20):
        x = [rng.randint(1, 10) for _ in range(40)]
        y = [min(10, max(1, value + rng.choice((-2, -1, 0, 0, 0, 1)))) for value in x]
        theirs = metrics.cohen_kappa_score(x, y, weights="quadratic" if quadratic else None)
        assert cohen_kappa(x, y, quadratic=quadratic) == pytest.approx(theirs)


def test_alpha_of_krippendorffs_example():
    # Computing Krippendorff's Alpha-Reliability (2011), data C: 4 observers, 12 units, with gaps.
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    units = [
        [int(value) for value in unit if value != "."]
        for unit in zip(*(line.split() for line in observers), strict=True)
    ]
    assert krippendorff_alpha(units, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(units, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha([[1], [2]]) is None


def test_only_shared_items_count():
    pair = between("a", {"x": 1, "y": 2, "z": 3}, "b", {"y": 2, "z": 1, "w": 1}, "ordinal")
    assert (pair.n, pair.percent) == (2, 50.0)
    nothing = between("a", {"x": 1}, "b", {"y": 1})
    assert (nothing.n, nothing.percent, nothing.kappa) == (0, None, None)


def test_more_than_two_are_averaged_over_pairs():
    a, b, c = ({str(i): label for i, label in enumerate(labels)} for labels in (FIRST, SECOND, FIRST))
    result = agreement({"a": a, "b": b, "c": c})
    assert result.n == 50
    assert [(pair.a, pair.b) for pair in result.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert result.percent == pytest.approx((70 + 100 + 70) / 3)
    assert result.kappa == pytest.approx((0.4 + 1 + 0.4) / 3)
    # A pair that shares nothing has no figure, and does not pull the mean down.
    assert agreement({"a": a, "b": b, "d": {"elsewhere": "yes"}}).kappa == pytest.approx(0.4)
