"""The tiny models are fit to test with: text and image matter, and the hand-made batches are right."""

from functools import cache

import pytest
import torch
from torch import Tensor
from zoo import NAMES, Prompt, Specimen, join, specimen, with_completion

specimen = cache(specimen)


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
    prompts = [
        with_completion(prompt, ids)
        for prompt, ids in zip(tiny.prompts, ([5, 6, 7], [8], [9, 4]), strict=True)
    ]
    together = logits(tiny.model, join(prompts))
    for row, prompt in enumerate(prompts):
        alone = logits(tiny.model, prompt)[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-4, rtol=0)
