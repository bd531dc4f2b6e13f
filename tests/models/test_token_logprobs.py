"""Log-probabilities of responses against a teacher-forced forward pass over the same tokens."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model

from align.miniworld.scenes import draw_image, make_scene
from align.models import generation
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.generation import Request, generate, prepare, to_device
from align.models.loading import LoadedModel, load_model
from align.models.token_logprobs import TokenLogprobs, generate_with_logprobs

QUESTIONS = (
    "What color is the star?",
    "Is the red circle to the left of the blue square, or is there no blue square in the image at all?",
    "Where?",
    "How many triangles are there?",
)


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return load_model("tiny_vlm", device="cpu")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("adapter")
    base = load_model("tiny_vlm", device="cpu").model
    network = get_peft_model(base, lora_config(base, family_of(base), {"r": 2}))
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.05)
    network.save_pretrained(folder)
    return load_model("tiny_vlm", folder, device="cpu")


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    rng, folder = random.Random(0), tmp_path_factory.mktemp("scenes")
    rows = []
    for i, question in enumerate(QUESTIONS * 2):
        draw_image(make_scene(rng)).save(folder / f"{i}.png")
        rows.append(Request(question, folder / f"{i}.png"))
    return rows


@torch.inference_mode()
def teacher_forced(loaded: LoadedModel, request: Request, answer: torch.Tensor) -> float:
    """The answer's log-probability from one forward pass over one row without padding."""
    [(_, inputs, _)] = prepare(loaded, [request]).batches
    inputs = to_device(loaded, inputs)
    prompt = inputs.pop("input_ids")
    mask = inputs.pop("attention_mask")
    ids = torch.cat([prompt, answer[None]], 1)
    mask = torch.cat([mask, torch.ones_like(answer[None])], 1)
    logits = loaded.model(input_ids=ids, attention_mask=mask, **inputs).logits[0].double()
    logps = logits.log_softmax(-1)[prompt.shape[1] - 1 : -1]
    return float(logps.gather(-1, answer[:, None]).sum())


def answers(
    loaded: LoadedModel, requests: list[Request], monkeypatch: pytest.MonkeyPatch, **how: Any
) -> list[tuple[generation.Generation, torch.Tensor]]:
    """What `generate` gives, with the tokens that it chose."""
    kept: list[tuple[torch.Tensor, int, torch.Tensor]] = []

    def keeping(model: Any, eos: torch.Tensor, **arguments: Any) -> Any:
        sequences, logprobs = generate_with_logprobs(model, eos, **arguments)
        kept.append((sequences, arguments["input_ids"].shape[1], eos))
        return sequences, logprobs

    monkeypatch.setattr(generation, "generate_with_logprobs", keeping)
    prepared = prepare(loaded, requests, seed=1)
    results = generation.run(loaded, prepared, generation.Decoding(**how))
    found = {}
    for (places, _, _), (sequences, prompt, _) in zip(prepared.batches, kept, strict=True):
        for row, place in enumerate(places):
            found[place] = sequences[row, prompt:][: results[place].output_tokens]
    return [(results[place], found[place]) for place in range(len(requests))]


@pytest.mark.parametrize("name", ["tiny", "tuned"])
@pytest.mark.parametrize(
    "how", [{}, {"temperature": 1.3, "top_p": 0.9, "seed": 4}], ids=["greedy", "sampled"]
)
def test_the_sum_is_that_of_a_forward_pass_over_the_same_tokens(
    name: str,
    how: dict[str, Any],
    requests: list[Request],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: LoadedModel = request.getfixturevalue(name)
    rows = [*requests, Request("Where is it?")]  # padded to the longest; one has no image
    got = answers(loaded, rows, monkeypatch, max_new_tokens=6, **how)
    for asked, (said, tokens) in zip(rows, got, strict=True):
        assert said.logprob == pytest.approx(teacher_forced(loaded, asked, tokens), abs=1e-4)
    assert {said.truncated for said, _ in got} == {True, False}  # both ways to end
    ended = next(tokens for said, tokens in got if not said.truncated)
    assert ended[-1] == loaded.processor.tokenizer.eos_token_id


def test_penalties_change_the_choice_and_not_what_it_is_worth(
    tiny: LoadedModel, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = answers(tiny, requests, monkeypatch, max_new_tokens=9)
    monkeypatch.setattr(tiny.model.generation_config, "repetition_penalty", 4.0)
    penalised = answers(tiny, requests, monkeypatch, max_new_tokens=9)
    assert [said.text for said, _ in plain] != [said.text for said, _ in penalised]
    for asked, (said, tokens) in zip(requests, penalised, strict=True):
        assert said.logprob == pytest.approx(teacher_forced(tiny, asked, tokens), abs=1e-4)


def test_they_change_no_token_and_can_be_left_out(tiny: LoadedModel, requests: list[Request]) -> None:
    how: dict[str, Any] = {"max_new_tokens": 9, "temperature": 1.3, "seed": 2}
    with_them = generate(tiny, requests, batch_size=4, **how)
    prepared = prepare(tiny, requests, seed=2)
    without = generation.run(tiny, prepared, generation.Decoding(logprobs=False, **how))
    assert with_them == [without[i] for i in range(len(requests))]
    assert all(said.logprob is not None and said.logprob < 0 for said in with_them)
    assert all(said.logprob is None for said in without.values())


def test_the_model_is_left_as_it_was(tiny: LoadedModel, tmp_path: Path) -> None:
    eos = torch.tensor([0])
    with pytest.raises(RuntimeError, match="nothing was generated"), TokenLogprobs(tiny.model, eos) as sums:
        _ = sums.totals
    assert not tiny.model._forward_hooks
