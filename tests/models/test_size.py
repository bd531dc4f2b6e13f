"""The number of parameters that a model's files tell."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from align.miniworld import TINY_VLM
from align.models.loading import load_model
from align.models.size import stored_parameters


def test_the_embedded_model_has_as_many_as_torch_counts() -> None:
    model = load_model("tiny_vlm", device="cpu").model
    assert stored_parameters(Path(TINY_VLM)) == sum(p.numel() for p in model.parameters())


def test_shards_are_added_up_and_what_is_not_known_is_none(tmp_path: Path) -> None:
    assert stored_parameters(tmp_path) is stored_parameters(tmp_path / "nowhere") is None
    for number, shape in enumerate([(3, 4), (5,)]):
        save_file(
            {f"w{number}": torch.zeros(shape)}, tmp_path / f"model-{number}.safetensors", {"format": "pt"}
        )
    assert stored_parameters(tmp_path) == 17
    shutil.copy(Path(TINY_VLM) / "config.json", tmp_path)
    assert stored_parameters(tmp_path) == 17
    packed = json.loads((tmp_path / "config.json").read_text()) | {"quantization_config": {"bits": 4}}
    (tmp_path / "config.json").write_text(json.dumps(packed))
    assert stored_parameters(tmp_path) is None, "one stored number holds several weights"
