"""What rows to train on say about themselves, with no model at hand: bad rows, duplicates, leaks.

Pictures are compared by the bytes of their files, so one picture under two names is found. One that was
stored anew (scaled, compressed again, mirrored, cropped a little) is another file: `near_leaks` finds those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from align.data.images import ImageFacts, image_digests, inspect_images, resolve_image
from align.data.near_duplicates import Fingerprint, near_of
from align.records import DataError, Pair, Problem, Question, SFTRow, iter_jsonl, problems_of, read_records

R = TypeVar("R", Pair, SFTRow)


@dataclass(frozen=True)
class Finding:
    """The outcome of one check: every problem that it found, which may be none.

    `breaks_training` says whether a problem of this kind makes a training run fail or its result worthless;
    the others are warnings. `not_checked` says why the check could not be made.
    """

    check: str
    breaks_training: bool
    problems: list[Problem] = field(default_factory=list)
    not_checked: str | None = None

    @property
    def fatal(self) -> bool:
        return self.breaks_training and bool(self.problems)

    def as_dict(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "breaks_training": self.breaks_training,
            "count": len(self.problems),
            "not_checked": self.not_checked,
            "problems": [problem.model_dump(exclude_none=True) for problem in self.problems],
        }


def read_rows(file: str | Path, kind: type[R]) -> tuple[list[R], list[Problem]]:
    """The good rows of a JSON Lines file, and what is wrong with the others.

    Unlike `read_records`, one bad row does not hide the rest, which an audit has to look at as well.
    """
    rows: list[R] = []
    problems: list[Problem] = []
    for line, row in iter_jsonl(file):
        if isinstance(row, Problem):
            problems.append(row)
            continue
        try:
            rows.append(kind.model_validate(row))
        except ValidationError as error:
            given = row.get("question_id")
            problems += problems_of(error, str(file), line, None if given is None else str(given))
    if not rows and not problems:
        problems.append(Problem(file=str(file), message="no rows: there is nothing to train on"))
    return rows, problems


def set_unreadable_apart(
    rows: Sequence[R], root: str | Path, file: str | Path
) -> tuple[list[R], list[Problem]]:
    """Decode every image: the rows whose images are whole, and a problem for each bad image of the others."""
    facts = inspect_images({image for row in rows for image in row.images}, root)
    problems = [
        Problem(
            file=str(file),
            field="images",
            row_id=row.question_id,
            message=f"row {row.question_id}: {facts[image]}",
        )
        for row in rows
        for image in row.images
        if not isinstance(facts[image], ImageFacts)
    ]
    whole = [row for row in rows if all(isinstance(facts[image], ImageFacts) for image in row.images)]
    return whole, problems


def duplicate_rows(
    rows: Sequence[Pair] | Sequence[SFTRow], digests: Mapping[str, str], file: str | Path
) -> tuple[list[Problem], list[Problem]]:
    """(rows that are another one again, rows that ask another one's question about the same picture).

    The same words about two pictures are no duplicates: such twins are what the data is made of. A row that
    repeats another one in full is in the first list only.
    """
    first_row: dict[tuple[str, ...], str] = {}
    first_question: dict[tuple[str, ...], str] = {}
    repeated: list[Problem] = []
    asked_again: list[Problem] = []
    for row in rows:
        question = (" ".join(row.prompt.casefold().split()), *(digests[image] for image in row.images))
        sides = (row.chosen, row.rejected) if isinstance(row, Pair) else (row.completion,)
        for seen, key, problems, what in (
            (first_row, (*question, *sides), repeated, "the same row as"),
            (first_question, question, asked_again, "the same question about the same picture as"),
        ):
            if key not in seen:
                seen[key] = row.question_id
                continue
            message = f"row {row.question_id}: {what} {seen[key]}: {row.prompt!r}"
            problems.append(Problem(file=str(file), row_id=row.question_id, message=message))
            break
    return repeated, asked_again


def duplicate_images(digests: Mapping[str, str], root: str | Path) -> list[Problem]:
    """One problem for each picture that has several names."""
    names: dict[str, list[str]] = {}
    for name, digest in sorted(digests.items()):
        names.setdefault(digest, []).append(name)
    return [
        Problem(file=str(root), field="images", message=f"one picture, several names: {', '.join(group)}")
        for group in names.values()
        if len(group) > 1
    ]


# --- Pictures that training and test share -------------------------------------------------------------


@dataclass(frozen=True)
class HeldOut:
    """Pictures that no training row may show: digest of the file -> where it stands.

    `fingerprints` has the same places, for the pictures of which near-duplicates are to be found.
    """

    file: str
    pictures: Mapping[str, str]
    missing: list[Problem]
    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict)


def read_held_out(file: str | Path, root: str | Path, *, fingerprints: bool = False) -> HeldOut:
    """The pictures of an evaluation file: questions, or pairs or SFT rows of their own.

    Of questions that are split, the test and validation splits count; of questions that are not, all do.
    With `fingerprints` every picture is decoded, and one that cannot be is `missing`.
    Raises `DataError` for a file that holds none of the three kinds of record, or bad ones.
    """
    images = _held_out_questions(file) if _holds_questions(file) else _held_out_rows(file)
    there = [image for image in sorted(images) if resolve_image(image, root).is_file()]
    pictures: dict[str, str] = {}
    for image, digest in image_digests(there, root).items():
        pictures.setdefault(digest, f"{file}: {image} ({images[image]})")
    missing = [
        Problem(
            file=str(file),
            field="image",
            message=f"image {image!r} is not in {root}, so it cannot be compared with the training images: "
            "give the folder that this file's images are in",
        )
        for image in sorted(set(images) - set(there))
    ]
    marks: dict[str, Fingerprint] = {}
    for facts in inspect_images(there if fingerprints else (), root, fingerprints=True).values():
        if isinstance(facts, ImageFacts):
            if facts.fingerprint is not None and facts.digest in pictures:
                marks[pictures[facts.digest]] = facts.fingerprint
        else:
            missing.append(Problem(file=str(file), field="image", message=facts))
    return HeldOut(str(file), pictures, missing, marks)


def leaks(
    rows: Sequence[Pair] | Sequence[SFTRow],
    digests: Mapping[str, str],
    held_out: Sequence[HeldOut],
    file: str | Path,
) -> list[Problem]:
    """One problem for each row that shows a held-out picture, under whatever name."""
    where = {digest: place for part in held_out for digest, place in part.pictures.items()}
    return [
        Problem(
            file=str(file),
            field="images",
            row_id=row.question_id,
            message=f"row {row.question_id} trains on {image!r}, which the evaluation shows as well "
            f"({where[digests[image]]}): leave one of them out",
        )
        for row in rows
        for image in row.images
        if digests[image] in where
    ]


def near_leaks(
    rows: Sequence[Pair] | Sequence[SFTRow],
    root: str | Path,
    digests: Mapping[str, str],
    held_out: Sequence[HeldOut],
    file: str | Path,
) -> list[Problem]:
    """One problem for each row that shows a near-duplicate of a held-out picture, but not its very file.

    Decodes every training picture, unless no held-out one has a fingerprint; see `read_held_out`.
    """
    places = {place: mark for part in held_out for place, mark in part.fingerprints.items()}
    if not places:
        return []
    same = {digest for part in held_out for digest in part.pictures}
    images = {image for row in rows for image in row.images if digests[image] not in same}
    facts = inspect_images(images, root, fingerprints=True)
    marks = {
        image: found.fingerprint
        for image, found in facts.items()
        if isinstance(found, ImageFacts) and found.fingerprint is not None
    }
    near = near_of(marks, places)
    return [
        Problem(
            file=str(file),
            field="images",
            row_id=row.question_id,
            message=f"row {row.question_id} trains on {image!r}, which looks like one that the evaluation "
            f"shows ({near[image][0].second}; {near[image][0].bits} of 256 bits differ)",
        )
        for row in rows
        for image in row.images
        if image in near
    ]


def _first_row(file: str | Path) -> dict[str, Any]:
    for _, row in iter_jsonl(file):
        if isinstance(row, Problem):
            raise DataError([row])
        return row
    raise DataError([Problem(file=str(file), message="no rows: nothing to compare training images with")])


def _holds_questions(file: str | Path) -> bool:
    return "question" in _first_row(file)


def _held_out_questions(file: str | Path) -> dict[str, str]:
    questions = read_records(file, Question)
    if all(question.split is None for question in questions):
        return {question.image: "not split" for question in questions}
    return {q.image: q.split for q in questions if q.split in ("test", "validation")}


def _held_out_rows(file: str | Path) -> dict[str, str]:
    first = _first_row(file)
    kind: Any = Pair if "chosen" in first else SFTRow if "completion" in first else None
    if kind is None:
        message = "neither questions nor pairs nor SFT rows: give a questions.jsonl, or rows of this project"
        raise DataError([Problem(file=str(file), line=1, message=message)])
    return {image: "evaluation row" for row in read_records(file, kind) for image in row.images}
