"""Loading by name, by folder and with an adapter; what is refused; what a digest depends on."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model

from align import miniworld
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.loading import LoadedModel, dtype_of, load_model, model_folder, weights_digest


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return load_model("tiny_vlm", device="cpu")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = load_model("tiny_vlm", device="cpu").model
    tuned = get_peft_model(base, lora_config(base, family_of(base), {"r": 2}))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    folder = tmp_path_factory.mktemp("adapter")
    tuned.save_pretrained(folder)
    return folder


def logits(loaded: LoadedModel) -> torch.Tensor:
    size = loaded.model.config.vision_config.image_size
    ids = loaded.processor.tokenizer("<image>" * 9 + "What color is the star?", return_tensors="pt").input_ids
    with torch.no_grad():
        return loaded.model(input_ids=ids, pixel_values=torch.ones(1, 3, size, size)).logits


def test_embedded_model_is_found_by_its_name_only(tiny: LoadedModel) -> None:
    assert model_folder("tiny_vlm") == Path(miniworld.TINY_VLM)
    assert tiny.name == "tiny_vlm"
    assert not tiny.model.training
    assert dtype_of(tiny.model) == torch.float32
    assert tiny.device == torch.device("cpu")


def test_a_local_folder_with_the_same_weights_has_the_same_digest(tiny: LoadedModel, tmp_path: Path) -> None:
    copy = tmp_path / "renamed"
    shutil.copytree(miniworld.TINY_VLM, copy)
    assert weights_digest(copy) == tiny.digest
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert weights_digest(copy) != tiny.digest


def test_the_hub_caches_name_of_a_file_is_trusted_as_its_digest(tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / ("ab" * 32)
    blob.parent.mkdir()
    blob.write_bytes(b"weights")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "model.safetensors").symlink_to(blob)
    named = weights_digest(snapshot)
    blob.write_bytes(b"not read again")
    assert weights_digest(snapshot) == named


def test_an_adapter_changes_the_outputs_and_the_digest(tiny: LoadedModel, adapter: Path) -> None:
    tuned = load_model("tiny_vlm", adapter, device="cpu")
    assert isinstance(tuned.model, PeftModel)
    assert tuned.digest != tiny.digest
    assert tuned.adapter == str(adapter)
    assert not any(p.requires_grad for p in tuned.model.parameters())
    assert not torch.allclose(logits(tuned), logits(tiny))
    with tuned.model.disable_adapter():
        torch.testing.assert_close(logits(tuned), logits(tiny))


def test_an_adapter_to_train_further_can_be_trained(adapter: Path) -> None:
    tuned = load_model("tiny_vlm", adapter, device="cpu", trainable_adapter=True)
    trainable = [name for name, p in tuned.model.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora_" in name for name in trainable)


def test_digest_depends_on_the_adapters_settings(tiny: LoadedModel, adapter: Path, tmp_path: Path) -> None:
    other = tmp_path / "scaled"
    shutil.copytree(adapter, other)
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 99}))
    digests = {load_model("tiny_vlm", path, device="cpu").digest for path in (adapter, other)}
    assert len(digests) == 2


def test_pickled_weights_are_refused(tiny: LoadedModel, adapter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(miniworld.TINY_VLM, folder)
    (folder / "model.safetensors").unlink()
    torch.save(tiny.model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"no \*\.safetensors.*save_pretrained"):
        load_model(str(folder))
    broken = tmp_path / "adapter"
    shutil.copytree(adapter, broken)
    (broken / "adapter_model.safetensors").rename(broken / "adapter_model.bin")
    with pytest.raises(FileNotFoundError, match=r"no adapter_model\.safetensors"):
        load_model("tiny_vlm", broken)


@pytest.mark.parametrize("reference", ["./nowhere", "/no/such/folder", "runs/dpo/2030/adapter"])
def test_a_path_that_is_not_there_is_not_looked_up_on_the_hub(reference: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_model(reference)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_model("tiny_vlm", reference)


def test_dtype_by_name(tiny: LoadedModel) -> None:
    assert dtype_of(load_model("tiny_vlm", device="cpu", dtype="bfloat16").model) == torch.bfloat16
    with pytest.raises(ValueError, match="'float12' is not a torch dtype"):
        load_model("tiny_vlm", dtype="float12")
