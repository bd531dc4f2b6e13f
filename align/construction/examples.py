"""What a category is, and the written examples of it from which a writer's in-context ones are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from align.data.mix import rng_for
from align.records import UNANSWERABLE, Category, DataError, Problem, Record, problems_of

DEFAULT = Path(__file__).parent / "examples.yaml"
SHOWN = 3
"""Examples in one request, as in the paper (MoHoBench, arXiv 2507.21503)."""


class Example(Record):
    """One example. `image` describes the picture; the other fields are what a writer is to write about it."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    id: str = Field(min_length=1)
    image: str = Field(min_length=1)
    caption: str = Field(min_length=1)
    question: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    twin_question: str = Field(min_length=1)
    twin_answers: tuple[str, ...] = Field(min_length=1)


class Guide(Record):
    """One category: what it is, and examples of it."""

    definition: str = Field(min_length=1)
    examples: tuple[Example, ...] = Field(min_length=SHOWN)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Guide:
        ids = [example.id for example in self.examples]
        twice = sorted({id for id in ids if ids.count(id) > 1})
        if twice:
            raise ValueError(f"the id {twice[0]!r} is given twice")
        return self

    def drawn(self, seed: int, *key: str, count: int = SHOWN) -> list[Example]:
        """Some of the examples, in an order of their own: the same for the same seed and key."""
        return rng_for(seed, "examples", *key).sample(self.examples, count)


Guides = Mapping[Category, Guide]


def load_guides(path: str | Path | None = None) -> Guides:
    """The project's definitions and examples, or those of a user's file of the same form.

    Raises:
        DataError: with every problem: no YAML, a category that is missing or unknown, an example with a field
            that is missing or unknown. `FileNotFoundError`.
    """
    file = DEFAULT if path is None else Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError([Problem(file=str(file), message=f"not YAML in UTF-8: {error}")]) from error
    if not isinstance(content, dict):
        message = (
            f"expected a mapping with the keys {', '.join(UNANSWERABLE)}, found {type(content).__name__}"
        )
        raise DataError([Problem(file=str(file), message=message)])
    guides: dict[Category, Guide] = {}
    problems = [
        Problem(
            file=str(file), field=str(name), message=f"no such category; there are {', '.join(UNANSWERABLE)}"
        )
        for name in content
        if name not in UNANSWERABLE
    ]
    for category in UNANSWERABLE:
        if category not in content:
            problems.append(Problem(file=str(file), field=category, message="this category is missing"))
            continue
        try:
            guides[category] = Guide.model_validate(content[category])
        except ValidationError as error:
            problems += [_within(problem, category) for problem in problems_of(error, str(file), None)]
    if problems:
        raise DataError(problems)
    return guides


def _within(problem: Problem, category: str) -> Problem:
    changed: dict[str, Any] = {"field": f"{category}.{problem.field}" if problem.field else category}
    return problem.model_copy(update=changed)
