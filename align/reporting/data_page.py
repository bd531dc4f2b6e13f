"""The page that ingest leaves: what the questions are, where they went, and what was refused and why.

One HTML file that needs nothing else. Texts of a data set are hostile: Jinja escapes everything, and the
page's content policy allows no request and no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from textwrap import shorten
from typing import Any, get_args

from markupsafe import Markup

from align import __version__
from align.data.images import ImageFacts
from align.data.mix import shuffled
from align.records import Category, Problem, Question
from align.reporting.images import ImageError, data_uri
from align.reporting.page import environment

WORDS = (1, 5, 10, 15, 20, 25, 30, 35, 40, 46)
"""Edges of the bins of question length; the benchmark keeps questions of 5 to 45 words."""
MEGAPIXELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
SHOWN_PROBLEMS = 200


@dataclass(frozen=True)
class Bin:
    """A bar of a histogram: its label, count, and length as a share of the longest bar's."""

    label: str
    count: int
    length: float


def render_data_page(
    questions: Sequence[Question],
    report: Mapping[str, Any],
    *,
    images: Mapping[str, ImageFacts],
    root: str | Path | None,
    problems: Sequence[Problem] = (),
    examples: int = 2,
    seed: int = 0,
    title: str = "Data summary",
) -> str:
    """The page.

    Args:
        questions: the usable ones, with their splits.
        report: what `align.data.report.ingest_report` made.
        images: facts of the images, by path.
        root: the folder of images, for examples and near-duplicates; None shows no picture.
        problems: every reason why a row was not used.
        examples: questions of each category that are shown, drawn by `seed`.
    """
    pages = environment()
    loader: Any = pages.loader
    script = loader.get_source(pages, "script.js")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    splits = [split for split in report["splits"] if any(report["splits"][split].values())]
    categories = [c for c in get_args(Category) if any(q.category == c for q in questions)]
    counts = {c: {split: report["splits"][split].get(c, 0) for split in splits} for c in categories}
    return pages.get_template("data.html").render(
        title=title,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        report=report,
        n_questions=len(questions),
        n_images=len({question.image for question in questions}),
        splits=splits,
        counts=counts,
        most=max((n for row in counts.values() for n in row.values()), default=1) or 1,
        sources=_shares(question.source for question in questions),
        licenses=_shares(question.license or "not stated" for question in questions),
        words=histogram([len(q.question.split()) for q in questions], WORDS, whole=True),
        sizes=histogram([i.width * i.height / 1e6 for i in images.values()], MEGAPIXELS),
        per_image=_per_image(questions),
        cards=_cards(questions, categories, root, examples, seed),
        near=_near(report, root),
        refused=_kinds(problems),
        problems=problems[:SHOWN_PROBLEMS],
        n_problems=len(problems),
        style=Markup(loader.get_source(pages, "style.css")[0] + loader.get_source(pages, "data.css")[0]),
        script=Markup(script),
        script_digest=digest,
    )


def histogram(values: Sequence[float], edges: Sequence[float], *, whole: bool = False) -> list[Bin]:
    """How many values lie in each bin [edge, next edge). The last is open, and so is the first, below."""
    labels = [
        (str(low) if high - low == 1 else f"{low} to {high - 1}") if whole else f"{low:g} to {high:g}"
        for low, high in pairwise(edges)
    ]
    labels.append(f"{edges[-1]:g} and more")
    counts = [0] * len(edges)
    for value in values:
        counts[max(0, sum(value >= edge for edge in edges) - 1)] += 1
    most = max(counts) or 1
    return [Bin(label, count, count / most) for label, count in zip(labels, counts, strict=True)]


def _shares(values: Any) -> list[Bin]:
    counts = Counter(values).most_common()
    return [Bin(str(name), count, count / counts[0][1]) for name, count in counts]


def _per_image(questions: Sequence[Question]) -> str:
    counts = sorted(Counter(question.image for question in questions).values())
    return f"{counts[0]} to {counts[-1]}, median {counts[len(counts) // 2]}" if counts else "none"


def _cards(
    questions: Sequence[Question], categories: Sequence[str], root: str | Path | None, each: int, seed: int
) -> list[dict[str, Any]]:
    cards = []
    for category in categories:
        own = [question for question in questions if question.category == category]
        for question in sorted(own, key=lambda q: shuffled(seed, q.id))[:each]:
            cards.append({"question": question, "uri": _picture(root, question.image)})
    return cards


def _near(report: Mapping[str, Any], root: str | Path | None, shown: int = 12) -> list[list[dict[str, Any]]]:
    """Groups of images that are the same or nearly so, with pictures of the first ones."""
    groups = [*report.get("same_picture_under_several_names", ()), *report.get("near_duplicates", ())]
    return [
        [{"name": name, "uri": _picture(root, name) if at < shown else None} for name in group[:4]]
        for at, group in enumerate(groups[:60])
    ]


def _picture(root: str | Path | None, image: str) -> str | None:
    if root is None:
        return None
    try:
        return data_uri(Path(root), image)
    except ImageError:  # the report lists it among the problems
        return None


def _kinds(problems: Sequence[Problem]) -> list[Bin]:
    """Problems by their messages, without the values in them."""
    varies = r"'[^']*'|\"[^\"]*\"|\b\d(?:[\d,.x ]*\d)?"
    blank = (shorten(re.sub(varies, "…", problem.message), 110, placeholder=" …") for problem in problems)
    return _shares(blank) if problems else []
