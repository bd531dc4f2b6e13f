"""The tiny models are fit to test with: text and image matter, and the hand-made batches are right."""

from functools import cache

import pytest
import torch
from torch import Tensor
from zoo import NAMES, Prompt, Specimen, join, with_completion
from zoo import specimen as unshared

from align.models.families import FAMILIES

specimen = cache(unshared)


@torch.no_grad()
def logits(model: torch.nn.Module, prompt: Prompt) -> Tensor:
    return model(**prompt, use_cache=False).logits


@pytest.fixture(params=NAMES)
def tiny(request: pytest.FixtureRequest) -> Specimen:
    return specimen(request.param)


def test_prompts_have_different_lengths(tiny: Specimen) -> None:
    lengths = {prompt["input_ids"].shape[1] for prompt in tiny.prompts}
    assert len(lengths) == len(tiny.prompts) == 3
    assert tiny.model.config.model_type == tiny.name


@pytest.mark.parametrize("row", range(3))
def test_every_image_moves_the_logits_behind_it(tiny: Specimen, row: int) -> None:
    prompt = tiny.prompts[row]
    before = logits(tiny.model, prompt)
    after = logits(tiny.model, prompt | {"pixel_values": prompt["pixel_values"].flip(-1)})
    assert (before - after)[0, -1].abs().max() > 0.05
    assert before.std() > 0.3


def test_a_row_of_a_batch_gives_what_the_row_alone_gives(tiny: Specimen) -> None:
    answers = ([5, 6, 7], [8], [9, 4])
    rows = [with_completion(prompt, ids) for prompt, ids in zip(tiny.prompts, answers, strict=True)]
    together = logits(tiny.model, join(rows))
    for number, row in enumerate(rows):
        alone = logits(tiny.model, row)[0]
        torch.testing.assert_close(together[number, : len(alone)], alone, atol=1e-4, rtol=0)


def test_a_completion_leaves_its_prompt_as_it_was(tiny: Specimen) -> None:
    prompt = tiny.prompts[1]
    length = prompt["input_ids"].shape[1]
    longer = logits(tiny.model, with_completion(prompt, [5, 6, 7]))
    torch.testing.assert_close(longer[:, :length], logits(tiny.model, prompt), atol=1e-4, rtol=0)


def test_every_family_of_the_table_has_a_specimen() -> None:
    assert set(NAMES) == set(FAMILIES)


@pytest.mark.parametrize("name", ["mllama", "qwen3_5"])  # zero gates, and parameters drawn by the family
def test_a_specimen_is_the_same_each_time_and_nothing_of_it_is_zero(name: str) -> None:
    first = unshared(name)
    torch.rand(1)  # whoever draws in between must not matter
    again = unshared(name)
    for (key, weight), other in zip(first.model.named_parameters(), again.model.parameters(), strict=True):
        assert torch.equal(weight, other), key
        assert weight.count_nonzero() == weight.numel(), key
    assert all(torch.equal(a[k], b[k]) for a, b in zip(first.prompts, again.prompts, strict=True) for k in a)


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "gemma3", "paligemma"])
def test_marks_of_tokens_move_the_logits(name: str) -> None:
    tiny = specimen(name)
    prompt = tiny.prompts[1]
    [(mark, value)] = [(key, value) for key, value in prompt.items() if key.endswith("token_type_ids")]
    none = torch.zeros_like(value) if value.any() else torch.ones_like(value)
    assert (logits(tiny.model, prompt) - logits(tiny.model, prompt | {mark: none})).abs().max() > 0.05
