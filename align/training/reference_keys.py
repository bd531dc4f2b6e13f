"""What a pair's reference log-probs depend on, as the key that they are cached under.

All of it is content: a file that is renamed or a row that gets another id keeps its key, and a changed byte
gives another one. Left out is what changes log-probs only by rounding: attention kernel and batch size.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import ProcessorMixin

from align.models.loading import LoadedModel, dtype_of
from align.records import Pair
from align.run import content_digest
from align.training.reference import KEY_BYTES

# To be raised when a change to this package changes the log-probs that it computes.
_VERSION = 2
# Where a thing was loaded from, what wrote it, and what training and generation leave behind in it.
_NOT_CONTENT = frozenset(
    {"name_or_path", "transformers_version", "is_local", "local_files_only", "padding_side", "use_cache"}
    | {"bos_token_id", "eos_token_id", "pad_token_id"}
)


def reference_context(
    loaded: LoadedModel, *, dtype: torch.dtype, settings: Mapping[str, Any] | None = None
) -> str:
    """32 hex digits for all that a run's rows have in common.

    They depend on the digest of the weights (and of the adapter that is continued from, if any), the model's
    configuration and quantisation, the dtype of its weights, the processor with its tokenizer and chat
    template as they are now, the version of transformers, and on:

    Args:
        dtype: what the forward pass computes in; under autocast not the dtype of the weights.
        settings: what else changes the log-probs, such as a system message or, where a context is for
            corrupted images, how they are made. Plain JSON values.

    Raises `TypeError` for a setting that is no JSON value.
    """
    try:
        spelt = json.dumps(settings or {}, sort_keys=True)
    except TypeError as error:
        raise TypeError(f"settings: {error}: give plain JSON values") from error
    facts = {
        "version": [_VERSION, transformers.__version__],
        "weights": loaded.digest,
        "weights_dtype": str(dtype_of(loaded.model)),
        "config": _content(json.loads(loaded.model.config.to_json_string(use_diff=False))),
        "compute_dtype": str(dtype),
        "processor": processor_digest(loaded.processor),
        "settings": spelt,
    }
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def processor_digest(processor: ProcessorMixin) -> str:
    """Hex digits that change with what a processor makes of texts and images, as it is in memory now."""
    # Classes are not told by the files: an image processor's backends resize differently.
    parts = {name: part for name, part in vars(processor).items() if hasattr(part, "save_pretrained")}
    content: dict[str, Any] = {name: type(part).__qualname__ for name, part in parts.items()}
    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            name = file.relative_to(folder).as_posix()
            if name.endswith("config.json"):
                content[name] = _content(json.loads(file.read_text(encoding="utf-8")))
            elif name == "tokenizer.json":
                # How the last batch was padded stays in the tokenizer.
                value = json.loads(file.read_text(encoding="utf-8"))
                content[name] = {key: value[key] for key in value if key not in ("padding", "truncation")}
            else:
                content[name] = content_digest(file)
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def reference_keys(
    pairs: Sequence[Pair], digests: Mapping[str, str], context: str, *, corrupted: bool = False
) -> list[bytes]:
    """16 bytes for each pair, from its texts, the bytes of its images in their order, and the context.

    `digests` are those of `align.data.images.image_digests`. Ids, kinds and sources do not count, since the
    model does not see them; with `corrupted` the question's id does, since it says how the row's images are
    cropped.
    Raises `KeyError` for an image without a digest.
    """
    keys = []
    for pair in pairs:
        content = [context, pair.prompt, pair.chosen, pair.rejected, *(digests[i] for i in pair.images)]
        if corrupted:
            content.append(pair.question_id)
        keys.append(blake2b(json.dumps(content).encode(), digest_size=KEY_BYTES).digest())
    return keys


def _content(value: Any) -> Any:
    """A configuration without what says where it came from and how it was used."""
    if isinstance(value, dict):
        return {
            key: _content(item)
            for key, item in value.items()
            if not key.startswith("_") and key not in _NOT_CONTENT
        }
    return [_content(item) for item in value] if isinstance(value, list) else value
