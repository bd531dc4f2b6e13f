"""For every family the shape of a tiny model, and three prompts as its processor prepares them.

The tensors are made by hand: the processors of the real families need tokenizer files from the hub, and some
need torchvision.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    GemmaConfig,
    Idefics3Config,
    InternVLConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    LlavaOnevisionConfig,
    MllamaConfig,
    PaliGemmaConfig,
    PreTrainedConfig,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen3_5Config,
    Qwen3VLConfig,
    SiglipVisionConfig,
    SmolVLMConfig,
)

Prompt = dict[str, Tensor]
Made = tuple[PreTrainedConfig, list[Prompt]]

VOCABULARY = 200
PAD, BOS, EOS = 0, 1, 2
WORDS = (10, 180)  # ids of plain text, from and up to
IMAGE, IMAGE_START, IMAGE_END, VIDEO, OVERVIEW, NEWLINE = range(190, 196)
TILES = 196  # of 2 x 2 tiles, row by row
SIDE = 32  # pixels of an image, or of a tile of one


def filled(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Zeros behind every dimension but the first, up to `shape`."""
    missing = [size - have for size, have in zip(shape, value.shape[1:], strict=True)]
    return pad(value, [side for size in reversed(missing) for side in (0, size)])


def _prompts(
    plan: Sequence[tuple[int, int, list[Any]]],
    placeholder: Callable[[Any], list[int]],
    tensors: Callable[[list[Any], torch.Generator], Prompt],
    start: Sequence[int] = (BOS,),
    types: str = "",
) -> list[Prompt]:
    """One prompt for each (words before every image, words at the end, images) of the plan.

    An image is what `placeholder` and `tensors` take for one: its size, tiles or grid. `types` names the
    family's mark of image tokens.
    """
    draw = torch.Generator().manual_seed(1)

    def words(count: int) -> list[int]:
        return torch.randint(*WORDS, (count,), generator=draw).tolist()

    prompts = []
    for before, after, images in plan:
        tokens = list(start)
        for image in images:
            tokens += words(before) + placeholder(image)
        ids = torch.tensor([tokens + words(after)])
        row = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if types:
            row[types] = (ids == IMAGE).long()
        prompts.append(row | tensors(images, draw))
    return prompts


def _pictures(count: int, draw: torch.Generator) -> Prompt:
    """Images of one size, `[N, 3, H, W]`."""
    return {"pixel_values": torch.randn(count, 3, SIDE, SIDE, generator=draw)}


def _each_picture(images: list[int], draw: torch.Generator) -> Prompt:
    return _pictures(len(images), draw)


_SINGLE = [(2, 4, [1]), (3, 20, [1]), (4, 9, [1, 1])]  # images of one size; the last prompt has two

_TEXT = {
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
_GEMMA = {**_TEXT, "head_dim": 8}
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": SIDE,
    "patch_size": 8,
}
_SIGLIP = {**_VISION, "vision_use_head": False}


def _llava() -> Made:
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_VISION), text_config=LlamaConfig(**_TEXT), image_token_index=IMAGE
    )
    return config, _prompts(_SINGLE, lambda _: [IMAGE] * 16, _each_picture)


# Images by height and width: their tiles, the overview among them, and their tokens, which are those of the
# overview, those of lines x columns without what pads the image, and one a line.
_ANYRES = {(20, 60): (3, 16 + 2 * 8 + 2), (60, 20): (3, 16 + 8 * 2 + 8), (50, 64): (5, 16 + 6 * 8 + 6)}
_PINPOINTS = [[32, 64], [64, 32], [64, 64]]


def _anyres_tensors(images: list[tuple[int, int]], draw: torch.Generator) -> Prompt:
    tiles = [_ANYRES[size][0] for size in images]
    pixels = [torch.randn(1, count, 3, SIDE, SIDE, generator=draw) for count in tiles]
    shape = [max(tiles), 3, SIDE, SIDE]
    return {
        "pixel_values": torch.cat([filled(image, shape) for image in pixels]),
        "image_sizes": torch.tensor(images),
    }


def _llava_next() -> Made:
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**_VISION),
        text_config=LlamaConfig(**_TEXT),
        image_token_index=IMAGE,
        image_grid_pinpoints=_PINPOINTS,
    )
    plan = [(2, 4, [(20, 60)]), (3, 9, [(50, 64)]), (1, 8, [(60, 20), (20, 60)])]
    return config, _prompts(plan, lambda size: [IMAGE] * _ANYRES[size][1], _anyres_tensors)


def _llava_onevision() -> Made:
    """A row's only image is cut into tiles; of two, each is one tile and the end of a line."""
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(**_SIGLIP),
        text_config=Qwen2Config(**_TEXT),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        image_grid_pinpoints=_PINPOINTS,
    )

    def tensors(images: list[tuple[int, int]], draw: torch.Generator) -> Prompt:
        row = _anyres_tensors(images, draw)
        if len(images) > 1:
            row["pixel_values"] = row["pixel_values"][:, :1]
        return row | {"batch_num_images": torch.tensor([len(images)])}

    cut = [(2, 4, [(20, 60)]), (3, 9, [(50, 64)])]
    prompts = _prompts(cut, lambda size: [IMAGE] * _ANYRES[size][1], tensors)
    prompts += _prompts([(1, 6, [(60, 20), (20, 60)])], lambda size: [IMAGE] * 17, tensors)
    return config, prompts


def _internvl() -> Made:
    """An image is 1 tile, or several and an overview, all in a row."""
    config = InternVLConfig(
        vision_config=_VISION,
        text_config=Qwen2Config(**_TEXT),
        image_token_id=IMAGE,
        image_seq_length=4,
    )

    def tensors(images: list[int], draw: torch.Generator) -> Prompt:
        return _pictures(sum(images), draw)

    plan = [(2, 4, [1]), (3, 9, [5]), (1, 6, [3, 1])]
    return config, _prompts(plan, lambda tiles: [IMAGE_START, *[IMAGE] * 4 * tiles, IMAGE_END], tensors)


def _idefics(make: type[PreTrainedConfig]) -> Made:
    """An image is cut into rows and columns of tiles, followed by an overview."""
    config = make(
        vision_config=_VISION, text_config=LlamaConfig(**_TEXT), image_token_id=IMAGE, pad_token_id=PAD
    )

    def placeholder(cut: tuple[int, int]) -> list[int]:
        tokens = []
        for row in range(cut[0]):
            for column in range(cut[1]):
                tokens += [IMAGE_START, TILES + 2 * row + column, *[IMAGE] * 4]
            tokens.append(NEWLINE)
        return [*tokens, NEWLINE, IMAGE_START, OVERVIEW, *[IMAGE] * 4, IMAGE_START]

    def tensors(images: list[tuple[int, int]], draw: torch.Generator) -> Prompt:
        count = sum(rows * columns + 1 for rows, columns in images)
        return {
            "pixel_values": torch.randn(1, count, 3, SIDE, SIDE, generator=draw),
            "pixel_attention_mask": torch.ones(1, count, SIDE, SIDE, dtype=torch.long),
        }

    plan = [(2, 4, [(1, 2)]), (3, 9, [(2, 2)]), (1, 6, [(2, 1), (1, 2)])]
    return config, _prompts(plan, placeholder, tensors)


def _gemma3() -> Made:
    """A window shorter than a text and than an image, in two of three layers."""
    config = Gemma3Config(
        text_config=_GEMMA
        | {
            "query_pre_attn_scalar": 8,
            "sliding_window": 12,
            "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
        vision_config=_SIGLIP | {"model_type": "siglip_vision_model", "patch_size": 4},
        mm_tokens_per_image=16,
        image_token_index=IMAGE,
        boi_token_index=IMAGE_START,
        eoi_token_index=IMAGE_END,
    )
    surrounded = [NEWLINE, IMAGE_START, *[IMAGE] * 16, IMAGE_END, NEWLINE]
    return config, _prompts(_SINGLE, lambda _: surrounded, _each_picture, types="token_type_ids")


def _paligemma() -> Made:
    """The image comes first, and the prompt sees all of itself; only completions are causal."""
    config = PaliGemmaConfig(
        text_config=GemmaConfig(**_GEMMA),
        vision_config=SiglipVisionConfig(**_SIGLIP),
        image_token_index=IMAGE,
        vocab_size=VOCABULARY,
        projection_dim=32,
        hidden_size=32,
    )

    def placeholder(images: int) -> list[int]:
        return [IMAGE] * 16 * images + [BOS]

    def tensors(images: list[int], draw: torch.Generator) -> Prompt:
        return _pictures(sum(images), draw)

    plan = [(0, 4, [1]), (0, 9, [1]), (0, 6, [2])]
    prompts = _prompts(plan, placeholder, tensors, start=())
    for row in prompts:
        row["input_ids"][:, -1] = NEWLINE
        row["token_type_ids"] = torch.zeros_like(row["input_ids"])
    return config, prompts


def _mllama() -> Made:
    """One image a row, of 1 to 4 tiles, which are always filled up to 4."""
    config = MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 4,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
            "image_size": SIDE,
            "patch_size": 8,
        },
        text_config={**_TEXT, "num_hidden_layers": 4, "cross_attention_layers": [1, 3]},
        image_token_index=IMAGE,
    )
    arrangements = config.vision_config.supported_aspect_ratios

    def tensors(images: list[list[int]], draw: torch.Generator) -> Prompt:
        [(rows, columns)] = images
        tiles = rows * columns
        return {
            "pixel_values": filled(
                torch.randn(1, 1, tiles, 3, SIDE, SIDE, generator=draw), [1, 4, 3, SIDE, SIDE]
            ),
            "aspect_ratio_ids": torch.tensor([[arrangements.index([rows, columns]) + 1]]),
            "aspect_ratio_mask": filled(torch.ones(1, 1, tiles, dtype=torch.long), [1, 4]),
        }

    prompts = _prompts([(2, 4, [[1, 1]]), (3, 9, [[2, 2]]), (1, 6, [[1, 3]])], lambda _: [IMAGE], tensors)
    for row in prompts:
        seen = (row["input_ids"] == IMAGE).cumsum(1)  # [1, P] from the image on
        row["cross_attention_mask"] = seen[..., None, None] * row["aspect_ratio_mask"][:, None]
    return config, prompts


def _qwen(make: type[PreTrainedConfig], vision: dict[str, Any], text: dict[str, Any]) -> Made:
    """Images of different sizes in patches of 4 x 4 pixels and 2 frames, merged 2 x 2."""
    patch = 4
    config = make(
        vision_config={"depth": 2, "num_heads": 4, "patch_size": patch, "hidden_size": 32} | vision,
        text_config=_TEXT | {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1]}} | text,
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=IMAGE_START,
        vision_end_token_id=IMAGE_END,
    )

    def placeholder(grid: tuple[int, int]) -> list[int]:
        return [IMAGE_START, *[IMAGE] * (grid[0] * grid[1] // 4), IMAGE_END]

    def tensors(images: list[tuple[int, int]], draw: torch.Generator) -> Prompt:
        patches = sum(height * width for height, width in images)
        return {
            "pixel_values": torch.randn(patches, 3 * 2 * patch * patch, generator=draw),
            "image_grid_thw": torch.tensor([(1, *grid) for grid in images]),
        }

    plan = [(2, 4, [(4, 6)]), (3, 11, [(8, 4)]), (1, 6, [(6, 10), (4, 4)])]
    return config, _prompts(plan, placeholder, tensors, start=(), types="mm_token_type_ids")


def _qwen2_vl() -> Made:
    return _qwen(Qwen2VLConfig, {"embed_dim": 32, "mlp_ratio": 2}, {})


def _qwen2_5_vl() -> Made:
    """The tower's first layer sees windows of 2 x 2 merged patches."""
    vision = {"out_hidden_size": 32, "intermediate_size": 48, "window_size": 16, "fullatt_block_indexes": [1]}
    return _qwen(Qwen2_5_VLConfig, vision, {})


_QWEN3_VISION = {"out_hidden_size": 32, "intermediate_size": 48, "num_position_embeddings": 64}
_QWEN3_ROPE = {
    "rope_type": "default",
    "rope_theta": 10000.0,
    "mrope_section": [2, 1, 1],
    "mrope_interleaved": True,
}


def _qwen3_vl() -> Made:
    """Features of two of the tower's layers are added to the hidden states of the first two layers."""
    vision = _QWEN3_VISION | {"depth": 3, "deepstack_visual_indexes": [0, 1]}
    return _qwen(Qwen3VLConfig, vision, {"head_dim": 8, "rope_parameters": _QWEN3_ROPE})


def _qwen3_5() -> Made:
    """Two recurrent layers around one with attention, which turns a quarter of each head."""
    text = {
        "num_hidden_layers": 3,
        "layer_types": ["linear_attention", "full_attention", "linear_attention"],
        "head_dim": 32,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "rope_parameters": _QWEN3_ROPE | {"partial_rotary_factor": 0.25},
    }
    return _qwen(Qwen3_5Config, _QWEN3_VISION, text)


RECIPES: dict[str, Callable[[], Made]] = {
    "llava": _llava,
    "llava_next": _llava_next,
    "llava_onevision": _llava_onevision,
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "qwen3_5": _qwen3_5,
    "internvl": _internvl,
    "idefics3": lambda: _idefics(Idefics3Config),
    "smolvlm": lambda: _idefics(SmolVLMConfig),
    "gemma3": _gemma3,
    "paligemma": _paligemma,
    "mllama": _mllama,
}
