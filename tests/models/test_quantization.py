"""QLoRA on the CPU: what is quantised, what is counted, and that the adapter alone is trained."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from align import miniworld
from align.models import quantization
from align.models.adapters import count_parameters, format_parameters
from align.models.families import FAMILIES
from align.models.loading import LoadedModel, load_model
from align.models.preparing import prepare_for_training
from align.models.quantization import is_quantized, quantization_config

pytest.importorskip("bitsandbytes", reason="bitsandbytes comes with the extra `gpu`")

FAMILY = FAMILIES["llava"]


def load() -> LoadedModel:
    return load_model("tiny_vlm", device="cpu", quantization="4bit")


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load()


def row(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    side = loaded.model.config.vision_config.image_size
    text = "<image>" * 9 + "What color is the star? There is no star."
    ids = loaded.processor.tokenizer(text, return_tensors="pt").input_ids
    pixels = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "pixel_values": pixels, "labels": ids}


def test_the_language_models_layers_are_quantised_and_nothing_else(loaded: LoadedModel) -> None:
    kinds: dict[str, set[str]] = {}
    for name, module in loaded.model.named_modules():
        if isinstance(module, nn.Linear):
            kinds.setdefault(FAMILY.part_of(name), set()).add(type(module).__name__)
    tower = {"Linear", "NonDynamicallyQuantizableLinear"}  # the second: inside torch's own attention
    assert kinds["language_model"] == {"Linear4bit"}
    assert kinds["projector"] == kinds["head"] == {"Linear"}
    assert kinds["vision_tower"] <= tower
    layer: Any = loaded.model.get_submodule("model.language_model.layers.0.mlp.down_proj")
    state = layer.weight.quant_state
    assert (state.quant_type, state.nested, layer.compute_dtype) == ("nf4", True, torch.float32)
    assert is_quantized(loaded.model)
    assert loaded.digest == load_model("tiny_vlm", device="cpu").digest
    assert loaded.device == torch.device("cpu")


def test_skipped_modules_are_those_of_each_familys_parts() -> None:
    for family in FAMILIES.values():
        skipped = quantization_config("4bit", family, torch.bfloat16).llm_int8_skip_modules
        assert {family.part_of(path) for path in skipped} == {"vision_tower", "projector", "head"}


def test_packed_weights_are_counted_as_the_numbers_they_stand_for(loaded: LoadedModel) -> None:
    plain = load_model("tiny_vlm", device="cpu").model
    counted, expected = count_parameters(loaded.model, FAMILY), count_parameters(plain, FAMILY)
    assert {p: row["total"] for p, row in counted.items()} == {p: row["total"] for p, row in expected.items()}
    packed = sum(p.numel() for p in loaded.model.parameters())
    assert packed < sum(p.numel() for p in plain.parameters())


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_the_adapter_alone_is_trained_with_checkpointing(tmp_path: Path, dora: bool) -> None:
    loaded = load()
    args = TrainingArguments(
        output_dir=str(tmp_path),
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        max_steps=2,
        per_device_train_batch_size=1,
        gradient_checkpointing=True,
        learning_rate=1e-3,
        save_strategy="no",
        remove_unused_columns=False,
    )
    dtypes = {name: p.dtype for name, p in loaded.model.named_parameters()}
    model: Any = prepare_for_training(loaded, FAMILY, {"r": 4, "use_dora": dora}, args=args)
    bare = model.get_base_model()
    kept = {
        name.replace(".base_layer", ""): p.dtype for name, p in bare.named_parameters() if "lora_" not in name
    }
    assert kept == dtypes  # nothing was turned into float32 beside the adapter
    counts = count_parameters(model, FAMILY)
    lora = {name: p for name, p in model.named_parameters() if "lora_" in name}
    assert all(p.dtype == torch.float32 for p in lora.values())
    assert counts["language_model"]["trainable"] == sum(p.numel() for p in lora.values())
    assert "trainable" in format_parameters(counts)

    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    one = {name: value[0] for name, value in row(loaded).items()}
    Trainer(model=model, args=args, train_dataset=[one, one]).train()
    moved = {name for name, p in model.named_parameters() if not torch.equal(before[name], p)}
    assert moved == set(lora)

    model.eval()
    model.save_pretrained(tmp_path / "adapter")
    again = load_model("tiny_vlm", tmp_path / "adapter", device="cpu", quantization="4bit")
    with torch.no_grad():
        torch.testing.assert_close(again.model(**row(loaded)).loss, model(**row(loaded)).loss)
        with again.model.disable_adapter():
            assert not torch.equal(again.model(**row(loaded)).loss, model(**row(loaded)).loss)


def test_quantised_weights_are_not_trained_themselves(loaded: LoadedModel) -> None:
    with pytest.raises(ValueError, match="16 levels and have no gradients"):
        prepare_for_training(loaded, FAMILY, None)


def test_unknown_and_second_quantisations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quantization='3bit' is not known: choose 4bit"):
        load_model("tiny_vlm", device="cpu", quantization="3bit")
    folder = tmp_path / "quantised"
    shutil.copytree(miniworld.TINY_VLM, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"quantised already \(gptq\)"):
        load_model(str(folder), device="cpu", quantization="4bit")


def test_a_family_without_a_table_row_says_how_to_name_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(FAMILIES, "llava")
    with pytest.raises(ValueError, match=r"'llava' is not in the table.*\+model\.parts="):
        load()


def test_a_missing_bitsandbytes_is_said_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'mohoalign\[gpu\]'"):
        load()
