"""Which images training rows must not show: those of the other splits, under whatever name.

An image is recognised by its path, by the bytes of its file where the file is there, and by the group of
near-duplicates that it was put into when it was read (`metadata["group"]`), where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from align.data.images import image_digests, resolve_image
from align.data.ledger import Ledger
from align.data.split import select_split
from align.records import DataError, Problem, Question


class OtherSplits:
    """The images of the splits that are not being built from.

    Args:
        questions: of all splits.
        split: the one that is built from.
        root: the folder of images; None compares paths and groups alone.
    """

    def __init__(self, questions: Sequence[Question], split: str, root: str | Path | None) -> None:
        self._root = root
        self._digests: dict[str, str] = {}
        others = [question for question in questions if question.split != split]
        self._split_of = {question.image: str(question.split) for question in others}
        self._groups = {group: q.image for q in others if (group := group_of(q)) is not None}
        self.learn(self._split_of)
        self._names = {digest: image for image, digest in self._digests.items()}

    def learn(self, images: Iterable[str]) -> None:
        """Read the files of images that will be asked about, many at once."""
        new = {image for image in images if image not in self._digests}
        if self._root is not None:
            there = [image for image in new if resolve_image(image, self._root).is_file()]
            self._digests |= image_digests(there, self._root)

    def shown_by(self, images: Sequence[str], group: str | None = None) -> str | None:
        """Why a row that shows these images can't be built from, or None if it can."""
        for image in images:
            if image in self._split_of:
                return f"its image is in the {self._split_of[image]} split"
        for image in images:
            twin = self._names.get(self._digests.get(image, ""))
            if twin is not None:
                return f"its image has the bytes of one in the {self._split_of[twin]} split"
        if group is not None and group in self._groups:
            return f"its image nearly equals one in the {self._split_of[self._groups[group]]} split"
        return None

    def not_compared(self, images: Iterable[str]) -> int:
        """How many of these and of the other splits' images have no file: only paths were compared."""
        return len({*images, *self._split_of} - set(self._digests))


def training_questions(
    questions: Sequence[Question], split: str, others: OtherSplits, ledger: Ledger
) -> list[Question]:
    """The questions of a split that rows may be built from; the ledger is told of the others.

    Raises:
        DataError: two questions have one id, `split` is the test split, a question has no split, or an image
            of the split is in another one under another name.
    """
    _refuse_equal_ids(questions)
    chosen = select_split(questions, split)
    others.learn(question.image for question in chosen)
    problems = [
        Problem(
            file="questions",
            field="image",
            row_id=question.id,
            message=f"{why} ({question.image}): run data_prep/ingest.py again, which splits by content",
        )
        for question in chosen
        if (why := others.shown_by([question.image], group_of(question))) is not None
    ]
    if problems:
        raise DataError(problems)
    ledger.open("questions", (question.id for question in questions))
    for question in questions:
        if question.split != split:
            ledger.leave_out("questions", question.id, f"of the {question.split} split")
    return chosen


def _refuse_equal_ids(questions: Sequence[Question]) -> None:
    seen: set[str] = set()
    problems = []
    for question in questions:
        if question.id in seen:
            problems.append(
                Problem(
                    file="questions",
                    field="id",
                    row_id=question.id,
                    message="another question has the id too",
                )
            )
        seen.add(question.id)
    if problems:
        raise DataError(problems)


def group_of(question: Question) -> str | None:
    """The group of near-duplicates that the question's image was put into, if it was."""
    group = question.metadata.get("group")
    return None if group is None else str(group)
