"""How many parameters a model has, from the headers of its weights: nothing is loaded."""

from __future__ import annotations

import json
import math
from pathlib import Path


def stored_parameters(folder: Path) -> int | None:
    """Parameters in a folder's safetensors files; a weight that two places share is stored, and counts, once.

    None where there are no such files, and for weights that are stored quantised, several in one number.
    """
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not files or _quantised(folder / "config.json"):
        return None
    return sum(map(_in_file, files))


def _in_file(file: Path) -> int:
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _quantised(config: Path) -> bool:
    return config.is_file() and "quantization_config" in json.loads(config.read_text(encoding="utf-8"))
