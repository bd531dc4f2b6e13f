import io
import json

import pytest
from rich.console import Console

from align.records import DataError
from align.reporting.comparison import compare_runs
from align.reporting.terminal import comparison_table

RATES = {"refusal_rate", "reason_accuracy", "over_refusal_rate", "answer_accuracy", "dual_accuracy"}
COUNTS = {"n_unanswerable", "n_answerable", "n_twins", "n_failed", "n_unparsed"}


@pytest.fixture
def comparison(runs):
    return compare_runs(runs, resamples=200)


def test_keys_and_values(comparison):
    assert list(comparison["models"]) == ["base", "sft", "dpo"]
    for model in comparison["models"].values():
        groups = [model, *model["by_category"].values(), *model["by_part"].values()]
        assert len(groups) == 1 + 5 + 3
        for group in groups:
            assert group.keys() >= RATES | COUNTS | {"intervals"}
            assert group["intervals"].keys() >= RATES
    dpo = comparison["models"]["dpo"]
    assert (dpo["n_unanswerable"], dpo["n_answerable"], dpo["n_twins"]) == (40, 40, 40)
    assert dpo["refusal_rate"] == 36 / 40
    assert dpo["by_category"]["False_Premises"]["n_unanswerable"] == 10
    assert json.loads(json.dumps(comparison, allow_nan=False)) == comparison


def test_tests_are_against_the_base_and_corrected_for_their_number(comparison):
    assert list(comparison["tests"]) == ["sft", "dpo"]
    refusal = comparison["tests"]["dpo"]["rates"]["refusal_rate"]
    assert refusal["difference"] == 36 / 40
    assert comparison["n_tests"] == 10
    assert refusal["p_holm"] == pytest.approx(10 * refusal["p"])  # the smallest of ten
    assert comparison["tests"]["sft"]["rates"]["answer_accuracy"]["p_holm"] == 1
    assert comparison["tests"]["dpo"]["honesty"]["over_conservativeness"] == 0


def test_the_base_can_be_named(runs):
    comparison = compare_runs(runs, base="sft", resamples=50)
    assert comparison["base"] == "sft"
    assert list(comparison["tests"]) == ["base", "dpo"]
    with pytest.raises(DataError, match="no run is called 'orpo': one of base, dpo, sft"):
        compare_runs(runs, base="orpo", resamples=50)


def test_the_table_fits_a_terminal_of_80_columns(comparison):
    stream = io.StringIO()
    Console(file=stream, width=80).print(comparison_table(comparison))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for expected in ("Base", "SFT", "DPO", "90.0%", "+90.0"):
        assert expected in text
