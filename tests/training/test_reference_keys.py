"""Which changes give a pair another reference, and which do not."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model

from align import miniworld
from align.data.images import image_digests, inspect_image
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.loading import LoadedModel, load_model
from align.records import Pair
from align.training.reference_keys import processor_digest, reference_context, reference_keys


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return load_model("tiny_vlm", device="cpu")


@pytest.fixture(scope="module")
def context(tiny: LoadedModel) -> str:
    return reference_context(tiny, dtype=torch.float32)


def with_part(loaded: LoadedModel, **changes: Any) -> LoadedModel:
    parts = {name: getattr(loaded, name) for name in ("model", "processor", "name", "digest", "adapter")}
    return LoadedModel(**(parts | changes))


def pair(**changes: Any) -> Pair:
    row = {
        "question_id": "q1",
        "prompt": "What color is the star?",
        "chosen": "There is no star.",
        "rejected": "Red.",
        "images": ("a.png", "b.png"),
        "kind": "refuse",
        "chosen_source": "test",
        "rejected_source": "test",
    }
    return Pair(**(row | changes))


DIGESTS = {"a.png": "11", "b.png": "22", "copy of a.png": "11"}


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "What color is the star ?"},
        {"chosen": "There is no star"},
        {"rejected": "red."},
        {"chosen": "Red.", "rejected": "There is no star."},
        {"images": ("a.png",)},
        {"images": ("b.png", "a.png")},
        {"images": ()},
    ],
)
def test_what_the_model_sees_is_in_the_key(change: dict[str, Any]) -> None:
    keys = reference_keys([pair(), pair(**change), pair()], DIGESTS, "00")
    assert keys[0] == keys[2] != keys[1]
    assert {len(key) for key in keys} == {16}


def test_what_the_model_does_not_see_is_not_in_the_key() -> None:
    other = pair(
        question_id="q2",
        kind="answer",
        category="Answerable",
        chosen_source="x",
        images=("copy of a.png", "b.png"),
    )
    assert len(set(reference_keys([pair(), other], DIGESTS, "00"))) == 1


def test_texts_do_not_run_into_each_other() -> None:
    rows = [pair(prompt="ab", chosen="c", images=()), pair(prompt="a", chosen="bc", images=())]
    rows += [pair(rejected="x", images=("a.png",)), pair(rejected="x11", images=())]
    assert len(set(reference_keys(rows, DIGESTS, "00"))) == 4


def test_another_context_gives_another_key() -> None:
    assert reference_keys([pair()], DIGESTS, "00") != reference_keys([pair()], DIGESTS, "01")


# Images


def test_one_changed_byte_of_an_image_gives_another_key(rows_root: Path, tmp_path: Path) -> None:
    shutil.copy(rows_root / "images/0.png", tmp_path / "a.png")
    shutil.copy(rows_root / "images/0.png", tmp_path / "b.png")
    before = image_digests(["a.png", "b.png"], tmp_path)
    assert before["a.png"] == before["b.png"] == inspect_image("a.png", tmp_path).digest
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    after = image_digests(["a.png", "b.png"], tmp_path)
    assert after["b.png"] == before["b.png"]
    one = pair(images=("a.png",))
    assert reference_keys([one], before, "00") != reference_keys([one], after, "00")


# Context: the weights


def test_a_copy_of_the_model_in_another_folder_has_the_same_context(
    tiny: LoadedModel, context: str, tmp_path: Path
) -> None:
    assert len(context) == 32
    assert context.isalnum()
    shutil.copytree(miniworld.TINY_VLM, tmp_path / "renamed")
    assert (
        reference_context(load_model(str(tmp_path / "renamed"), device="cpu"), dtype=torch.float32) == context
    )


def test_other_base_weights_give_another_context(tiny: LoadedModel, context: str, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(miniworld.TINY_VLM, folder)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert reference_context(load_model(str(folder), device="cpu"), dtype=torch.float32) != context


def test_a_new_adapter_keeps_the_base_as_its_reference_and_one_continued_from_does_not(
    context: str, tmp_path: Path
) -> None:
    base = load_model("tiny_vlm", device="cpu")
    tuned: Any = get_peft_model(base.model, lora_config(base.model, family_of(base.model), {"r": 2}))
    assert reference_context(with_part(base, model=tuned), dtype=torch.float32) == context
    contexts = [context]
    for value in (0.01, 0.02):
        with torch.no_grad():
            for name, parameter in tuned.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(value)
        folder = tmp_path / str(value)
        tuned.save_pretrained(folder)
        loaded = load_model("tiny_vlm", folder, device="cpu", trainable_adapter=True)
        contexts.append(reference_context(loaded, dtype=torch.float32))
    assert len(set(contexts)) == 3


def test_a_changed_configuration_of_the_model_gives_another_context(context: str, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(miniworld.TINY_VLM, folder)
    config = json.loads((folder / "config.json").read_text())
    config["vision_feature_layer"] = -2
    (folder / "config.json").write_text(json.dumps(config))
    assert reference_context(load_model(str(folder), device="cpu"), dtype=torch.float32) != context


def test_quantisation_gives_another_context(tiny: LoadedModel, context: str) -> None:
    contexts = {context}
    for settings in ({"load_in_8bit": True}, {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}):
        model: Any = copy.deepcopy(tiny.model)
        model.config.quantization_config = {"quant_method": "bitsandbytes", **settings}
        contexts.add(reference_context(with_part(tiny, model=model), dtype=torch.float32))
    assert len(contexts) == 3


def test_dtypes_of_weights_and_of_computing_give_other_contexts(tiny: LoadedModel, context: str) -> None:
    # Cast after loading, which the configuration does not tell.
    half = with_part(tiny, model=copy.deepcopy(tiny.model).to(torch.bfloat16))  # type: ignore[arg-type]
    contexts = {context, reference_context(tiny, dtype=torch.bfloat16)}
    contexts |= {reference_context(half, dtype=torch.bfloat16), reference_context(half, dtype=torch.float16)}
    assert len(contexts) == 4


def test_settings_give_other_contexts_in_whatever_order_they_stand(tiny: LoadedModel, context: str) -> None:
    def of(**settings: Any) -> str:
        return reference_context(tiny, dtype=torch.float32, settings=settings)

    assert of() == context
    assert of(system="Be honest.", crop={"seed": 1}) == of(crop={"seed": 1}, system="Be honest.")
    assert len({of(), of(system="Be honest."), of(system="Be brief."), of(crop={"seed": 1})}) == 4
    with pytest.raises(TypeError, match=r"settings: .* is not JSON serializable: give plain JSON"):
        of(dtype=torch.float32)


# Context: the processor


def changed(loaded: LoadedModel, change: Callable[[Any], object]) -> str:
    processor = copy.deepcopy(loaded.processor)
    change(processor)
    return reference_context(with_part(loaded, processor=processor), dtype=torch.float32)


def set_on(part: str, name: str, value: Any) -> Callable[[Any], object]:
    return lambda processor: setattr(getattr(processor, part) if part else processor, name, value)


@pytest.mark.parametrize(
    "change",
    [
        set_on("image_processor", "size", {"height": 64, "width": 64}),
        set_on("image_processor", "min_pixels", 3136),
        set_on("image_processor", "image_mean", [0.4, 0.5, 0.5]),
        set_on("image_processor", "do_resize", False),
        set_on("", "patch_size", 16),
        set_on("", "chat_template", "{{ messages }}"),
        lambda processor: processor.tokenizer.add_tokens(["<new>"]),
        lambda processor: processor.tokenizer.add_special_tokens({"eos_token": "<image>"}),
    ],
    ids=["size", "min_pixels", "mean", "resize", "patch", "template", "vocabulary", "eos"],
)
def test_another_setting_of_the_processor_gives_another_context(
    tiny: LoadedModel, context: str, change: Callable[[Any], object]
) -> None:
    assert changed(tiny, change) != context


def test_the_pixel_budget_of_a_family_is_in_the_context(tiny: LoadedModel) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    def with_budget(least: int, most: int) -> str:
        pictures = Qwen2VLImageProcessorPil(min_pixels=least, max_pixels=most)
        return changed(tiny, lambda processor: setattr(processor, "image_processor", pictures))

    budgets = [(3136, 12_845_056), (3136, 1_003_520), (200_704, 1_003_520)]
    assert len({with_budget(*budget) for budget in budgets}) == 3
    assert with_budget(*budgets[1]) == with_budget(*budgets[1])


def test_another_class_of_image_processor_gives_another_context(tiny: LoadedModel, context: str) -> None:
    def subclass(processor: Any) -> None:
        pictures = processor.image_processor
        pictures.__class__ = type("OtherBackend", (type(pictures),), {})

    assert changed(tiny, subclass) != context


def test_a_merge_of_the_tokenizer_is_in_the_context(context: str, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(miniworld.TINY_VLM, folder)
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["model"]["merges"].pop()
    file.write_text(json.dumps(content), encoding="utf-8")
    assert reference_context(load_model(str(folder), device="cpu"), dtype=torch.float32) != context


def test_using_model_and_processor_does_not_change_the_context(context: str) -> None:
    used = load_model("tiny_vlm", device="cpu", attn_implementation="eager")
    used.processor.tokenizer(
        ["a", "a b c"], padding=True, truncation=True, max_length=8, padding_side="right"
    )
    used.processor.tokenizer.padding_side = "right"
    used.model.config.use_cache = False
    used.model.config.pad_token_id = 3
    before = processor_digest(used.processor)
    assert reference_context(used, dtype=torch.float32) == context
    assert processor_digest(used.processor) == before
