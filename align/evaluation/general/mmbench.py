"""MMBench (Liu et al. 2023, arXiv 2307.06281): multiple choice about images, each option in every place.

Circular evaluation asks a question once for each of its options, with the options moved one place on each
time, and counts it only where all of these are right. Tables that hold the rotations (`index` + k * 10^6) are
read as they are; for those that do not, the rotations are made.

Official rule: `can_infer` of VLMEvalKit as it was until July 2025 (`vlmeval/utils/matching_util.py`, for
instance at commit 18fc37a; docs/multiple-choice.md says what changed then). A response counts where,
punctuation taken for spaces, exactly one letter of an option stands alone in it, else where exactly one
option's text is part of it, any case. Four phrases of refusal, among them "Cannot determine the answer", and
a lone `Z` are wrong whatever else is said. So "I cannot see A" is an A, and so is "A dog". Where this finds
nothing, the published figures come from a GPT model that matches the response to an option, and then from a
random choice: neither is done here, such a response counts as wrong (VLMEvalKit's `exact_matching`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from align.data.sources.cells import Cells
from align.evaluation.general.base import GeneralTask, Item, code_digest, fixed_subset, scored_record
from align.evaluation.general.choices import read_choice
from align.evaluation.general.figures import Figure
from align.evaluation.general.groups import all_right, group_rates, groups_of, official_of, score_of
from align.evaluation.general.lettered import (
    SHIFT,
    images_folder,
    option_lines,
    options_in,
    read_lettered,
    rotated,
    with_index,
)
from align.evaluation.general.reading import Pictures, Source, as_paths
from align.records import DataError, Problem, Scored

INSTRUCTION = "Please select the correct answer from the options above."
FIRST = "rotation-0"

_REFUSED = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_PUNCTUATION = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))


@dataclass(frozen=True)
class MMBench:
    """`figures`: accuracy of the first rotations (vanilla) and of whole groups (circular), ours and official.

    A group with a failed response is in no circular figure.
    """

    circular: bool = True
    name: str = "mmbench"

    @property
    def headline(self) -> str:
        return "circular_accuracy" if self.circular else "accuracy"

    @property
    def digest(self) -> str:
        own = ("mmbench", "choices", "choice_wording", "yes_no", "groups")
        return code_digest(*(f"evaluation/general/{name}.py" for name in own))

    def grade(self, item: Item, response: str) -> Scored:
        choice = read_choice(response, item.options, str(item.facts["question"]))
        return scored_record(
            item,
            self,
            response,
            state=choice.state,
            parsed=choice.letter,
            score=float(choice.letter in item.gold) if choice.state == "answer" else None,
            official=float(official_letter(response, item.options) in item.gold),
        )

    def figures(self, scored: Sequence[Scored]) -> dict[str, Figure]:
        groups = groups_of(scored)
        first = [group.where(lambda row: row.variant == FIRST) for group in groups]
        made = group_rates(
            first,
            {
                "vanilla_accuracy": lambda group: all_right(group.rows, score_of),
                "official_vanilla": lambda group: all_right(group.rows, official_of),
            },
            official={"official_vanilla"},
        )
        if not self.circular:
            return made
        return made | group_rates(
            groups,
            {
                "circular_accuracy": lambda group: all_right(group.rows, score_of),
                "official": lambda group: all_right(group.rows, official_of),
            },
            official={"official"},
        )


def official_letter(response: str, options: Mapping[str, str]) -> str | None:
    """What VLMEvalKit's `can_infer` reads: a letter, `Z` for a refusal, or None."""
    if "Failed to obtain answer via API" not in response:
        if any(phrase in response for phrase in _REFUSED):
            return "Z"
        words = response.translate(_PUNCTUATION).split()
        alone = [letter for letter in options if letter in words]
        if len(alone) == 1:
            return alone[0]
        if not alone and "Z" in words:
            return "Z"
    lower = response.lower()
    contained = [letter for letter, text in options.items() if text.lower() in lower]
    return contained[0] if len(contained) == 1 else None


def mmbench(
    source: Source,
    images: str | None = None,
    *,
    circular: bool = True,
    split: str | None = None,
    part: Literal["category", "l2-category"] = "category",
    instruction: str = INSTRUCTION,
    hub_subset: str | None = None,
    hub_split: str | None = None,
    hub_revision: str | None = None,
    limit: int | None = None,
) -> GeneralTask:
    """MMBench from its TSV (`MMBench_DEV_EN.tsv`), parquet, or a copy on the hub.

    Args:
        source: a file, several, or a data set that `datasets` loads.
        images: folder of the pictures, see `lettered.images_folder`; those in the rows are written there.
        circular: ask every rotation; false asks the questions as they are, once.
        split: rows of that `split` only.
        part: the column that is reported apart.
        instruction: the last line of a prompt; VLMEvalKit's by default.
        hub_subset, hub_split, hub_revision: of a data set.
        limit: at most that many samples, of whole groups.

    Raises `DataError` where nothing can be read, `FileNotFoundError`, and ValueError for settings that cannot
    be.
    """
    if part not in ("category", "l2-category"):
        raise ValueError(f"part={part!r}: choose category or l2-category")
    folder = images_folder(source, images)

    def make(cells: Cells, file: str, pictures: Pictures) -> Item | None:
        return _item(cells, file, pictures, part, instruction)

    read = read_lettered(source, folder, make, subset=hub_subset, split=hub_split, revision=hub_revision)
    named = ", ".join(map(str, as_paths(source)))
    items = [item for item in read.items if split is None or item.facts["split"] == split]
    if not items:
        found = ", ".join(sorted({str(item.facts["split"]) for item in read.items}))
        raise DataError([Problem(file=named, field="split", message=f"no row is {split}; found: {found}")])
    if circular:
        items, problems = _all_rotations(items, instruction)
    else:
        items, problems = [item for item in items if int(item.facts["index"]) < SHIFT], []
    chosen = fixed_subset(items, limit, by="group")
    return GeneralTask(MMBench(circular), tuple(chosen), (*read.problems, *problems), folder, named)


def prompt_of(question: str, hint: str | None, options: Mapping[str, str], instruction: str) -> str:
    """VLMEvalKit's prompt."""
    lines = [f"Hint: {hint}"] if hint else []
    return "\n".join([*lines, f"Question: {question}", "Options:", option_lines(options), instruction])


def _item(cells: Cells, file: str, pictures: Pictures, part: str, instruction: str) -> Item | None:
    index, question = cells.number("index"), cells.text("question")
    hint, options = cells.optional("hint"), options_in(cells)
    answer = cells.optional("answer")
    if answer not in options and cells.good:
        none = "there is none, as in the test split, which only MMBench's own server grades"
        cells.bad(
            "answer", none if answer is None else f"expected one of {', '.join(options)}, found {answer!r}"
        )
    image = pictures.name(cells, "image")
    if not cells.good or index is None or question is None or image is None or answer is None:
        return None
    return Item(
        id=str(index),
        image=image,
        prompt=prompt_of(question, hint, options, instruction),
        gold=(answer,),
        options=options,
        part=cells.optional(part),
        group=str(index % SHIFT),
        variant=f"rotation-{index // SHIFT}",
        facts={
            "index": index,
            "question": question,
            "hint": hint,
            "split": cells.optional("split"),
            "file": file,
        },
    )


def _all_rotations(items: Sequence[Item], instruction: str) -> tuple[list[Item], list[Problem]]:
    """Every question with all its rotations: those of the table, or made where it has none of a question."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[str(item.group)].append(item)
    made, problems = [], []
    for name, group in groups.items():
        if len(group) == 1 and group[0].variant == FIRST:
            made += [_rotation(group[0], by, instruction) for by in range(len(group[0].options))]
            continue
        wanted = {f"rotation-{by}" for by in range(len(group[0].options))}
        missing = sorted(wanted - {str(item.variant) for item in group})
        if missing:
            problems.append(
                Problem(
                    file=str(group[0].facts["file"]),
                    field="index",
                    row_id=name,
                    message=f"left out: of its rotations {', '.join(missing)} is not in the table",
                )
            )
        else:
            made += group
    return made, problems


def _rotation(item: Item, by: int, instruction: str) -> Item:
    options, answer = rotated(item.options, item.gold[0], by)
    index = int(item.facts["index"]) + by * SHIFT
    return with_index(
        item,
        index,
        id=str(index),
        variant=f"rotation-{by}",
        options=options,
        gold=(answer,),
        prompt=prompt_of(str(item.facts["question"]), item.facts["hint"], options, instruction),
    )
