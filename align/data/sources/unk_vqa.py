"""UNK-VQA (Guo et al. 2024): VQA questions made unanswerable by changing the question or the image.

JSON: an object with the rows under `annotation`, or the rows by themselves. Known of a row are
`answerability.binary` (1: can be answered) and `alter_type`, how it was changed. For the others several
names are taken: `question`; `image`, `image_name`, `file_name`, `image_path`, or `image_id` with
`image_pattern`; `answers`, `answer` or `multiple_choice_answer` where it can be answered.

`categories` says which category each kind of change is; these are the ones that the paper describes:

    word replacement        False_Premises        the question now speaks of something that is not there
    semantic negation       False_Premises
    image replacement       False_Premises        the image now lacks what the question speaks of
    object masking          Context_Dependent     what is asked for is covered
    copy-move               Vague_Description     what is asked for is there twice

A kind that is not listed is a problem of its row, not a guess: add +source.categories.KIND=CATEGORY.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

from align.data.json_rows import Row
from align.data.sources.base import Draft, Source
from align.data.sources.cells import Cells
from align.records import UNANSWERABLE, Category

CHANGES: dict[str, str] = {
    "word replacement": "False_Premises",
    "semantic negation": "False_Premises",
    "image replacement": "False_Premises",
    "object masking": "Context_Dependent",
    "copy-move": "Vague_Description",
}


@dataclass(frozen=True)
class UnkVQA(Source):
    name: str = "unk-vqa"
    license: str | None = "Apache-2.0"
    categories: Mapping[str, str] = field(default_factory=lambda: dict(CHANGES))
    image_pattern: str = "COCO_val2014_{image_id:012d}.jpg"

    key: ClassVar[str | None] = "annotation"

    def rows(self, path: str | Path) -> Iterator[Row]:
        wrong = {change: c for change, c in self.categories.items() if c not in UNANSWERABLE}
        if wrong:
            raise ValueError(f"source.categories: {wrong}: expected one of {', '.join(UNANSWERABLE)}")
        return super().rows(path)

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        number = cells.text("question_id", "id", required=False)
        question = cells.text("question")
        answerable = self._answerable(cells)
        image: Any
        if cells.first("image", "image_name", "file_name", "image_path"):
            image = cells.image("image", "image_name", "file_name", "image_path")
        else:
            image_id = cells.number("image_id")
            image = None if image_id is None else self.image_pattern.format(image_id=image_id)
        change = None
        if answerable is False:
            change = cells.one_of("alter_type", self.categories)
        fields: dict[str, Any] = {"question": question}
        if answerable:
            fields |= {"category": "Answerable", "answers": _answers(cells)}
        elif change is not None:
            fields["category"] = cast(Category, self.categories[change])
        if not cells.good or image is None:
            return []
        assert fields["category"] in get_args(Category)
        cells.first("alter_type", "image_id")
        fields["metadata"] = {"upstream": cells.rest()} | ({"alter_type": change} if change else {})
        return [Draft(fields, image, id=None if number is None else f"{self.name}-{number}")]

    def _answerable(self, cells: Cells) -> bool | None:
        value: Any = cells.values.get("answerability")
        cells.read.add("answerability")
        if isinstance(value, dict):
            value = value.get("binary")
        known = {"1": True, "true": True, "yes": True, "answerable": True} | {
            "0": False, "false": False, "no": False, "unanswerable": False
        }  # fmt: skip
        found = known.get(str(value).strip().casefold())
        if found is None:
            cells.bad("answerability.binary", f"expected 1 or 0, found {value!r:.80}")
        return found


def _answers(cells: Cells) -> tuple[str, ...]:
    name = cells.first("answers", "answer", "multiple_choice_answer")
    value = cells.values[name] if name else None
    items = value if isinstance(value, list) else [value]
    texts: list[Any] = [item.get("answer") if isinstance(item, dict) else item for item in items]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        cells.bad(name or "answers", f"an answerable question needs its answers, found {value!r:.80}")
        return ()
    return tuple(dict.fromkeys(text.strip() for text in texts))
