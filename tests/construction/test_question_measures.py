"""Measures against arithmetic done by hand or by another way; nothing failed becomes a figure."""

import json
from itertools import combinations

import numpy as np
import pytest
import sacrebleu

from align.construction.measure import ALL, Settings, groups_of, measure, told_from_twins
from align.construction.self_bleu import self_bleu
from align.construction.similarity import Embedded, TfIdf, embed_locally, mean_cosine
from align.records import Question

TEXTS = [
    "Who left the red cup on the table?",
    "Who left the red cup on the table?",
    "What is the old man's dog, a poodle, looking at?",
    "Why?",
    "Is it?",
    "Which of the two is the one that the the the man wants most of all, in 3.5 years?",
    "Who left the blue cup on the other side of the table near the door?",
]


@pytest.mark.parametrize(
    ("n", "smoothing"), [(4, "exp"), (2, "exp"), (4, "none"), (4, "floor"), (3, "add-k")]
)
def test_self_bleu_is_sacrebleus_sentence_bleu_against_all_others(n, smoothing):
    metric = sacrebleu.BLEU(max_ngram_order=n, smooth_method=smoothing, effective_order=True)
    for texts in (TEXTS, TEXTS[2:], TEXTS[:2], TEXTS[4:6]):
        scores = [
            metric.sentence_score(text, texts[:i] + texts[i + 1 :]).score for i, text in enumerate(texts)
        ]
        assert self_bleu(texts, n=n, smoothing=smoothing) == pytest.approx(np.mean(scores), abs=1e-9)


def test_self_bleu_of_too_few_or_wrongly_set():
    assert self_bleu([]) is None
    assert self_bleu(TEXTS[:1]) is None
    assert self_bleu(TEXTS[:2]) == pytest.approx(100)
    with pytest.raises(ValueError, match="smoothing"):
        self_bleu(TEXTS, smoothing="some")
    with pytest.raises(ValueError, match="must be 1 or more"):
        self_bleu(TEXTS, n=0)


def cosine_of_pairs(rows):
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.mean([one @ other for one, other in combinations(rows, 2)])


def test_mean_cosine_is_that_of_all_pairs():
    rows = np.random.default_rng(0).normal(size=(9, 5)) * np.arange(1, 10)[:, None]
    assert mean_cosine(rows) == pytest.approx(cosine_of_pairs(rows))
    assert mean_cosine(rows[:1]) is None
    found = TfIdf(TEXTS)
    dense = found.vectorizer.transform(TEXTS).toarray()
    assert found.similarity(TEXTS) == pytest.approx(cosine_of_pairs(dense))
    assert found.similarity(TEXTS[:2]) == pytest.approx(1)
    with pytest.raises(ValueError, match="without a word"):
        found.similarity(["?!", TEXTS[0]])


def question(id, text, category="False_Premises", image="a.jpg", **more):
    answers = ("red",) if category == "Answerable" else ()
    return Question(id=id, image=image, question=text, category=category, answers=answers, source="t", **more)


QUESTIONS = [
    question("1", "Who is riding the blue horse over there?"),
    question("2", "What is the small lion on the roof eating?"),
    question("3", "Is it nice?", "Subjective_or_Philosophical"),
    question("4", "What color is the roof of the house?", "Answerable"),
]


def test_groups_and_their_figures():
    assert {name: len(group) for name, group in groups_of(QUESTIONS).items()} == {
        ALL: 3,
        "False_Premises": 2,
        "Subjective_or_Philosophical": 1,
        "Answerable": 1,
    }
    found = measure(QUESTIONS, Settings(), TfIdf([q.question for q in QUESTIONS]))
    assert found[ALL]["words"] == {"mean": 6.67, "sd": 2.62, "median": 8, "min": 3, "max": 9}
    assert found["False_Premises"]["words"]["mean"] == 8.5
    assert found["Answerable"]["self_bleu"] is None
    assert found["Answerable"]["similarity"] is None
    assert "moderation" not in found[ALL]
    assert found[ALL]["openings"]["distinct"] == 3


def test_what_was_not_moderated_or_embedded_is_in_no_figure():
    flagged = {QUESTIONS[0].question: True, QUESTIONS[2].question: False}
    vectors = {QUESTIONS[0].question: np.array([1.0, 0.0]), QUESTIONS[2].question: np.array([1.0, 1.0])}
    found = measure(
        QUESTIONS, Settings(), Embedded("m", vectors, {QUESTIONS[1].question: "status 500"}), flagged
    )
    assert found[ALL]["moderation"] == {"blocked": 1, "moderated": 2, "failed": 1, "percent": 50.0}
    assert found["Answerable"]["moderation"]["percent"] is None
    assert found[ALL]["similarity"] == pytest.approx(0.707)
    assert found["Answerable"]["similarity"] is None


def test_a_sample_is_drawn_with_the_seed():
    questions = [
        question(str(n), f"Who is riding the horse number {n} over the hill {n % 7}?") for n in range(60)
    ]
    similarity = TfIdf([q.question for q in questions])

    def figure(**settings):
        entry = measure(questions, Settings(**settings), similarity)[ALL]
        return entry["self_bleu"], entry["self_bleu_of"]

    assert figure()[1] == 60
    assert figure(sample=20) == figure(sample=20)
    assert figure(sample=20)[1] == 20
    assert figure(sample=20)[0] < figure()[0]  # fewer references
    with pytest.raises(ValueError, match="sample"):
        Settings(sample=1)


def pairs(text, twin, count=40):
    return [
        (
            question(f"{n}", text.format(n % 13), image=f"{n % 10}.jpg", twin=f"{n}t"),
            question(f"{n}t", twin.format(n % 13), "Answerable", image=f"{n % 10}.jpg", twin=f"{n}"),
        )
        for n in range(count)
    ]


def test_wording_that_tells_twins_apart_is_found():
    told = told_from_twins(pairs("Why is thing {} so odd?", "What color is thing {}?"))
    assert told == {"share": 1.0, "pairs": 40}
    same = told_from_twins(pairs("What color is thing {}?", "What color is thing {}?"))
    assert same == {"share": 0.5, "pairs": 40}
    assert told_from_twins(pairs("a {}", "b {}", 19)) is None
    assert (
        told_from_twins([(q.model_copy(update={"image": "a.jpg"}), t) for q, t in pairs("a {}", "b {}")])
        is None
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT of a few thousand parameters, in the form of sentence-transformers."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "left", "the", "cup", "dog", "?"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=16).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("mode", [None, "mean_tokens", "cls_token"])
def test_a_local_model_embeds_a_text_the_same_in_any_batch(encoder, mode):
    import torch
    from transformers import AutoModel, AutoTokenizer

    pooling = encoder / "1_Pooling" / "config.json"
    pooling.parent.mkdir(exist_ok=True)
    pooling.unlink(missing_ok=True)
    if mode:
        pooling.write_text(json.dumps({"word_embedding_dimension": 16, f"pooling_mode_{mode}": True}))
    texts = ["who left the cup ?", "the dog", "who ? the dog left the cup"]
    embedded = embed_locally(encoder, [*texts, texts[0]], batch=2)
    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()
    for text in texts:
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected = hidden[0] if mode == "cls_token" else hidden.mean(0)
        assert embedded.vectors[text] == pytest.approx(expected.numpy(), abs=1e-5)
    assert len(embedded.vectors) == 3


def test_a_model_that_would_be_read_wrongly_is_refused(encoder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder with a model"):
        embed_locally(tmp_path, ["the dog"])
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(ValueError, match="pooling_mode_max_tokens is not supported"):
        embed_locally(tmp_path, ["the dog"])
    (tmp_path / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    with pytest.raises(ValueError, match="layer Dense"):
        embed_locally(tmp_path, ["the dog"])
