"""Merged weights do what base and adapter do, and a folder that is there is whole."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from align import miniworld
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.generation import Request, prepare
from align.models.loading import LoadedModel, load_model
from align.models.merging import (
    MergeError,
    appears_whole,
    merge_adapter,
    refuse_quantised,
    stored_dtype,
)

ROOT = Path(miniworld.__file__).parent.parent.parent

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # libraries about each other's settings


def write_adapter(folder: Path, size: float, **settings: Any) -> Path:
    """An adapter on the tiny model's language model and projector, with random weights of a size."""
    loaded = load_model("tiny_vlm", device="cpu")
    settings = {"r": 4, "lora_alpha": 8, "parts": ["language_model", "projector"]} | settings
    model: Any = get_peft_model(loaded.model, lora_config(loaded.model, family_of(loaded.model), settings))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(size * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("adapter") / "adapter", 0.05)


def logits(model: Any, processor: Any) -> torch.Tensor:
    loaded = LoadedModel(model, processor, "x", "x")
    picture = (ROOT / "samples" / "photos" / "images" / "coffee.jpg").read_bytes()
    ((_, inputs, _),) = prepare(loaded, [Request("What color is the cup?", picture)]).batches
    with torch.inference_mode():
        return model(**inputs).logits.float()


@pytest.mark.program
def test_the_program_writes_a_folder_that_transformers_loads(adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "merged"

    def run(*overrides: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "recipes/merge.py", f"adapter={adapter}", f"out={out}", *overrides],
            cwd=ROOT,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )

    done = run("dtype=float32")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"merged: {out}" in done.stdout
    assert [path.name for path in out.parent.iterdir()] == ["merged"]

    model = AutoModelForImageTextToText.from_pretrained(out, use_safetensors=True)
    processor = AutoProcessor.from_pretrained(out)
    assert not any("lora" in name for name, _ in model.named_modules())
    tuned = load_model("tiny_vlm", adapter, device="cpu")
    expected = logits(tuned.model, tuned.processor)
    torch.testing.assert_close(logits(model, processor), expected, atol=1e-3, rtol=1e-3)
    base = load_model("tiny_vlm", device="cpu")
    assert (logits(base.model, base.processor) - expected).abs().max() > 0.1

    card = (out / "README.md").read_text()
    assert f"digest of base and adapter: `{tuned.digest}`" in card
    assert "weights: float32" in card
    record = json.loads((out / "run.json").read_text())
    assert record["inputs"]["model"]["sha256"] == tuned.digest
    assert record["results"]["merge_error"] < 1e-4 < record["results"]["adapter_change"]

    again = run()
    assert again.returncode == 1
    assert f"out={out} exists already" in again.stdout + again.stderr
    assert (out / "README.md").read_text() == card


def test_the_dtype_is_that_of_the_stored_base(adapter: Path, tmp_path: Path) -> None:
    assert stored_dtype(Path(miniworld.TINY_VLM)) == "float16"
    folder = tmp_path / "merged"
    merged = merge_adapter("tiny_vlm", adapter, folder)
    assert merged.dtype == stored_dtype(folder) == "float16"
    assert 0 < merged.error < 0.02 < merged.adapter


def test_dora_and_rank_stabilised_adapters_merge_too(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", 0.05, use_dora=True, use_rslora=True)
    assert merge_adapter("tiny_vlm", adapter, tmp_path / "merged", dtype="float32").error < 1e-4


def test_an_update_that_rounding_loses_is_refused(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", 1e-5)
    with pytest.raises(
        MergeError, match=r"in bfloat16 .* rounding loses what was learnt. Give dtype=float32"
    ):
        merge_adapter("tiny_vlm", adapter, tmp_path / "rounded", dtype="bfloat16")
    exact = merge_adapter("tiny_vlm", adapter, tmp_path / "exact", dtype="float32")
    assert exact.error < exact.adapter / 5 < 1e-5


def test_an_adapter_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", 0.0)
    with pytest.raises(MergeError, match="changes nothing in 'tiny_vlm'"):
        merge_adapter("tiny_vlm", adapter, tmp_path / "merged")


def test_a_merge_that_drops_a_layer_is_seen(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.lora.layer import Linear

    original = Linear.merge
    seen = []

    def merge_all_but_one(self: Any, *arguments: Any, **named: Any) -> None:
        seen.append(self)
        if len(seen) != 3:
            original(self, *arguments, **named)

    monkeypatch.setattr(Linear, "merge", merge_all_but_one)
    with pytest.raises(MergeError, match="PEFT cannot merge this adapter exactly"):
        merge_adapter("tiny_vlm", adapter, tmp_path / "merged")


def test_weights_that_are_saved_wrong_are_seen(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlavaForConditionalGeneration

    original = LlavaForConditionalGeneration.save_pretrained

    def save_the_base(self: Any, folder: Any, **named: Any) -> None:
        original(load_model("tiny_vlm", device="cpu").model, folder, **named)

    monkeypatch.setattr(LlavaForConditionalGeneration, "save_pretrained", save_the_base)
    with pytest.raises(MergeError, match="rounding loses what was learnt"):
        merge_adapter("tiny_vlm", adapter, tmp_path / "merged")


def test_a_quantised_base_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "bitsandbytes"}}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ValueError, match=r"is quantised \(bitsandbytes\): .* full-precision weights"):
        merge_adapter(str(tmp_path), "somewhere", tmp_path / "merged")
    refuse_quantised("tiny_vlm", Path(miniworld.TINY_VLM))
    with pytest.raises(ValueError, match=r"compute_dtype='int8': choose one of float64, float32"):
        merge_adapter("tiny_vlm", "somewhere", tmp_path / "merged", compute_dtype="int8")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def fail_half_way() -> None:
        with appears_whole(out) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "left by a kill").touch()
    with appears_whole(out) as folder:
        (folder / "whole").touch()
        assert not out.exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "whole"]
    with pytest.raises(FileExistsError, match="exists already"), appears_whole(out):
        pass
