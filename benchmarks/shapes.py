"""Model shapes with random weights, and preference pairs of random tokens and noise.

A shape is the configuration of a real model, or a small one of the same family. Nothing is downloaded: what a
step costs depends on sizes, not on what the weights know.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2_5_VLConfig,
)

from align.training.sequences import SequenceBatch, build_sequences

PAD = 0
WORDS = (10, 400)  # ids of plain text, from and up to; no special token of any shape lies there
Prompt = dict[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """What to build: `config` takes the number of image tokens, and `prompt` makes one row's tensors."""

    config: Callable[[int], PreTrainedConfig]
    prompt: Callable[[PreTrainedConfig, int, list[int], torch.Generator], Prompt]
    image_tokens: int  # unless others are asked for


@dataclass(frozen=True)
class RandomPair:
    """A row: the tensors that a processor gives for its prompt `[1, P]`, and two completions' token ids."""

    prompt: Prompt
    chosen: list[int]
    rejected: list[int]
    images: tuple[str, ...] = ("noise",)  # as a row names them: every pair has one


# Configurations. Numbers are those of the published models' config.json, except where a docstring says so.


def _llava(
    text: Mapping[str, Any], vision: Mapping[str, Any], image_token: int
) -> Callable[[int], LlavaConfig]:
    def config(image_tokens: int) -> LlavaConfig:
        side = math.isqrt(image_tokens)
        if side * side != image_tokens:
            raise ValueError(
                f"image_tokens={image_tokens}: a LLaVA image has a square number of them, as 576 = 24 x 24; "
                f"give {side**2} or {(side + 1) ** 2}"
            )
        return LlavaConfig(
            text_config=LlamaConfig(**text, tie_word_embeddings=False),
            vision_config=CLIPVisionConfig(**vision, image_size=side * vision["patch_size"]),
            image_token_index=image_token,
            image_seq_length=image_tokens,
            vision_feature_layer=-2,
            vision_feature_select_strategy="default",
            tie_word_embeddings=False,
        )

    return config


def _qwen2_5_vl(text: Mapping[str, Any], vision: Mapping[str, Any]) -> Callable[[int], Qwen2_5_VLConfig]:
    tied = text.get("tie_word_embeddings", False)

    def config(image_tokens: int) -> Qwen2_5_VLConfig:
        return Qwen2_5_VLConfig(
            text_config=dict(text),
            vision_config=dict(vision),
            tie_word_embeddings=tied,
            **{name: _QWEN_TOKENS[name] for name in ("image_token_id", "video_token_id")},
            **{name: _QWEN_TOKENS[name] for name in ("vision_start_token_id", "vision_end_token_id")},
        )

    return config


_QWEN_TOKENS = {
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}


def _qwen_text(
    hidden: int, layers: int, heads: int, kv_heads: int, inner: int, **others: Any
) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": inner,
        "max_position_embeddings": 128_000,
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": [16, 24, 24],
        },
    } | others


def _llama_text(hidden: int, layers: int, heads: int, inner: int, vocabulary: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
    }


def _clip(hidden: int, layers: int, heads: int, inner: int, patch: int = 14) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "patch_size": patch,
        "projection_dim": hidden,
    }


def _qwen_vision(out: int, **others: Any) -> dict[str, Any]:
    """The tower that the 3B and the 7B model have in common."""
    return {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
        "out_hidden_size": out,
    } | others


# Prompts.


def _llava_prompt(config: Any, image_tokens: int, words: list[int], generator: torch.Generator) -> Prompt:
    ids = [words[0], *[config.image_token_index] * image_tokens, *words[1:]]
    side = config.vision_config.image_size
    return {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "pixel_values": torch.randn(1, 3, side, side, generator=generator),
    }


def _qwen_prompt(config: Any, image_tokens: int, words: list[int], generator: torch.Generator) -> Prompt:
    vision = config.vision_config
    high = next(d for d in range(math.isqrt(image_tokens), 0, -1) if image_tokens % d == 0)
    merged = vision.spatial_merge_size
    grid = [1, high * merged, image_tokens // high * merged]
    image = [config.image_token_id] * image_tokens
    ids = [words[0], config.vision_start_token_id, *image, config.vision_end_token_id, *words[1:]]
    kinds = [int(token == config.image_token_id) for token in ids]
    patch = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    return {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "mm_token_type_ids": torch.tensor([kinds]),
        "pixel_values": torch.randn(math.prod(grid), patch, generator=generator),
        "image_grid_thw": torch.tensor([grid]),
    }


SHAPES: dict[str, Shape] = {
    # 50 million parameters in LLaVA-1.5's manner: a tower of 11, a language model of 22 and its embeddings.
    "llava-50m": Shape(
        _llava(_llama_text(512, 7, 8, 1376, 16_000), _clip(384, 6, 6, 1536), 1), _llava_prompt, 576
    ),
    "llava-tiny": Shape(_llava(_llama_text(64, 2, 4, 128, 512), _clip(32, 3, 2, 64), 1), _llava_prompt, 16),
    "llava-1.5-7b": Shape(
        _llava(_llama_text(4096, 32, 32, 11_008, 32_064), _clip(1024, 24, 16, 4096), 32_000),
        _llava_prompt,
        576,
    ),
    "llava-1.5-13b": Shape(
        _llava(_llama_text(5120, 40, 40, 13_824, 32_064), _clip(1024, 24, 16, 4096), 32_000),
        _llava_prompt,
        576,
    ),
    "qwen2.5-vl-tiny": Shape(
        _qwen2_5_vl(
            _qwen_text(
                64,
                2,
                4,
                2,
                128,
                vocab_size=151_936,
                rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
            ),
            _qwen_vision(
                64, depth=2, hidden_size=32, intermediate_size=64, num_heads=2, fullatt_block_indexes=[1]
            ),
        ),
        _qwen_prompt,
        16,
    ),
    # 110 million parameters in Qwen2.5-VL's manner, most of them in its embeddings; they are the head too.
    "qwen2.5-vl-110m": Shape(
        _qwen2_5_vl(
            _qwen_text(
                512,
                7,
                8,
                2,
                1376,
                vocab_size=151_936,
                tie_word_embeddings=True,
                rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
            ),
            _qwen_vision(
                512, depth=4, hidden_size=384, intermediate_size=1024, num_heads=6, fullatt_block_indexes=[3]
            ),
        ),
        _qwen_prompt,
        256,
    ),
    "qwen2.5-vl-3b": Shape(
        _qwen2_5_vl(
            _qwen_text(2048, 36, 16, 2, 11_008, vocab_size=151_936, tie_word_embeddings=True),
            _qwen_vision(2048),
        ),
        _qwen_prompt,
        448,
    ),
    "qwen2.5-vl-7b": Shape(
        _qwen2_5_vl(_qwen_text(3584, 28, 28, 4, 18_944, vocab_size=152_064), _qwen_vision(3584)),
        _qwen_prompt,
        448,
    ),
}


def build_model(
    config: PreTrainedConfig, *, dtype: torch.dtype, device: str, attention: str
) -> PreTrainedModel:
    """The model with random weights, made on the device itself in its dtype; the same ones every time."""
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation=attention)


def shape_config(shape: Shape, image_tokens: int, vocabulary: int | None = None) -> PreTrainedConfig:
    """The shape's configuration, with another size of vocabulary if one is given. Raises `ValueError`."""
    config: Any = shape.config(image_tokens)
    if vocabulary is not None:
        highest = max(config.image_token_id, WORDS[1])
        if vocabulary <= highest:
            raise ValueError(
                f"vocabulary={vocabulary}: this shape needs token {highest}; give more than that"
            )
        config.text_config.vocab_size = vocabulary
    return config


def make_pairs(
    shape: Shape,
    config: PreTrainedConfig,
    count: int,
    *,
    image_tokens: int,
    prompt_tokens: int,
    completion_tokens: int,
    spread: float = 0.0,
    seed: int = 0,
) -> list[RandomPair]:
    """Pairs of random tokens, each with an image of noise.

    Args:
        prompt_tokens: words of a prompt, beside its image tokens. At least 2, one of them before the image.
        completion_tokens: of each side.
        spread: lengths of words and completions are drawn evenly from (1 - spread) to (1 + spread) times
            these.
    """
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)

    def words(length: int, least: int) -> list[int]:
        drawn = max(least, round(length * (1 + spread * rng.uniform(-1, 1))))
        return [rng.randrange(*WORDS) for _ in range(drawn)]

    return [
        RandomPair(
            shape.prompt(config, image_tokens, words(prompt_tokens, 2), generator),
            chosen=words(completion_tokens, 1),
            rejected=words(completion_tokens, 1),
        )
        for _ in range(count)
    ]


def shared_batch(pairs: Sequence[RandomPair]) -> SequenceBatch:
    """A batch as `align.training.collating.Collator` makes it, both sides of a pair behind one prompt."""
    joined = _joined([(pair.prompt, []) for pair in pairs])
    return build_sequences(joined, [[pair.chosen, pair.rejected] for pair in pairs], pad=PAD)


def trl_batch(pairs: Sequence[RandomPair]) -> dict[str, Tensor]:
    """A batch as TRL's `DataCollatorForVisionPreference` makes it: the chosen half above the rejected half,
    each row with its own copy of the image, padding on the right."""
    rows = [(pair.prompt, pair.chosen) for pair in pairs] + [(pair.prompt, pair.rejected) for pair in pairs]
    batch = _joined(rows)
    completion = [[0] * prompt["input_ids"].shape[1] + [1] * len(answer) for prompt, answer in rows]
    return batch | {"completion_mask": _padded([torch.tensor(row) for row in completion])}


def _joined(rows: Sequence[tuple[Prompt, list[int]]]) -> dict[str, Tensor]:
    batch = {}
    for name in rows[0][0]:
        values = [prompt[name] for prompt, _ in rows]
        behind = {"input_ids": None, "attention_mask": 1, "mm_token_type_ids": 0}
        if name not in behind:
            batch[name] = torch.cat(values)
            continue
        fill = behind[name]
        batch[name] = _padded(
            [
                torch.cat([value[0], torch.tensor(answer if fill is None else [fill] * len(answer)).long()])
                for value, (_, answer) in zip(values, rows, strict=True)
            ]
        )
    return batch


def _padded(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
