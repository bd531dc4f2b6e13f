"""HumbleBench (Tong et al. 2025): multiple-choice questions whose option E is "None of the above".

Rows with `label, question, type, file_name (or image), question_id`; the options stand in the question, a
line each.

A question whose label is E has no right option: it presupposes that one of A to D is right, and the image
contradicts that. Offered as it is, E is an answer, not a refusal. So there are two ways to read it
(`option_e`):

    remove   (default) the line of option E is taken out. Rows labelled E become False_Premises, which a model
             has to decline by itself; the others stay Answerable. So they compare with MoHoBench's.
    keep     the question stays as it is, and every row is Answerable; where the label is E, that is the gold
             answer. This is the benchmark's own task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.data.json_rows import Row
from align.data.sources.base import Draft, Option, Source, choice_answers, with_options
from align.data.sources.cells import Cells

_OPTION = re.compile(r"^\s*([A-F])\s*[.)]\s*(.+?)\s*$")
_NONE = re.compile(r"none of (the )?above", re.IGNORECASE)


@dataclass(frozen=True)
class HumbleBench(Source):
    name: str = "humblebench"
    license: str | None = "MIT"
    split: str | None = "test"
    option_e: str = "remove"

    def rows(self, path: str | Path) -> Iterator[Row]:
        if self.option_e not in ("remove", "keep"):
            raise ValueError(f"source.option_e must be remove or keep, not {self.option_e!r}")
        return super().rows(path)

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        number = cells.text("question_id", required=False)
        text = cells.text("question")
        label = cells.one_of("label", "ABCDE")
        image = cells.image("file_name", "image")
        kind = cells.optional("type")
        question, options = question_parts(text or "")
        if text is not None and (not question or len(options) < 2):
            cells.bad("question", "expected a question with its options A to E, a line each")
        elif text is not None and not any(o.letter == "E" and _NONE.search(o.text) for o in options):
            cells.bad("question", "option E is not 'None of the above'")
        elif label and label not in [option.letter for option in options]:
            cells.bad("label", f"there is no option {label} in the question")
        if not cells.good or image is None or label is None:
            return []
        shown = [o for o in options if o.letter != "E"] if self.option_e == "remove" else options
        fields: dict[str, Any] = {
            "question": with_options(question, shown),
            "part": kind,
            "metadata": {"label": label, "upstream": cells.rest()},
        }
        if label == "E" and self.option_e == "remove":
            fields |= {"category": "False_Premises", "reason": "None of the options is right."}
        else:
            fields |= {"category": "Answerable", "answers": choice_answers(shown, label)}
        id = None if number is None else f"{self.name}-{number}"
        return [Draft(fields, image, "file_name" if cells.values.get("file_name") else "image", id=id)]


def question_parts(text: str) -> tuple[str, list[Option]]:
    """The question and its options, from a text that has them a line each."""
    question, options = [], []
    for line in text.splitlines():
        found = _OPTION.match(line)
        if found:
            options.append(Option(found[1], found[2]))
        elif line.strip() and not options:
            question.append(line.strip())
        elif line.strip():
            options[-1] = Option(options[-1].letter, f"{options[-1].text} {line.strip()}")
    return "\n".join(question), options
