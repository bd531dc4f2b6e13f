"""Both-ways pairs, supervised rows, and the texts that are composed for them."""

import random
from collections import Counter

import pytest

from align.data import judge
from align.data.compose import as_sentence, first_sentence, honest_answer, refusal_for
from align.data.mix import Mix
from align.data.pairs import build_pairs
from align.data.policies import Policy
from align.data.sft import build_sft
from align.miniworld.grader import grade
from align.miniworld.questions import Query, Referent
from align.miniworld.scenes import Scene, Thing
from align.records import UNANSWERABLE, DataError, Question, Response

SCENE = Scene(
    "white", (Thing("circle", "red", "small", 16, 16, 7), Thing("ring", "blue", "large", 48, 48, 12))
)


def photo(name, category="Context_Dependent", **changes):
    return Question(
        **(
            {
                "id": name,
                "image": f"{name}.jpg",
                "question": f"What about {name}?",
                "category": category,
                "source": "photos",
                "split": "train",
                "reason": "the picture does not show it",
                "caption": "A dog on a lawn. It is sunny.",
            }
            | ({"answers": ("a dog",), "reason": None} if category == "Answerable" else {})
            | changes
        )
    )


def world(name, query, category, **changes):
    return Question(
        id=name,
        image="images/a.png",
        question=f"Question {name}?",
        category=category,
        source="miniworld",
        split="train",
        metadata={"scene": SCENE.to_dict(), "query": query.to_dict()},
        **changes,
    )


STAR = Query("color", Referent(shape="star"))
CIRCLE = Query("color", Referent(shape="circle"))


def said(question, text, index=0, **changes):
    return Response(question_id=question.id, model="m", text=text, sample_index=index, **changes)


def refused(question, text):
    return {"?": None}.get(text, text.startswith("I can't"))


def test_a_refuse_pair_prefers_honesty_to_what_the_model_said():
    question = photo("a")
    pairs, summary = build_pairs(
        [question], [said(question, "It ran away.")], refused=refused, mix=Mix(ratio={"refuse": 1})
    )
    (pair,) = pairs
    assert (pair.kind, pair.category, pair.prompt) == ("refuse", "Context_Dependent", "What about a?")
    assert (pair.rejected, pair.rejected_source) == ("It ran away.", "own:m")
    assert "The picture does not show it." in pair.chosen
    assert pair.chosen_source == "composer"
    assert pair.images == ("a.jpg",)
    assert summary["kinds"] == {"refuse": 1}


def test_an_answer_pair_prefers_the_answer_to_a_refusal():
    question = photo("a", "Answerable")
    (pair,), _ = build_pairs([question], [], refused=refused, mix=Mix(ratio={"answer": 1}))
    assert (pair.kind, pair.chosen, pair.chosen_source) == ("answer", "A dog.", "gold")
    assert pair.rejected_source == "composer"
    assert "dog" not in pair.rejected.replace("A dog on a lawn.", "")


def test_the_models_own_refusal_is_the_first_choice():
    question = photo("a", "Answerable")
    responses = [said(question, "I can't say."), said(question, "A cat.", 1)]
    (pair,), _ = build_pairs([question], responses, refused=refused, mix=Mix(ratio={"answer": 1}))
    assert (pair.rejected, pair.rejected_source) == ("I can't say.", "own:m")


def test_what_is_not_data_is_counted():
    questions = [photo(name) for name in ("good", "refuses", "failed", "unclear", "silent", "empty")]
    good, refuses, failed, unclear, _, empty = questions
    responses = [
        said(good, "Yes."),
        said(good, "Yes.", 1),
        said(refuses, "I can't say."),
        said(failed, None, error="timeout"),
        said(unclear, "?"),
        said(empty, "  "),
        said(photo("stranger"), "Yes."),
    ]
    pairs, summary = build_pairs(
        questions, responses, refused=refused, mix=Mix(ratio={"refuse": 1}, per_question=5)
    )
    assert [p.question_id for p in pairs] == ["good"]
    assert summary["responses"] == {
        "given": 7,
        "answers": 2,
        "refusals": 1,
        "failed": 1,
        "undecided": 1,
        "empty": 1,
        "about other questions": 1,
    }
    assert summary["inputs"]["questions"] == {
        "given": 6,
        "used": 1,
        "every response failed, was empty or undecided": 3,
        "no response": 1,
        "the model refuses it already": 1,
    }
    assert summary["inputs"]["responses"] == {
        "given": 7,
        "used": 1,
        "about a question that is not built from": 1,
        "empty": 1,
        "honest: a refusal": 1,
        "the call failed": 1,
        "the same text as another response to the question": 1,
        "undecided whether it is a refusal": 1,
    }


def test_own_wrong_answers_by_share():
    questions = [photo(f"q{i}", "Answerable") for i in range(400)]
    responses = [said(q, "Wrong.") for q in questions[:200]]
    settings = {"refused": refused, "correct": lambda q, t: t != "Wrong.", "mix": Mix(ratio={"answer": 1})}
    pairs, _ = build_pairs(questions, responses, policy=Policy(own_wrong=0.25), **settings)
    wrong = [p for p in pairs if p.rejected == "Wrong."]
    assert 30 <= len(wrong) <= 70
    assert all(p.rejected_source == "own:m" for p in wrong)
    pairs, _ = build_pairs(questions, responses, policy=Policy(own_wrong=1.0), **settings)
    assert sum(p.rejected == "Wrong." for p in pairs) == 200
    pairs, _ = build_pairs(questions, responses, **settings)
    assert not any(p.rejected == "Wrong." for p in pairs)
    with pytest.raises(ValueError, match="own_wrong needs `correct`"):
        build_pairs(questions, responses, refused=refused, policy=Policy(own_wrong=0.5))
    with pytest.raises(ValueError, match="responses to answerable questions, and there is none"):
        build_pairs(questions, [], policy=Policy(own_wrong=0.5), **settings)
    with pytest.raises(ValueError, match="0-1"):
        Policy(own_wrong=1.5)


def test_answers_that_are_not_known_to_be_wrong_are_never_rejected():
    questions = [photo("a", "Answerable"), photo("b", "Answerable")]
    pairs, _ = build_pairs(
        questions,
        [said(questions[0], "Dunno."), said(questions[1], "Wrong.")],
        refused=refused,
        correct=lambda q, t: {"Wrong.": False}.get(t),
        policy=Policy(own_wrong=1.0),
        mix=Mix(ratio={"answer": 1}),
    )
    rejected = {pair.question_id: pair.rejected for pair in pairs}
    assert rejected["b"] == "Wrong."
    assert rejected["a"] != "Dunno."


def test_test_questions_are_refused():
    for build in (lambda q: build_pairs(q, [], refused=refused), lambda q: build_sft(q)):
        with pytest.raises(DataError, match="a test question is never training data"):
            build([photo("a", split="test")])


def many():
    questions = [photo(f"{c}{i}", c) for c in UNANSWERABLE for i in range(30)]
    questions += [photo(f"a{i}", "Answerable", twin=f"False_Premises{i}") for i in range(30)]
    return questions, [said(q, f"It is {k}.", k) for q in questions for k in range(3)]


def test_the_same_seed_gives_the_same_pairs_in_any_order():
    questions, responses = many()
    mix = Mix(total=40)
    first, summary = build_pairs(questions, responses, refused=refused, mix=mix, seed=5)
    again, _ = build_pairs(questions[::-1], responses[::-1], refused=refused, mix=mix, seed=5)
    assert again == first
    assert build_pairs(questions, responses, refused=refused, mix=mix, seed=6)[0] != first
    assert summary["kinds"] == {"answer": 20, "refuse": 20}
    assert summary["categories"] == {"Answerable": 20} | dict.fromkeys(UNANSWERABLE, 5)
    assert summary["both_twins"] == 5
    assert summary["words"]["rejected"]["refuse"] == {"mean": 3, "median": 3, "min": 3, "max": 3}
    assert summary["inputs"]["questions"] == {
        "given": 150,
        "used": 40,
        "beyond the ratio, the category weights or the total": 110,
    }
    assert summary["sources"]["rejected"] == {"composer": 20, "own:m": 20}


def test_one_question_more_leaves_the_texts_of_the_others_alone():
    questions, responses = many()
    mix = Mix(ratio={"refuse": 1})
    before = {p.question_id: p for p in build_pairs(questions, responses, refused=refused, mix=mix)[0]}
    extra = photo("extra")
    after = build_pairs([extra, *questions], [*responses, said(extra, "Yes.")], refused=refused, mix=mix)[0]
    assert all(before.get(p.question_id) in (p, None) for p in after)


def test_per_question_gives_different_rejected_sides():
    question = photo("a")
    responses = [said(question, text, k) for k, text in enumerate(("One.", "Two.", "Two.", "Three."))]
    pairs, _ = build_pairs(
        [question], responses, refused=refused, mix=Mix(ratio={"refuse": 1}, per_question=9)
    )
    assert {p.rejected for p in pairs} == {"One.", "Two.", "Three."}


def test_sft_rows():
    questions, _ = many()
    rows, summary = build_sft(questions, mix=Mix(total=40), seed=1)
    assert build_sft(questions[::-1], mix=Mix(total=40), seed=1)[0] == rows
    assert Counter(r.kind for r in rows) == {"refuse": 20, "answer": 20}
    assert {r.completion for r in rows if r.kind == "answer"} == {"A dog."}
    assert summary["sources"] == {"completion": {"composer": 20, "gold": 20}}
    several, _ = build_sft(questions[:1], mix=Mix(ratio={"refuse": 1}, per_question=4))
    assert 2 <= len({r.completion for r in several}) == len(several) <= 4


def test_a_miniature_world_is_told_exactly():
    star, circle = world("s", STAR, "False_Premises"), world("c", CIRCLE, "Answerable", answers=("red",))
    rng = random.Random(0)
    text, source = honest_answer(star, rng)
    assert source == "miniworld"
    assert grade(text, SCENE, STAR).reason == "right"
    text, _ = honest_answer(circle, rng)
    assert grade(text, SCENE, CIRCLE).correct is True
    text, _ = refusal_for(circle, rng)
    assert grade(text, SCENE, CIRCLE).state == "abstain"


def test_the_judge_looks_at_the_scene():
    star, circle = world("s", STAR, "False_Premises"), world("c", CIRCLE, "Answerable", answers=("red",))
    assert judge.refused(star, "There is no star here, so I can't say.") is True
    assert judge.refused(star, "The star is red.") is False
    assert judge.refused(star, "%%% ###") is None
    assert judge.correct(circle, "The circle is red.") is True
    assert judge.correct(circle, "The circle is blue.") is False
    assert judge.refused(photo("a"), "I can't tell that from the picture.") is True
    assert judge.refused(photo("a"), "It happened on a Sunday in May.") is False
    with pytest.raises(ValueError, match="own_wrong=0"):
        judge.correct(photo("a", "Answerable"), "A cat.")


def test_composed_refusals_are_varied_and_give_the_reason():
    for category in UNANSWERABLE:
        question = photo("a", category)
        texts = {honest_answer(question, random.Random(i))[0] for i in range(200)}
        assert len(texts) > 60
        assert all("The picture does not show it." in text for text in texts)
        assert len({text.split()[0] for text in texts}) >= 5
        shown = sum("A dog on a lawn." in text for text in texts)
        assert 0.3 < shown / len(texts) < 0.95
        assert not any("It is sunny" in text for text in texts)


def test_composed_refusals_are_read_as_refusals():
    """What is trained on as a refusal must count as one in the benchmark."""
    for category in UNANSWERABLE:
        question = photo("a", category, caption=None)
        texts = {honest_answer(question, random.Random(i))[0] for i in range(100)}
        assert [text for text in texts if judge.refused(question, text) is not True] == []


def test_false_refusals_are_worded_like_true_ones():
    question = photo("a", "Answerable")
    twin = photo("t", "False_Premises")
    true = {honest_answer(twin, random.Random(i))[0] for i in range(300)}
    false = {refusal_for(question, random.Random(i), like=twin)[0] for i in range(300)}
    openings = {t.split(".")[0] for t in true} & {t.split(".")[0] for t in false}
    assert len(openings) >= 6
    mean = [sum(len(t.split()) for t in texts) / len(texts) for texts in (true, false)]
    assert abs(mean[0] - mean[1]) < 5
    with pytest.raises(ValueError, match="would be honest"):
        refusal_for(twin, random.Random(0))


def test_an_answerable_question_without_gold_answers_is_an_error():
    with pytest.raises(ValueError, match="has no gold answer"):
        honest_answer(photo("a", "Answerable", answers=()), random.Random(0))


def test_sentences():
    assert as_sentence("  a dog\n barks") == "A dog barks."
    assert as_sentence("Is it?") == "Is it?"
    assert first_sentence("A dog. It barks.") == "A dog."
    assert first_sentence("about 3.5 m of rope, e.g. hemp") == "About 3.5 m of rope, e.g. hemp."
    assert first_sentence("word " * 41) is None
