import math

import numpy as np
import pytest
from scipy.stats import beta, binom, norm, ttest_1samp
from scipy.stats import t as student

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
    # A variance of 0.01 * 50 / 49 at a rate of 0.2 is that of 15.68 independent questions; and Student's t
    # with 49 degrees of freedom is as wide as with (1.96 / 2.01)^2 of them.
    resampled = np.array([0.1, 0.3])
    n = 0.16 / (0.01 * 50 / 49) * (norm.ppf(0.975) / student.ppf(0.975, 49)) ** 2
    low, high = st.rate_interval(0.2, resampled, clusters=50, n=400)
    assert (low, high) == pytest.approx(
        (beta.ppf(0.025, 0.2 * n, 0.8 * n + 1), beta.ppf(0.975, 0.2 * n + 1, 0.8 * n))
    )
    # It never counts more questions than there are.
    assert st.rate_interval(0.2, resampled, clusters=50, n=10)[1] > high
    alike = 10 * (norm.ppf(0.975) / student.ppf(0.975, 4)) ** 2
    assert st.rate_interval(0.2, np.array([0.2, 0.2]), clusters=5, n=10) == pytest.approx(
        (beta.ppf(0.025, 0.2 * alike, 0.8 * alike + 1), beta.ppf(0.975, 0.2 * alike + 1, 0.8 * alike))
    )


def test_interval_on_another_scale_is_the_one_of_the_share_of_that_scale():
    resampled = np.linspace(0.3, 0.5, 50)
    low, high = st.bounded_interval(0.4, resampled, clusters=30)
    marks = st.bounded_interval(1 + 9 * 0.4, 1 + 9 * resampled, clusters=30, low=1, high=10)
    assert marks == pytest.approx((1 + 9 * low, 1 + 9 * high))


def test_images_that_all_say_the_same_are_no_certainty():
    # Every mark of 40 images is 7. At the bound, that 40 images show nothing else has a chance of 2.5 %.
    low, high = st.bounded_interval(7.0, np.full(100, 7.0), clusters=40, low=1, high=10)
    unlike = (high - 7) / 3
    assert (1 - unlike) ** 40 == pytest.approx(0.025)
    assert (7 - low) / 6 == pytest.approx(unlike)


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


def test_sign_flip_with_one_question_an_image_is_the_exact_mcnemar_test():
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.random((2, 60)) < rng.random((2, 1))
        expected = st.mcnemar(first, second).p
        assert math.isclose(st.sign_flip(second.astype(float) - first), expected, rel_tol=1e-9)


def test_sign_flip_counts_all_ways_to_choose_the_signs():
    totals = [abs(3 * a + b + c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    assert st.sign_flip(np.array([3.0, 1.0, -1.0])) == pytest.approx(sum(t >= 3 for t in totals) / 8)
    assert st.sign_flip(np.array([3.0, 1.0, 1.0, 0.0])) == pytest.approx(2 / 8)
    assert st.sign_flip(np.zeros(5)) == 1.0
    # The other way round is the same question.
    assert st.sign_flip(np.array([-3.0, -1.0, -1.0])) == pytest.approx(2 / 8)


def test_sign_flip_of_fractions_is_drawn_and_agrees_with_the_exact_one():
    rng = np.random.default_rng(1)
    whole = rng.integers(-4, 6, 40).astype(float)
    assert st.sign_flip(whole / 3) == pytest.approx(st.sign_flip(whole), abs=0.01)
    # All alike: two ways of 2^40, so no draw is as far from zero but the observed one, which is counted in.
    assert st.sign_flip(np.full(40, 0.3), draws=999) == 1 / 1000


def test_sign_flip_at_benchmark_size_is_small_but_never_zero():
    assert 0 < st.sign_flip(np.full(12158, 4.0)) < 1e-300


def test_paired_difference_by_hand():
    images = [f"{i}.png" for i in range(10)]
    first, second = [0.0] * 10, [1.0] * 6 + [0.0] * 4
    test = st.paired_difference(first, second, images, resamples=2000, seed=0)
    assert (test.n, test.clusters, test.first, test.second) == (10, 10, 0.0, 0.6)
    assert math.isclose(test.difference, 0.6)
    assert test.p == pytest.approx(2 / 2**6)
    assert test.p_bootstrap == pytest.approx(2 / 2001)  # the least that 2000 resamples can show
    # One question more in favour of each: a mean of 6 / 12, and a sum of squares of 2.4 * 10 / 9 + 1.
    reach = student.ppf(0.975, 9) * math.sqrt(2.4 * 10 / 9 + 1) / 12
    assert test.interval == pytest.approx((0.5 - reach, 0.5 + reach))


def test_difference_interval_tends_to_students_t_of_the_images():
    rng = np.random.default_rng(3)
    differences = rng.integers(-4, 9, 3000).astype(float)
    expected = ttest_1samp(differences / 4, 0).confidence_interval(0.95)
    assert st.difference_interval(differences, np.full(3000, 4.0)) == pytest.approx(tuple(expected), abs=2e-4)


def test_paired_difference_knows_images_only():
    # Ten copies of each of four images add next to nothing to what four images say.
    first, second = np.zeros(40), np.repeat([1.0, 1.0, 1.0, 0.0], 10)
    clustered = st.paired_difference(first, second, list(np.repeat(["a", "b", "c", "d"], 10)))
    single = st.paired_difference(first, second, [str(i) for i in range(40)])
    assert clustered.interval[0] < 0 < 0.55 < single.interval[0]
    assert (clustered.p, single.p) == (pytest.approx(2 / 2**3), pytest.approx(2 / 2**30))


def test_paired_difference_says_no_more_than_it_knows():
    images = [str(i) for i in range(50)]
    same = st.paired_difference([0.0, 1.0] * 25, [0.0, 1.0] * 25, images)
    assert (same.difference, same.p, same.p_bootstrap) == (0.0, 1.0, 1.0)
    # If more than this share of images differed, 50 without one would have a chance below 2.5 %.
    assert same.interval == pytest.approx((-(1 - 0.025 ** (1 / 50)), 1 - 0.025 ** (1 / 50)))
    assert st.paired_difference([0.0, 1.0], [1.0, 1.0], ["a", "a"]).interval is None
    with pytest.raises(ValueError, match="nothing to compare"):
        st.paired_difference([], [], [])
    with pytest.raises(ValueError, match="one of each a question"):
        st.paired_difference([0.0], [1.0], ["a", "b"])
