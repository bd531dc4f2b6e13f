"""What is put together without a teacher: statements from questions, answers, and refusals of photographs."""

import random
from collections import Counter
from pathlib import Path

import pytest

from align.data.answer_sentences import answer_sentence
from align.data.compose import compose_answer, compose_refusal, honest_answer
from align.data.mix import rng_for
from align.data.mohobench import read_mohobench
from align.data.openings import diversity
from align.data.refusal_wording import CLOSINGS, JOINED, OPENINGS
from align.data.writing_summary import chance_longer
from align.judging.matching import matches
from align.judging.rules import judge_refusal
from align.records import UNANSWERABLE, Question

FILE = Path(__file__).parents[2] / "samples" / "photos" / "mohobench.json"


@pytest.fixture(scope="module")
def photos():
    return read_mohobench(FILE).questions


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("What color is the bus?", "red and white", "The bus is red and white"),
        ("What color are the man's shoes?", "Black", "The man's shoes are black"),
        (
            "What color is the saucer that the cup stands on?",
            "red",
            "The saucer that the cup stands on is red",
        ),
        ("What color are the roofs, green or purple?", "green", "The roofs are green"),
        ("What shape is the sign?", "octagon", "The shape of the sign is octagon"),
        ("What shape does the field have?", "round", "The shape of the field is round"),
        ("What material is the table made of?", "wood", "The table is made of wood"),
        ("How many giraffes are there?", "2", "There are 2 giraffes"),
        ("How many people are there in the picture?", "1", "The number of people in the picture is 1"),
        ("How many coins lie in the top row?", "six", "Six coins lie in the top row"),
        ("How many cats can be seen here?", "one", "The number of cats that can be seen here is one"),
        ("How many legs does the tripod have?", "three", "The tripod has three legs"),
        ("Is there a dog in the image?", "no", "No, there is no dog in the image"),
        ("Are there any clouds?", "yes", "Yes, there are some clouds"),
        ("Is the wall white or black?", "black", "The wall is black"),
        ("Are the coins lighter or darker than the cloth?", "darker", "The coins are darker than the cloth"),
        ("Is this in color or in black and white?", "black and white", "This is in black and white"),
        ("Is the pool filled with sand or with water?", "water", "The pool is filled with water"),
        ("Is the bird above or below the branch?", "below", "The bird is below the branch"),
        ("Where is the cat sitting?", "on the couch", "The cat is sitting on the couch"),
        ("What is the woman doing?", "walking the dog", "The woman is walking the dog"),
        ("What are the people riding?", "horses", "The people are riding horses"),
        ("Which coin is larger, the first one or the last one?", "last", "The last one is larger"),
        ("What is behind it, dark leaves or a wall?", "leaves", "Behind it, the picture shows dark leaves"),
        ("What covers the ground?", "gravel", "Gravel covers the ground"),
        ("In this image, what color is the sky?", "blue", "The sky is blue"),
    ],
)
def test_questions_become_statements(question, answer, sentence):
    assert answer_sentence(question, answer) == sentence


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the camera mounted on?", "tripod"),  # would need an article
        ("What is the man holding?", "racket"),
        ("What color is the wall painted?", "blue"),  # ends with a participle that belongs to `is`
        ("What color is in the background?", "red"),
        ("Is the dog on the left or the right?", "left"),
        ("Is its edge a deeper or a paler orange?", "deeper"),
        ("What time is it?", "10:10"),
        ("Does the smear run up or down?", "up"),
        ("Is the rocket standing, or has it taken off?", "standing"),
        ("What about it?", "a dog"),
        ("Is the man happy?", "yes"),
        ("How many people is he facing?", "two"),
    ],
)
def test_a_question_whose_words_can_not_be_told_apart_is_left_alone(question, answer):
    assert answer_sentence(question, answer) is None


def test_answers_to_photographs_are_sentences_with_the_gold_answer_and_vary(photos):
    texts = []
    for question in (q for q in photos if q.answerable):
        for seed in range(3):
            text = compose_answer(question, rng_for(seed, question.id))
            texts.append(text)
            assert question.answers[0].lower() in text.lower()
            assert matches(text, question.answers), text
            assert judge_refusal(text, question.question).refused is False, text
            assert text[0].isupper() or text[0].isdigit()
            assert len(text.split()) >= 4
    assert diversity(texts)["top_share"] < 0.08


def test_most_photograph_questions_become_statements_and_the_others_keep_the_bare_gold_answer(photos):
    sources = Counter(honest_answer(q, rng_for(0, q.id))[1] for q in photos if q.answerable)
    assert sources["composer"] >= 45
    assert sources["composer"] + sources["gold"] == 84
    tripod = next(q for q in photos if q.id == "camera-cd-1-twin")
    assert honest_answer(tripod, rng_for(0, "")) == ("Tripod.", "gold")


def test_refusals_of_photographs_read_as_refusals_and_begin_in_many_ways(photos):
    unanswerable = [q for q in photos if not q.answerable]
    plain = [honest_answer(q, rng_for(0, q.id))[0] for q in unanswerable]
    joined = [compose_refusal(q, rng_for(0, q.id), joined=True) for q in unanswerable]

    def read(texts):
        pairs = zip(unanswerable, texts, strict=True)
        return sum(judge_refusal(text, q.question).refused is True for q, text in pairs) / len(texts)

    # It was 88 % with the first wording. The rest hangs on reasons such as `many could be meant`.
    assert read(plain) >= 0.94
    assert read(joined) >= 0.98
    for texts in (plain, joined):
        assert diversity(texts)["top_share"] <= 0.06
        assert diversity(texts)["distinct"] >= 70
    assert all(q.reason in text for q, text in zip(unanswerable, plain, strict=True))


def test_length_does_not_tell_refusals_from_answers(photos):
    refusals, answers = [], []
    for question in photos:
        for seed in range(5):
            rng = rng_for(seed, question.id)
            if question.answerable:
                answers.append(compose_answer(question, rng))
            else:
                refusals.append(compose_refusal(question, rng, joined=True))
    assert abs(chance_longer(refusals, answers) - 0.5) < 0.06


def test_every_phrase_reads_as_a_refusal_whatever_stands_beside_it():
    for category in UNANSWERABLE:
        beside = (
            "{} It is shown at one moment.",
            "A dog lies there. {}",
            "{} A dog lies there, and it barks.",
        )
        texts = [form.format(text) for text in OPENINGS[category] for form in beside]
        reason = "many of them could be meant, or something that looks like them."
        texts += [text.format(reason=reason) for text in JOINED[category]]
        texts += [f"I can't tell. {text}" for text in CLOSINGS[category]]
        assert [text for text in texts if judge_refusal(text, "What about it?").refused is not True] == []


def test_a_reason_inside_a_sentence_loses_its_capital_unless_that_is_a_names():
    def drawn(reason):
        question = Question(
            id="q",
            image="q.jpg",
            question="Is the short one left?",
            category="Vague_Description",
            source="t",
            reason=reason,
        )
        return [compose_refusal(question, random.Random(n), joined=True) for n in range(60)]

    assert any(", because two of them fit." in text for text in drawn("Two of them fit."))
    assert any(" short ones abound." in text for text in drawn("Short ones abound."))
    assert all("Tom and Ann fit." in text for text in drawn("Tom and Ann fit."))
    assert all("Two fit. Three do not." in text for text in drawn("Two fit. Three do not."))


def test_a_caption_that_reads_as_a_refusal_or_denies_the_answer_is_left_out():
    question = Question(
        id="q",
        image="q.jpg",
        question="What color is the wall?",
        category="Answerable",
        source="t",
        answers=("gray",),
        caption="A clock whose hands cannot be read, and whose numerals one does not",
    )
    for n in range(60):
        text = compose_answer(question, random.Random(n))
        assert judge_refusal(text, question.question).refused is False
        assert matches(text, ("gray",))


def test_yes_and_no_begin_their_answers():
    for gold in ("yes", "no"):
        question = Question(
            id="q",
            image="q.jpg",
            question="Is the man happy?",
            category="Answerable",
            source="t",
            answers=(gold,),
            caption="A man smiles.",
        )
        for n in range(40):
            text = compose_answer(question, random.Random(n))
            assert matches(text, (gold,))
            assert judge_refusal(text, question.question).refused is False
