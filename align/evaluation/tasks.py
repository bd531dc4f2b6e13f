"""Benchmark tasks: a data set and a scorer each.

    inspect eval align/miniworld --model align/tiny_vlm --max-connections 512
    inspect eval align/mohobench -T questions=QUESTIONS.jsonl -T root=IMAGE_FOLDER --model openai/gpt-4o

Samples are ordered by the length of their question, so that batches hold rows of similar length and are
the same in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai._util.package import get_installed_package_name
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, Content, ContentImage, ContentText
from inspect_ai.scorer import Scorer

from align.evaluation.progress import answer
from align.evaluation.scorers import miniworld_grader, refusal_rules
from align.records import DataError, Problem, Question, read_records, stable_id

MINIWORLD_ROOT = "data/miniworld"


def registered(name: str) -> str:
    """The name under which a task of ours becomes `align/NAME`, however this package was installed.

    Inspect puts the package before a task's name only if it finds it in site-packages, or installed in
    editable form under a distribution name that equals the import name. Ours are `mohoalign` and `align`.
    """
    return name if get_installed_package_name(registered) else f"align/{name}"


@task(name=registered("miniworld"))
def miniworld(root: str = MINIWORLD_ROOT, split: str | None = "test", limit: int | None = None) -> Task:
    """The miniature world: answers and reasons are graded exactly, with no judge.

    `root` holds `questions.jsonl` and `images/`; they are made if they are missing. `limit`: see
    `select_questions`.
    """
    file = miniworld_questions(root)
    questions = select_questions(read_records(file, Question), file=str(file), split=split, limit=limit)
    return _task(questions, root, file, miniworld_grader())


@task(name=registered("mohobench"))
def mohobench(
    questions: str, root: str | None = None, split: str | None = None, limit: int | None = None
) -> Task:
    """Questions about photographs, refusals recognised by rules.

    `questions` is a JSON Lines file of `align.records.Question`, as `data_prep/ingest.py` writes it from
    upstream files; image paths are relative to `root`, by default the file's folder.
    """
    chosen = select_questions(read_records(questions, Question), file=questions, split=split, limit=limit)
    folder = root if root is not None else str(Path(questions).parent)
    return _task(chosen, folder, questions, refusal_rules())


def miniworld_questions(root: str) -> Path:
    """The miniature world's `questions.jsonl` under `root`, made first if it is missing."""
    file = Path(root) / "questions.jsonl"
    if not file.is_file():
        from align.miniworld.prepare import ensure_questions

        ensure_questions(Path(root))
    return file


def select_questions(
    questions: Sequence[Question], *, file: str, split: str | None, limit: int | None
) -> list[Question]:
    """The questions of a split, at most `limit` of them.

    A limit takes a fixed pseudo-random subset in which twins stay together, so that its rates estimate
    those of the whole: a pair that does not fit whole ends it, unless nothing would be left. Raises
    `DataError` if nothing is left or an id occurs twice.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}: it must be at least 1, or null for all questions")
    seen: set[str] = set()
    twice = [q.id for q in questions if q.id in seen or seen.add(q.id)]  # type: ignore[func-returns-value]
    if twice:
        raise DataError(
            [Problem(file=file, field="id", row_id=id, message=f"id {id!r} occurs twice") for id in twice]
        )
    chosen = [q for q in questions if split is None or q.split == split]
    if not chosen:
        found = ", ".join(sorted({str(q.split) for q in questions})) or "no question at all"
        raise DataError(
            [Problem(file=file, field="split", message=f"no question of split {split!r}; found: {found}")]
        )
    if limit is not None and limit < len(chosen):
        kept: set[str] = set()
        for group in _twins_together(chosen):
            fits = len(kept) + len(group) <= limit
            if fits or not kept:
                kept.update(sorted(q.id for q in group)[:limit])
            if not fits:
                break
        chosen = [q for q in chosen if q.id in kept]
    return chosen


def _twins_together(questions: Sequence[Question]) -> list[list[Question]]:
    """Questions in groups of twins, and of twins' twins, in an order that hangs on their ids alone."""
    above: dict[str, str] = {}

    def top(id: str) -> str:
        while id in above:
            id = above[id]
        return id

    for q in questions:
        if q.twin is not None:
            first, second = sorted((top(q.id), top(q.twin)))
            if first != second:
                above[second] = first  # so the top is the least id of its group
    groups: dict[str, list[Question]] = {}
    for q in questions:
        groups.setdefault(top(q.id), []).append(q)
    return [groups[id] for id in sorted(groups, key=lambda id: (stable_id(id), id))]


def _task(questions: Sequence[Question], root: str | Path, file: str | Path, scorer: Scorer) -> Task:
    """Images are paths here: Inspect reads each one when its sample starts."""
    ordered = sorted(questions, key=lambda q: len(q.question))
    return Task(
        dataset=MemoryDataset([_sample(question, root) for question in ordered]),
        solver=answer(),
        scorer=scorer,
        metadata={"questions": str(file), "data_root": str(root)},
    )


def _sample(question: Question, root: str | Path) -> Sample:
    content: list[Content] = [
        ContentImage(image=str(Path(root).absolute() / question.image)),
        ContentText(text=question.question),
    ]
    return Sample(
        id=question.id,
        input=[ChatMessageUser(content=content)],
        target=list(question.answers) if question.answerable else question.reason or question.category,
        metadata={
            "category": question.category,
            "part": question.part,
            # As one string: Inspect copies a sample's metadata many times over, and the scorers need it all.
            "record": question.model_dump_json(exclude_none=True),
        },
    )
