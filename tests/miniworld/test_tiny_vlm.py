"""The shipped model is what the demo needs: it answers well, and it never declines unasked."""

import random
from collections import Counter

import pytest
import torch

from align import miniworld
from align.miniworld.dataset import make_twins
from align.miniworld.grader import grade
from align.miniworld.questions import phrase
from align.miniworld.scenes import draw_image
from align.models.generation import Request, generate
from align.models.loading import load_model
from align.records import UNANSWERABLE


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny_vlm", device="cpu")


def test_it_is_an_ordinary_llava_of_at_most_ten_megabytes(tiny):
    assert type(tiny.model).__name__ == "LlavaForConditionalGeneration"
    assert type(tiny.processor).__name__ == "LlavaProcessor"
    assert {p.dtype for p in tiny.model.parameters()} == {torch.float32}
    assert sum(f.stat().st_size for f in miniworld.TINY_VLM.glob("*.safetensors")) <= 10 * 2**20


def test_it_answers_what_the_scene_shows_and_invents_the_rest(tiny, tmp_path):
    rng = random.Random("unseen by any split")
    cases = [case for c in UNANSWERABLE for _ in range(30) for case in make_twins(c, rng)]
    requests = []
    for index, (scene, query) in enumerate(cases):
        path = tmp_path / f"{index}.png"
        draw_image(scene).save(path)
        requests.append(Request(question=phrase(query, rng), image=path))
    results = generate(tiny, requests, max_new_tokens=32, batch_size=64)
    states, right, answerable = Counter(), 0, 0
    for (scene, query), result in zip(cases, results, strict=True):
        assert result.error is None
        grade_ = grade(result.text, scene, query)
        states[grade_.state] += 1
        answerable += grade_.correct is not None
        right += bool(grade_.correct)
    assert states["abstain"] <= 0.02 * len(cases)
    assert states["unparsed"] <= 0.01 * len(cases)
    assert answerable >= 110
    assert right >= 0.9 * answerable
