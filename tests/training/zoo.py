"""Tiny random models of every family, each with three prompts as the family's processor prepares them.

Weights are large enough for text and image to move the outputs, and nothing that a fresh model starts at zero
(gates, biases, position embeddings) stays there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel
from zoo_recipes import BOS, EOS, IMAGE, PAD, RECIPES, VOCABULARY, Prompt, filled

__all__ = [
    "BOS",
    "EOS",
    "IMAGE",
    "NAMES",
    "PAD",
    "VOCABULARY",
    "Prompt",
    "Specimen",
    "join",
    "specimen",
    "with_completion",
]

NAMES = tuple(RECIPES)


@dataclass(frozen=True)
class Specimen:
    """A family's tiny model (float32, evaluation mode) and three prompts of one row each."""

    name: str  # `config.model_type`
    model: PreTrainedModel
    prompts: list[Prompt]


def specimen(name: str) -> Specimen:
    """The family's specimen, always with the same weights and prompts, and never the same objects twice."""
    config, prompts = RECIPES[name]()
    return Specimen(name, _random_model(config), prompts)


def _random_model(config: PreTrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)  # some one-dimensional parameters keep what the family draws for them
        model = AutoModelForImageTextToText.from_config(
            config, dtype=torch.float32, attn_implementation="sdpa"
        )
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
            else:  # norms stay near their start; gates and biases leave zero
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model.eval()


def join(prompts: Sequence[Prompt]) -> Prompt:
    """Prompts of one family as one batch, as its processor pads it with `padding_side="right"`.

    Texts and marks of tokens are padded on the right, tiles and images of a row behind its own. Tensors
    without a dimension for the row (patches, sizes, grids) follow each other, which is the same rule: every
    dimension but the first is filled up with zeros.
    """
    batch = {}
    for name, first in prompts[0].items():
        rows = [prompt[name] for prompt in prompts]
        shape = [max(row.shape[axis] for row in rows) for axis in range(1, first.ndim)]
        if name == "cross_attention_mask":  # an image is open to all that follows, padding too
            rows = [_repeated(row, shape[0] - row.shape[1]) for row in rows]
        batch[name] = torch.cat([filled(row, shape) for row in rows])
    return batch


def _repeated(mask: Tensor, count: int) -> Tensor:
    """The last token's row of a mask `[1, T, images, tiles]` for `count` more tokens."""
    return torch.cat([mask, mask[:, -1:].expand(-1, count, -1, -1)], 1)


def with_completion(prompt: Prompt, ids: Sequence[int]) -> Prompt:
    """One row, followed by the tokens of a completion, as the family sees it in training."""
    row, count = dict(prompt), len(ids)
    row["input_ids"] = torch.cat([prompt["input_ids"], torch.tensor([list(ids)])], 1)
    row["attention_mask"] = pad(prompt["attention_mask"], (0, count), value=1)
    if "mm_token_type_ids" in row:
        row["mm_token_type_ids"] = pad(row["mm_token_type_ids"], (0, count))
    if "token_type_ids" in row:  # Gemma 3 marks images with 1, PaliGemma what it has to write
        marks_images = bool(row["token_type_ids"][prompt["input_ids"] == IMAGE].all())
        row["token_type_ids"] = pad(row["token_type_ids"], (0, count), value=0 if marks_images else 1)
    if "cross_attention_mask" in row:
        row["cross_attention_mask"] = _repeated(row["cross_attention_mask"], count)
    return row
