"""Ratios as exact numbers of rows."""

from collections import Counter

import pytest

from align.data.mix import Mix, apportion, choose, fill
from align.records import UNANSWERABLE, SFTRow


def rows(kind, category, n, each=1):
    return [
        SFTRow(
            question_id=f"{kind}-{category}-{i}",
            prompt="q",
            completion=f"a{k}",
            images=("i.png",),
            kind=kind,
            category=category,
            completion_source="s",
        )
        for i in range(n)
        for k in range(each)
    ]


def available(refuse, answer):
    return [
        r for category, n in zip(UNANSWERABLE, refuse, strict=True) for r in rows("refuse", category, n)
    ] + rows("answer", "Answerable", answer)


def counted(chosen):
    return Counter(r.kind for r in chosen), Counter(r.category for r in chosen if r.kind == "refuse")


@pytest.mark.parametrize(
    ("total", "weights", "counts"),
    [
        (10, {"a": 1, "b": 1}, {"a": 5, "b": 5}),
        (10, {"a": 2, "b": 1}, {"a": 7, "b": 3}),
        (7, {"a": 1, "b": 1, "c": 1}, {"a": 3, "b": 2, "c": 2}),
        (3, {"a": 0.1, "b": 0.2}, {"a": 1, "b": 2}),
        (0, {"a": 1}, {"a": 0}),
        (5, {"a": 1, "b": 0}, {"a": 5, "b": 0}),
    ],
)
def test_apportion(total, weights, counts):
    assert apportion(total, weights) == counts


def test_apportion_always_sums_to_the_total():
    for total in range(50):
        assert sum(apportion(total, {"a": 1, "b": 3, "c": 0.7, "d": 2.2}).values()) == total


def test_fill_hands_on_what_one_lacks():
    assert fill(12, {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 9, "c": 9}) == {"a": 2, "b": 5, "c": 5}
    assert fill(99, {"a": 1, "b": 1}, {"a": 2, "b": 3}) == {"a": 2, "b": 3}
    assert fill(4, {"a": 1, "b": 0}, {"a": 2, "b": 3}) == {"a": 2, "b": 0}


def test_the_scarcer_kind_limits_the_number():
    kinds, _ = counted(choose(available((50, 50, 50, 50), 30), Mix(), 0, {})[0])
    assert kinds == {"refuse": 30, "answer": 30}
    kinds, _ = counted(choose(available((5, 5, 5, 5), 300), Mix(ratio={"refuse": 1, "answer": 3}), 0, {})[0])
    assert kinds == {"refuse": 20, "answer": 60}


def test_total():
    mix = Mix(ratio={"refuse": 3, "answer": 1}, total=40)
    kinds, categories = counted(choose(available((50, 50, 50, 50), 50), mix, 0, {})[0])
    assert kinds == {"refuse": 30, "answer": 10}
    assert sorted(categories.values()) == [7, 7, 8, 8]


def test_a_total_that_cannot_be_reached_is_noted():
    chosen, notes = choose(available((5, 5, 5, 5), 8), Mix(total=100), 0, {})
    assert len(chosen) == 16
    assert any("total=100 cannot be reached" in note and "8 `answer` rows" in note for note in notes)


def test_category_weights_and_a_category_that_runs_out():
    weights = {
        "False_Premises": 3,
        "Vague_Description": 3,
        "Context_Dependent": 1,
        "Subjective_or_Philosophical": 1,
    }
    mix = Mix(categories=weights, total=160)
    chosen, notes = choose(available((100, 100, 100, 100), 100), mix, 0, {})
    assert counted(chosen)[1] == {
        "False_Premises": 30,
        "Vague_Description": 30,
        "Context_Dependent": 10,
        "Subjective_or_Philosophical": 10,
    }
    assert notes == []
    # UNANSWERABLE is Context, False, Subjective, Vague: there are 5 False_Premises only.
    chosen, notes = choose(available((100, 5, 100, 100), 100), mix, 0, {})
    categories = counted(chosen)[1]
    assert categories["False_Premises"] == 5
    assert sum(categories.values()) == 80
    assert categories["Vague_Description"] == 45
    assert notes == ["False_Premises: only 5 `refuse` rows of the 30 that its weight asks for"]


def test_a_category_of_weight_zero_is_left_out():
    mix = Mix(categories={"False_Premises": 1})
    assert counted(choose(available((9, 9, 9, 9), 99), mix, 0, {})[0])[1] == {"False_Premises": 9}


def test_one_kind_alone():
    mix = Mix(ratio={"refuse": 1, "answer": 0})
    assert counted(choose(available((9, 9, 9, 9), 99), mix, 0, {})[0])[0] == {"refuse": 36}


def test_a_wanted_kind_without_rows_is_an_error():
    with pytest.raises(ValueError, match=r"no `answer` row.*ratio\.answer=0"):
        choose(available((9, 9, 9, 9), 0), Mix(), 0, {})


def test_twins_of_the_chosen_refusals_come_first():
    refuse, answer = rows("refuse", "False_Premises", 20), rows("answer", "Answerable", 40)
    twin_of = {f"answer-Answerable-{i}": f"refuse-False_Premises-{i}" for i in range(20)}
    chosen, _ = choose(refuse + answer, Mix(total=20), 0, twin_of)
    refused = {r.question_id for r in chosen if r.kind == "refuse"}
    assert {twin_of.get(r.question_id) for r in chosen if r.kind == "answer"} == refused


def test_the_seed_decides_and_the_order_does_not():
    pool = available((50, 50, 50, 50), 100)
    first, _ = choose(pool, Mix(total=40), 1, {})
    assert choose(pool[::-1], Mix(total=40), 1, {})[0] == first
    assert choose(pool, Mix(total=40), 2, {})[0] != first


def test_every_question_comes_once_before_any_comes_twice():
    pool = rows("refuse", "False_Premises", 10, each=3)
    chosen, _ = choose(pool, Mix(ratio={"refuse": 1}, total=10), 0, {})
    assert len({r.question_id for r in chosen}) == 10
    chosen, _ = choose(pool, Mix(ratio={"refuse": 1}, total=15), 0, {})
    assert sorted(Counter(r.question_id for r in chosen).values()) == [1] * 5 + [2] * 5


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ratio": {"refuse": 1, "retained": 1}}, "ratio has no retained"),
        ({"ratio": {"refuse": -1}}, "0 or more"),
        ({"ratio": {"refuse": 0, "answer": 0}}, "leaves every kind out"),
        ({"categories": {"False_Premise": 1}}, "categories has no False_Premise"),
        ({"categories": {"False_Premises": 0}}, "leaves every category out"),
        ({"total": 0}, "total must be"),
        ({"per_question": 0}, "per_question must be"),
    ],
)
def test_impossible_mixes(settings, says):
    with pytest.raises(ValueError, match=says):
        Mix(**settings)
