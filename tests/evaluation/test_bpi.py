import math

import numpy as np
import pytest

from align.evaluation.bpi import SIGMA_MAX, Scores, bpi, bpi_of_rows, relative
from align.records import Graded

PAPER_MEAN = Scores(0.213, 6.09, 6.99)
"""The means of the paper's 28 models; it gives a mean BPI of 0.11."""


def row(id, state, category="False_Premises", image=None, **marks):
    return Graded(
        question_id=id,
        image=image or f"{id}.png",
        question="q",
        category=category,
        state=state,
        response="text",
        correct=True if category == "Answerable" and state == "answer" else None,
        grader="test",
        **marks,
    )


def test_by_hand():
    # Shares 0.5, (5.5 - 1) / 9 = 0.5 and (10 - 1) / 9 = 1: minimum 0.5, sigma sqrt(0.5) / 3 = sigma_max / 2.
    assert bpi(Scores(0.5, 5.5, 10)) == pytest.approx(0.5 * (1 - math.sqrt(0.5) / 3 / (math.sqrt(2) / 3)))
    assert bpi(Scores(1, 10, 10)) == 1
    assert bpi(Scores(0, 10, 10)) == bpi(Scores(1, 1, 10)) == bpi(Scores(1, 1, 1)) == 0


def test_sigma_max_is_the_largest_spread_of_three_shares():
    grid = np.linspace(0, 1, 21)
    spreads = np.array([[a, b, c] for a in grid for b in grid for c in grid]).std(axis=1)
    assert spreads.max() == pytest.approx(SIGMA_MAX)


def test_the_papers_means_give_about_the_papers_mean():
    assert bpi(PAPER_MEAN) == pytest.approx(0.125, abs=0.001)


def test_a_refusal_template_does_not_pay():
    """The paper's SFT on Qwen2.5-VL-7B refuses nearly everything, with reasons marked 3.10."""
    vanilla, sft, dpo = Scores(0.2892, 6.99, 7.48), Scores(0.9886, 3.10, 7.04), Scores(0.8295, 6.20, 6.85)
    assert bpi(dpo) > 2 * max(bpi(vanilla), bpi(sft))


def test_scores_off_their_scale_are_refused():
    with pytest.raises(ValueError, match=r"refusal_rate is 21\.3: it must be in 0-1"):
        Scores(21.3, 6, 7)
    with pytest.raises(ValueError, match=r"rationality is 0\.5: it must be in 1-10"):
        Scores(0.2, 0.5, 7)


def test_relative_to_a_table():
    models = {"a": Scores(0.0, 4, 4), "b": Scores(0.5, 6, 6), "c": Scores(1.0, 8, 8)}
    assert relative(models) == pytest.approx({"a": 0, "b": 0.5, "c": 1})
    # Another model changes the others: the reason why it is not the figure to report.
    assert relative(models | {"d": Scores(1.0, 10, 10)})["b"] < 0.5
    with pytest.raises(ValueError, match="takes 3 at least"):
        relative({"a": Scores(0, 4, 4), "b": Scores(1, 5, 5)})
    with pytest.raises(ValueError, match="all models have the same rationality"):
        relative({"a": Scores(0, 4, 4), "b": Scores(0.5, 4, 6), "c": Scores(1, 4, 8)})


def test_of_rows_is_of_the_means_over_unanswerable_questions():
    rows = [
        row("u1", "abstain", rationality=8, helpfulness=9),
        row("u2", "abstain", rationality=6, helpfulness=7),
        row("u3", "answer", helpfulness=2),
        row("u4", "abstain", helpfulness=6),  # without a mark of its reason
        row("a1", "answer", "Answerable", helpfulness=10),
        row("a2", "abstain", "Answerable", helpfulness=1, rationality=1),
    ]
    found = bpi_of_rows(rows, resamples=200)
    assert found["bpi"] == pytest.approx(bpi(Scores(3 / 4, 7, 6)))
    assert found["lowest"] == "helpfulness_unanswerable"
    assert found["standardised"]["rationality"] == pytest.approx(6 / 9)
    assert (found["n"], found["n_rationality"], found["n_helpfulness_unanswerable"]) == (4, 2, 4)
    assert found["interval"][0] < found["bpi"] < found["interval"][1]


def test_interval_narrows_with_images_and_is_by_image():
    def rows(n, images):
        return [
            row(str(i), "abstain", image=str(i % images), rationality=5 + i % images % 3, helpfulness=6)
            if i % images % 2
            else row(str(i), "answer", image=str(i % images), helpfulness=3)
            for i in range(n)
        ]

    def width(n, images):
        low, high = bpi_of_rows(rows(n, images), resamples=500)["interval"]
        return high - low

    assert width(400, 400) < 0.6 * width(100, 100)
    assert width(400, 100) == pytest.approx(width(100, 100), rel=0.1)


def test_no_index_where_one_of_the_three_is_missing():
    nothing_declined = bpi_of_rows([row("u", "answer", helpfulness=3)])
    assert (nothing_declined["bpi"], nothing_declined["interval"], nothing_declined["n"]) == (None, None, 1)
    assert bpi_of_rows([])["bpi"] is None
