"""Tiny random models of every family, each with three prompts as the family's processor prepares them.

The tensors are made by hand: the processors of the real families need tokenizer files from the hub, and some
need torchvision. Weights are large enough for text and image to move the outputs, and nothing that a fresh
model starts at zero (gates, biases, norms about 1) stays there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    LlamaConfig,
    LlavaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    SiglipVisionConfig,
)
from transformers.models.auto.modeling_auto import AutoModelForImageTextToText

Prompt = dict[str, Tensor]

VOCABULARY = 200
PAD, BOS, EOS = 0, 1, 2
WORDS = (10, 180)  # ids of plain text, from and up to
IMAGE, IMAGE_START, IMAGE_END, VIDEO = 190, 191, 192, 193


@dataclass(frozen=True)
class Specimen:
    """A family's tiny model (float32, evaluation mode) and three prompts of one row each."""

    name: str  # `config.model_type`
    model: PreTrainedModel
    prompts: list[Prompt]


def specimen(name: str) -> Specimen:
    """The family's specimen, always with the same weights and prompts, and never the same objects twice."""
    config, prompts = _RECIPES[name]()
    return Specimen(name, _random_model(config), prompts)


def _random_model(config: PreTrainedConfig) -> PreTrainedModel:
    config._attn_implementation = "sdpa"
    model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2, generator=draw)
            else:  # norms stay near their start; gates and biases leave zero
                parameter.add_(torch.randn(parameter.shape, generator=draw), alpha=0.3)
    return model


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
        batch[name] = torch.cat([_filled(row, shape) for row in rows])
    return batch


def _filled(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Zeros behind every dimension but the first, up to `shape`."""
    missing = [size - have for size, have in zip(shape, value.shape[1:], strict=True)]
    return pad(value, [side for size in reversed(missing) for side in (0, size)])


def with_completion(prompt: Prompt, ids: Sequence[int]) -> Prompt:
    """One row, followed by the tokens of a completion, as the family sees it in training."""
    row = dict(prompt)
    count = len(ids)
    row["input_ids"] = torch.cat([row["input_ids"], torch.tensor([list(ids)])], 1)
    row["attention_mask"] = pad(row["attention_mask"], (0, count), value=1)
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in row:
            row[name] = pad(row[name], (0, count))
    return row


def _words(count: int, draw: torch.Generator) -> list[int]:
    return torch.randint(*WORDS, (count,), generator=draw).tolist()


def _text(*parts: Sequence[int]) -> Prompt:
    ids = torch.tensor([[BOS, *(token for part in parts for token in part)]])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _llava() -> tuple[PreTrainedConfig, list[Prompt]]:
    """Images of one size; the last prompt has two."""
    config = LlavaConfig(vision_config=_clip(), text_config=_llama(), image_token_index=IMAGE)
    draw, prompts = torch.Generator().manual_seed(1), []
    for before, after, images in ((2, 4, 1), (3, 9, 1), (1, 6, 2)):
        parts = [(_words(before, draw), [IMAGE] * 16) for _ in range(images)]
        text = _text(*(part for pair in parts for part in pair), _words(after, draw))
        prompts.append(text | {"pixel_values": torch.randn(images, 3, 32, 32, generator=draw)})
    return config, prompts


def _gemma3() -> tuple[PreTrainedConfig, list[Prompt]]:
    """A window shorter than a prompt's text, and than an image; the last prompt has two images."""
    text = {
        **_SMALL,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "sliding_window": 12,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "num_hidden_layers": 3,
    }
    config = Gemma3Config(
        text_config=text,
        vision_config=_siglip(patch_size=4).to_dict(),
        mm_tokens_per_image=16,
        image_token_index=IMAGE,
        boi_token_index=IMAGE_START,
        eoi_token_index=IMAGE_END,
    )
    draw, prompts = torch.Generator().manual_seed(1), []
    for before, after, images in ((2, 5, 1), (3, 20, 1), (4, 9, 2)):
        parts = [(_words(before, draw), [IMAGE_START, *[IMAGE] * 16, IMAGE_END]) for _ in range(images)]
        row = _text(*(part for pair in parts for part in pair), _words(after, draw))
        row["token_type_ids"] = (row["input_ids"] == IMAGE).long()
        prompts.append(row | {"pixel_values": torch.randn(images, 3, 32, 32, generator=draw)})
    return config, prompts


def _qwen2_5_vl() -> tuple[PreTrainedConfig, list[Prompt]]:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 4,
        "patch_size": 4,
        "window_size": 16,
        "fullatt_block_indexes": [1],
    }
    text = {**_SMALL, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1]}}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_QWEN_TOKENS)
    return config, _qwen_prompts(patch=4)


def _qwen_prompts(patch: int) -> list[Prompt]:
    """Images of different sizes in patches of 2 frames, merged 2 x 2; the last prompt has two."""
    draw, prompts = torch.Generator().manual_seed(1), []
    for before, after, grids in ((2, 4, [(4, 6)]), (3, 11, [(8, 4)]), (1, 6, [(6, 10), (4, 4)])):
        parts = []
        for height, width in grids:
            parts += [
                _words(before, draw),
                [IMAGE_START, *[IMAGE] * (height * width // 4), IMAGE_END],
            ]
        row = _text(*parts, _words(after, draw))
        row["mm_token_type_ids"] = (row["input_ids"] == IMAGE).long()
        patches = sum(height * width for height, width in grids)
        row["pixel_values"] = torch.randn(patches, 3 * 2 * patch * patch, generator=draw)
        row["image_grid_thw"] = torch.tensor([(1, *grid) for grid in grids])
        prompts.append(row)
    return prompts


_SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": PAD,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
}
_QWEN_TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": IMAGE_START,
    "vision_end_token_id": IMAGE_END,
}


def _llama() -> LlamaConfig:
    return LlamaConfig(**_SMALL)


_SMALL_VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
}


def _clip() -> CLIPVisionConfig:
    return CLIPVisionConfig(**_SMALL_VISION, patch_size=8)


def _siglip(patch_size: int) -> SiglipVisionConfig:
    return SiglipVisionConfig(**_SMALL_VISION, patch_size=patch_size, vision_use_head=False)


_RECIPES: dict[str, Callable[[], tuple[PreTrainedConfig, list[Prompt]]]] = {
    "llava": _llava,
    "qwen2_5_vl": _qwen2_5_vl,
    "gemma3": _gemma3,
}
NAMES = tuple(_RECIPES)
