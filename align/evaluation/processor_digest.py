"""What a model's folder says beside its weights: processor, tokenizer, chat template, end tokens."""

from __future__ import annotations

import hashlib
import json

from align.models.loading import model_folder
from align.run import content_digest

_FILES = ("*.json", "*.model", "*.txt", "*.jinja")
_OURS = ("run.json", "trainer_state.json", "model.safetensors.index.json")
"""Records of how the weights came about or where they lie."""


def processor_digest(model: str, *, revision: str | None = None, with_code: bool = False) -> str:
    """16 hex digits of the content of all files beside the weights that can change a response.

    `with_code` adds the code that comes with the model. Raises what `model_folder` raises.
    """
    folder = model_folder(model, revision=revision, with_code=with_code)
    patterns = (*_FILES, "*.py") if with_code else _FILES
    files = sorted({file for pattern in patterns for file in folder.glob(pattern) if file.name not in _OURS})
    content = [(file.name, content_digest(file)) for file in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
