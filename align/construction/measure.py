"""Measures of a set of questions, beside what the paper reports of MoHoBench and HaloQuest."""

from __future__ import annotations

import importlib.util
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rich.table import Table

from align.construction.self_bleu import self_bleu
from align.construction.yields import console
from align.data.openings import diversity
from align.records import UNANSWERABLE, Question

ALL = "all unanswerable"
LEAST_PAIRS = 20

REPORTED: dict[str, dict[str, float | int | None]] = {
    "MoHoBench": {
        "questions": 12158,
        "mean_words": 17.05,
        "self_bleu": 36.78,
        "embedding_similarity": 0.39,
        "moderated_percent": 0.09,
    },
    "HaloQuest": {
        "questions": 7748,
        "mean_words": 8.84,
        "self_bleu": 42.24,
        "embedding_similarity": 0.41,
        "moderated_percent": None,
    },
}
"""What the paper (MoHoBench, arXiv 2507.21503) reports of both sets. Nothing of it was run again."""


class Similarity(Protocol):
    """A mean similarity over all pairs; `semantic`: of meanings, as the paper's figure is."""

    @property
    def name(self) -> str: ...
    @property
    def semantic(self) -> bool: ...
    def similarity(self, texts: Sequence[str]) -> float | None: ...


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        n, smoothing: of Self-BLEU.
        sample: Self-BLEU of so many questions of each group, drawn with the seed; None: of all.
        opening_words: the words of an opening.
    """

    n: int = 4
    smoothing: str = "exp"
    sample: int | None = None
    opening_words: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 2:
            raise ValueError(f"self_bleu.sample must be 2 or more, or null, not {self.sample}")


def require_libraries() -> None:
    """Raises `ModuleNotFoundError` that names the extra to install."""
    missing = [name for name in ("sacrebleu", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"measuring needs {' and '.join(missing)}: pip install 'mohoalign[construct]'"
        )


def groups_of(questions: Sequence[Question]) -> dict[str, list[Question]]:
    """All unanswerable questions, each category, and the answerable ones: those groups that have any."""
    groups = {ALL: [q for q in questions if not q.answerable]}
    groups |= {c: [q for q in questions if q.category == c] for c in (*UNANSWERABLE, "Answerable")}
    return {name: group for name, group in groups.items() if group}


def measure(
    questions: Sequence[Question],
    settings: Settings,
    similarity: Similarity,
    flagged: Mapping[str, bool] | None = None,
    *,
    twins: bool = True,
) -> dict[str, dict[str, Any]]:
    """All measures of each group.

    Args:
        flagged: by text, whether moderation blocks it; a text that is not there was not moderated, and is
            left out of the rate. None: no moderation.
        twins: also measure how well wording alone tells unanswerable questions from their twins.
    """
    by_id = {question.id: question for question in questions}
    result: dict[str, dict[str, Any]] = {}
    for name, group in groups_of(questions).items():
        texts = [question.question for question in group]
        drawn = _drawn(texts, settings)
        entry: dict[str, Any] = {
            "questions": len(texts),
            "words": _words(texts),
            "self_bleu": _rounded(self_bleu(drawn, n=settings.n, smoothing=settings.smoothing), 2),
            "self_bleu_of": len(drawn),
            "similarity": _rounded(similarity.similarity(texts), 3),
            "openings": diversity(texts, settings.opening_words),
        }
        if flagged is not None:
            entry["moderation"] = _moderation(texts, flagged)
        if twins and name != "Answerable":
            pairs = [(q, by_id[q.twin]) for q in group if q.twin in by_id]
            entry["told_from_twins"] = told_from_twins(pairs, settings.seed)
        result[name] = entry
    return result


def told_from_twins(pairs: Sequence[tuple[Question, Question]], seed: int = 0) -> dict[str, Any] | None:
    """How often a bag of words tells, of a question and its twin, which one is unanswerable; 0.5 is chance.

    Logistic regression on the words of questions about other images (five folds by image); a pair counts half
    where both get the same score. What is far above chance can be learned without looking at the image. None
    where there are fewer than 20 pairs or five images.
    """
    images = [question.image for question, _ in pairs]
    if len(pairs) < LEAST_PAIRS or len(set(images)) < 5:
        return None
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    words = CountVectorizer(token_pattern=r"(?u)\b\w+\b", binary=True, ngram_range=(1, 2))
    rows = words.fit_transform([q.question for q, _ in pairs] + [twin.question for _, twin in pairs])
    n = len(pairs)
    right = 0.0
    for train, test in GroupKFold(5, shuffle=True, random_state=seed).split(np.zeros(n), groups=images):
        model = LogisticRegression(max_iter=1000)
        model.fit(rows[np.concatenate([train, train + n])], np.repeat([1, 0], len(train)))
        difference = model.decision_function(rows[test]) - model.decision_function(rows[test + n])
        right += float((difference > 0).sum() + (difference == 0).sum() / 2)
    return {"share": round(right / n, 3), "pairs": n}


def print_measures(
    measures: Mapping[str, Mapping[str, Any]], settings: Settings, similarity: Similarity
) -> None:
    """The table: a row a measure, a column a group, and the paper's figures at the right."""
    table = Table(title="questions, measured", title_justify="left")
    table.add_column("")
    for name in measures:
        table.add_column(name.replace("_", " "), justify="right")
    for name in REPORTED:
        table.add_column(f"{name}: reported, not re-run", justify="right", style="dim")
    rows = [
        ("questions", [str(m["questions"]) for m in measures.values()], "questions", "{:.0f}"),
        ("words, mean", [f"{m['words']['mean']:.2f}" for m in measures.values()], "mean_words", "{:.2f}"),
        (
            "words, least to most",
            [f"{m['words']['min']}-{m['words']['max']}" for m in measures.values()],
            None,
            "",
        ),
        (
            f"Self-BLEU-{settings.n}, {settings.smoothing}",
            [_shown(m["self_bleu"], "{:.2f}") for m in measures.values()],
            "self_bleu",
            "{:.2f}",
        ),
        (
            similarity.name,
            [_shown(m["similarity"], "{:.3f}") for m in measures.values()],
            "embedding_similarity" if similarity.semantic else None,
            "{:.2f}",
        ),
    ]
    if any("moderation" in m for m in measures.values()):
        shares = [_shown(m["moderation"]["percent"], "{:.2f} %") for m in measures.values()]
        rows.append(("blocked by moderation", shares, "moderated_percent", "{:.2f} %"))
    rows += [
        ("openings, distinct", [str(m["openings"]["distinct"]) for m in measures.values()], None, ""),
        ("most frequent opening", [f"{m['openings']['top_share']:.1%}" for m in measures.values()], None, ""),
        ("evenness of openings", [f"{m['openings']['evenness']:.2f}" for m in measures.values()], None, ""),
    ]
    if any(m.get("told_from_twins") for m in measures.values()):
        told = [_shown((m.get("told_from_twins") or {}).get("share"), "{:.0%}") for m in measures.values()]
        rows.append(("told from twins by words", told, None, ""))
    for name, shown, reported, form in rows:
        theirs = [_shown(figures.get(reported or ""), form) for figures in REPORTED.values()]
        table.add_row(name, *shown, *theirs)
    console.print(table)


def notes(similarity: Similarity) -> list[str]:
    """What has to be known to read the figures."""
    own = [
        "Figures of MoHoBench and HaloQuest are what the MoHoBench paper reports; nothing was run again.",
        "Self-BLEU grows with the number of questions and depends on n and smoothing; with which of them the "
        "reported figures were computed is not known here.",
    ]
    if similarity.semantic:
        return [*own, "A similarity depends on the embedding model; the reported one's may be another."]
    return [*own, "TF-IDF compares words, not meanings: it is not comparable with the reported similarity."]


def _words(texts: Sequence[str]) -> dict[str, float]:
    lengths = sorted(len(text.split()) for text in texts)
    mean = sum(lengths) / len(lengths)
    return {
        "mean": round(mean, 2),
        "sd": round(math.sqrt(sum((n - mean) ** 2 for n in lengths) / len(lengths)), 2),
        "median": lengths[len(lengths) // 2],
        "min": lengths[0],
        "max": lengths[-1],
    }


def _moderation(texts: Sequence[str], flagged: Mapping[str, bool]) -> dict[str, Any]:
    known = [flagged[text] for text in texts if text in flagged]
    return {
        "blocked": sum(known),
        "moderated": len(known),
        "failed": len(texts) - len(known),
        "percent": round(100 * sum(known) / len(known), 3) if known else None,
    }


def _drawn(texts: Sequence[str], settings: Settings) -> list[str]:
    if settings.sample is None or settings.sample >= len(texts):
        return list(texts)
    return random.Random(settings.seed).sample(list(texts), settings.sample)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
