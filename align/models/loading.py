"""Load a vision-language model, its processor and, if given, an adapter.

Weights are read from safetensors only: a pickle can run code when it is opened. Code that comes with a
model runs only if `trust_remote_code` is turned on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin

from align import miniworld
from align.models.families import family_named
from align.models.hub import fetch
from align.models.pixels import set_pixel_budget
from align.models.quantization import (
    is_quantized,
    keep_plain_form,
    quantization_config,
    refuse_second_quantization,
)
from align.models.stored import device_for, read_config, read_network, read_processor
from align.run import content_digest

TINY = "tiny_vlm"
REFERENCE_ADAPTER = "reference"

_MODEL_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_ADAPTER_FILES = ["adapter_config.json", "adapter_model.safetensors"]


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for use. `name` is the reference it was asked for by.

    `digest` is 16 hex digits that change with the content of the stored base weights or of the adapter, and
    with nothing else: what records are keyed by. Quantisation and the pixel budget are in the configurations.
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
    name: str,
    adapter: str | Path | None = None,
    *,
    dtype: str = "auto",
    device: str = "auto",
    attn_implementation: str | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
    quantization: str | None = None,
    max_pixels: int | None = None,
    trainable_adapter: bool = False,
    with_reference: bool = False,
) -> LoadedModel:
    """Load `name`: "tiny_vlm" (the embedded one), a hub id, or a local folder.

    Args:
        adapter: a local folder or a hub id.
        dtype: the name of a torch dtype; "auto" keeps that of the stored weights on an accelerator and takes
            float32 on the CPU, where half precision is slower and less exact.
        device: "auto" is the first CUDA device if there is one, else the CPU.
        attn_implementation: None leaves the choice to transformers.
        revision: of a model on the hub.
        parts: module paths of the parts, for a family that is not in the table; used by `quantization`.
        quantization: "4bit" for NF4 weights in the language model (`align.models.quantization`). They compute
            in `dtype`, which the other weights have.
        max_pixels: of one image (`align.models.pixels`); None leaves it to the model's processor.
        trainable_adapter: training goes on from the adapter.
        with_reference: also load it a second time, frozen, as `REFERENCE_ADAPTER` (`add_reference`).

    The model is in eval mode. Raises `FileNotFoundError` when there are no safetensors weights, `HubError`
    when the hub does not give it, `ImportError` when the processor needs a package, and `ValueError` for an
    unknown dtype, a device that is not here, another model's processor, and settings that the model does not
    allow, before its weights are read.
    """
    if with_reference and (adapter is None or not trainable_adapter):
        raise ValueError(
            "with_reference: only an adapter that is trained further has a frozen copy of itself"
        )
    place = device_for(device)
    number_type = _dtype(dtype, place)
    folder = model_folder(name, revision=revision, with_code=trust_remote_code)
    config = read_config(folder, name, trust_remote_code=trust_remote_code)
    how: dict[str, Any] = {}
    if quantization is not None:
        refuse_second_quantization(quantization, config)
        family = family_named(str(config.model_type), parts)
        compute = _stored_dtype(config) if number_type == "auto" else number_type
        how["quantization_config"] = quantization_config(quantization, family, compute)
    in_place = quantization is not None or getattr(config, "quantization_config", None) is not None
    if in_place:
        if place.type == "cuda" and place.index is None:
            place = torch.device("cuda", torch.cuda.current_device())
        how["device_map"] = {"": place}  # quantised where it is to stay
    processor = read_processor(folder, name, config, trust_remote_code=trust_remote_code)
    if max_pixels is not None:
        set_pixel_budget(processor, config, max_pixels)
    network: Any = read_network(
        folder,
        name,
        config,
        dtype=number_type,
        attn_implementation=attn_implementation,
        trust_remote_code=trust_remote_code,
        **how,
    )
    if is_quantized(network):
        keep_plain_form(network)
    if adapter is not None:
        network = PeftModel.from_pretrained(network, adapter_folder(adapter), is_trainable=trainable_adapter)
    digest = reference_digest(name, adapter, revision=revision)
    if not in_place:
        network = network.to(place)
    if adapter is not None and with_reference:
        add_reference(network, adapter)
    return LoadedModel(network.eval(), processor, name, digest, None if adapter is None else str(adapter))


def add_reference(model: PeftModel, adapter: str | Path) -> None:
    """Load the adapter that `model` trains a second time, frozen, under the name `REFERENCE_ADAPTER`.

    It stands for the model as it was before training. From then on `model.save_pretrained` writes the trained
    adapter only, unless told otherwise.
    """
    trained = str(model.active_adapter)
    place = str(next(model.parameters()).device)
    training = model.training
    model.load_adapter(str(adapter_folder(adapter)), REFERENCE_ADAPTER, torch_device=place)
    # Loading a frozen adapter freezes the active one too.
    model.set_adapter(trained)
    model.train(training)
    # The trainer's checkpoints would hold a copy each.
    model.save_pretrained = partial(model.save_pretrained, selected_adapters=[trained])  # type: ignore[method-assign]


def model_folder(model: str, *, revision: str | None = None, with_code: bool = False) -> Path:
    """The local folder of a model reference, downloaded from the hub if it is neither embedded nor local.

    Raises `FileNotFoundError` if the folder holds no safetensors weights, and `ValueError` if no model was
    named.
    """
    if model == "???":
        raise ValueError(_not_named())
    if model == TINY:
        folder = Path(miniworld.TINY_VLM)
    elif Path(model).is_dir():
        folder = Path(model)
    else:
        _refuse_missing_path(model, "model")
        patterns = [*_MODEL_FILES, "*.py"] if with_code else _MODEL_FILES
        folder = fetch(model, "model", patterns=patterns, revision=revision)
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
        folder = fetch(str(adapter), "adapter", patterns=_ADAPTER_FILES)
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


def _not_named() -> str:
    from hydra.core.hydra_config import HydraConfig

    choice = HydraConfig.get().runtime.choices.get("model") if HydraConfig.initialized() else None
    where = (
        f" (model={choice} leaves it to you: configs/model/{choice}.yaml says what fits)" if choice else ""
    )
    return f"model.name is not given{where}: say which with model.name=OWNER/NAME, or model.name=FOLDER"


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


def _stored_dtype(config: PreTrainedConfig) -> torch.dtype:
    """The dtype that a model's configuration names for its weights; bfloat16 if it names none."""
    stored = config.dtype or config.get_text_config().dtype or torch.bfloat16
    return getattr(torch, stored) if isinstance(stored, str) else stored
