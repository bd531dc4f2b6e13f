import random

import pytest
import torch
from torch.nn.functional import log_softmax

from align.miniworld.architecture import build_model, build_processor, build_tokenizer
from align.miniworld.patches import PatchHeads, patch_batch
from align.miniworld.pretraining import (
    IGNORED,
    PretrainingStream,
    image_features,
    pack,
    pixels,
    row_accuracy,
    target_logits,
)
from align.miniworld.pretraining_rows import pretraining_rows
from align.miniworld.scenes import draw, draw_image, make_scene


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    tokenizer = build_tokenizer(scenes=300)
    return build_model(tokenizer, hidden=64, layers=2, tower=32).eval(), build_processor(tokenizer)


@pytest.fixture(scope="module")
def packed(tiny):
    rng = random.Random(0)
    scenes = [make_scene(rng) for _ in range(3)]
    rows = [pretraining_rows(scene, rng, count=4, inventions=0.2, requests=0.2) for scene in scenes]
    return scenes, rows, pack(scenes, rows, tiny[1].tokenizer)


def test_packed_rows_equal_separate_sequences(tiny, packed):
    """A row in a packed sequence has the logits of an ordinary prompt with its answer."""
    model, processor = tiny
    scenes, rows, batch = packed
    with torch.no_grad():
        logits, labels = target_logits(model, batch)
        mine = iter(log_softmax(logits, -1).gather(1, labels[:, None])[:, 0].split([1] * len(labels)))
        for scene, scene_rows in zip(scenes, rows, strict=True):
            for row in scene_rows:
                messages = [
                    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": row.question}]},
                    {"role": "assistant", "content": row.answer},
                ]
                prompt = processor.apply_chat_template(messages[:1], add_generation_prompt=True)
                text = processor.apply_chat_template(messages)
                assert text.startswith(prompt)
                inputs = processor(images=[draw_image(scene)], text=[text], return_tensors="pt")
                start = processor(
                    images=[draw_image(scene)], text=[prompt], return_tensors="pt"
                ).input_ids.shape[1]
                logps = log_softmax(model(**inputs).logits[0, start - 1 : -1].float(), -1)
                expected = logps.gather(1, inputs.input_ids[0, start:, None])[:, 0]
                got = torch.cat([next(mine) for _ in expected])
                torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    assert next(mine, None) is None


def test_pixels_equal_the_image_processor(tiny, packed):
    scenes = packed[0]
    expected = (
        tiny[1].image_processor(images=[draw_image(s) for s in scenes], return_tensors="pt").pixel_values
    )
    torch.testing.assert_close(pixels([draw(scene) for scene in scenes]), expected, atol=1e-5, rtol=0)


def test_row_accuracy_counts_whole_rows(tiny, packed, monkeypatch):
    model, batch = tiny[0], packed[2]
    labels = batch.labels[batch.labels != IGNORED]
    perfect = torch.nn.functional.one_hot(labels, model.config.text_config.vocab_size).float()
    monkeypatch.setattr("align.miniworld.pretraining.target_logits", lambda *_: (perfect, labels))
    assert set(row_accuracy(model, [batch]).values()) == {1.0}
    spoiled = perfect.clone()
    spoiled[0] = spoiled[0].roll(1)  # one wrong token spoils the first row, and no other
    monkeypatch.setattr("align.miniworld.pretraining.target_logits", lambda *_: (spoiled, labels))
    group = batch.groups[0][0]
    of_group = sum(name == group for names in batch.groups for name in names)
    assert row_accuracy(model, [batch])[group] == pytest.approx(1 - 1 / of_group)


def test_stream_depends_on_its_seed_only(tiny):
    def first(seed):
        return next(
            iter(
                PretrainingStream(
                    tiny[1].tokenizer, scenes=2, rows=3, inventions=0.1, requests=0.2, seed=seed
                )
            )
        )

    assert torch.equal(first(1).input_ids, first(1).input_ids)
    assert not torch.equal(first(1).pixel_values, first(2).pixel_values)


def test_patch_heads_learn_from_scratch(tiny):
    torch.manual_seed(0)
    model = build_model(tiny[1].tokenizer, hidden=64, layers=1, tower=32)
    heads = PatchHeads(64)
    rng = random.Random(0)
    images, labels = patch_batch(rng, 16)
    optimizer = torch.optim.AdamW([*model.parameters(), *heads.parameters()], lr=3e-3)
    losses = []
    for _ in range(40):
        loss, _ = heads(image_features(model, pixels(images)), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
