"""HaloQuest (Wang et al. 2024): questions that invite a vision-language model to hallucinate.

CSV with `image_name, url, image type, hallucination type, question, groundtruth responses, split`, and a
column of row numbers without a name. The files are haloquest-train.csv and haloquest-eval.csv; images are
downloaded from `url` and saved under `image_name`.

Its three types and our categories:

    false premises          False_Premises      the question asks for something that is not in the image
    insufficient context    Context_Dependent   what is asked for is out of view, so it takes knowledge from
                                                outside the image
    visual challenge        Answerable          hard to see, but it can be seen

The responses are separated by `;`. For a question that cannot be answered the first one is the reason and
the others are kept in the metadata; for one that can, all of them are gold answers, most of which are whole
sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from align.data.sources.base import Draft, Source
from align.data.sources.cells import Cells
from align.records import Category

TYPES: dict[str, Category] = {
    "false premises": "False_Premises",
    "false premise": "False_Premises",
    "insufficient context": "Context_Dependent",
    "visual challenge": "Answerable",
    "visually challenging": "Answerable",
}
SPLITS = {"train": "train", "eval": "test", "test": "test", "validation": "validation"}


@dataclass(frozen=True)
class HaloQuest(Source):
    name: str = "haloquest"
    license: str | None = "CC BY 4.0"

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        question = cells.text("question")
        kind = cells.one_of("hallucination type", TYPES)
        image = cells.image("image_name", "image")
        responses = cells.text("groundtruth responses")
        split = SPLITS[chosen] if (chosen := cells.one_of("split", SPLITS)) else None
        cells.first("url")  # where the image was downloaded from; the image itself is the record
        cells.first("")
        answers = _answers(responses or "")
        if responses and not answers:
            cells.bad("groundtruth responses", f"holds no response: {responses!r:.80}")
        if not cells.good or question is None or kind is None or image is None:
            return []
        category = TYPES[kind]
        said = {"answers": answers} if category == "Answerable" else {"reason": answers[0]}
        metadata = {"upstream": cells.rest()}
        if category != "Answerable" and len(answers) > 1:
            metadata["upstream"]["groundtruth responses"] = list(answers)
        fields = {"question": question, "category": category, "split": split, "metadata": metadata} | said
        return [Draft(fields, image, "image_name")]


def _answers(responses: str) -> tuple[str, ...]:
    parts = [re.sub(r"^\d+\s*[.)]?\s+(?=[A-Z])", "", part.strip()) for part in responses.split(";")]
    return tuple(dict.fromkeys(part for part in parts if part))
