"""Merge an adapter into its base: weights that need no PEFT to be loaded.

A merge can go wrong in silence: a layer that PEFT leaves out, tied weights that come apart when they are
saved, an update too small for the number format. So what was written is loaded again and compared with base
and adapter before anybody sees the folder.
"""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import safe_open

from align.models.generation import Request, prepare, to_device
from align.models.loading import LoadedModel, load_model, model_folder

_QUESTION = "What is in the image, and what was there before it was taken?"
_ROUNDING = 1e-3
"""Largest change of a logit by the merge itself, in the dtype of the arithmetic, relative to the largest."""
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class MergeError(Exception):
    """The merged weights do not do what base and adapter do; nothing was written."""


@dataclass(frozen=True)
class Merged:
    """How the merged model compares, on one row: changes of logits, relative to the largest logit.

    `adapter`: what the adapter changes of the base. `error`: what the folder's weights, in `dtype`, differ by
    from base and adapter.
    """

    dtype: str
    adapter: float
    error: float


def merge_adapter(
    model: str,
    adapter: str | Path,
    folder: str | Path,
    *,
    dtype: str = "auto",
    device: str = "cpu",
    compute_dtype: str = "float32",
    attn_implementation: str | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> Merged:
    """Write base + adapter and the processor to `folder`, for `from_pretrained`.

    `dtype` "auto" is that of the stored base weights. The sum is computed in `compute_dtype` and rounded
    once. The folder must be a place that nobody reads from yet (`appears_whole`).

    Raises `ValueError` for a quantised base or an unknown dtype, and `MergeError` if what was written does
    not compute what base and adapter do, or is no nearer to that than to the base.
    """
    source = model_folder(model, revision=revision, with_code=trust_remote_code)
    refuse_quantised(model, source)
    dtype = stored_dtype(source) if dtype == "auto" else dtype
    for name, value in (("dtype", dtype), ("compute_dtype", compute_dtype)):
        if value not in _DTYPES.values():
            raise ValueError(f"{name}={value!r}: choose one of {', '.join(_DTYPES.values())}")
    how: dict[str, Any] = {
        "device": device,
        "attn_implementation": attn_implementation,
        "trust_remote_code": trust_remote_code,
    }
    loaded = load_model(model, adapter, dtype=compute_dtype, revision=revision, **how)
    wanted = _logits(loaded)
    network: Any = loaded.model
    with network.disable_adapter():
        base = _logits(loaded)
    change = _difference(base, wanted)
    if change == 0:
        raise MergeError(
            f"adapter {str(adapter)!r} changes nothing in {model!r}: it was saved untrained, or it belongs "
            "to another model (see `base_model_name_or_path` and `target_modules` in its adapter_config.json)"
        )
    merged = network.merge_and_unload(safe_merge=True)
    error = _difference(_logits(LoadedModel(merged, loaded.processor, model, loaded.digest)), wanted)
    allowed = _ROUNDING if compute_dtype == "float32" else change
    if not error <= allowed:
        raise MergeError(
            f"merging {str(adapter)!r} into {model!r} changes its logits by {error:.2g} of the largest, and "
            f"rounding in {compute_dtype} explains {allowed:.2g}: PEFT cannot merge this adapter exactly"
        )
    merged.to(getattr(torch, dtype)).save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    del loaded, network, merged

    written = load_model(str(folder), dtype=dtype, **how)
    error = _difference(_logits(written), wanted)
    if not 2 * error < change:  # nearer to base and adapter than to the base
        raise MergeError(
            f"in {dtype} the merged weights differ from base and adapter by {error:.2g} of the largest "
            f"logit, and the adapter itself changes {change:.2g}: rounding loses what was learnt. Give "
            "dtype=float32, or keep base and adapter apart"
        )
    return Merged(dtype, change, error)


def refuse_quantised(model: str, folder: Path) -> None:
    """Raise `ValueError` if a model's weights are quantised."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if (settings := config.get("quantization_config")) is not None:
        method = settings.get("quant_method", "an unknown method")
        raise ValueError(
            f"model {model!r} is quantised ({method}): the sum of base and adapter would have to be rounded "
            "to its few levels, which loses most of what the adapter learnt. Merge into the full-precision "
            "weights that it was made from, and quantise the result"
        )


def stored_dtype(folder: Path) -> str:
    """The floating-point dtype of most numbers in a folder's safetensors files."""
    numbers: Counter[str] = Counter()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                piece = tensors.get_slice(name)
                if piece.get_dtype() in _DTYPES:
                    numbers[_DTYPES[piece.get_dtype()]] += prod(piece.get_shape())
    if not numbers:
        raise ValueError(f"{folder}: no floating-point weights whose dtype could be kept: give dtype=float32")
    return numbers.most_common(1)[0][0]


@contextmanager
def appears_whole(folder: str | Path) -> Iterator[Path]:
    """A new folder to write to, which gets its name `folder` when the block ends, and vanishes if it fails.

    Raises `FileExistsError` if there is something at `folder`.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"out={folder} exists already: give another folder, or remove it")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def merged_card(*, base: str, adapter: str, digest: str, merged: Merged) -> str:
    """README.md of a merged model; `digest` is that of base and adapter."""
    lines = [
        "---",
        *([f"base_model: {base}"] if "/" in base and not Path(base).exists() else []),
        "library_name: transformers",
        "pipeline_tag: image-text-to-text",
        "tags: [vision-language, honesty, merged]",
        "---",
        f"# `{base}` with an honesty adapter merged in",
        "",
        "```python",
        "from transformers import AutoModelForImageTextToText, AutoProcessor",
        'model = AutoModelForImageTextToText.from_pretrained("path/to/this/folder")',
        'processor = AutoProcessor.from_pretrained("path/to/this/folder")',
        "```",
        "",
        f"- base: `{base}`",
        f"- adapter: `{adapter}`; its card says what it was trained on and what its limits are",
        f"- digest of base and adapter: `{digest}`",
        f"- weights: {merged.dtype}",
        "",
        f"Checked before it was written: on one row with an image the adapter changes the base's logits by "
        f"{merged.adapter:.2g} (relative to the largest), and these weights differ from base and adapter by "
        f"{merged.error:.2g}.",
        "",
    ]
    return "\n".join(lines)


@torch.inference_mode()
def _logits(loaded: LoadedModel) -> torch.Tensor:
    """Logits of every position of one row with an image, `[T, V]`, in float32."""
    prepared = prepare(loaded, [Request(_QUESTION, _picture())])
    if prepared.errors:
        raise MergeError(f"{loaded.name}: the row to check with cannot be processed: {prepared.errors[0]}")
    ((_, inputs, _),) = prepared.batches
    network: Any = loaded.model
    logits: torch.Tensor = network(**to_device(loaded, inputs)).logits[0]
    return logits.float().cpu()


def _difference(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).abs().max() / second.abs().max())


def _picture() -> bytes:
    """A picture with something in it: a constant one would hide a vision tower that does nothing."""
    picture = Image.linear_gradient("L").convert("RGB")
    picture.paste((200, 30, 30), (40, 60, 150, 170))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
