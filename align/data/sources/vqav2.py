"""VQAv2 (Goyal et al. 2017): open questions about COCO images with ten annotators' answers each.

The official form is two files: questions (`{"questions": [{"question_id", "image_id", "question"}], ...}`,
the input) and annotations (`{"annotations": [{"question_id", "answers": [{"answer", ...}], ...}], ...}`,
the option `annotations`). Both are read in pieces. The lite subset comes as parquet with questions and
answers in one row, and the image as bytes.

Gold answers are those that three annotators or more gave, most frequent first: the official score of an
answer is min(1, annotators / 3). Where no answer has three, the most frequent ones count. All questions are
Answerable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from align.data.json_rows import Row, iter_rows
from align.data.sources.base import Draft, Source
from align.data.sources.cells import Cells
from align.records import Problem

AGREEMENT = 3


@dataclass(frozen=True)
class VQAv2(Source):
    """`annotations` is the second file; `image_pattern` gives the file name of an `image_id`."""

    name: str = "vqav2"
    license: str | None = "CC BY 4.0"
    annotations: str | None = None
    image_pattern: str = "COCO_val2014_{image_id:012d}.jpg"

    key: ClassVar[str | None] = "questions"

    def inputs(self, path: str | Path) -> dict[str, str | Path]:
        return super().inputs(path) | ({"annotations": self.annotations} if self.annotations else {})

    def rows(self, path: str | Path) -> Iterator[Row]:
        try:
            self.image_pattern.format(image_id=1)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"source.image_pattern needs {{image_id}}: {self.image_pattern!r}") from error
        answers: dict[Any, list[Any]] | None = None
        if self.annotations is not None:
            answers = {}
            for row in iter_rows(self.annotations, key="annotations", max_row=self.max_row):
                if isinstance(row.value, Problem):
                    yield row
                    continue
                id, given = row.value.get("question_id"), row.value.get("answers")
                if id is None or not isinstance(given, list) or id in answers:
                    what = f"no question_id or no answers: {row.value!r:.80}"
                    if id in answers:
                        what = f"a second annotation of question {id}"
                    yield Row(row.line, Problem(file=self.annotations, line=row.line, message=what))
                    continue
                answers[id] = given
        for row in super().rows(path):
            if answers is not None and isinstance(row.value, dict):
                id = row.value.get("question_id")
                if id not in answers:
                    message = f"question {id} has no annotation in {self.annotations}"
                    problem = Problem(file=str(path), line=row.line, field="question_id", message=message)
                    yield Row(row.line, problem)
                    continue
                row.value["answers"] = answers.pop(id)
            yield row

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        number = cells.number("question_id")
        question = cells.text("question")
        if cells.first("image"):
            image = cells.image("image")
        else:
            image_id = cells.number("image_id")
            image = None if image_id is None else self.image_pattern.format(image_id=image_id)
        answers = self._answers(cells)
        if not cells.good or question is None or image is None:
            return []
        cells.first("image_id", "multiple_choice_answer")
        fields = {
            "question": question,
            "category": "Answerable",
            "answers": answers,
            "metadata": {"upstream": cells.rest()},
        }
        return [
            Draft(
                fields, image, "image" if "image" in cells.values else "image_id", id=f"{self.name}-{number}"
            )
        ]

    def _answers(self, cells: Cells) -> tuple[str, ...]:
        name = cells.first("answers")
        if name is None:
            only = cells.text("multiple_choice_answer", required=False)
            if only is not None:
                return (only,)
            hint = "" if self.annotations else ": set source.annotations to the file of annotations"
            cells.bad("answers", "is missing" + hint)
            return ()
        given = cells.values[name]
        texts: list[Any] = (
            [a.get("answer") if isinstance(a, dict) else a for a in given] if isinstance(given, list) else []
        )
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            cells.bad(name, f"expected a list of answers, found {given!r:.80}")
            return ()
        counts = Counter(text.strip() for text in texts)
        most = counts.most_common(1)[0][1]
        return tuple(text for text, n in counts.most_common() if n >= min(AGREEMENT, most))
