"""How alike the questions of a set are on average: the mean cosine over all pairs.

With TF-IDF vectors this is a similarity of words, with a sentence-embedding model one of meanings. The two
have
different scales: only the second may be held against the paper's 0.39, and only loosely, as its figure
    depends on the embedding model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def mean_cosine(vectors: np.ndarray) -> float | None:
    """Mean cosine over all pairs of different rows of [N, D], or None for fewer than two rows.

    The squared length of the sum of unit vectors holds every pair twice and every vector with itself once, so
    no pair has to be formed.
    """
    if len(vectors) < 2:
        return None
    units = np.asarray(vectors, dtype=np.float64)
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    total = units.sum(axis=0)
    return float((total @ total - len(units)) / (len(units) * (len(units) - 1)))


class TfIdf:
    """TF-IDF of lower-case words, fitted on all the questions that are measured together."""

    name = "TF-IDF cosine"
    semantic = False

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        # One-letter words, too, so that no question is left without a vector.
        self.vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b").fit(texts)

    def similarity(self, texts: Sequence[str]) -> float | None:
        """Mean cosine over all pairs. Raises `ValueError` for a text without a word."""
        if len(texts) < 2:
            return None
        rows = self.vectorizer.transform(texts)
        if (rows.getnnz(axis=1) == 0).any():
            raise ValueError("a question without a word has no TF-IDF vector")
        total = np.asarray(rows.sum(axis=0)).ravel()
        return float((total @ total - len(texts)) / (len(texts) * (len(texts) - 1)))


class Embedded:
    """Vectors of texts that were embedded before. `failed` are the texts that have none, and why."""

    semantic = True

    def __init__(self, name: str, vectors: dict[str, np.ndarray], failed: dict[str, str]) -> None:
        self.name, self.vectors, self.failed = f"cosine of {name}", vectors, failed

    def similarity(self, texts: Sequence[str]) -> float | None:
        """Mean cosine over all pairs of those texts that have a vector."""
        rows = [self.vectors[text] for text in texts if text in self.vectors]
        return mean_cosine(np.stack(rows)) if rows else None


def embed_locally(
    folder: str | Path,
    texts: Sequence[str],
    *,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Embedded:
    """Embed texts with a sentence-embedding model in a folder, in the form of sentence-transformers or
    BERT's.

    Pooling is what the folder's 1_Pooling/config.json says (mean or the first token), else the mean over
    tokens. A GPU is used where there is one.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: another pooling, or a further layer behind it, which would be left out in silence.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    root = Path(folder)
    if not (root / "config.json").is_file():
        raise FileNotFoundError(f"similarity.model={folder} is no folder with a model (config.json) in it")
    first_token = _pooling(root) == "cls"
    tokenizer = AutoTokenizer.from_pretrained(str(root), local_files_only=True)
    model = AutoModel.from_pretrained(str(root), local_files_only=True).eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512))
    wanted = sorted(dict.fromkeys(texts), key=len)
    vectors: dict[str, np.ndarray] = {}
    for start in range(0, len(wanted), batch):
        some = wanted[start : start + batch]
        inputs = tokenizer(some, padding=True, truncation=True, max_length=longest, return_tensors="pt").to(
            device
        )
        with torch.inference_mode():
            hidden = model(**inputs).last_hidden_state  # [B, T, D]
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)  # [B, T, 1]
        pooled = hidden[:, 0] if first_token else (hidden * mask).sum(1) / mask.sum(1)  # [B, D]
        vectors |= dict(zip(some, pooled.float().cpu().numpy(), strict=True))
        if progress is not None:
            progress(len(vectors), len(wanted))
    return Embedded(root.resolve().name, vectors, {})


def _pooling(root: Path) -> str:
    modules = root / "modules.json"
    if modules.is_file():
        kinds = [str(module["type"]).rpartition(".")[2] for module in json.loads(modules.read_text())]
        unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
        if unknown:
            raise ValueError(f"{root} has a layer {unknown[0]}: serve it behind an endpoint instead")
    config = root / "1_Pooling" / "config.json"
    if not config.is_file():
        return "mean"
    found: dict[str, Any] = json.loads(config.read_text())
    modes = [mode for mode, on in found.items() if mode.startswith("pooling_mode_") and on is True]
    if modes == ["pooling_mode_cls_token"]:
        return "cls"
    if modes == ["pooling_mode_mean_tokens"]:
        return "mean"
    raise ValueError(
        f"{config}: pooling {', '.join(modes) or 'of no kind'} is not supported; mean and cls are"
    )
