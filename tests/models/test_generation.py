"""Batched generation against one row at a time, sampling, and rows that go wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from align.miniworld.scenes import draw_image, make_scene
from align.models import generation
from align.models.generation import (
    Decoding,
    Generation,
    Request,
    generate,
    prepare,
    prompt_text,
    run,
    to_device,
)
from align.models.loading import LoadedModel, load_model
from align.models.seeded_sampling import SeededSampling

QUESTIONS = (
    "What color is the star?",
    "Is the red circle to the left of the blue square?",
    "Where is it?",
    "Please tell me how many triangles there are in the image.",
    "How big is the ring?",
)


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return load_model("tiny_vlm", device="cpu")


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    import random

    rng, folder = random.Random(0), tmp_path_factory.mktemp("scenes")
    rows = []
    for i in range(11):
        path = folder / f"{i}.png"
        draw_image(make_scene(rng)).save(path)
        rows.append(Request(QUESTIONS[i % len(QUESTIONS)], path))
    return rows


def alone(tiny: LoadedModel, request: Request, max_new_tokens: int) -> str:
    """The answer without any of our batching: one row, no padding."""
    inputs = tiny.processor(
        text=prompt_text(tiny, request.question, with_image=True),
        images=Image.open(request.image).convert("RGB"),
        return_tensors="pt",
    )
    output = tiny.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    new = output[0, inputs["input_ids"].shape[1] :]
    return tiny.processor.decode(new, skip_special_tokens=True).strip()


def test_batches_say_what_single_rows_say(tiny: LoadedModel, requests: list[Request]) -> None:
    expected = [alone(tiny, request, 16) for request in requests]
    counted: list[int] = []
    batched = generate(tiny, requests, max_new_tokens=16, batch_size=4, progress=counted.append)
    assert [g.text for g in batched] == expected
    assert len(set(expected)) > 1  # a model that says the same to everything would show nothing
    assert counted == [4, 4, 3]
    assert all(1 <= g.output_tokens <= 16 and g.error is None for g in batched)


def test_padding_is_on_the_left_and_changes_no_logits(tiny: LoadedModel, requests: list[Request]) -> None:
    prepared = prepare(tiny, requests)
    [(places, inputs, _)] = prepared.batches
    assert places == list(range(len(requests)))
    mask = inputs["attention_mask"]
    assert mask[:, -1].all()
    assert (mask.diff(dim=1) >= 0).all()  # padding, then text, never padding again
    assert len(set(mask.sum(1).tolist())) > 1
    with torch.inference_mode():
        padded = tiny.model(**to_device(tiny, inputs)).logits[:, -1]
        for place in range(len(requests)):
            [(_, single, _)] = prepare(tiny, [requests[place]]).batches
            torch.testing.assert_close(
                padded[place], tiny.model(**single).logits[0, -1], atol=2e-4, rtol=1e-4
            )


def test_an_end_token_ends_a_row_and_the_limit_truncates_it(
    tiny: LoadedModel, requests: list[Request]
) -> None:
    [cut] = generate(tiny, requests[:1], max_new_tokens=1, batch_size=1)
    assert cut.truncated
    assert cut.output_tokens == 1
    assert cut.input_tokens == int(prepare(tiny, requests[:1]).batches[0][1]["attention_mask"].sum())
    # With the first token of the answer as the end token, the row ends there.
    [(_, inputs, _)] = prepare(tiny, requests[:1]).batches
    first = int(tiny.model(**inputs).logits[0, -1].argmax())
    before = tiny.model.generation_config.eos_token_id
    tiny.model.generation_config.eos_token_id = first
    try:
        [ended] = generate(tiny, requests[:1], max_new_tokens=8, batch_size=1)
    finally:
        tiny.model.generation_config.eos_token_id = before
    assert (ended.output_tokens, ended.truncated) == (1, False)


def test_samples_hang_on_the_seed_and_not_on_the_batch(tiny: LoadedModel, requests: list[Request]) -> None:
    settings: dict[str, Any] = {"max_new_tokens": 12, "temperature": 1.5, "top_p": 0.95}
    whole = generate(tiny, requests, seed=3, batch_size=11, **settings)
    split = generate(tiny, list(reversed(requests)), seed=3, batch_size=2, **settings)
    assert [g.text for g in whole] == [g.text for g in reversed(split)]
    other = generate(tiny, requests, seed=4, batch_size=11, **settings)
    assert [g.text for g in whole] != [g.text for g in other]


def test_repeated_requests_are_samples_of_their_own(tiny: LoadedModel, requests: list[Request]) -> None:
    texts = [
        g.text for g in generate(tiny, requests[:1] * 6, max_new_tokens=12, temperature=2.0, batch_size=6)
    ]
    assert len(set(texts)) > 1
    keyed = [replace(requests[0], key=str(i)) for i in range(6)]
    assert len({g.text for g in generate(tiny, keyed, max_new_tokens=12, temperature=2.0, batch_size=6)}) > 1


def test_sampling_draws_from_the_softmax() -> None:
    rows, probabilities = 4000, torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = probabilities.log().repeat(rows, 1)
    sampler = SeededSampling(1.0, 1.0, list(range(rows)), torch.device("cpu"))
    drawn = sampler(torch.zeros(rows, 1, dtype=torch.long), logits).argmax(1).bincount(minlength=4) / rows
    assert (drawn - probabilities).abs().max() < 0.03  # four standard errors of the largest
    cut = SeededSampling(1.0, 0.75, list(range(rows)), torch.device("cpu"))
    drawn = cut(torch.zeros(rows, 1, dtype=torch.long), logits).argmax(1).bincount(minlength=4) / rows
    assert drawn[2:].sum() == 0
    assert abs(float(drawn[0]) - 0.5 / 0.8) < 0.03


def test_a_bad_image_is_its_rows_error_alone(
    tiny: LoadedModel, requests: list[Request], tmp_path: Path
) -> None:
    broken, missing = tmp_path / "broken.png", tmp_path / "missing.png"
    assert isinstance(requests[0].image, Path)
    broken.write_bytes(requests[0].image.read_bytes()[:60])
    rows = [requests[0], Request("Where is it?", broken), requests[1], Request("Where is it?", missing)]
    results = generate(tiny, rows, max_new_tokens=8, batch_size=4)
    assert [r.text is None for r in results] == [False, True, False, True]
    assert "broken.png" in (results[1].error or "")
    assert "missing.png: no such file" in (results[3].error or "")
    good = generate(tiny, requests[:2], max_new_tokens=8, batch_size=1)
    assert [results[0].text, results[2].text] == [g.text for g in good]


def test_a_row_that_the_processor_refuses_leaves_the_others(
    tiny: LoadedModel, requests: list[Request]
) -> None:
    class Picky:
        tokenizer = tiny.processor.tokenizer
        apply_chat_template = tiny.processor.apply_chat_template
        batch_decode = tiny.processor.batch_decode

        def __call__(self, text: list[str], **arguments: Any) -> Any:
            if any("impossible" in prompt for prompt in text):
                raise ValueError("absurd aspect ratio")
            return tiny.processor(text=text, **arguments)

    picky = replace(tiny, processor=Picky())
    rows = [*requests[:3], Request("impossible", requests[0].image), *requests[3:5]]
    results = generate(picky, rows, max_new_tokens=8, batch_size=6)
    assert "absurd aspect ratio" in (results.pop(3).error or "")
    assert [r.text for r in results] == [
        g.text for g in generate(tiny, requests[:5], max_new_tokens=8, batch_size=5)
    ]


def test_rows_with_and_without_an_image_share_a_call(tiny: LoadedModel, requests: list[Request]) -> None:
    rows = [Request("Where is it?"), requests[0], Request("What color is the star?")]
    together = generate(tiny, rows, max_new_tokens=8, batch_size=3)
    apart = [generate(tiny, [row], max_new_tokens=8, batch_size=1)[0] for row in rows]
    assert together == apart


def test_photographs_of_any_size_and_mode_are_read(tiny: LoadedModel, tmp_path: Path) -> None:
    rows = []
    for i, (mode, size) in enumerate(
        [("L", (640, 80)), ("RGBA", (33, 500)), ("P", (1, 1)), ("CMYK", (97, 95))]
    ):
        path = tmp_path / f"{i}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, size).save(path)
        rows.append(Request("What is it?", path))
    assert all(g.error is None for g in generate(tiny, rows, max_new_tokens=2, batch_size=4))


def test_image_bytes_are_as_good_as_a_file(tiny: LoadedModel, requests: list[Request]) -> None:
    assert isinstance(requests[0].image, Path)
    inline = replace(requests[0], image=requests[0].image.read_bytes())
    for settings in ({}, {"temperature": 1.5}):  # the row's own noise does not hang on where the image lies
        file, data = generate(tiny, [requests[0], inline], max_new_tokens=8, batch_size=2, **settings)
        assert file == data


def test_a_batch_that_does_not_fit_the_memory_is_halved(
    tiny: LoadedModel, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = generate(tiny, requests, max_new_tokens=8, batch_size=11)
    run_batch, sizes = generation._run_batch, []

    def small_memory(
        loaded: LoadedModel, inputs: Any, seeds: list[int], decoding: Decoding
    ) -> list[Generation]:
        if len(seeds) > 3:
            raise torch.OutOfMemoryError("too much")
        sizes.append(len(seeds))
        return run_batch(loaded, inputs, seeds, decoding)

    monkeypatch.setattr(generation, "_run_batch", small_memory)
    assert generate(tiny, requests, max_new_tokens=8, batch_size=11) == expected
    assert sizes == [2, 3, 3, 3]
    monkeypatch.setattr(
        generation, "_run_batch", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("never"))
    )
    with pytest.raises(torch.OutOfMemoryError):
        run(tiny, prepare(tiny, requests[:1]), Decoding(8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": 1.0, "top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 0.9}, "does nothing at temperature 0"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_impossible_settings_are_refused(tiny: LoadedModel, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(tiny, [], **{"max_new_tokens": 8, "batch_size": 2, **settings})


def test_no_request_is_no_work(tiny: LoadedModel) -> None:
    assert generate(tiny, [], max_new_tokens=8, batch_size=2) == []
