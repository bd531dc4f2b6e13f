"""Each policy of the builders, by what it changes in the pairs."""

import random

import pytest

from align.data.judge import from_verdicts
from align.data.ledger import Ledger
from align.data.mix import Mix
from align.data.pairs import build_pairs
from align.data.policies import Policy, at_random, by_turns, hardness, nearest
from align.data.responses import hardness_of
from align.data.sft import build_sft
from align.data.verdicts import account_for_verdicts, judge_name, the_judge
from align.records import (
    HonestAnswer,
    Pair,
    Question,
    Response,
    SFTRow,
    Verdict,
    digest_of_text,
)

REFUSE = Mix(ratio={"refuse": 1})


def question(name, category="Context_Dependent", **changes):
    answerable = category == "Answerable"
    return Question(
        **{
            "id": name,
            "image": f"{name}.jpg",
            "question": f"What about {name}?",
            "category": category,
            "source": "photos",
            "split": "train",
            "reason": None if answerable else "the picture does not show it",
            "answers": ("a dog",) if answerable else (),
        }
        | changes
    )


def said(about, text, model="mine", index=0, digest=None):
    return Response(question_id=about.id, model=model, text=text, sample_index=index, model_digest=digest)


def refused(about, text):
    return text.startswith("I can't")


def pairs_of(questions, responses, **settings):
    settings = {"refused": refused, "mix": REFUSE} | settings
    return build_pairs(questions, responses, **settings)


def words(count):
    return " ".join(["word"] * count)


# --- Whose responses ---------------------------------------------------------------------------------


@pytest.fixture
def two_models():
    asked = [question(f"q{i}") for i in range(6)]
    responses = [said(q, f"Mine on {q.id}.") for q in asked[:5]]
    responses += [said(q, f"Theirs on {q.id}.", "theirs") for q in asked[1:]]
    return asked, responses


@pytest.mark.parametrize(
    ("rejected", "sources", "count"),
    [
        ("own", {"own:mine"}, 5),
        ("other", {"other:theirs"}, 5),
        ("both", {"own:mine", "other:theirs"}, 6),
    ],
)
def test_whose_responses_are_rejected(two_models, rejected, sources, count):
    pairs, summary = pairs_of(*two_models, policy=Policy(rejected=rejected, own_model="mine"))
    assert {pair.rejected_source for pair in pairs} == sources
    assert len(pairs) == count
    assert all(
        pair.rejected.startswith("Mine" if "own" in pair.rejected_source else "Theirs") for pair in pairs
    )
    if rejected == "both":  # the others' only where there is none of its own
        assert [p.question_id for p in pairs if p.rejected_source == "other:theirs"] == ["q5"]
    else:
        reasons = summary["inputs"]["responses"]
        assert reasons[f"of another model than rejected={rejected} takes"] == 5
        reason = f"no dishonest response of a model that rejected={rejected} takes"
        assert summary["inputs"]["questions"][reason] == 1


def test_both_with_several_a_question_takes_turns(two_models):
    questions, responses = two_models
    responses = [said(questions[1], f"{m} {k}.", m, k) for m in ("mine", "theirs") for k in range(3)]
    for length in ("any", "closest"):
        for limit, own in ((2, 1), (3, 2), (4, 2), (6, 3)):
            pairs, _ = pairs_of(
                questions[1:2],
                responses,
                policy=Policy(rejected="both", own_model="mine", length=length),
                mix=Mix(ratio={"refuse": 1}, per_question=limit),
            )
            assert len({pair.rejected for pair in pairs}) == limit
            assert sum(pair.rejected_source == "own:mine" for pair in pairs) == own


def test_refusals_of_other_models_are_rejected_sides_of_answer_pairs():
    asked = question("a", "Answerable")
    responses = [said(asked, "I can't say, theirs.", "theirs"), said(asked, "A dog.")]
    settings = {"mix": Mix(ratio={"answer": 1})}
    (pair,), _ = pairs_of([asked], responses, policy=Policy(rejected="other", own_model="mine"), **settings)
    assert (pair.rejected, pair.rejected_source) == ("I can't say, theirs.", "other:theirs")
    (pair,), _ = pairs_of([asked], responses, policy=Policy(own_model="mine"), **settings)
    assert pair.rejected_source == "composer"


def test_the_own_model_must_be_clear(two_models):
    questions, responses = two_models
    for rejected in ("own", "other", "both"):
        with pytest.raises(ValueError, match=r"of 2: mine \(5\), theirs \(5\). Name it with own_model="):
            pairs_of(questions, responses, policy=Policy(rejected=rejected))
    with pytest.raises(ValueError, match="own_model=nobody, of which there is no response"):
        pairs_of(questions, responses, policy=Policy(own_model="nobody"))
    with pytest.raises(ValueError, match="every response is of mine"):
        pairs_of(questions[:5], responses[:5], policy=Policy(rejected="other"))
    pairs, _ = pairs_of(questions, responses, policy=Policy(rejected="other", own_model="a third"))
    assert {pair.rejected_source for pair in pairs} <= {"other:mine", "other:theirs"}


def test_one_name_for_two_weights_is_told_apart_by_digest():
    asked = question("a")
    responses = [said(asked, "Old.", digest="aaa"), said(asked, "New.", index=1, digest="bbb")]
    with pytest.raises(ValueError, match=r"2 different weights .*digests aaa, bbb"):
        pairs_of([asked], responses)
    (pair,), _ = pairs_of([asked], responses, policy=Policy(own_model="bbb"))
    assert pair.rejected == "New."


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rejected": "mine"}, "rejected must be own or other or both"),
        ({"order": "easiest"}, "order must be"),
        ({"length": "equal"}, "length must be"),
        ({"missing_answers": "guess"}, "missing_answers must be"),
        ({"max_length_auc": 0.5}, "above 0.5"),
        ({"max_length_auc": 1}, "below 1"),
    ],
)
def test_impossible_policies(settings, says):
    with pytest.raises(ValueError, match=says):
        Policy(**settings)


# --- Which questions, which length -------------------------------------------------------------------


def test_hardest_first_takes_what_models_get_wrong_most_often():
    """A question of which `n` of 8 responses are dishonest is the harder the larger n is."""
    asked = [question(f"q{i}") for i in range(1, 9)]
    responses = [
        said(q, "Made up." if k < n else "I can't tell.", index=k)
        for n, q in enumerate(asked, 1)
        for k in range(8)
    ]
    mix = Mix(ratio={"refuse": 1}, total=3)
    pairs, _ = pairs_of(asked, responses, policy=Policy(order="hardest_first"), mix=mix)
    assert {pair.question_id for pair in pairs} == {"q8", "q7", "q6"}
    chosen_at_random = {
        frozenset(pair.question_id for pair in pairs_of(asked, responses, mix=mix, seed=seed)[0])
        for seed in range(9)
    }
    assert len(chosen_at_random) > 3


def test_hardness_counts_all_models_and_ties_are_seeded():
    asked = [question(f"q{i}") for i in range(8)]
    responses = [said(q, "Made up.") for q in asked]
    responses += [said(q, "I can't tell.", "theirs") for q in asked[:6]] + [said(asked[6], "Yes.", "theirs")]
    policy = Policy(order="hardest_first", own_model="mine")
    taken = {
        frozenset(
            pair.question_id
            for pair in pairs_of(
                asked, responses, policy=policy, mix=Mix(ratio={"refuse": 1}, total=3), seed=seed
            )[0]
        )
        for seed in range(9)
    }
    # q6 (2 of 2) and q7 (1 of 1) are harder than the others (1 of 2), which are equal.
    assert all({"q6", "q7"} < ids for ids in taken)
    assert len(taken) > 2


def test_hardness_is_laplaces_rule():
    found = hardness({"nine of ten": (9, 10), "one of one": (1, 1), "none of one": (0, 1), "half": (5, 10)})
    assert found == {
        "nine of ten": pytest.approx(10 / 12),
        "one of one": pytest.approx(2 / 3),
        "none of one": pytest.approx(1 / 3),
        "half": 0.5,
    }


def test_a_refusal_is_what_makes_an_answerable_question_hard():
    asked = [question(f"a{i}", "Answerable") for i in range(4)]
    responses = [said(q, "A dog.") for q in asked[:3]] + [said(asked[3], "I can't say.")]
    hard = hardness_of(asked, responses, refused)
    assert max(hard, key=hard.get) == "a3"
    rows, _ = build_sft(asked, hardness=hard, mix=Mix(ratio={"answer": 1}, total=1))
    assert [row.question_id for row in rows] == ["a3"]


def test_closest_takes_the_rejected_side_of_the_chosen_length():
    asked = [question(f"q{i}") for i in range(20)]
    answers = [HonestAnswer(question_id=q.id, text=f"Can't say {words(10)}", source="t") for q in asked]
    responses = [said(q, f"{q.id} {words(n)}", index=k) for q in asked for k, n in enumerate((2, 11, 40))]
    pairs, _ = pairs_of(asked, responses, answers=answers, policy=Policy(length="closest"))
    assert {len(pair.rejected.split()) for pair in pairs} == {12}
    pairs, _ = pairs_of(asked, responses, answers=answers)
    assert {len(pair.rejected.split()) for pair in pairs} == {3, 12, 41}


def test_closest_draws_several_composed_refusals_for_answer_pairs():
    asked = [question(f"a{i}", "Answerable", caption="A dog on a lawn.") for i in range(60)]
    mean = {}
    for length in ("any", "closest"):
        pairs, summary = pairs_of(asked, [], policy=Policy(length=length), mix=Mix(ratio={"answer": 1}))
        mean[length] = -summary["length"]["all"]["mean_difference"]
        assert len(pairs) == 60
    assert mean["closest"] < 0.75 * mean["any"]


def test_small_choices():
    assert by_turns("ab", "xyz") == ["a", "x", "b", "y", "z"]
    assert at_random("", "xyz", 2, random.Random(0))[0] in "xyz"
    drawn = at_random("abc", "xyz", 4, random.Random(0))
    assert len(set(drawn)) == 4
    assert [entry in "abc" for entry in drawn] == [True, False, True, False]
    assert nearest(["a a a", "a", "a a a a a a"], str, "b b b b", "key") == "a a a"


# --- Length bias, bounded ----------------------------------------------------------------------------


def biased(count):
    """Chosen texts of 10 words; rejected ones of 2 for most questions, and of 18 for some."""
    asked = [question(f"q{i}") for i in range(count)]
    answers = [HonestAnswer(question_id=q.id, text=f"{q.id} {words(9)}", source="t") for q in asked]
    responses = [said(q, f"{q.id} {words(17 if i % 4 == 0 else 1)}") for i, q in enumerate(asked)]
    return asked, responses, answers


def test_the_bound_on_length_is_kept_at_the_least_cost():
    asked, responses, answers = biased(80)
    free, summary = pairs_of(asked, responses, answers=answers)
    assert len(free) == 80
    assert summary["length"]["all"]["auc"] == 0.75
    pairs, summary = pairs_of(asked, responses, answers=answers, policy=Policy(max_length_auc=0.6))
    # 20 pairs with a longer rejected side allow 30 with a shorter one: 30 / 50 = 0.6.
    assert len(pairs) == 50
    assert summary["length"]["all"]["auc"] == 0.6
    assert summary["length_bound"] == {
        "bound": 0.6,
        "auc_before": 0.75,
        "auc_after": 0.6,
        "rows_before": 80,
        "rows_after": 50,
        "set_aside": 30,
    }
    assert summary["inputs"]["questions"]["set aside for max_length_auc"] == 30
    assert summary["inputs"]["responses"]["set aside for max_length_auc"] == 30
    assert summary["inputs"]["answers"]["set aside for max_length_auc"] == 30


def test_the_bound_costs_no_rows_where_there_are_enough_others():
    asked, responses, answers = biased(80)
    mix = Mix(ratio={"refuse": 1}, total=30)
    pairs, summary = pairs_of(asked, responses, answers=answers, policy=Policy(max_length_auc=0.6), mix=mix)
    assert len(pairs) == 30
    assert 0.4 <= summary["length"]["all"]["auc"] <= 0.6


def test_a_bound_that_cannot_be_kept_says_how_near_it_comes():
    asked, responses, answers = biased(80)
    with pytest.raises(ValueError, match=r"max_length_auc=0.6 cannot be reached.*comes to 1.000 at best"):
        pairs_of(asked[1:4], responses[1:4], answers=answers[1:4], policy=Policy(max_length_auc=0.6))


def test_the_ratio_is_kept_under_the_bound():
    asked, responses, answers = biased(80)
    answerable = [question(f"a{i}", "Answerable") for i in range(80)]
    answers += [
        HonestAnswer(question_id=q.id, text=f"{q.id} {words(11)} dog", source="t") for q in answerable
    ]
    responses += [said(q, f"I can't {words(9)} {i}") for i, q in enumerate(answerable)]
    mix = Mix(ratio={"refuse": 1, "answer": 1})
    free, before = pairs_of(asked + answerable, responses, answers=answers, mix=mix)
    pairs, summary = pairs_of(
        asked + answerable, responses, answers=answers, mix=mix, policy=Policy(max_length_auc=0.55)
    )
    assert before["length"]["all"]["auc"] > 0.6
    assert 0.45 <= summary["length"]["all"]["auc"] <= 0.55
    assert (
        summary["kinds"]["refuse"] == summary["kinds"]["answer"] < before["kinds"]["refuse"] == len(free) / 2
    )
    assert len(pairs) == 2 * summary["kinds"]["refuse"]


# --- Answers, verdicts, general rows -----------------------------------------------------------------


def test_given_answers_are_the_chosen_sides():
    asked = [question("a"), question("b"), question("c", "Answerable")]
    responses = [said(q, "Made up.") for q in asked[:2]]
    answers = [
        HonestAnswer(question_id="a", text="It is not shown.", source="openai/teacher"),
        HonestAnswer(question_id="stranger", text="No.", source="t"),
        HonestAnswer(question_id="a", text=" It is not shown. ", source="t"),
    ]
    settings = {"answers": answers, "mix": Mix(ratio={"refuse": 1, "answer": 1})}
    pairs, summary = pairs_of(asked, responses, **settings)
    assert {(p.question_id, p.chosen_source) for p in pairs if p.kind == "refuse"} == {
        ("a", "openai/teacher")
    }
    assert summary["inputs"]["questions"]["no honest answer in answers"] == 1
    assert summary["inputs"]["answers"] == {
        "given": 3,
        "used": 1,
        "about a question that is not built from": 1,
        "the same text as another answer to the question": 1,
    }
    pairs, _ = pairs_of(asked, responses, policy=Policy(missing_answers="compose"), **settings)
    assert {p.question_id: p.chosen_source for p in pairs if p.kind == "refuse"} in (
        {"a": "openai/teacher"},
        {"b": "composer"},
    )
    rows, _ = build_sft(asked, answers=answers, missing_answers="compose", mix=REFUSE)
    assert {row.question_id: row.completion_source for row in rows} == {
        "a": "openai/teacher",
        "b": "composer",
    }
    rows, _ = build_sft(asked, answers=answers, mix=REFUSE)
    assert [(row.question_id, row.completion) for row in rows] == [("a", "It is not shown.")]
    with pytest.raises(ValueError, match="give the file"):
        build_sft(asked, missing_answers="compose")


def test_several_answers_are_used_in_turn():
    asked = question("a")
    answers = [HonestAnswer(question_id="a", text=f"Not shown, {k}.", source="t") for k in range(2)]
    responses = [said(asked, f"Made up {k}.", index=k) for k in range(3)]
    pairs, _ = pairs_of([asked], responses, answers=answers, mix=Mix(ratio={"refuse": 1}, per_question=3))
    assert sorted(pair.chosen for pair in pairs) == ["Not shown, 0.", "Not shown, 0.", "Not shown, 1."]


def test_a_response_that_says_what_the_chosen_side_says_is_no_rejected_side():
    asked = [question("a"), question("b")]
    answers = [HonestAnswer(question_id=q.id, text="It is not shown.", source="t") for q in asked]
    responses = [said(asked[0], "It is not shown."), said(asked[1], "Made up.")]
    pairs, summary = pairs_of(asked, responses, answers=answers)
    assert [pair.question_id for pair in pairs] == ["b"]
    reason = "the rejected side says what the chosen side says"
    assert summary["inputs"]["questions"][reason] == summary["inputs"]["responses"][reason] == 1


def verdict(about, refused_, index=0, judge="j", **changes):
    error = None if refused_ is not None else "no answer"
    return Verdict(
        question_id=about.id,
        model="mine",
        sample_index=index,
        judge=judge,
        refused=refused_,
        error=error,
        **changes,
    )


def by(verdicts, responses, judge=None):
    """The builders' two questions, answered by verdicts."""
    found = from_verdicts(verdicts, responses, judge=judge)
    return {"refused": found.refused, "correct": found.correct}


def test_verdicts_overrule_the_rules():
    asked = [question(name) for name in "abcd"]
    responses = [said(q, "I can't tell.") for q in asked[:1]] + [said(q, "Made up.") for q in asked[1:]]
    verdicts = [verdict(asked[0], False), verdict(asked[1], True), verdict(asked[2], None)]
    pairs, summary = build_pairs(asked, responses, mix=REFUSE, **by(verdicts, responses))
    assert [pair.question_id for pair in pairs] == ["a"]
    assert summary["inputs"]["questions"] == {
        "given": 4,
        "used": 1,
        "every response failed, was empty or undecided": 2,
        "the model refuses it already": 1,
    }
    assert set(hardness_of(asked, responses, **by(verdicts, responses))) == {"a", "b"}


def test_verdicts_that_were_not_looked_up_are_counted():
    asked = question("a")
    verdicts = [
        verdict(asked, True),
        verdict(asked, True, index=5),
        verdict(asked, True, judge="k"),
        verdict(asked, True, text_digest="0123"),
        verdict(asked, True, model_digest="other"),
        verdict(asked, True, text_digest=digest_of_text(" x "), model_digest="aaa"),
    ]
    ledger = Ledger()
    account_for_verdicts(verdicts, [said(asked, "x", digest="aaa")], "j", ledger)
    assert ledger.counts()["verdicts"] == {
        "given": 6,
        "used": 2,
        "no such response": 1,
        "of another judge than j": 1,
        "on another text or other weights than the response's": 2,
    }
    assert judge_name([asked], from_verdicts(verdicts, [], judge="k")) == "k"
    assert judge_name([asked], None).startswith("rules")
    assert the_judge(verdicts[:1], None) == "j"
    assert the_judge(verdicts, "k") == "k"
    for wanted in (None, "z"):
        with pytest.raises(ValueError, match="the verdicts are of j, k: name one with verdicts_of="):
            the_judge(verdicts, wanted)


def test_own_wrong_answers_by_verdicts():
    """Rules can't tell that a free-form answer about a photograph is wrong; a judge can."""
    asked = [question(name, "Answerable") for name in "abc"]
    responses = [said(q, f"A cat, {q.id}.") for q in asked]
    verdicts = [verdict(q, False, correct=value) for q, value in zip(asked, (False, True, None), strict=True)]
    settings = by(verdicts, responses) | {"mix": Mix(ratio={"answer": 1})}
    pairs, summary = build_pairs(asked, responses, policy=Policy(own_wrong=1.0), **settings)
    sources = {p.question_id: p.rejected_source for p in pairs}
    assert sources == {"a": "own:mine", "b": "composer", "c": "composer"}
    assert summary["inputs"]["responses"] == {"given": 3, "used": 1, "honest: an answer": 2}
    pairs, summary = build_pairs(asked, responses, **settings)
    assert summary["inputs"]["responses"]["a wrong answer, and own_wrong is 0"] == 1
    hard = hardness_of(asked, responses, **by(verdicts, responses))
    assert hard["a"] > hard["b"] == hard["c"]
    unknown = by([verdict(q, False) for q in asked], responses) | {"mix": Mix(ratio={"answer": 1})}
    with pytest.raises(ValueError, match="it is known of none"):
        build_pairs(asked, responses, policy=Policy(own_wrong=1.0), **unknown)


def general(name):
    return Pair(
        question_id=name,
        prompt="Describe it.",
        chosen="A dog runs.",
        rejected="A cat sits.",
        images=(f"{name}.jpg",),
        kind="retain",
        chosen_source="RLHF-V",
        rejected_source="RLHF-V",
    )


def test_general_rows_are_mixed_in_by_their_weight():
    asked = [question(f"q{i}") for i in range(10)]
    responses = [said(q, "Made up.") for q in asked]
    ledger = Ledger()
    rows = [general(f"r{i}") for i in range(30)]
    retain = dict(zip(ledger.open("retain", (row.question_id for row in rows)), rows, strict=True))
    mix = Mix(ratio={"refuse": 1, "answer": 0, "retain": 2})
    pairs, summary = pairs_of(asked, responses, retain=retain, mix=mix, ledger=ledger)
    assert summary["kinds"] == {"refuse": 10, "retain": 20}
    assert summary["inputs"]["retain"] == {
        "given": 30,
        "used": 20,
        "beyond the ratio, the category weights or the total": 10,
    }
    assert all(pair in rows for pair in pairs if pair.kind == "retain")
    with pytest.raises(ValueError, match="give retain=FILE"):
        pairs_of(asked, responses, mix=mix)
    with pytest.raises(ValueError, match="retain is 0"):
        pairs_of(asked, responses, retain=retain)


def test_general_rows_among_supervised_rows():
    row = SFTRow(
        question_id="r",
        prompt="p",
        completion="A dog.",
        images=("r.jpg",),
        kind="retain",
        completion_source="RLHF-V",
    )
    ledger = Ledger()
    ledger.open("retain", ["r"])
    rows, summary = build_sft(
        [question("a")],
        retain={"r": row},
        mix=Mix(ratio={"refuse": 1, "retain": 1}),
        ledger=ledger,
    )
    assert summary["kinds"] == {"refuse": 1, "retain": 1}
    assert row in rows


def test_categories_are_balanced_and_weighted():
    asked = [
        question(f"{category}{i}", category)
        for category, n in (("Context_Dependent", 40), ("False_Premises", 10), ("Vague_Description", 40))
        for i in range(n)
    ]
    responses = [said(q, "Made up.") for q in asked]
    weights = {"Context_Dependent": 1, "False_Premises": 1, "Vague_Description": 0}
    _, summary = pairs_of(asked, responses, mix=Mix(ratio={"refuse": 1}, categories=weights, total=20))
    assert summary["categories"] == {"Context_Dependent": 10, "False_Premises": 10}
    assert summary["inputs"]["questions"]["its category has the weight 0"] == 40


def test_every_row_of_every_input_is_accounted_for():
    """Random inputs: given is used plus left out, and what is used is what the pairs hold."""
    rng = random.Random(3)
    asked = [question(f"q{i}", rng.choice(["False_Premises", "Answerable"])) for i in range(60)]
    responses = [
        Response(question_id="x", model="mine", error="timeout"),
        *(
            said(q, rng.choice(["", "I can't.", f"Yes {k}.", "No."]), rng.choice(["mine", "theirs"]), k)
            for q in asked
            for k in range(rng.randrange(4))
        ),
    ]
    answers = [
        HonestAnswer(question_id=q.id, text=f"{rng.random()}", source="t") for q in asked for _ in range(2)
    ]
    ledger = Ledger()
    rows = [general(f"r{i}") for i in range(9)]
    retain = dict(zip(ledger.open("retain", (row.question_id for row in rows)), rows, strict=True))
    pairs, summary = pairs_of(
        asked,
        responses,
        answers=answers,
        retain=retain,
        policy=Policy(rejected="both", own_model="mine", order="hardest_first", length="closest"),
        mix=Mix(ratio={"refuse": 2, "answer": 1, "retain": 1}, per_question=2),
        ledger=ledger,
    )
    for name, counts in summary["inputs"].items():
        assert counts["given"] == sum(n for what, n in counts.items() if what != "given"), name
    used = {name: counts["used"] for name, counts in summary["inputs"].items()}
    assert used["questions"] == len({p.question_id for p in pairs if p.kind != "retain"})
    assert used["responses"] == sum(p.rejected_source.startswith(("own:", "other:")) for p in pairs)
    assert used["retain"] == sum(p.kind == "retain" for p in pairs)
    assert used["answers"] == len({p.chosen for p in pairs if p.chosen_source == "t"})
    assert len(ledger.left_out()) == sum(c["given"] - c["used"] for c in summary["inputs"].values())


def test_the_ledger_does_not_let_a_row_vanish():
    ledger = Ledger()
    assert ledger.open("responses", ["a", "b", "a"]) == ["a", "b", "a#2"]
    ledger.leave_out("responses", "b", "empty")
    with pytest.raises(RuntimeError, match="1 rows without a reason \\(a#2\\)"):
        ledger.settle("responses", ["a"])
    with pytest.raises(RuntimeError, match="1 used and left out \\(b\\)"):
        ledger.settle("responses", ["a", "b", "a#2"])
    ledger.settle("responses", ["a", "a#2"])
