"""POPE (Li et al. 2023, arXiv 2305.10355): is an object in the image, yes or no; half of them are not there.

Official rule (`evaluate.py` of the authors' repository): the text before the first full stop, without commas,
is split at spaces; if one of the words is exactly `No`, `no` or `not` the answer is no, else it is yes. So
"I cannot determine that" is a yes, "I can not determine that" is a no, and "NO" is a yes. `yes_rate` is the
share of *predictions* that are yes, not that of the labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from align.data.json_rows import Row
from align.data.sources.cells import Cells
from align.data.sources.pope import PARTS, POPE
from align.evaluation.general.base import (
    GeneralTask,
    Item,
    code_digest,
    fixed_subset,
    scored_record,
)
from align.evaluation.general.figures import Figure, clusters_of, rates
from align.evaluation.general.reading import (
    Items,
    Pictures,
    Source,
    as_paths,
    check_images,
    fill_prompt,
    found_paths,
    read_rows,
)
from align.evaluation.general.yes_no import read_yes_no
from align.records import DataError, Problem, Scored


@dataclass(frozen=True)
class PopeBenchmark:
    """`figures` adds precision, recall, F1 (yes is the positive class) and yes-rate, ours and official.

    Ours count an abstention and an unparsed response as neither: they are missing from precision and
    yes-rate, and are a miss in recall where the object is there.
    """

    name: str = "pope"
    headline: str = "accuracy"

    @property
    def digest(self) -> str:
        return code_digest("evaluation/general/pope.py", "evaluation/general/yes_no.py")

    def grade(self, item: Item, response: str) -> Scored:
        [gold] = item.gold
        state, said = read_yes_no(response, str(item.facts["question"]))
        return scored_record(
            item,
            self,
            response,
            state=state,
            parsed=said,
            score=float(said == gold) if state == "answer" else None,
            official=float(official_answer(response) == gold),
        )

    def figures(self, scored: Sequence[Scored]) -> dict[str, Figure]:
        ran = np.array([row.state != "failed" for row in scored], bool)
        gold_yes = np.array([row.gold == ("yes",) for row in scored], bool)
        answered = np.array([row.state == "answer" for row in scored], bool)
        said_yes = np.array([row.parsed == "yes" for row in scored], bool) & answered
        right = np.array([row.official == 1.0 for row in scored], bool)
        read_yes = (right == gold_yes) & ran
        fractions = _confusion("", said_yes, gold_yes, ran, answered)
        fractions |= _confusion("official_", read_yes, gold_yes, ran, ran)
        official = {name for name in fractions if name.startswith("official_")}
        shares = {name for name in fractions if name.endswith("yes_rate")}
        return rates(clusters_of(scored), fractions, official, balanced=shares)


def _confusion(
    prefix: str, said_yes: np.ndarray, gold_yes: np.ndarray, ran: np.ndarray, predicted: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    actual, hit = gold_yes & ran, said_yes & gold_yes
    return {
        f"{prefix}precision": (hit, said_yes),
        f"{prefix}recall": (hit, actual),
        f"{prefix}f1": (2.0 * hit, said_yes.astype(float) + actual),
        f"{prefix}yes_rate": (said_yes, predicted),
    }


def official_answer(response: str) -> Literal["yes", "no"]:
    """What the authors' evaluate.py reads in a response."""
    words = response.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def pope(
    source: Source,
    images: str,
    *,
    part: str | None = None,
    hub_split: str | None = None,
    hub_revision: str | None = None,
    prompt: str = "{question}",
    limit: int | None = None,
) -> GeneralTask:
    """POPE from its files (`coco_pope_random.json` and the others), their folder, or its copy on the hub.

    Args:
        source: a file, several, a folder of them, or a data set that `datasets` loads (`lmms-lab/POPE`).
        images: the folder that image names are relative to; pictures in the rows are written there.
        part: `random`, `popular` or `adversarial` only.
        hub_split, hub_revision: of a data set.
        prompt: what is asked, with `{question}` in it; the authors ask the question as it is.
        limit: at most that many questions, of whole images.

    Raises `DataError` where nothing can be read, `FileNotFoundError`, and ValueError for settings that cannot
    be.
    """
    if part is not None and part not in PARTS:
        raise ValueError(f"part={part!r}: choose from {', '.join(PARTS)}, or null for all")
    read, pictures = Items(), Pictures(images)
    for path, rows in _inputs(source, hub_split, hub_revision):

        def make(cells: Cells, number: int, path: str | Path = path) -> Item | None:
            return _item(cells, number, pictures, prompt)

        read_rows(path, rows, make, read)
    items = [item for item in read.items if part is None or item.part == part]
    named = ", ".join(map(str, as_paths(source)))
    if not items:
        none = Problem(file=named, message=f"holds no question of part {part or 'any'} that can be read")
        raise DataError([*read.problems, none])
    check_images(items, images, named)
    chosen = fixed_subset(items, limit, by="image")
    return GeneralTask(PopeBenchmark(), tuple(chosen), tuple(read.problems), str(images), named)


def _inputs(
    source: Source, hub_split: str | None, hub_revision: str | None
) -> Iterator[tuple[str | Path, Iterator[Row]]]:
    form = POPE(hub_split=hub_split, hub_revision=hub_revision)
    for path in found_paths(source, "pope"):
        folder = Path(path)
        found: list[str | Path] = [file for part in PARTS for file in sorted(folder.glob(f"*{part}*.json*"))]
        if found and (hub_split or hub_revision):
            raise ValueError(f"{path} is a folder of files: hub_split and hub_revision are for data sets")
        for each in found or [path]:
            yield each, form.rows(each)


def _item(cells: Cells, number: int, pictures: Pictures, prompt: str) -> Item | None:
    id = cells.text("question_id", required=False) or str(number)
    question = cells.text("question", "text")
    answer = cells.one_of(cells.first("label") or "answer", ("yes", "no"))
    part = cells.one_of("category", PARTS)
    if not cells.good or question is None or answer is None or part is None:
        return None
    image = pictures.name(cells, "image", "image_source", suffix=".jpg")
    if image is None:
        return None
    return Item(
        id=f"{part}-{id}",
        image=image,
        prompt=fill_prompt(prompt, question),
        gold=(answer,),
        part=part,
        facts={"question": question},
    )
