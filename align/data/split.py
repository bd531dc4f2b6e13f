"""Splitting questions so that no image, under any name, is in two splits.

Images are what leaks: all questions of one image go to one split, and so do the questions of files with
the same bytes, of near-duplicates, and twins, which dual accuracy needs together. Such a group of questions
is never cut.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from align.records import DataError, Problem, Question

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def split_questions(
    questions: Sequence[Question],
    fractions: Mapping[str, float],
    *,
    seed: int = 0,
    digests: Mapping[str, str] | None = None,
    together: Iterable[Sequence[str]] = (),
) -> list[Question]:
    """Give every question a split, by groups of images, balanced over the categories.

    Groups are taken in the order of a seeded hash of their images' content and handed out by iterative
    stratification (Sechidis et al. 2011): the rarest category first, each group to the split that
    lacks most of it. The result depends on neither the order of the questions nor on file names where
    `digests` is given. A question that already has a split keeps it, and its whole group with it.

    Args:
        questions: with or without a split.
        fractions: the share of questions for each of `train`, `validation`, `test`; they sum to 1.
        seed: another seed gives another split.
        digests: a digest of each image's bytes, by its path, to recognise one picture under two names.
        together: groups of images that stay in one split, such as near-duplicates.

    Returns:
        The same questions in the same order, each with its split.

    Raises:
        ValueError: fractions that do not sum to 1, an unknown split, or too few images for a split to
            get any.
        DataError: one group holds questions that are already in different splits.
    """
    _check_fractions(fractions)
    groups = _groups(questions, digests or {}, together)
    pinned = {key: _pinned_split(members) for key, members in groups.items()}
    wanted = _wanted(questions, fractions)
    assigned: dict[str, Split] = {}

    def assign(key: str, split: Split) -> None:
        assigned[key] = split
        for question in groups[key]:
            wanted[split][question.category] -= 1

    for key, split in pinned.items():
        if split is not None:
            assign(key, split)
    order = sorted(groups, key=lambda key: _hash(seed, key))
    left = Counter(q.category for key in order if key not in assigned for q in groups[key])
    while left:
        rarest = min(left, key=lambda category: (left[category], category))
        for key in order:
            if key in assigned or all(q.category != rarest for q in groups[key]):
                continue
            assign(key, _neediest(wanted, fractions, rarest))
            left.subtract(Counter(q.category for q in groups[key]))
        left = +left  # forgets the categories that are used up
    split_of = {question.id: assigned[key] for key, members in groups.items() for question in members}
    result = [question.model_copy(update={"split": split_of[question.id]}) for question in questions]
    if any(split is None for split in pinned.values()):  # else the shares had nothing to decide
        _check_none_empty(result, fractions, len(groups))
    return result


def split_conflicts(
    questions: Sequence[Question],
    *,
    digests: Mapping[str, str] | None = None,
    together: Iterable[Sequence[str]] = (),
) -> dict[str, str]:
    """Questions whose given split contradicts that of others on the same picture: why, by question id.

    Of a group that is in several splits the test split has its questions kept, else validation; those in the
    other splits are named. Training on them would be training on what is tested.
    """
    reasons: dict[str, str] = {}
    for members in _groups(questions, digests or {}, together).values():
        given = {q.split: q for q in members if q.split is not None}
        if len(given) < 2:
            continue
        kept = max(given, key=SPLITS.index)
        for question in members:
            if question.split not in (None, kept):
                other = given[kept]
                how = (
                    "" if other.image == question.image else f", nearly the same picture as {other.image!r},"
                )
                reasons[question.id] = (
                    f"image {question.image!r}{how} is in the {kept} split as well (question {other.id}), "
                    f"and this row in {question.split}: leave one out, or split anew (keep_given_split=false)"
                )
    return reasons


def select_split(questions: Sequence[Question], split: str) -> list[Question]:
    """The questions of a split that training data may be built from.

    Raises:
        DataError: `split` is the test split, a question has no split, there is no question in the split,
            or an image of the split is also in the test split.
    """
    if split == "test":
        raise DataError(
            [Problem(file="questions", message="training data is never built from the test split")]
        )
    problems = [
        Problem(
            file="questions",
            field="split",
            row_id=q.id,
            message="has no split: run data_prep/ingest.py first",
        )
        for q in questions
        if q.split is None
    ]
    chosen = [question for question in questions if question.split == split]
    test_images = {question.image for question in questions if question.split == "test"}
    problems += [
        Problem(
            file="questions",
            field="image",
            row_id=q.id,
            message=f"image {q.image!r} is in the test split too",
        )
        for q in chosen
        if q.image in test_images
    ]
    if not chosen and not problems:
        found = (
            ", ".join(f"{name} ({n})" for name, n in Counter(q.split for q in questions).items()) or "nothing"
        )
        problems = [
            Problem(file="questions", field="split", message=f"no question in {split!r}; there is {found}")
        ]
    if problems:
        raise DataError(problems)
    return chosen


def _check_fractions(fractions: Mapping[str, float]) -> None:
    unknown = sorted(set(fractions) - set(SPLITS))
    if unknown:
        raise ValueError(f"unknown split {', '.join(unknown)}: fractions are for {', '.join(SPLITS)}")
    if any(share < 0 for share in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"the fractions must be 0 or more and sum to 1, not {dict(fractions)}")


def _groups(
    questions: Sequence[Question], digests: Mapping[str, str], together: Iterable[Sequence[str]] = ()
) -> dict[str, list[Question]]:
    """Questions that must stay together, by a key that depends on the contents of their images only."""
    parent: dict[str, str] = {}

    def find(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    content = {q.image: digests.get(q.image, q.image) for q in questions}
    content_of_id = {q.id: content[q.image] for q in questions}
    for question in questions:
        root = find(content[question.image])
        if question.twin in content_of_id:
            parent[find(content_of_id[question.twin])] = root
    for group in together:
        there = [content[image] for image in group if image in content]
        for one in there[1:]:
            parent[find(one)] = find(there[0])
    members: dict[str, list[Question]] = {}
    for question in questions:
        members.setdefault(find(content[question.image]), []).append(question)
    # The root of a union depends on the order of the questions; the smallest content does not.
    return {min(content[q.image] for q in group): group for group in members.values()}


def _pinned_split(group: list[Question]) -> Split | None:
    given = {question.split for question in group if question.split is not None}
    if len(given) > 1:
        message = (
            f"questions on the same image (or twins) are in different splits, {' and '.join(sorted(given))}: "
            "give all of them one split, or none"
        )
        raise DataError(
            [
                Problem(file="questions", field="split", row_id=q.id, message=f"image {q.image!r}: {message}")
                for q in group
                if q.split is not None
            ]
        )
    return given.pop() if given else None


def _wanted(questions: Sequence[Question], fractions: Mapping[str, float]) -> dict[Split, dict[str, float]]:
    counts = Counter(question.category for question in questions)
    return {
        split: {category: fractions.get(split, 0.0) * n for category, n in counts.items()} for split in SPLITS
    }


def _neediest(wanted: dict[Split, dict[str, float]], fractions: Mapping[str, float], category: str) -> Split:
    """The split that lacks most of a category; of equals the one that lacks most of all."""
    candidates = [split for split in SPLITS if fractions.get(split, 0.0) > 0]
    return max(candidates, key=lambda split: (wanted[split][category], sum(wanted[split].values())))


def _check_none_empty(questions: Sequence[Question], fractions: Mapping[str, float], n_groups: int) -> None:
    got = {question.split for question in questions}
    empty = [split for split in SPLITS if fractions.get(split, 0.0) > 0 and split not in got]
    if questions and empty:
        raise ValueError(
            f"the split {', '.join(empty)} got no question: {n_groups} groups of images cannot be cut as "
            f"{dict(fractions)}; give it a larger share, or 0"
        )


def _hash(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}\x1f{key}".encode()).hexdigest()
