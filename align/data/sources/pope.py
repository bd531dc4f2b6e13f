"""POPE (Li et al. 2023): is an object in the image, yes or no; half of the objects are not there.

The official files (coco_pope_random.json and two more) are JSON Lines with `question_id, image, text,
label`; the hub's copy has `question_id, question, answer, image, category`. The three categories (random,
popular, adversarial) say how the absent object was chosen. They become `part`, and one and the same
question may stand in several of them.

Every question is Answerable: "no" is its answer, not a refusal. A model that declines them has lost
something, which is what they measure here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from align.data.json_rows import Row
from align.data.sources.base import Draft, Source
from align.data.sources.cells import Cells

PARTS = ("random", "popular", "adversarial")


@dataclass(frozen=True)
class POPE(Source):
    name: str = "pope"
    license: str | None = "MIT"
    split: str | None = "test"

    def rows(self, path: str | Path) -> Iterator[Row]:
        named = next((part for part in PARTS if part in Path(path).name.casefold()), None)
        for row in super().rows(path):
            if isinstance(row.value, dict) and named is not None and not row.value.get("category"):
                row = dataclasses.replace(row, value=row.value | {"category": named})
            yield row

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        number = cells.text("question_id", required=False)
        question = cells.text("question", "text")
        answer = cells.one_of("answer", ("yes", "no"), "label")
        image = cells.image("image", "image_source")
        part = cells.one_of("category", PARTS) if cells.first("category") else None
        if not cells.good or question is None or image is None:
            return []
        cells.first("id", "image_source")
        fields = {
            "question": question,
            "category": "Answerable",
            "answers": (answer,),
            "part": part,
            "metadata": {"upstream": cells.rest()},
        }
        id = None if number is None else "-".join(filter(None, (self.name, part, number)))
        return [Draft(fields, image, id=id)]
