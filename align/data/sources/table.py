"""A user's own table, with a mapping of its columns: CSV, TSV, JSON, JSON Lines, parquet, or a data set.

`map` says for each of our fields which column it is in, or that it is a constant:

    map: {image: file_name, question: q, category: {constant: Answerable}, answers: gold}

Fields: image and question (needed), category, reason, answers, twin, caption, id, split, part, license. A
category may be spelt like ours, or translated by `categories: {theirs: ours}`. Answers are a list, or a
text that `answers_separator` separates. Images are paths, base64, or the bytes that an image column of a
data set holds.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from align.data.json_rows import Row
from align.data.mohobench import read_category
from align.data.sources.base import Draft, Source
from align.data.sources.cells import Cells, nearest
from align.data.sources.files import iter_input
from align.records import Category, Problem, Question

NEEDED = ("image", "question", "category")
FIELDS = (*NEEDED, "reason", "answers", "twin", "caption", "id", "split", "part", "license")


@dataclass(frozen=True)
class Table(Source):
    """`map` and `categories` as above. `rows_key` is where the rows are in a JSON file that is one object."""

    name: str = "table"
    map: Mapping[str, Any] | None = None
    categories: Mapping[str, str] | None = None
    answers_separator: str | None = None
    encoding: str = "utf-8"
    rows_key: str | None = None

    def __post_init__(self) -> None:
        wrong = [name for name in self.mapping if name not in FIELDS]
        if wrong:
            near = difflib.get_close_matches(wrong[0], FIELDS, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"source.map: unknown field {wrong[0]!r}{hint}: expected {', '.join(FIELDS)}")
        lacking = [name for name in NEEDED if name not in self.mapping]
        if lacking:
            raise ValueError(
                f"source.map has no {', '.join(lacking)}: give each of them a column or a constant, as in "
                "'source.map={image: COLUMN, question: COLUMN, category: {constant: Answerable}}'"
            )
        for name, where in self.mapping.items():
            if not isinstance(where, str) and not (isinstance(where, Mapping) and set(where) == {"constant"}):
                raise ValueError(f"source.map.{name}: expected a column or {{constant: ...}}, not {where!r}")
        bad = {label: ours for label, ours in self.labels.items() if ours not in get_args(Category)}
        if bad:
            raise ValueError(f"source.categories: {bad}: expected one of {', '.join(get_args(Category))}")

    @property
    def mapping(self) -> Mapping[str, Any]:
        """`map`, empty where none is given."""
        return self.map or {}

    @property
    def labels(self) -> Mapping[str, str]:
        """`categories`, empty where none are given."""
        return self.categories or {}

    @property
    def columns(self) -> dict[str, str]:
        """Field to column, without the constants."""
        return {name: where for name, where in self.mapping.items() if isinstance(where, str)}

    def rows(self, path: str | Path) -> Iterator[Row]:
        found = iter_input(
            path,
            key=self.rows_key,
            encoding=self.encoding,
            max_row=self.max_row,
            subset=self.hub_subset,
            split=self.hub_split,
            revision=self.hub_revision,
        )
        first = next(found, None)
        if first is None:
            yield Row(1, Problem(file=str(path), message="no rows"), last=True)
            return
        if isinstance(first.value, dict):
            # A column that no row has is a mistake in the mapping: one problem, not one a row. JSON rows may
            # lack a field that others have, so its absence is looked for in a hundred of them.
            head = [first, *itertools.islice(found, 99)]
            columns = {name for row in head if isinstance(row.value, dict) for name in row.value}
            wrong = {f: column for f, column in self.columns.items() if column not in columns}
            if wrong:
                for name, column in wrong.items():
                    message = f"there is no column {column!r}: {nearest(column, sorted(columns))}"
                    problem = Problem(file=str(path), line=first.line, field=f"map.{name}", message=message)
                    yield Row(first.line, problem, last=True)
                return
            yield from head
        else:
            yield first
        yield from found

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        columns = self.columns
        said: dict[str, Any] = {
            name: where["constant"] for name, where in self.mapping.items() if not isinstance(where, str)
        }
        for name, column in columns.items():
            if name == "image":
                said[name] = cells.image(column)
            elif name == "answers":
                said[name] = self._answers(cells, column)
            elif name != "category":
                said[name] = cells.text(column, required=name == "question")
        said["category"] = self._category(cells, said.get("category"))
        if "answers" in said and isinstance(said["answers"], str):
            said["answers"] = self._split(said["answers"])
        if said["category"] == "Answerable" and cells.good and not said.get("answers"):
            cells.bad(columns.get("answers", "answers"), "an Answerable question needs its gold answers")
        if not cells.good:
            return []
        image = said.pop("image")
        metadata = {"upstream": cells.rest()}
        fields = {name: value for name, value in said.items() if value not in (None, ())}
        return [
            Draft(fields | {"metadata": metadata}, image, columns.get("image", "image"), id=said.get("id"))
        ]

    def _category(self, cells: Cells, constant: Any) -> Category | None:
        column = self.columns.get("category")
        label = constant if column is None else cells.text(column)
        if label is None:
            return None
        found = read_category(self.labels.get(label, label)) if isinstance(label, str) else None
        if found is None:
            choices = [*self.labels, *get_args(Category)]
            near = difflib.get_close_matches(str(label), choices, n=1)
            cells.bad(
                column or "category",
                f"unknown category {label!r}: expected one of {', '.join(choices)}"
                + (f" (did you mean {near[0]}?)" if near else "")
                + "; others are translated by source.categories",
            )
        return found

    def _answers(self, cells: Cells, column: str) -> tuple[str, ...]:
        name = cells.first(column)
        value = cells.values[name] if name else None
        if value is None:
            return ()
        items = (
            value if isinstance(value, list) else self._split(value) if isinstance(value, str) else [value]
        )
        if not all(isinstance(item, str | int | float) and str(item).strip() for item in items):
            cells.bad(column, f"expected a text or a list of texts, found {value!r:.80}")
            return ()
        return tuple(str(item).strip() for item in items)

    def _split(self, text: str) -> tuple[str, ...]:
        parts = text.split(self.answers_separator) if self.answers_separator else [text]
        return tuple(part.strip() for part in parts if part.strip())


assert set(FIELDS) <= set(Question.model_fields)
