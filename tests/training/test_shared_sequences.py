"""Completions behind one prompt get what they get in sequences of their own, in every family."""

from functools import cache

import pytest
import torch
from torch import Tensor
from zoo import NAMES, Prompt, Specimen, join, specimen, with_completion

from align.training.attention import PROVEN, why_not_shared
from align.training.collating import COMPLETION_TYPES
from align.training.completions import completion_logps
from align.training.sequences import build_sequences

specimen = cache(specimen)

ANSWERS = [
    [[11, 12, 13, 14, 15, 16, 17], [21, 22]],
    [[31], [32, 33, 34, 35, 36]],
    [[41, 42, 43], [41, 42, 44, 45]],
]
WEIGHTS = torch.tensor([1.0, -0.7, 0.4, 1.3, -0.5, 0.9])  # so that no two completions can be mixed up
SHARING = [name for name in NAMES if not name.startswith("qwen3_5")]


def alone(model: torch.nn.Module, prompt: Prompt, answer: list[int]) -> Tensor:
    """The log-prob of one answer, from the logits of a sequence with nothing else in it."""
    logits = model(**with_completion(prompt, answer), use_cache=False).logits[0]
    start = prompt["input_ids"].shape[1]
    logps = logits[start - 1 : start - 1 + len(answer)].float().log_softmax(-1)
    return logps.gather(1, torch.tensor(answer)[:, None]).sum()


def together(tiny: Specimen, *, shared: bool = True, pack: bool = False) -> tuple[Tensor, Tensor]:
    prompts, answers = tiny.prompts, ANSWERS
    if not shared:
        prompts = [prompt for prompt in prompts for _ in range(2)]
        answers = [[answer] for both in answers for answer in both]
    batch = build_sequences(join(prompts), answers, pad=0, completion_types=COMPLETION_TYPES.get(tiny.name))
    return completion_logps(tiny.model, batch, bare=tiny.model, shared=shared, pack=pack)


def gradients(model: torch.nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", SHARING)
def test_log_probs_and_gradients_equal_those_of_sequences_of_their_own(name: str) -> None:
    tiny = specimen(name)
    assert why_not_shared(tiny.model) is None
    apart = torch.stack(
        [alone(tiny.model, p, a) for p, both in zip(tiny.prompts, ANSWERS, strict=True) for a in both]
    )
    expected = gradients(tiny.model, (WEIGHTS * apart).sum())
    shared, counts = together(tiny)
    assert counts.tolist() == [7, 2, 1, 5, 3, 4]
    torch.testing.assert_close(shared, apart, atol=1e-4, rtol=0)
    found = gradients(tiny.model, (WEIGHTS * shared).sum())
    assert found.keys() == expected.keys()
    assert len(found) > 20
    whole = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    for parameter, gradient in expected.items():
        # Some gradients, as of a key's bias, are nothing but rounding.
        error = (found[parameter] - gradient).norm() / torch.maximum(gradient.norm(), 1e-3 * whole)
        assert error < 1e-4, f"{parameter}: relative error {error:.1e}"


def test_only_families_that_are_proven_here_share() -> None:
    assert {specimen(name).model.config.model_type for name in SHARING} == PROVEN
    model = specimen("llava").model
    known = model.config.model_type
    try:
        model.config.model_type = "one_that_came_later"
        assert "not been proven for the family one_that_came_later" in (why_not_shared(model) or "")
    finally:
        model.config.model_type = known


@pytest.mark.parametrize("name", [name for name in SHARING if name != "mllama"])
def test_rows_packed_into_one_give_the_same(name: str) -> None:
    tiny = specimen(name)
    with torch.no_grad():
        torch.testing.assert_close(together(tiny, pack=True)[0], together(tiny)[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_separate_rows_give_the_same(name: str) -> None:
    tiny = specimen(name)
    with torch.no_grad():
        apart = [alone(tiny.model, p, a) for p, both in zip(tiny.prompts, ANSWERS, strict=True) for a in both]
        torch.testing.assert_close(together(tiny, shared=False)[0], torch.stack(apart), atol=1e-4, rtol=0)
