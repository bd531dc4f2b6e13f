import numpy as np
import pytest
from scipy.stats import false_discovery_control

from align.evaluation.corrections import add_corrected, benjamini_hochberg, holm


def test_holm_by_hand():
    # Sorted 0.01 0.02 0.04 times 3, 2, 1, and never falling.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_benjamini_hochberg_by_hand_and_as_scipy_has_it():
    # Sorted 0.01 0.02 0.04 times 3/1, 3/2, 3/3, and never falling.
    assert benjamini_hochberg([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.03])
    p = np.random.default_rng(0).random(50) ** 3
    assert benjamini_hochberg(list(p)) == pytest.approx(list(false_discovery_control(p)))
    assert benjamini_hochberg([]) == []


def test_corrects_all_p_values_of_nested_results_for_their_number():
    results = {
        "dpo": {"rates": {"refusal_rate": {"p": 0.01, "p_mcnemar": 0.5}, "dual_accuracy": None}},
        "sft": {"rates": {"refusal_rate": {"p": 0.02}}, "list": [{"p": 0.04}, {"p": None}]},
    }
    assert add_corrected(results) == 3
    assert results["dpo"]["rates"]["refusal_rate"]["p_holm"] == pytest.approx(0.03)
    assert results["sft"]["rates"]["refusal_rate"]["p_holm"] == pytest.approx(0.04)
    assert results["sft"]["list"] == [{"p": 0.04, "p_holm": pytest.approx(0.04)}, {"p": None}]
    assert add_corrected(results, "bh", p="p_mcnemar", into="q") == 1
    assert results["dpo"]["rates"]["refusal_rate"]["q"] == 0.5
    assert add_corrected({}) == 0


@pytest.mark.parametrize("bad", [1.2, -0.1, "0.01", True, float("nan")])
def test_what_is_no_p_value_is_named_with_its_place(bad):
    with pytest.raises(ValueError, match=r"a\.1\.p is .*: a p-value is a number in 0-1"):
        add_corrected({"a": [{"p": 0.5}, {"p": bad}]})
