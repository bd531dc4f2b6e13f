"""MM-UPD (Miyai et al. 2024): multiple-choice questions that have become unsolvable, with solvable twins.

TSV, or parquet from the hub, with `index, question, hint, A..E, answer, masked_answer, type, category,
image` (base64). Rows of `type` `standard` can be solved; those of type `upd` cannot, in one of three ways.
Two rows with one index, one of each type, are twins. Indices from 1,000,000 on are the same question with
its options rotated.

How the three map to our categories, and why:

    aad   absent answer       the right option was taken away. The question presupposes that one of the
                              options is right, and the image contradicts that: False_Premises
    iasd  incompatible        the options answer another question. Again none of them is right, and the
          answer set          question presupposes that one is: False_Premises
    ivqd  incompatible image  the question is about another image, so what it speaks of is not there:
          and question        False_Premises

None of them is Vague_Description (what is meant is clear) or Context_Dependent (in `aad` and `iasd` the
image does show the answer, it is only not offered). Which of the three a row is stays in its metadata and
in `part`. The options belong to the question: without them an `aad` question could be answered.

The rows do not say which of the three they are; the name of the file or subset does (`mmaad_base`, ...), or
the option `upd`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.data.json_rows import Row
from align.data.reading import ParsedRow
from align.data.sources.base import Draft, Option, Source, choice_answers, with_options
from align.data.sources.cells import Cells

LETTERS = "ABCDEF"
KINDS = ("aad", "iasd", "ivqd")
REASONS = {
    "aad": "None of the options is right: the right one{right} is not among them.",
    "iasd": "None of the options is right: they do not answer this question.",
    "ivqd": "The question does not fit the image: what it asks about is not in it.",
}


@dataclass(frozen=True)
class MMUPD(Source):
    """`upd` is one of aad, iasd and ivqd; None takes it from the name of the file or subset."""

    name: str = "mm-upd"
    license: str | None = "Apache-2.0"
    split: str | None = "test"
    upd: str | None = None

    def rows(self, path: str | Path) -> Iterator[Row]:
        if self.upd not in (*KINDS, None):
            raise ValueError(f"source.upd must be one of {', '.join(KINDS)}, not {self.upd!r}")
        kind = self.upd or kind_in(Path(path).name) or kind_in(self.hub_subset or "")
        if kind is None:
            raise ValueError(f"which of {', '.join(KINDS)} is {path}? Its name does not say: set source.upd")
        for row in super().rows(path):
            if isinstance(row.value, dict):
                yield dataclasses.replace(row, value=row.value | {"_upd": kind})
            else:
                yield row

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        kind = cells.text("_upd")
        index = cells.number("index")
        question = cells.text("question")
        type_ = cells.one_of("type", ("upd", "standard"))
        image = cells.image("image")
        hint = cells.optional("hint")
        options = [Option(letter, text) for letter in LETTERS if (text := cells.optional(letter))]
        masked = cells.optional("masked_answer")
        answer = cells.optional("answer")
        if len(options) < 2 and cells.good:
            cells.bad("A", f"a question needs two options at least, found {len(options)}")
        letters = [option.letter for option in options]
        if type_ == "standard" and answer not in letters:
            cells.bad("answer", f"expected one of {', '.join(letters)}, found {answer!r}")
        if not cells.good or kind is None or index is None or question is None or image is None:
            return []
        text = with_options(f"{hint}\n{question}" if hint else question, options)
        fields: dict[str, Any] = {
            "question": text,
            "category": "Answerable" if type_ == "standard" else "False_Premises",
            "part": kind,
            "metadata": {"upd": kind, "upstream": cells.rest()},
        }
        if type_ == "standard":
            fields["answers"] = choice_answers(options, answer or "")
        else:
            fields["reason"] = REASONS[kind].format(right=f", {masked!r}," if masked else "")
        id = f"{self.name}-{kind}-{index}-{type_}"
        return [Draft(fields, image, id=id, link=f"{kind}-{index}-{type_}")]

    def twins(self, rows: Sequence[tuple[ParsedRow, str | None]]) -> dict[str, str]:
        ids = {link: row.question.id for row, link in rows if link}
        return {
            id: ids[twin]
            for link, id in ids.items()
            if link.endswith("-upd") and (twin := link.removesuffix("-upd") + "-standard") in ids
        }


def kind_in(name: str) -> str | None:
    """Which of the three kinds the name of a file or subset says."""
    return next((kind for kind in KINDS if kind in name.casefold()), None)
