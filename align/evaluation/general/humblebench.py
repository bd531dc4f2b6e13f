"""HumbleBench (Tong et al. 2025, arXiv 2509.09658): multiple choice whose option E is "None of the above".

E is an answer here, right where the label says so. Beside it, declining in words of one's own is an
abstention, which is right nowhere.

Official rule (`is_prediction_correct`): the words of the response, without case, must hold the label's letter
and no other of A to E. So "A dog." is an A, "I can't see a dog" too, and "B, a cat" is wrong by its article.
`official_e_accuracy` is the share of questions labelled E to which the response is exactly "E".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from align.data.sources.base import with_options
from align.data.sources.cells import Cells
from align.data.sources.humblebench import question_parts
from align.evaluation.general.base import GeneralTask, Item, code_digest, fixed_subset, scored_record
from align.evaluation.general.choice_wording import NONE_OPTION
from align.evaluation.general.choices import read_choice
from align.evaluation.general.figures import Figure, clusters_of, rates
from align.evaluation.general.lettered import images_folder, read_lettered
from align.evaluation.general.reading import Pictures, Source, as_paths
from align.records import Scored

INSTRUCTION = "Answer with the option's letter from the given choices directly."
_E, _LETTERS = "E", "ABCDE"


@dataclass(frozen=True)
class HumbleBench:
    """`figures` about E: `e_recall` and `false_option_rate` (one of A to D chosen) where it is right, and
    `false_e_rate` where another is.
    """

    name: str = "humblebench"
    headline: str = "accuracy"

    @property
    def digest(self) -> str:
        own = ("humblebench", "choices", "choice_wording", "yes_no")
        return code_digest(*(f"evaluation/general/{name}.py" for name in own))

    def grade(self, item: Item, response: str) -> Scored:
        choice = read_choice(response, item.options, str(item.facts["question"]))
        [label] = item.gold
        return scored_record(
            item,
            self,
            response,
            state=choice.state,
            parsed=choice.letter,
            score=float(choice.letter == label) if choice.state == "answer" else None,
            official=float(officially_right(response, label)),
        )

    def figures(self, scored: Sequence[Scored]) -> dict[str, Figure]:
        ran = np.array([row.state != "failed" for row in scored], bool)
        wanted = np.array([row.gold == (_E,) for row in scored], bool) & ran
        chosen = np.array([row.parsed for row in scored], dtype=object)
        exact = np.array([row.response == _E for row in scored], bool)
        some = np.array([row.state == "answer" for row in scored], bool)
        other = ran & ~wanted
        return rates(
            clusters_of(scored),
            {
                "e_recall": (wanted & (chosen == _E), wanted),
                "false_option_rate": (wanted & some & (chosen != _E), wanted),
                "false_e_rate": (other & (chosen == _E), other),
                "official_e_accuracy": (wanted & exact, wanted),
            },
            official={"official_e_accuracy"},
        )


def officially_right(response: str, label: str) -> bool:
    """Does the benchmark's own rule take the response for the label?"""
    words = set(re.findall(r"\b\w+\b", response.lower()))
    return words & set(_LETTERS.lower()) == {label.lower()}


def humblebench(
    source: Source,
    images: str | None = None,
    *,
    instruction: str = INSTRUCTION,
    hub_subset: str | None = None,
    hub_split: str | None = None,
    hub_revision: str | None = None,
    limit: int | None = None,
) -> GeneralTask:
    """HumbleBench from JSON Lines, JSON or parquet files, or from the hub.

    Args:
        source: a file, several, or a data set that `datasets` loads (`maifoundations/HumbleBench`).
        images: folder of the pictures, see `lettered.images_folder`; those in the rows are written there.
        instruction: what follows the question and its options.
        hub_subset, hub_split, hub_revision: of a data set.
        limit: at most that many samples, of whole images.

    Raises `DataError` where nothing can be read, `FileNotFoundError`, and ValueError for settings that cannot
    be.
    """
    folder = images_folder(source, images)

    def make(cells: Cells, file: str, pictures: Pictures) -> Item | None:
        return _item(cells, file, pictures, instruction)

    read = read_lettered(source, folder, make, subset=hub_subset, split=hub_split, revision=hub_revision)
    chosen = fixed_subset(read.items, limit, by="image")
    named = ", ".join(map(str, as_paths(source)))
    return GeneralTask(HumbleBench(), tuple(chosen), tuple(read.problems), folder, named)


def _item(cells: Cells, file: str, pictures: Pictures, instruction: str) -> Item | None:
    number, text = cells.text("question_id"), cells.text("question")
    label, type_ = cells.one_of("label", _LETTERS), cells.optional("type")
    question, listed = question_parts(text or "")
    options = {option.letter: option.text for option in listed}
    if text is not None and not NONE_OPTION.fullmatch(options.get(_E, "")):
        cells.bad("question", "expected its options A to E, a line each, with E. None of the above")
    elif label is not None and text is not None and label not in options:
        cells.bad("label", f"there is no option {label} in the question")
    image = pictures.name(cells, "file_name", "image")
    if not cells.good or image is None or number is None or label is None:
        return None
    return Item(
        id=number,
        image=image,
        prompt="\n".join([with_options(question, listed), *([instruction] if instruction else [])]),
        gold=(label,),
        options=options,
        part=type_,
        facts={"index": number, "question": question, "file": file},
    )
