"""Coverage and false-positive rates: a few cases of `benchmarks/statistics_simulation.py`, fixed seeds.

The bounds are loose for 150 runs (the standard error of 0.95 is 0.018), and still out of reach for intervals
that take questions as independent (0.8) and for percentiles near the ends of a scale.
"""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS = 150


@pytest.fixture(scope="module")
def simulation():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import statistics_simulation

        yield statistics_simulation
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


INTERVALS = (
    "rate 0.5, likeness 0.4, 30",
    "rate 0.99, likeness 0.4, 100",
    "rate 0.001, likeness 0.4, 100",
    "mean mark 5.05 (at both ends), 100",
    "difference 0.5 to 0.5, own difficulty 0.3, 100",
    "difference 0.98 to 0.995, own difficulty 0.3, 30",
    "difference of mean marks, 100",
    "ratio as F1 is, 100",
    "effective reliability, c 10, 100",
    "area under risk-coverage, 30",
    "BPI, 100",
    "kappa of a judge that errs in 0.02, 100",
    "weighted_kappa of marks, 100",
    "honesty, 100",
    "3 repeats, interval_crossed, seeds differ by 0.3, 100",
)


@pytest.mark.parametrize("name", INTERVALS)
def test_intervals_hold_the_truth(simulation, name):
    [case] = [c for c in simulation.coverage_cases() if f"{c.name}, {c.images}" == name]
    found = simulation.measure_coverage(case, 60 if "repeats" in name else RUNS, seed=7)
    assert found["runs_without"] == 0
    assert found["ours"] >= 0.9
    if case.truth not in (0.001, 0.99) and "0.98" not in name:  # exact intervals cover more near the ends
        assert found["ours"] <= 0.99
    if "likeness" in name or "mean mark" in name or "difference 0.5" in name:
        assert found["independent"] < found["ours"] - 0.04


@pytest.mark.parametrize(
    "name",
    ["rate 0.5, difficulty shared 0.3, own 0.3", "rate 0.9, difficulty shared 0.3, own none", "mean marks"],
)
def test_models_that_do_not_differ_are_seldom_told_apart(simulation, name):
    [case] = [c for c in simulation.null_cases() if (c.name, c.images) == (name, 100)]
    found = simulation.measure_positives(case, RUNS, seed=7)
    assert found["p"] <= 0.1
    assert found["p_bootstrap"] <= 0.11
    if "own 0.3" in name:  # why McNemar's p is not the one to report
        assert found["p_mcnemar"] > 0.1


def test_seeds_of_training_are_not_taken_for_a_difference(simulation):
    [case] = [c for c in simulation.null_cases() if c.name == "3 + 3 repeats, seeds differ by 0.3"]
    found = simulation.measure_positives(case, 40, seed=7)
    assert found["p_crossed"] <= 0.12
    assert found["p"] > 0.4
