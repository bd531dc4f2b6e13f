"""The reader of `data/vqa_train.json`: upstream's training rows, in LLaMA-Factory's forms.

Its schema is not published, so every form that LLaMA-Factory takes for one question about images is
read, from JSON Lines or a JSON array:

    ShareGPT ranking   {"conversations": [{"from": "human", "value": ...}], "chosen": {"from", "value"},
                        "rejected": {"from", "value"}, "images": [...]}
    ShareGPT           the answer as the last entry of `conversations`, and no ranking
    Alpaca ranking     {"instruction": ..., "input": ..., "chosen": ..., "rejected": ..., "images": [...]}
    Alpaca             `output` in place of the two

`messages` with `role` and `content` is read like `conversations`. A row with `chosen` and `rejected`
becomes a `Pair`, any other an `SFTRow`. A dialogue of several turns, or one with a system prompt, is a
problem: our records hold one question, and cutting a dialogue would change what the answer answers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from align.data.images import ImageFacts, image_digests, inspect_images, resolve_image
from align.data.json_rows import MAX_ROW, iter_rows
from align.records import (
    Category,
    DataError,
    Pair,
    PairKind,
    Problem,
    Question,
    SFTRow,
    problems_of,
    stable_id,
)

IMAGE_PLACEHOLDER = "<image>"
_USER = ("human", "user")
_ASSISTANT = ("gpt", "assistant")


@dataclass
class PreferenceReading:
    """What a file of training rows held.

    Attributes:
        pairs, sft: the usable rows.
        problems: every reason why a row was not used.
        bad_rows: the numbers of those rows, from 1.
        held_out: rows on an image of the validation or the test split, as problems that name the row:
            they are not training data, and not an error of the file.
        n_rows: rows in the file.
        complete: False when a part of the file could not be read as rows at all.
        images: of each whole image what was seen of it.
        forms: how many rows were in each form.
        unknown_fields: fields that nothing reads, with their numbers of rows.
    """

    file: str
    pairs: list[Pair] = field(default_factory=list)
    sft: list[SFTRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bad_rows: set[int] = field(default_factory=set)
    held_out: list[Problem] = field(default_factory=list)
    n_rows: int = 0
    complete: bool = True
    images: dict[str, ImageFacts] = field(default_factory=dict)
    forms: Counter[str] = field(default_factory=Counter)
    unknown_fields: Counter[str] = field(default_factory=Counter)

    def raise_if_bad(self) -> None:
        """Raise `DataError` with every problem, if there is any."""
        if self.problems:
            raise DataError(self.problems)

    def hold_out(self, reasons: Mapping[str, str]) -> None:
        """Keep rows out by the images that they show, and say why in `held_out`."""
        rows: list[Pair | SFTRow] = [*self.pairs, *self.sft]
        for row in rows:
            why = next((reasons[image] for image in row.images if image in reasons), None)
            if why is not None:
                self.held_out.append(
                    Problem(file=self.file, field="images", row_id=row.question_id, message=why)
                )
        self.pairs = [row for row in self.pairs if not reasons.keys() & set(row.images)]
        self.sft = [row for row in self.sft if not reasons.keys() & set(row.images)]


class _Unusable(Exception):
    """Why a row cannot be used, and which field says so."""

    def __init__(self, field_name: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field_name


def read_preferences(
    path: str | Path,
    images: str | Path | None = None,
    *,
    questions: Sequence[Question] = (),
    source: str = "upstream",
    image_name_only: bool = False,
    follow_links: bool = False,
    max_row: int = MAX_ROW,
) -> PreferenceReading:
    """Read and check a file of preference or supervised rows.

    A row that asks a question of `questions` about the same image gets its id and its category, and is of
    kind `refuse` or `answer`. Any other is `retain`: general data, such as the RLHF-V rows that upstream
    mixes in. Rows on an image that `questions` holds out are kept apart (`held_out`).

    Args:
        path: JSON Lines, or a JSON array.
        images: the folder that image names are relative to; with None no image is looked at.
        questions: split questions, from `read_mohobench` and `split_questions`.
        source: says where both sides came from, in the records.
        image_name_only: use only the file name of an image that is given with a longer path.
        max_row: a longer row is a problem; see `iter_rows`.

    Raises:
        FileNotFoundError: no such file, or no such folder of images.
    """
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"the folder of images does not exist: {images}")
    reading = PreferenceReading(file=str(path))
    known = {(q.image, _key(q.question)): q for q in questions}
    split_of = {q.image: q.split for q in questions}
    rows: list[tuple[int, int, Pair | SFTRow]] = []
    for raw in iter_rows(path, max_row=max_row):
        reading.n_rows += 1
        reading.complete &= not raw.last
        number = reading.n_rows
        if isinstance(raw.value, Problem):
            reading.problems.append(raw.value)
            reading.bad_rows.add(number)
            continue
        try:
            rows.append((number, raw.line, _record(raw.value, reading, known, source, image_name_only)))
        except _Unusable as error:
            reading.problems.append(
                Problem(file=str(path), line=raw.line, field=error.field, message=f"row {number}: {error}")
            )
            reading.bad_rows.add(number)
        except ValidationError as error:
            reading.problems.extend(problems_of(error, str(path), raw.line))
            reading.bad_rows.add(number)
    bad_images, split_of_copy = _look_at_images(rows, images, follow_links, split_of, reading)
    for number, line, record in rows:
        wrong = [bad_images[image] for image in record.images if image in bad_images]
        shown = {split_of.get(image) or split_of_copy.get(image) for image in record.images}
        held = sorted(split for split in shown if split not in (None, "train"))
        if wrong:
            reading.bad_rows.add(number)
            reading.problems += [
                Problem(file=str(path), line=line, field="images", message=f"row {number}: {message}")
                for message in wrong
            ]
        elif held:
            message = f"row {number}: its image is in the {held[0]} split"
            reading.held_out.append(
                Problem(file=str(path), line=line, field="images", row_id=record.question_id, message=message)
            )
        elif isinstance(record, Pair):
            reading.pairs.append(record)
        else:
            reading.sft.append(record)
    reading.problems.sort(key=lambda problem: problem.line or 0)
    return reading


def _look_at_images(
    rows: list[tuple[int, int, Pair | SFTRow]],
    root: str | Path | None,
    follow_links: bool,
    split_of: Mapping[str, str | None],
    reading: PreferenceReading,
) -> tuple[dict[str, str], dict[str, str | None]]:
    """What is wrong with images of rows, and the split of those that have the bytes of a question's image."""
    if root is None:
        return {}, {}
    names = [image for _, _, record in rows for image in record.images]
    facts = inspect_images(names, root, follow_links=follow_links, fingerprints=True)
    there = [image for image in split_of if resolve_image(image, root).is_file()]
    split_of_bytes = {digest: split_of[image] for image, digest in image_digests(there, root).items()}
    reading.images = {name: fact for name, fact in facts.items() if not isinstance(fact, str)}
    bad = {name: fact for name, fact in facts.items() if isinstance(fact, str)}
    return bad, {name: split_of_bytes.get(fact.digest) for name, fact in reading.images.items()}


def _record(
    row: dict[str, Any],
    reading: PreferenceReading,
    known: Mapping[tuple[str, str], Question],
    source: str,
    image_name_only: bool,
) -> Pair | SFTRow:
    ranking = "chosen" in row or "rejected" in row
    if "conversations" in row or "messages" in row:
        form, prompt, completion, read = _from_sharegpt(row, ranking)
    elif "instruction" in row:
        form, prompt, completion, read = _from_alpaca(row, ranking)
    else:
        raise _Unusable(
            None,
            "no known form: expected `conversations` (ShareGPT) or `instruction` (Alpaca), found "
            + (", ".join(map(repr, row)) or "no field"),
        )
    images = _images(row, image_name_only)
    placeholders = prompt.count(IMAGE_PLACEHOLDER)
    if placeholders not in (0, len(images)):
        raise _Unusable(
            "images", f"{len(images)} image(s) for {placeholders} {IMAGE_PLACEHOLDER} in the text"
        )
    prompt = re.sub(rf"\s*{IMAGE_PLACEHOLDER}\s*", " ", prompt).strip()
    if not prompt:
        raise _Unusable("conversations" if form == "sharegpt" else "instruction", "the question is empty")
    reading.forms[form + (" ranking" if ranking else "")] += 1
    reading.unknown_fields.update(set(row) - read - {"images", "image"})
    question = known.get((images[0], _key(prompt)))
    kind: PairKind = "retain" if question is None else "answer" if question.answerable else "refuse"
    category: Category | None = question.category if question else None
    question_id = question.id if question else stable_id(source, *images, prompt)
    if not ranking:
        return SFTRow(
            question_id=question_id,
            prompt=prompt,
            completion=completion,
            images=images,
            kind=kind,
            category=category,
            completion_source=source,
        )
    return Pair(
        question_id=question_id,
        prompt=prompt,
        chosen=_side(row, "chosen"),
        rejected=_side(row, "rejected"),
        images=images,
        kind=kind,
        category=category,
        chosen_source=source,
        rejected_source=source,
    )


def _from_sharegpt(row: dict[str, Any], ranking: bool) -> tuple[str, str, str, set[str]]:
    """(form, prompt, completion, fields read). The completion is empty for a ranking row."""
    name = "conversations" if "conversations" in row else "messages"
    turns = row[name]
    if not isinstance(turns, list) or not turns:
        raise _Unusable(name, "expected a list of turns")
    roles, texts = [], []
    for index, turn in enumerate(turns):
        role = turn.get("from", turn.get("role")) if isinstance(turn, dict) else None
        text = turn.get("value", turn.get("content")) if isinstance(turn, dict) else None
        if not isinstance(role, str) or not isinstance(text, str):
            raise _Unusable(
                f"{name}.{index}", f"expected a turn with `from` and `value` as texts, found {turn!r:.80}"
            )
        roles.append(role)
        texts.append(text)
    if "system" in roles or row.get("system"):
        raise _Unusable(name, "a system prompt is not supported: remove it, or put it into the question")
    pattern = ["user" if r in _USER else "assistant" if r in _ASSISTANT else r for r in roles]
    if pattern != (["user"] if ranking else ["user", "assistant"]):
        expected = "one turn of the user" if ranking else "one turn of the user and one of the assistant"
        raise _Unusable(
            name, f"expected {expected}, found {', '.join(roles)}: only one question a row is supported"
        )
    return "sharegpt", texts[0], "" if ranking else texts[1].strip(), {name, "chosen", "rejected", "system"}


def _from_alpaca(row: dict[str, Any], ranking: bool) -> tuple[str, str, str, set[str]]:
    for name in ("history", "system"):
        if row.get(name):
            raise _Unusable(
                name, "earlier turns and system prompts are not supported: only one question a row"
            )
    parts = []
    for name in ("instruction", "input"):
        value = row.get(name) or ""
        if not isinstance(value, str):
            raise _Unusable(name, f"expected a text, found {type(value).__name__}")
        parts.append(value.strip())
    completion = "" if ranking else row.get("output")
    if not isinstance(completion, str) or not (ranking or completion.strip()):
        raise _Unusable("output", "is missing or no text, and there is no `chosen` and `rejected` either")
    read = {"instruction", "input", "output", "chosen", "rejected", "history", "system"}
    return "alpaca", "\n".join(part for part in parts if part), completion.strip(), read


def _side(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, dict):
        role = value.get("from", value.get("role", "gpt"))
        if role not in _ASSISTANT:
            raise _Unusable(name, f"expected a turn of the assistant, found one of {role!r}")
        value = value.get("value", value.get("content"))
    if not isinstance(value, str) or not value.strip():
        raise _Unusable(
            name, "expected a text, or a turn with `from` and `value`" if value else "is missing or empty"
        )
    return value.strip()


def _images(row: dict[str, Any], image_name_only: bool) -> tuple[str, ...]:
    value = row.get("images", row.get("image"))
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n.strip() for n in names):
        raise _Unusable("images", f"expected a list with at least one file name, found {value!r:.80}")
    images = tuple(Path(name).name if image_name_only else name.strip() for name in names)
    for image in images:
        if Path(image).is_absolute() or ".." in Path(image).parts:
            raise _Unusable(
                "images", f"{image!r} leaves the data root: give a path relative to it, without '..'"
            )
    return images


def _key(text: str) -> str:
    return " ".join(text.casefold().split())
