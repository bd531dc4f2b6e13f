"""MMMU (Yue et al. 2023, arXiv 2311.16502) with the prompts of `inspect_evals`: 30 college subjects.

Read from the hub (`MMMU/MMMU`, the revision that inspect_evals names) or from a local folder of the same
parquet files (`SUBJECT/validation-*.parquet`). Prompts, list of subjects and the text before the image are
those of `inspect_evals.mmmu`. Its own cache of images is not used: it is kept by subject and number of a
question, so that two splits or two data sets would show each other's pictures; and images stay as large as
they are, where it shrinks them to 1024 pixels.

Three readings of a response: ours in four states; `official`, by the authors' rules (`mmmu_rules`), which
take a random option where they find none; and `inspect_choice`, by Inspect's scorer of multiple choice.
Inspect grades open questions with a model; here they are right where the authors' rule says so and the
response does not decline.

A provider in this process takes one image a question. Questions with several are left out and counted
(`asked_rate`), or asked as they are, where the model can.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from align.data.json_rows import Row
from align.data.sources.arrow import iter_dataset, iter_parquet
from align.data.sources.cells import Cells
from align.evaluation.general.base import (
    GeneralTask,
    Item,
    code_digest,
    declines,
    fixed_subset,
    scored_record,
)
from align.evaluation.general.choices import read_choice
from align.evaluation.general.figures import Figure, clusters_of, figure, rates
from align.evaluation.general.lettered import images_folder, without_broken
from align.evaluation.general.mmmu_rules import open_is_right, parse_choice
from align.evaluation.general.reading import Items, Pictures, read_rows
from align.records import DataError, Problem, Scored

if TYPE_CHECKING:
    from inspect_ai import Task

HUB = "MMMU/MMMU"
Several = Literal["leave_out", "ask"]
_IMAGES = range(1, 8)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class MMMU:
    """`options`: of each multiple-choice sample. `asked` and `left_out` count questions by subject."""

    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    name: str = "mmmu"
    headline: str = "accuracy"

    @property
    def digest(self) -> str:
        own = ("mmmu", "mmmu_rules", "choices", "choice_wording", "yes_no")
        return code_digest(*(f"evaluation/general/{name}.py" for name in own))

    def grade(self, item: Item, response: str) -> Scored:
        if item.options:
            choice = read_choice(response, item.options, str(item.facts["question"]))
            official = (
                parse_choice(response, item.options, seed=self.seed, sample=item.id).letter in item.gold
            )
            state, parsed = choice.state, choice.letter
            right = choice.letter in item.gold
        else:
            official = right = open_is_right(response, item.gold)
            refused = declines(response, str(item.facts["question"]))
            state, parsed = "unparsed" if refused is None else "abstain" if refused else "answer", None
        return scored_record(
            item,
            self,
            response,
            state=state,
            parsed=parsed,
            score=float(right) if state == "answer" else None,
            official=float(official),
        )

    def figures(self, scored: Sequence[Scored]) -> dict[str, Figure]:
        """`official_random_rate`: the share of multiple-choice responses whose official option was drawn.

        `official_without_random` counts those as wrong.
        """
        chosen = np.array([row.sample_id in self.options and row.state != "failed" for row in scored], bool)
        ran = np.array([row.state != "failed" for row in scored], bool)
        drawn = np.array([self._drawn(row) for row in scored], bool)
        own = np.array([row.official == 1.0 for row in scored], bool)
        inspects = np.array([self._inspect(row) for row in scored], bool)
        made = rates(
            clusters_of(scored),
            {
                "official_random_rate": (drawn, chosen),
                "official_without_random": (own & ~drawn, ran),
                "inspect_choice": (inspects, chosen),
            },
            official={"official_without_random"},
        )
        asked, left_out = self._counts({row.part for row in scored})
        if asked + left_out:
            made["asked_rate"] = figure(asked / (asked + left_out), None, asked + left_out)
        return made

    def _drawn(self, row: Scored) -> bool:
        options = self.options.get(row.sample_id)
        return (
            options is not None
            and row.response is not None
            and row.state != "failed"
            and parse_choice(row.response, options, seed=self.seed, sample=row.sample_id).random
        )

    def _inspect(self, row: Scored) -> bool:
        options = self.options.get(row.sample_id)
        if options is None or row.response is None or row.state == "failed":
            return False
        return inspect_letter(row.response, list(options.values())) in row.gold

    def _counts(self, parts: set[str | None]) -> tuple[int, int]:
        subjects = self.asked.keys() | self.left_out.keys()
        if parts != set(self.asked):  # some subjects only
            subjects = subjects & parts
        return sum(self.asked.get(s, 0) for s in subjects), sum(self.left_out.get(s, 0) for s in subjects)


@dataclass(frozen=True)
class MMMUTask(GeneralTask):
    """Messages as inspect_evals builds them: the text, then all images of the question."""

    @property
    def task(self) -> Task:
        from inspect_ai.model import Content, ContentImage, ContentText

        from align.evaluation.general.base import item_of

        made = super().task
        for sample in made.dataset:
            item = item_of(sample.metadata or {})
            content: list[Content] = [ContentText(text=item.prompt)]
            for name in item.facts["images"]:
                content.append(ContentImage(image=str(Path(self.root).absolute() / name)))
            sample.input[0].content = content  # type: ignore[union-attr]
        return made


def inspect_letter(response: str, options: Sequence[str]) -> str | None:
    """The option that Inspect's multiple-choice solver reads in a response."""
    from inspect_ai.model import ModelName, ModelOutput
    from inspect_ai.solver import TaskState
    from inspect_ai.solver._multiple_choice import parse_answers

    state = TaskState(
        model=ModelName("none/none"),
        sample_id=0,
        epoch=1,
        input="",
        messages=[],
        choices=list(options),
        output=ModelOutput.from_content("none", response),
    )
    return next(iter(parse_answers(state, multiple_correct=False)), None)


def mmmu(
    source: str = HUB,
    images: str | None = None,
    *,
    subjects: str | Sequence[str] | None = None,
    split: str = "validation",
    several_images: Several = "leave_out",
    seed: int = 0,
    limit: int | None = None,
) -> GeneralTask:
    """MMMU from the hub or from a local folder of its parquet files.

    Args:
        source: `MMMU/MMMU`, or a folder with a folder for each subject.
        images: folder that the pictures are written into, see `lettered.images_folder`.
        subjects: some of the thirty, such as `[Art, Biology]`; null for all that there are.
        split: dev or validation; the answers of test are not public.
        several_images: what to do with questions that show more than one image.
        seed: of the official rule's random options.
        limit: at most that many samples.

    Raises `DataError` without inspect_evals, or where nothing can be read; ValueError for settings that
    cannot be.
    """
    if several_images not in get_args(Several):
        raise ValueError(f"several_images={several_images!r}: choose from {', '.join(get_args(Several))}")
    known = _inspect_evals("subjects_list")
    wanted = known if subjects is None else [subjects] if isinstance(subjects, str) else list(subjects)
    if wrong := sorted(set(wanted) - set(known)):
        raise ValueError(f"subjects={', '.join(wrong)}: choose from {', '.join(known)}")
    folder = images_folder(source, images)
    read, pictures, seen = Items(), Pictures(folder), set[str]()
    for subject, file, rows in _inputs(source, wanted, split):
        seen.add(subject)

        def make(cells: Cells, number: int, subject: str = subject, file: str = file) -> Item | None:
            return _item(cells, subject, file, pictures)

        try:
            read_rows(file, rows, make, read)
        except (ValueError, ConnectionError) as error:
            raise DataError([Problem(file=file, message=f"cannot be read: {error}")]) from error
    if missing := [subject for subject in wanted if subject not in seen]:
        if subjects is not None or not seen:
            message = f"has no {split} file of {', '.join(missing)}: expected SUBJECT/{split}-*.parquet"
            raise DataError([Problem(file=source, message=message)])
        read.problems.append(Problem(file=source, message=f"has no {split} file of {', '.join(missing)}"))
    read = without_broken(read, folder)
    several = [item for item in read.items if len(item.facts["images"]) > 1]
    left_out = several if several_images == "leave_out" else []
    out = {item.id for item in left_out}
    items = [item for item in read.items if item.id not in out]
    if left_out:
        read.problems.append(_note(left_out, len(read.items), source))
    if not items:
        raise DataError([*read.problems, Problem(file=source, message="holds no question that can be used")])
    chosen = fixed_subset(items, limit, by="image")
    benchmark = MMMU(
        options={item.id: item.options for item in chosen if item.options},
        asked=Counter(str(item.part) for item in items),
        left_out=Counter(str(item.part) for item in left_out),
        seed=seed,
    )
    return MMMUTask(benchmark, tuple(chosen), tuple(read.problems), folder, source)


def _note(left_out: Sequence[Item], total: int, source: str) -> Problem:
    ids = ", ".join(item.id for item in left_out[:5]) + (", ..." if len(left_out) > 5 else "")
    return Problem(
        file=source,
        message=f"{len(left_out)} of {total} questions show several images and are left out ({ids}): "
        "several_images=ask asks them, for models that take several",
    )


def _inspect_evals(name: str) -> Any:
    """Something of inspect_evals' MMMU. Raises `DataError` where it is not installed."""
    try:
        from inspect_evals.mmmu import mmmu as module
        from inspect_evals.mmmu import utils
    except ImportError as error:
        message = f"is needed by the task mmmu ({error}): pip install inspect-evals, or leave the task out"
        raise DataError([Problem(file="the package inspect_evals", message=message)]) from error
    return getattr(module, name, None) or getattr(utils, name)


def _inputs(source: str, subjects: Sequence[str], split: str) -> Iterator[tuple[str, str, Iterator[Row]]]:
    """(subject, file, rows) of what there is."""
    root = Path(source)
    if root.is_dir():
        for subject in subjects:
            for file in sorted(root.glob(f"{subject}/{split}-*.parquet")):
                yield subject, str(file), iter_parquet(file)
        return
    if source.count("/") != 1:
        raise FileNotFoundError(f"no such folder: {source}")
    revision = _inspect_evals("MMMU_DATASET_REVISION") if source == HUB else None
    for subject in subjects:
        rows = iter_dataset(source, subset=subject, split=split, revision=revision)
        yield subject, f"{source}/{subject}", rows


def _item(cells: Cells, subject: str, file: str, pictures: Pictures) -> Item | None:
    id, question = cells.text("id"), cells.text("question")
    type_ = cells.one_of("question_type", ("multiple-choice", "open"))
    listed, answer = _literal(cells, "options"), cells.text("answer")
    if type_ == "multiple-choice" and cells.good and len(listed) < 2:
        cells.bad("options", f"a question needs two options at least, found {len(listed)}")
    options = dict(zip(_LETTERS, listed, strict=False)) if type_ == "multiple-choice" else {}
    if answer == "?":
        cells.bad("answer", "is not public: the split test is graded by MMMU's own server")
    elif options and answer not in options and cells.good:
        cells.bad("answer", f"expected one of {', '.join(options)}, found {answer!r}")
    shown = [f"image_{number}" for number in _IMAGES if cells.values.get(f"image_{number}")]
    if not shown and cells.good:
        cells.bad("image_1", "is empty")
    names = [pictures.name(cells, name) for name in shown]
    if not cells.good or id is None or question is None or answer is None or None in names:
        return None
    gold = (answer,) if options else tuple(_literal(cells, "answer")) or (answer,)
    return Item(
        id=id,
        image=names[0],
        prompt=prompt_of(question, options),
        gold=gold,
        options=options,
        part=subject,
        facts={"question": question, "images": names, "file": file},
    )


def _literal(cells: Cells, name: str) -> list[str]:
    """A list that is written as Python writes one; empty for an answer that is none."""
    text = cells.text(name, required=name == "options") or ""
    if not text.startswith("["):
        return []
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        cells.bad(name, f"expected a list as Python writes it, found {text!r:.80}: {error}")
        return []
    return [str(entry) for entry in found]


def prompt_of(question: str, options: Mapping[str, str]) -> str:
    """The user message that the tasks of inspect_evals end up with."""
    from inspect_ai.solver._multiple_choice import SINGLE_ANSWER_TEMPLATE, prompt
    from inspect_ai.solver._task_state import Choices

    if not options:
        return str(_inspect_evals("OPEN_PROMPT")).format(prompt=question)
    asked = str(_inspect_evals("MULT_CHOICE_PROMPT")).format(prompt=question)
    return prompt(question=asked, choices=Choices(list(options.values())), template=SINGLE_ANSWER_TEMPLATE)
