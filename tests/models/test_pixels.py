"""The pixel budget, as each family's image processor takes it, on the processors themselves."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoConfig
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.gemma3.processing_gemma3 import Gemma3Processor
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

from align.models.families import FAMILIES
from align.models.loading import load_model
from align.models.pixels import pixel_settings, set_pixel_budget

SIZES = ((400, 400), (1600, 500), (500, 1600), (2000, 1900), (33, 47))
CROPPING: dict[str, Any] = {"crop_to_patches": True}
PANNING: dict[str, Any] = {"pan_and_scan_min_crop_size": 64, "pan_and_scan_min_ratio_to_activate": 1.2}


def pixels(image_processor: Any, size: tuple[int, int]) -> int:
    """How many pixels of an image the tower would be given, padding between images of a batch left out."""
    out = image_processor(Image.new("RGB", size), return_tensors="np")
    if "image_grid_thw" in out:
        return int(np.prod(out["image_grid_thw"][0])) * image_processor.patch_size**2
    return int(np.prod(out["pixel_values"].shape)) // 3


@pytest.mark.parametrize(
    ("family", "processor", "budgets"),
    [
        ("qwen2_vl", Qwen2VLImageProcessorPil(), (28 * 28, 50_000, 600_000)),
        ("qwen3_vl", Qwen2VLImageProcessorPil(patch_size=16), (32 * 32, 50_000, 600_000)),
        (
            "llava_next",
            LlavaNextImageProcessorPil(size={"shortest_edge": 336}, crop_size=336),
            (400_000, 600_000),
        ),
        ("llava_onevision", LlavaOnevisionImageProcessorPil(), (300_000, 1_400_000)),
        ("internvl", GotOcr2ImageProcessorPil(**CROPPING), (147_456, 300_000, 1_000_000)),
        ("idefics3", Idefics3ImageProcessorPil(), (132_496, 700_000, 1_400_000)),
        ("smolvlm", SmolVLMImageProcessorPil(), (132_496, 700_000, 1_400_000)),
        ("gemma3", Gemma3ImageProcessorPil(**PANNING), (50_176, 110_000, 160_000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_image_gets_more_pixels_and_a_larger_budget_is_used(
    family: str, processor: Any, budgets: tuple[int, ...]
) -> None:
    most = []
    for budget in budgets:
        used = type(processor)(**processor.to_dict())
        set_pixel_budget(SimpleNamespace(image_processor=used), SimpleNamespace(model_type=family), budget)
        made = [pixels(used, size) for size in SIZES]
        assert max(made) <= budget
        most.append(max(made))
    assert most[0] < most[-1]
    assert most[-1] > 0.5 * budgets[-1]


def test_every_family_of_the_table_has_a_rule() -> None:
    for family in FAMILIES:
        with pytest.raises((ValueError, KeyError)) as raised:
            pixel_settings(family, {}, 1)
        assert "not known for family" not in str(raised.value)
    with pytest.raises(ValueError, match=r"not known for family 'novel', only for gemma3, "):
        pixel_settings("novel", {}, 1000)


@pytest.mark.parametrize(
    ("family", "processor", "message"),
    [
        (
            "paligemma",
            SiglipImageProcessorPil(size={"height": 448, "width": 448}),
            "448x448 pixels of every image",
        ),
        ("mllama", MllamaImageProcessorPil(), "each arrangement of up to 4 tiles of 224x224"),
        ("qwen2_5_vl", Qwen2VLImageProcessorPil(), r"less than 784 pixels"),
        ("internvl", GotOcr2ImageProcessorPil(), r"less than 147456 pixels"),
        ("llava_next", LlavaNextImageProcessorPil(), r"less than 275968 pixels"),  # 336 x 672 and 224 x 224
        ("gemma3", Gemma3ImageProcessorPil(), r"less than 50176 pixels"),
        ("idefics3", Idefics3ImageProcessorPil(), r"less than 132496 pixels"),
        (
            "idefics3",
            Idefics3ImageProcessorPil(do_image_splitting=False),
            "364x364 .* do_image_splitting off",
        ),
    ],
)
def test_what_a_family_cannot_do_is_refused_with_its_size(family: str, processor: Any, message: str) -> None:
    before = processor.to_dict()
    with pytest.raises(ValueError, match=rf"model\.max_pixels=700: {family} .*{message}"):
        set_pixel_budget(SimpleNamespace(image_processor=processor), SimpleNamespace(model_type=family), 700)
    assert processor.to_dict() == before


def test_the_embedded_model_has_one_size() -> None:
    with pytest.raises(
        ValueError, match=r"max_pixels=5000: llava makes 96x96 pixels of every image \(9216\)"
    ):
        load_model("tiny_vlm", device="cpu", max_pixels=5000)


def test_the_model_looks_grids_up_where_the_processor_does() -> None:
    config = AutoConfig.for_model("llava_next")
    processor = LlavaNextImageProcessorPil(size={"shortest_edge": 336}, crop_size=336)
    everything = config.image_grid_pinpoints
    set_pixel_budget(SimpleNamespace(image_processor=processor), config, 3 * 336 * 336)
    assert config.image_grid_pinpoints == processor.image_grid_pinpoints == [[336, 672], [672, 336]]
    assert len(everything) > 2


def test_gemmas_processor_would_win_over_its_image_processor() -> None:
    """Its own defaults, among them no crops, are given to the image processor with each image."""
    processor = object.__new__(Gemma3Processor)
    processor.image_processor = Gemma3ImageProcessorPil()
    defaults = dict(Gemma3Processor.images_kwargs)
    set_pixel_budget(processor, AutoConfig.for_model("gemma3"), 4 * 224 * 224)
    given = processor.images_kwargs
    assert (given["do_pan_and_scan"], given["pan_and_scan_max_num_crops"]) == (True, 3)
    wide = processor.image_processor(Image.new("RGB", (2000, 400)), return_tensors="np", **given)
    assert wide["num_crops"].tolist() == [3]
    assert Gemma3Processor.images_kwargs == defaults  # other processors keep theirs
    set_pixel_budget(processor, AutoConfig.for_model("gemma3"), 2 * 224 * 224)
    assert processor.images_kwargs["do_pan_and_scan"] is False


def test_a_small_budget_is_below_the_least_that_a_processor_would_make() -> None:
    settings = Qwen2VLImageProcessorPil().to_dict()
    assert pixel_settings("qwen2_vl", settings, 1000)["size"] == {"shortest_edge": 1000, "longest_edge": 1000}
    assert pixel_settings("qwen2_vl", settings, 10**6)["size"]["shortest_edge"] == 56 * 56
