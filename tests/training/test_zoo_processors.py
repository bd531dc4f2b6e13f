"""The hand-made prompts against the families' own processors.

Those that take videos need torchvision to be made: of these, the image processor alone is asked.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Gemma3Processor,
    Idefics3Processor,
    LlavaNextProcessor,
    LlavaProcessor,
    MllamaProcessor,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from zoo import BOS, EOS, IMAGE, PAD, VOCABULARY, join, with_completion
from zoo_recipes import IMAGE_END, IMAGE_START, NEWLINE, OVERVIEW, RECIPES, TILES

SQUARE = {"height": 32, "width": 32}
CROP = {"size": {"shortest_edge": 32}, "crop_size": SQUARE}
PINPOINTS = [[32, 64], [64, 32], [64, 64]]
ONE_SIZE = [[(32, 32)], [(50, 30)], [(20, 40), (32, 32)]]


@dataclass
class Case:
    """A family's processor, and the sizes (height, width) of the images of its three prompts."""

    make: Callable[[PreTrainedTokenizerFast], ProcessorMixin]
    sizes: list[list[tuple[int, int]]]
    rewrite: dict[str, str]  # patterns of what the processor writes, and what stands there before
    names: dict[int, str] = field(default_factory=dict)
    attributes: dict[str, int] = field(default_factory=dict)  # names by which the processor asks for tokens


def pictures(sizes: list[tuple[int, int]]) -> list[Image.Image]:
    return [Image.effect_noise((width, height), 90).convert("RGB") for height, width in sizes]


def tile(row: int, column: int) -> dict[int, str]:
    return {TILES + 2 * row + column: f"<row_{row + 1}_col_{column + 1}>"}


def paligemma(tokenizer: PreTrainedTokenizerFast) -> ProcessorMixin:
    images = SiglipImageProcessorPil(size=SQUARE)
    images.image_seq_length = 16
    return PaliGemmaProcessor(images, tokenizer)


CASES = {
    "llava": Case(
        lambda tokenizer: LlavaProcessor(
            CLIPImageProcessorPil(**CROP), tokenizer, 8, "default", num_additional_image_tokens=1
        ),
        ONE_SIZE,
        {"(<image> ?)+": "<image> "},
    ),
    "llava_next": Case(
        lambda tokenizer: LlavaNextProcessor(
            LlavaNextImageProcessorPil(**CROP, image_grid_pinpoints=PINPOINTS),
            tokenizer,
            8,
            "default",
            num_additional_image_tokens=1,
        ),
        [[(20, 60)], [(50, 64)], [(60, 20), (20, 60)]],
        {"(<image> ?)+": "<image> "},
    ),
    "gemma3": Case(
        lambda tokenizer: Gemma3Processor(
            Gemma3ImageProcessorPil(size=SQUARE), tokenizer, image_seq_length=16
        ),
        ONE_SIZE,
        {"\n\n <start> (<image> )+<end> \n\n": "<start>"},
        {IMAGE_START: "<start>", IMAGE_END: "<end>", NEWLINE: "\n\n"},
        {"boi_token": IMAGE_START, "eoi_token": IMAGE_END},
    ),
    "paligemma": Case(
        paligemma,
        ONE_SIZE,
        {"(<image> ){16}": "<image>", "<bos> | \n": ""},
        {NEWLINE: "\n"},
    ),
    "mllama": Case(
        lambda tokenizer: MllamaProcessor(MllamaImageProcessorPil(size=SQUARE, max_image_tiles=4), tokenizer),
        [[(32, 32)], [(64, 64)], [(32, 96)]],
        {},
    ),
    "idefics3": Case(
        lambda tokenizer: Idefics3Processor(
            Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32}),
            tokenizer,
            image_seq_len=4,
        ),
        [[(32, 64)], [(64, 64)], [(64, 32), (32, 64)]],
        {"<fake_token_around_image> <row.*?<global-img> (<image> )+<fake_token_around_image>": "<image>"},
        {IMAGE_START: "<fake_token_around_image>", OVERVIEW: "<global-img>", NEWLINE: "\n"}
        | tile(0, 0)
        | tile(0, 1)
        | tile(1, 0)
        | tile(1, 1),
        {"fake_image_token": IMAGE_START, "global_image_token": OVERVIEW},
    ),
}


def word_tokenizer(case: Case) -> tuple[PreTrainedTokenizerFast, list[str]]:
    """A tokenizer with a word for each token of the zoo, and the words."""
    special = {PAD: "<pad>", BOS: "<bos>", EOS: "<eos>", IMAGE: "<image>"} | case.names
    words = [special.get(token, f"w{token}") for token in range(VOCABULARY)]
    core = Tokenizer(models.WordLevel({word: token for token, word in enumerate(words)}, unk_token="w3"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    named = {"image_token": IMAGE} | case.attributes
    named |= {f"special_{token}_token": token for token in case.names if token not in named.values()}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="right",
        extra_special_tokens={name: words[token] for name, token in named.items()},
    )
    return tokenizer, words


# PaliGemma's processor takes a completion apart from the text: a test of its own.
ASKED = [(name, False) for name in CASES] + [(name, True) for name in CASES if name != "paligemma"]


@pytest.mark.parametrize(("name", "completed"), ASKED)
def test_prompts_are_what_the_familys_processor_gives(name: str, completed: bool) -> None:
    case = CASES[name]
    prompts = RECIPES[name]()[1]
    tokenizer, words = word_tokenizer(case)
    texts = [" ".join(words[token] for token in prompt["input_ids"][0]) for prompt in prompts]
    for pattern, written in case.rewrite.items():
        texts = [re.sub(pattern, written, text, flags=re.DOTALL) for text in texts]
    if completed:
        prompts = [with_completion(prompt, [5, 6]) for prompt in prompts]
        texts = [f"{text} w5 w6" for text in texts]
    images = [pictures(sizes) for sizes in case.sizes]
    batch = dict(case.make(tokenizer)(images=images, text=texts, padding=True, return_tensors="pt"))
    batch.pop("labels", None)  # PaliGemma's are all -100 without an answer
    expected = join(prompts)
    assert batch.keys() == expected.keys()
    for key, value in expected.items():
        assert batch[key].dtype == value.dtype, key
        assert batch[key].shape == value.shape, key
        assert value.is_floating_point() or torch.equal(batch[key], value), key


QWEN = Qwen2VLImageProcessorPil(patch_size=4, min_pixels=64, max_pixels=100_000)
QWEN_SIZES = [[(16, 24)], [(32, 16)], [(24, 40), (16, 16)]]
IMAGES = {
    "qwen2_vl": (QWEN, QWEN_SIZES),
    "qwen2_5_vl": (QWEN, QWEN_SIZES),
    "qwen3_vl": (QWEN, QWEN_SIZES),
    "qwen3_5": (QWEN, QWEN_SIZES),
    "llava_onevision": (
        LlavaOnevisionImageProcessorPil(size=SQUARE, image_grid_pinpoints=PINPOINTS),
        [[(20, 60)], [(50, 64)], [(60, 20), (20, 60)]],
    ),
    "internvl": (
        GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=4),
        [[(32, 32)], [(64, 64)], [(32, 64), (32, 32)]],
    ),
    "smolvlm": (
        SmolVLMImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32}),
        [[(32, 64)], [(64, 64)], [(64, 32), (32, 64)]],
    ),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_what_the_familys_image_processor_gives(name: str) -> None:
    processor, sizes = IMAGES[name]
    prompts = RECIPES[name]()[1]
    batch = dict(processor([pictures(row) for row in sizes], return_tensors="pt"))
    batch.pop("num_patches", None)  # InternVL's processor keeps these to itself
    expected = {key: value for key, value in join(prompts).items() if key in batch}
    assert batch.keys() == expected.keys()
    assert expected.keys() >= prompts[0].keys() - {"input_ids", "attention_mask", "mm_token_type_ids"}
    for key, value in expected.items():
        assert batch[key].dtype == value.dtype, key
        assert batch[key].shape == value.shape, key
        assert value.is_floating_point() or torch.equal(batch[key], value), key


def test_a_completion_is_what_paligemma_calls_a_suffix() -> None:
    case = CASES["paligemma"]
    prompt = RECIPES["paligemma"]()[1][0]
    tokenizer, words = word_tokenizer(case)
    text = "<image>" + " ".join(words[token] for token in prompt["input_ids"][0, 17:-1])
    batch: dict[str, Any] = dict(
        case.make(tokenizer)(images=pictures([(32, 32)]), text=text, suffix="w5 w6", return_tensors="pt")
    )
    expected = with_completion(prompt, [5, 6, EOS])
    for key in ("input_ids", "attention_mask", "token_type_ids"):
        assert torch.equal(batch[key], expected[key]), key
