import pytest

from align.evaluation.reliability import effective_reliability
from align.records import Graded


def row(id, state="answer", correct=True, category="Answerable", image=None):
    return Graded(
        question_id=id,
        image=image or f"{id}.png",
        question="q",
        category=category,
        state=state,
        response=None if state == "failed" else "text",
        correct=correct if state == "answer" and category == "Answerable" else None,
        error="timeout" if state == "failed" else None,
        grader="test",
    )


ROWS = [
    *[row(f"r{i}") for i in range(6)],
    row("w", correct=False),
    row("d", "abstain"),
    row("x", "unparsed"),
    row("f", "failed"),
    row("g", correct=None),
    row("u", "answer", category="False_Premises"),
    row("v", "abstain", category="False_Premises"),
]


def test_by_hand_over_answerable_questions_only():
    found = effective_reliability(ROWS, resamples=200)
    assert [phi["c"] for phi in found["phi"]] == [1, 10, 100]
    # 6 right, 1 wrong, 1 declined, 1 unparsed.
    assert [phi["phi"] for phi in found["phi"]] == pytest.approx([5 / 9, -4 / 9, -94 / 9])
    assert found["phi"][0]["phi_best"] == 6 / 9
    counts = {name: found[name] for name in found if name != "phi"}
    assert counts == {"n": 9, "n_right": 6, "n_wrong": 1, "n_without_answer": 2, "n_ungraded": 1}
    for phi in found["phi"]:
        low, high = phi["interval"]
        assert -phi["c"] <= low < phi["phi"] < high <= 1


def test_declining_what_would_be_wrong_pays_and_declining_what_would_be_right_costs():
    def phi(state, right):
        rows = [*[row(f"r{i}") for i in range(9)], row("q", state, right)]
        return effective_reliability(rows, [10], resamples=50)["phi"][0]["phi"]

    assert phi("answer", False) < phi("abstain", True) < phi("answer", True) == 1


def test_interval_is_by_image():
    rows = [row(str(i), correct=bool(i % 40 % 4), image=str(i % 40)) for i in range(400)]
    apart = [row(str(i), correct=bool(i % 40 % 4)) for i in range(400)]
    (low, high), (low_apart, high_apart) = (
        effective_reliability(r, [10], resamples=500)["phi"][0]["interval"] for r in (rows, apart)
    )
    assert high - low > 2 * (high_apart - low_apart)


def test_without_answerable_questions_there_is_no_phi():
    found = effective_reliability([row("u", "abstain", category="False_Premises")])
    assert found["n"] == 0
    assert found["phi"][0] == {"c": 1, "phi": None, "interval": None, "phi_best": None}
    with pytest.raises(ValueError, match="the cost of a wrong answer is -1"):
        effective_reliability(ROWS, [-1])
