"""Load a vision-language model, its processor and, if given, an adapter.

Weights are read from safetensors only: a pickle can run code when it is opened. Code that comes with a
model runs only if `trust_remote_code` is turned on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

from align import miniworld
from align.run import content_digest

TINY = "tiny_vlm"

_MODEL_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_ADAPTER_FILES = ["adapter_config.json", "adapter_model.safetensors"]


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for use. `name` is the reference it was asked for by.

    `digest` is 16 hex digits that change with the content of the base weights or of the adapter, and
    with nothing else: what caches and records are keyed by.
    """

    model: PreTrainedModel | PeftModel
    processor: ProcessorMixin
    name: str
    digest: str
    adapter: str | None = None

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def load_model(
    model: str,
    adapter: str | Path | None = None,
    *,
    dtype: str = "auto",
    device: str = "auto",
    attn_implementation: str | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
    trainable_adapter: bool = False,
) -> LoadedModel:
    """Load `model`: "tiny_vlm" (the embedded one), a hub id, or a local folder.

    `dtype` "auto" keeps the dtype of the stored weights on an accelerator and takes float32 on the CPU,
    where half precision is slower and less exact; otherwise the name of a torch dtype. `device` "auto" is
    the first CUDA device if there is one, else the CPU. `attn_implementation` None leaves the choice to
    transformers. `revision` is a hub revision of the model. The adapter is a local folder or a hub id;
    `trainable_adapter` loads it so that training can go on from it.

    The model is in eval mode. Raises `FileNotFoundError` when there are no safetensors weights, and
    `ValueError` for an unknown dtype.
    """
    place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    folder = model_folder(model, revision=revision, with_code=trust_remote_code)
    network: Any = AutoModelForImageTextToText.from_pretrained(
        folder,
        dtype=_dtype(dtype, place),
        attn_implementation=attn_implementation,
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
    )
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=trust_remote_code)
    if adapter is not None:
        network = PeftModel.from_pretrained(network, adapter_folder(adapter), is_trainable=trainable_adapter)
    digest = reference_digest(model, adapter, revision=revision)
    network = network.to(place).eval()
    return LoadedModel(network, processor, model, digest, None if adapter is None else str(adapter))


def model_folder(model: str, *, revision: str | None = None, with_code: bool = False) -> Path:
    """The local folder of a model reference, downloaded from the hub if it is neither embedded nor local.

    Raises `FileNotFoundError` if the folder holds no safetensors weights.
    """
    if model == TINY:
        folder = Path(miniworld.TINY_VLM)
    elif Path(model).is_dir():
        folder = Path(model)
    else:
        _refuse_missing_path(model, "model")
        patterns = [*_MODEL_FILES, "*.py"] if with_code else _MODEL_FILES
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(
            f"model {model!r}: no *.safetensors in {folder}. Only safetensors weights are loaded; convert "
            "others with `model.save_pretrained(folder)`"
        )
    return folder


def adapter_folder(adapter: str | Path) -> Path:
    """The local folder of an adapter, downloaded from the hub if it isn't local.

    Raises `FileNotFoundError` that names the missing file.
    """
    folder = Path(adapter)
    if not folder.is_dir():
        _refuse_missing_path(str(adapter), "adapter")
        folder = Path(snapshot_download(str(adapter), allow_patterns=_ADAPTER_FILES))
    for name in _ADAPTER_FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"adapter {str(adapter)!r}: no {name} in {folder}")
    return folder


def reference_digest(model: str, adapter: str | Path | None = None, *, revision: str | None = None) -> str:
    """The digest that `load_model` would give its model, without loading it."""
    digest = weights_digest(model_folder(model, revision=revision))
    if adapter is None:
        return digest
    folder = adapter_folder(adapter)
    return _combine(digest, *(content_digest(folder / name) for name in _ADAPTER_FILES))


def weights_digest(folder: Path) -> str:
    """16 hex digits of the content of all safetensors files in a model's folder."""
    return _combine(*(_file_digest(path) for path in sorted(folder.glob("*.safetensors"))))


def dtype_of(model: torch.nn.Module) -> torch.dtype:
    """The dtype of a model's floating-point weights."""
    return next(p.dtype for p in model.parameters() if p.is_floating_point())


def _file_digest(path: Path) -> str:
    # The hub's cache names a large file by the SHA-256 of its content, so it need not be read again.
    target = path.resolve().name
    if path.is_symlink() and len(target) == 64 and all(c in "0123456789abcdef" for c in target):
        return target
    return content_digest(path)


def _combine(*digests: str) -> str:
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:16]


def _refuse_missing_path(reference: str, what: str) -> None:
    """A hub id is `name` or `owner/name`: anything else was meant as a path, and isn't there."""
    if reference.startswith((".", "/", "~")) or reference.count("/") > 1 or "\\" in reference:
        raise FileNotFoundError(f"{what} {reference!r}: no such folder")


def _dtype(name: str, place: torch.device) -> Any:
    if name == "auto":
        return torch.float32 if place.type == "cpu" else "auto"
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"dtype {name!r} is not a torch dtype: use auto, float32, bfloat16 or float16")
    return dtype
