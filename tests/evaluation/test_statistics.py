import math

import numpy as np
import pytest
from scipy.stats import beta, binom

from align.evaluation import statistics as st


def test_cluster_sums_adds_the_rows_of_one_image():
    index, clusters = st.cluster_index(["b.png", "a.png", "b.png"])
    sums = st.cluster_sums(np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]), index, clusters)
    assert clusters == 2
    assert sums.tolist() == [[0.0, 1.0], [2.0, 2.0]]


def test_resampled_totals_keep_rows_together_and_depend_on_the_seed_only():
    sums = np.array([[1.0, 10.0], [2.0, 20.0], [5.0, 50.0]])
    totals = st.resample_totals(sums, 500, seed=3)
    assert totals.shape == (500, 2)
    assert np.allclose(totals[:, 1], 10 * totals[:, 0])
    assert totals[:, 0].min() == 3  # the first cluster drawn three times
    assert totals[:, 0].max() == 15
    assert abs(totals[:, 0].mean() - 8) < 0.5
    assert np.array_equal(totals, st.resample_totals(sums, 500, seed=3))
    assert not np.array_equal(totals, st.resample_totals(sums, 500, seed=4))


def test_chunks_do_not_repeat_each_other():
    # 4,000 clusters make chunks of 500 resamples.
    totals = st.resample_totals(np.arange(4000.0)[:, None], 1200, seed=0)[:, 0]
    assert len(np.unique(totals)) > 1150


def test_no_resample_with_a_value_gives_no_interval():
    assert st.percentile_interval(np.array([np.nan, np.nan])) is None
    assert st.percentile_interval(np.array([np.nan, 0.25, 0.25])) == (0.25, 0.25)


def test_a_rate_of_zero_or_one_is_not_certain():
    low, high = st.rate_interval(0.0, np.zeros(100), clusters=800, n=800)
    assert low == 0
    # At the bound, the chance to see no event in 800 is 2.5 %.
    assert math.isclose(binom.pmf(0, 800, high), 0.025, rel_tol=1e-9)
    assert st.rate_interval(1.0, np.ones(100), clusters=800, n=800) == pytest.approx((1 - high, 1.0))
    # Eight questions an image are no more than one where all outcomes are alike.
    assert st.rate_interval(0.0, np.zeros(100), clusters=100, n=800)[1] > 7 * high


def test_no_interval_where_nothing_can_be_told():
    assert st.rate_interval(None, np.zeros(100), clusters=0, n=0) is None
    assert st.rate_interval(0.5, np.full(100, 0.5), clusters=1, n=40) is None


def test_rate_interval_is_clopper_pearson_at_the_effective_number_of_questions():
    # A variance of 0.01 at a rate of 0.2 is that of 16 independent questions.
    resampled = np.array([0.1, 0.3])
    low, high = st.rate_interval(0.2, resampled, clusters=50, n=400)
    assert (low, high) == pytest.approx((beta.ppf(0.025, 3.2, 13.8), beta.ppf(0.975, 4.2, 12.8)))
    # It never counts more questions than there are.
    assert st.rate_interval(0.2, resampled, clusters=50, n=10)[1] > high
    assert st.rate_interval(0.2, np.array([0.2, 0.2]), clusters=5, n=10) == pytest.approx(
        (beta.ppf(0.025, 2, 9), beta.ppf(0.975, 3, 8))
    )


@pytest.mark.parametrize(("rate", "likeness"), [(0.5, 0.3), (0.2, 0.0), (0.99, 0.3)])
def test_intervals_cover_the_true_rate_about_95_times_in_100(rate, likeness):
    """Simulated truth: 100 images of 4 questions, whose outcomes resemble each other within an image."""
    rng = np.random.default_rng(11)
    images, questions, runs = 100, 4, 300
    hits = naive_hits = 0
    for run in range(runs):
        own = (
            rng.beta(rate * (1 / likeness - 1), (1 - rate) * (1 / likeness - 1), images) if likeness else rate
        )
        right = rng.binomial(questions, own, images).astype(float)
        sums = np.stack([right, np.full(images, float(questions))], axis=1)
        totals = st.resample_totals(sums, 300, seed=run)
        value = right.sum() / (images * questions)
        low, high = st.rate_interval(value, st.ratio(totals[:, 0], totals[:, 1]), images, images * questions)
        hits += low <= rate <= high
        naive = 1.96 * math.sqrt(value * (1 - value) / (images * questions))
        naive_hits += abs(value - rate) <= naive
    # 300 runs: the standard error of a coverage of 0.95 is 0.013.
    assert hits / runs >= 0.915
    if rate in (0.2, 0.5):  # near 1 an exact interval has to cover more
        assert hits / runs <= 0.985
    if likeness:  # what clustering is for: questions taken as independent claim too much
        assert naive_hits < hits - 0.02 * runs


def test_mcnemar_is_the_exact_binomial_test_on_discordant_pairs():
    # 1 question only the first gets, 5 only the second, 4 both: p = 2 * (C(6,0) + C(6,1)) / 2^6.
    first = [True] * 1 + [False] * 5 + [True] * 4
    second = [False] * 1 + [True] * 5 + [True] * 4
    test = st.mcnemar(first, second)
    assert (test.n, test.only_first, test.only_second) == (10, 1, 5)
    assert math.isclose(test.p, 2 * 7 / 64)
    assert st.mcnemar([True, False], [True, False]).p == 1.0
    with pytest.raises(ValueError, match="one value a question"):
        st.mcnemar([True], [True, False])


def test_paired_difference_by_hand():
    images = [f"{i}.png" for i in range(10)]
    first, second = [0.0] * 10, [1.0] * 6 + [0.0] * 4
    test = st.paired_difference(first, second, images, resamples=2000, seed=0)
    assert (test.n, test.first, test.second) == (10, 0.0, 0.6)
    assert math.isclose(test.difference, 0.6)
    # Each resample is Binomial(10, 0.6) / 10: its 2.5 % and 97.5 % quantiles are 0.3 and 0.9.
    assert test.interval == pytest.approx((0.3, 0.9), abs=1e-9)
    assert test.p == pytest.approx(2 / 2001)  # the least that 2000 resamples can show


def test_paired_difference_resamples_whole_images():
    # Ten copies of each of four images add nothing to what four images say.
    first, second = np.zeros(40), np.repeat([1.0, 1.0, 1.0, 0.0], 10)
    clustered = st.paired_difference(first, second, list(np.repeat(["a", "b", "c", "d"], 10)))
    single = st.paired_difference(first, second, [str(i) for i in range(40)])
    assert clustered.interval == pytest.approx((0.25, 1.0))
    assert single.interval[0] > 0.55


def test_paired_difference_says_no_more_than_it_knows():
    same = st.paired_difference([0.0, 1.0], [0.0, 1.0], ["a", "b"])
    assert (same.difference, same.interval, same.p) == (0.0, (0.0, 0.0), 1.0)
    with pytest.raises(ValueError, match="nothing to compare"):
        st.paired_difference([], [], [])
    with pytest.raises(ValueError, match="one of each a question"):
        st.paired_difference([0.0], [1.0], ["a", "b"])


def test_false_positive_rate_of_the_paired_bootstrap():
    rng = np.random.default_rng(5)
    images = [str(i // 4) for i in range(400)]
    positives = 0
    for run in range(200):
        hard = np.repeat(rng.random(100), 4)  # how hard an image is, for both models alike
        first, second = (rng.random((2, 400)) < hard).astype(float)
        positives += st.paired_difference(first, second, images, resamples=300, seed=run).p < 0.05
    assert positives / 200 <= 0.09


def test_holm_by_hand():
    # Sorted 0.01 0.02 0.04 times 3, 2, 1, and never falling.
    assert st.holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert st.holm([0.5, 0.9]) == [1.0, 1.0]
    assert st.holm([]) == []
