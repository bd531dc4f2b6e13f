"""How well length tells chosen from rejected."""

import numpy as np
import pytest

from align.data.lengths import auc, bounded_choice, length_bias
from align.records import Pair


def pair(name, chosen, rejected, kind="refuse"):
    return Pair(
        question_id=name,
        prompt="p",
        chosen="c " * chosen,
        rejected="r " * rejected,
        images=("i.jpg",),
        kind=kind,
        chosen_source="s",
        rejected_source="s",
    )


def test_auc_against_all_comparisons():
    rng = np.random.default_rng(0)
    chosen, rejected = rng.integers(1, 30, 200), rng.integers(1, 25, 200)
    by_hand = np.mean(
        (chosen[:, None] > rejected[None]).astype(float) + 0.5 * (chosen[:, None] == rejected[None])
    )
    assert auc(chosen, rejected) == pytest.approx(by_hand)


def test_figures_worked_by_hand():
    bias = length_bias([pair("a", 3, 1), pair("b", 2, 2), pair("c", 1, 4), pair("d", 5, 2)])
    assert bias.pairs == 4
    assert bias.mean_difference == 0.5
    assert bias.chosen_longer == 0.5
    # chosen 3 2 1 5 against rejected 1 2 4 2: 3 + 2 + 0.5 + 4 of 16 comparisons are won.
    assert bias.auc == pytest.approx((3 + 2 + 0.5 + 4) / 16)
    assert bias.low < bias.auc < bias.high
    assert length_bias([pair("a", 9, 1), pair("b", 8, 2)]).auc == 1
    with pytest.raises(ValueError, match="no pairs"):
        length_bias([])


def test_the_interval_is_that_of_questions_and_not_of_pairs():
    """Forty pairs of four questions say no more than the four questions do."""
    rng = np.random.default_rng(1)
    few = [(int(rng.integers(2, 20)), int(rng.integers(2, 20))) for _ in range(4)]
    clustered = length_bias([pair(f"q{i % 4}", *few[i % 4]) for i in range(40)])
    alone = length_bias([pair(f"q{i}", *few[i % 4]) for i in range(40)])
    assert clustered.auc == alone.auc
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        chosen, rejected = rng.poisson(12, 150) + 1, rng.poisson(12, 150) + 1
        bias = length_bias(
            [pair(f"q{i}", int(c), int(r)) for i, (c, r) in enumerate(zip(chosen, rejected, strict=True))]
        )
        covered += bias.low <= 0.5 <= bias.high
    assert covered >= 52


def test_both_kinds_lose_their_most_biased():
    """With a fixed ratio a pair less of one kind is one less of the other too: the most biased, then."""
    refuse = [pair(f"r{i}", 20 + i % 5, 5) for i in range(100)]
    answer = [pair(f"a{i}", 8, 7 + i % 28, "answer") for i in range(100)]

    def as_many_of_each(pairs):
        kinds = [[p for p in pairs if p.kind == kind] for kind in ("refuse", "answer")]
        return [p for of_kind in kinds for p in of_kind[: min(map(len, kinds))]]

    taken, aside, cost = bounded_choice(refuse + answer, 0.55, as_many_of_each)
    assert cost.auc_before > 0.6
    assert 0.45 <= cost.auc_after <= 0.55
    assert len(taken) == cost.rows_after >= 100
    assert abs(sum(p.kind == "answer" for p in aside) - len(aside) / 2) <= 1
    # Rejected sides of 9-19 words are all longer than one half of the chosen sides, shorter than the other.
    lengths = {
        name: [len(p.rejected.split()) for p in rows if p.kind == "answer"]
        for name, rows in (("aside", aside), ("taken", taken))
    }
    assert max(lengths["aside"]) < 20
    assert min(lengths["taken"]) > 8
