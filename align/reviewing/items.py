"""What is reviewed: questions with all that helps to judge them, or single responses of models."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.data.images import resolve_image
from align.judging.files import OTHERS
from align.records import DataError, Problem, Question, Response, stable_id


@dataclass(frozen=True)
class Item:
    """One thing to decide about.

    Attributes:
        key: stable, and tells nothing of the model, whose name would sway the one who judges.
        digest: of what is judged. A log of decisions about other content is not silently taken over.
        shown: what the page shows beside the question itself, as plain JSON.
        images: the files behind `/image/KEY/N`, of the question and, if it is another, of its twin.
    """

    key: str
    digest: str
    question: Question
    response: Response | None
    shown: dict[str, Any] = field(repr=False)
    images: tuple[str, ...]


def question_items(questions: Sequence[Question], responses: Sequence[Response]) -> dict[str, Item]:
    """An item a question, with its twin and what the models answered.

    Raises `DataError` for responses to none of the questions, or ids that come twice.
    """
    by_id = _by_id(questions)
    answers = _by_question(responses, by_id)
    items = {}
    for question in questions:
        twin = by_id.get(question.twin or "")
        images = [question.image]
        if twin is not None and twin.image != question.image:
            images.append(twin.image)
        shown = _question(question) | {
            "twin": None if twin is None else _question(twin) | {"image": images.index(twin.image)},
            "responses": [
                {"model": r.model, "text": r.text, "error": r.error, "sample": r.sample_index}
                for r in answers[question.id]
            ],
        }
        parts = (question.image, question.question, question.category, question.reason or "")
        key = stable_id("question", question.id)
        items[key] = Item(key, stable_id(*parts, *question.answers), question, None, shown, tuple(images))
    return items


def response_items(questions: Sequence[Question], responses: Sequence[Response]) -> dict[str, Item]:
    """An item a response that has a text. A failed call has nothing to judge, and is left out.

    Raises `DataError` for responses to none of the questions, and for one that comes twice.
    """
    by_id = _by_id(questions)
    items: dict[str, Item] = {}
    problems = []
    for question_id, found in _by_question(responses, by_id).items():
        question = by_id[question_id]
        for response in found:
            if response.text is None:
                continue
            key = stable_id("response", question_id, response.model, str(response.sample_index))
            if key in items:
                message = f"sample {response.sample_index} of {response.model} comes twice"
                problems.append(Problem(file="responses", row_id=question_id, message=message))
            items[key] = Item(
                key,
                stable_id(question.image, question.question, response.text),
                question,
                response,
                _question(question) | {"response": response.text},
                (question.image,),
            )
    if problems:
        raise DataError(problems)
    return items


def choose_items(
    items: dict[str, Item], *, categories: Sequence[str] | None, limit: int | None, seed: int
) -> dict[str, Item]:
    """Those of some categories, and of these a seeded sample of `limit`; in the input's order.

    Raises `ValueError` if nothing is left.
    """
    kept = [key for key, item in items.items() if categories is None or item.question.category in categories]
    if limit is not None and limit < len(kept):
        # By rank of a hash, so that a larger limit keeps what a smaller one chose.
        chosen = set(sorted(kept, key=lambda key: random.Random(f"{seed}/{key}").random())[:limit])
        kept = [key for key in kept if key in chosen]
    if not kept:
        raise ValueError(f"nothing to review: {len(items)} item(s), and none of categories={categories}")
    return {key: items[key] for key in kept}


def check_images(items: dict[str, Item], root: str | Path, *, follow_links: bool = False) -> None:
    """Check that every image is a file inside the root. Raises `DataError` with all that are not."""
    problems = []
    for item in items.values():
        for image in item.images:
            try:
                image_path(image, root, follow_links=follow_links)
            except ValueError as error:
                problems.append(
                    Problem(file="questions", field="image", row_id=item.question.id, message=str(error))
                )
    if problems:
        raise DataError(problems)


def image_path(image: str, root: str | Path, *, follow_links: bool = False) -> Path:
    """The file of a record's image. Raises `ValueError`: it leaves the root, or is not there."""
    path = resolve_image(image, root)
    if not path.is_file():
        raise ValueError(f"image {image!r} is no file in {root}: is `root` right?")
    if not follow_links and not path.resolve().is_relative_to(Path(root).resolve()):
        raise ValueError(
            f"image {image!r} is a link that leaves {root}: set follow_links=true if it is meant"
        )
    return path


def _question(question: Question) -> dict[str, Any]:
    fields = {"question", "category", "reason", "answers", "caption", "source", "license"}
    return question.model_dump(mode="json", include=fields)


def _by_id(questions: Sequence[Question]) -> dict[str, Question]:
    by_id: dict[str, Question] = {}
    problems = []
    for question in questions:
        if question.id in by_id:
            problems.append(Problem(file="questions", row_id=question.id, message="this id comes twice"))
        by_id[question.id] = question
    if problems:
        raise DataError(problems)
    return by_id


def _by_question(
    responses: Sequence[Response], questions: dict[str, Question]
) -> defaultdict[str, list[Response]]:
    found: defaultdict[str, list[Response]] = defaultdict(list)
    problems = []
    for response in responses:
        if response.question_id not in questions:
            message = (
                f"a response of {response.model} to {response.question_id}, which is no question of the "
                f"question file. {OTHERS}"
            )
            problems.append(Problem(file="responses", row_id=response.question_id, message=message))
        found[response.question_id].append(response)
    if problems:
        raise DataError(problems)
    return found
