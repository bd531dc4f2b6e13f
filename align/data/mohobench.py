"""The reader of MoHoBench's question file, `data/mohobench.json`, and of files written in its form.

Upstream's file is JSON Lines in spite of its name; a JSON array is read as well. Fields that are read:

    question                     the text
    category                     one of MoHoBench's four labels, or `Answerable` (our extension)
    reason                       why the image cannot answer it
    image_path | image           a file name inside the folder of images
    caption                      under any of `CAPTION_FIELDS`, since upstream's name for it is not known
    model_answer, model_name, prompt    what upstream's inference writes: becomes a `Response`
    id, answers, twin, license, source, split, part    our extension, for control questions

Any other field is kept in `Question.metadata["upstream"]` and listed in the report. Nothing is dropped in
silence: a row that cannot be used is a `Problem` with its file, line and field.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from align.data.images import MAX_PIXELS
from align.data.json_rows import MAX_ROW, iter_rows
from align.data.reading import ParsedRow, Reading
from align.data.row_checks import with_mutual_twins, with_whole_images, without_duplicates
from align.records import Category, Problem, Question, problems_of, stable_id

CAPTION_FIELDS = (
    "caption",
    "image_caption",
    "captions",
    "description",
    "image_description",
    "detailed_caption",
    "caption_text",
    "gen_caption",
)
IMAGE_FIELDS = ("image_path", "image")
ID_FIELDS = ("id", "question_id")
ANSWER_FIELDS = ("answers", "answer")
OUTPUT_FIELDS = ("model_answer", "model_name", "prompt")
_OTHER_FIELDS = ("question", "category", "reason", "twin", "license", "source", "split", "part")

_LABELS: dict[str, Category] = {
    "".join(filter(str.isalnum, label.casefold())): label for label in get_args(Category)
} | {
    "contextdependence": "Context_Dependent",
    "falsepremise": "False_Premises",
    "subjectivephilosophical": "Subjective_or_Philosophical",
    "subjectiveandphilosophical": "Subjective_or_Philosophical",
    "vaguedescriptions": "Vague_Description",
}


def read_mohobench(
    path: str | Path,
    images: str | Path | None = None,
    *,
    source: str = "mohobench",
    caption_field: str | None = None,
    image_name_only: bool = False,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    fingerprints: bool = False,
    max_row: int = MAX_ROW,
    progress: Callable[[int, int], None] | None = None,
) -> Reading:
    """Read and check a question file with its images.

    Args:
        path: JSON Lines, or a JSON array.
        images: the folder that image names are relative to; every image is decoded in full. With None no
            image is looked at.
        source: `Question.source` of rows that name none; part of the ids made for rows without one.
        caption_field: the field that holds the caption, where it is none of `CAPTION_FIELDS`.
        image_name_only: use only the file name of an image field that holds a longer path.
        max_pixels, follow_links, fingerprints, progress: see `inspect_images`.
        max_row: a longer row is a problem; see `iter_rows`.

    Returns:
        A `Reading`. Rows with a problem are not among its questions; it is the caller's choice to stop
        (`Reading.raise_if_bad`) or to go on without them.

    Raises:
        FileNotFoundError: no such question file, or no such folder of images.
    """
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"the folder of images does not exist: {images}")
    reading = Reading(file=str(path))
    parser = _RowParser(reading, source, caption_field, image_name_only)
    rows: list[ParsedRow] = []
    for row in iter_rows(path, max_row=max_row):
        number = reading.count_row(row.line)
        reading.complete &= not row.last
        if isinstance(row.value, Problem):
            reading.reject(number, row.line, row.value.message)
            continue
        question = parser.parse(number, row.line, row.value)
        if question is not None:
            output = {name: row.value[name] for name in OUTPUT_FIELDS if row.value.get(name) is not None}
            is_output = not output.keys().isdisjoint(("model_answer", "model_name"))
            field = "image_path" if row.value.get("image_path") else "image"
            rows.append(ParsedRow(number, row.line, question, field, output if is_output else None))
    if images is not None:
        rows = with_whole_images(
            reading,
            rows,
            images,
            max_pixels=max_pixels,
            follow_links=follow_links,
            fingerprints=fingerprints,
            progress=progress,
        )
    rows = without_duplicates(reading, rows)
    reading.questions = with_mutual_twins(reading, rows)
    parser.add_notes()
    reading.finish()
    return reading


def read_category(label: str) -> Category | None:
    """The category that a label means: exact, or differing only in case, spaces, hyphens or number."""
    return _LABELS.get("".join(filter(str.isalnum, label.casefold())))


class _RowParser:
    """Turns rows into questions, and counts what it met on the way."""

    def __init__(
        self, reading: Reading, source: str, caption_field: str | None, image_name_only: bool
    ) -> None:
        self.reading = reading
        self.source = source
        self.caption_fields = (caption_field,) if caption_field else CAPTION_FIELDS
        self.image_name_only = image_name_only
        self.known = {
            *IMAGE_FIELDS,
            *ID_FIELDS,
            *ANSWER_FIELDS,
            *OUTPUT_FIELDS,
            *_OTHER_FIELDS,
            *self.caption_fields,
        }
        self.respelt: Counter[tuple[str, Category]] = Counter()
        self.without_reason = 0
        self.long_unknown_texts: Counter[str] = Counter()

    def parse(self, number: int, line: int, row: dict[str, Any]) -> Question | None:
        reading = self.reading
        reading.fields.update(row.keys())
        before = len(reading.problems)

        def bad(field_name: str | None, message: str) -> None:
            reading.reject(number, line, message, field_name, row_id)

        def text(name: str, required: bool = False) -> str | None:
            value = row.get(name)
            if value is None or (isinstance(value, str) and not value.strip()):
                if required:
                    bad(name, "is missing" if name not in row else "is empty")
                return None
            if not isinstance(value, str):
                bad(name, f"expected a text, found {type(value).__name__}: {value!r:.80}")
                return None
            return value.strip()

        row_id = None
        id_field = next((name for name in ID_FIELDS if row.get(name) is not None), None)
        if id_field is not None:
            value = row[id_field]
            if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
                bad(id_field, f"expected a text or a whole number, found {value!r:.80}")
            else:
                row_id = str(value).strip()

        question = text("question", required=True)
        label = text("category", required=True)
        category = read_category(label) if label else None
        if label and category is None:
            close = difflib.get_close_matches(label.title(), get_args(Category), n=1)
            bad(
                "category",
                f"unknown category {label!r}: expected one of {', '.join(get_args(Category))}"
                + (f" (did you mean {close[0]}?)" if close else ""),
            )
        image = self._image(row, text, bad)
        answers = self._answers(row, bad)
        if category == "Answerable" and not answers and len(reading.problems) == before:
            bad("answers", "an Answerable question needs its gold answers, as a text or a list of texts")
        caption = self._caption(row, text)
        optional = {name: text(name) for name in ("reason", "license", "source", "split", "part")}
        twin = row.get("twin")
        if twin is not None and (isinstance(twin, bool) or not isinstance(twin, str | int)):
            bad("twin", f"expected the id of a question, found {twin!r:.80}")
        if (
            question is None
            or label is None
            or category is None
            or image is None
            or len(reading.problems) > before
        ):
            return None

        unknown = {name: value for name, value in row.items() if name not in self.known}
        try:
            parsed = Question.model_validate(
                optional
                | {
                    "id": row_id or stable_id(self.source, image, question),
                    "image": image,
                    "question": question,
                    "category": category,
                    "answers": answers,
                    "twin": None if twin is None else str(twin).strip(),
                    "caption": caption,
                    "source": optional["source"] or self.source,
                    "metadata": {"upstream": unknown} if unknown else {},
                }
            )
        except ValidationError as error:
            for problem in problems_of(error, reading.file, line, row_id):
                bad(problem.field, problem.message)
            return None
        self._count(parsed, label, unknown)
        return parsed

    def _image(
        self, row: dict[str, Any], text: Callable[..., str | None], bad: Callable[[str | None, str], None]
    ) -> str | None:
        given = [name for name in IMAGE_FIELDS if row.get(name) not in (None, "")]
        if not given:
            bad("image", f"is missing: expected one of {', '.join(IMAGE_FIELDS)}")
            return None
        values = [text(name) for name in given]
        if None in values:
            return None
        # With both given, one may be the bare name of the other: the longer one says more.
        names = {Path(value).name for value in values if value}
        if len(names) > 1:
            bad("image", f"{' and '.join(given)} name different files: {values[0]!r} and {values[1]!r}")
            return None
        image = max((value for value in values if value), key=len)
        return Path(image).name if self.image_name_only else image

    def _answers(self, row: dict[str, Any], bad: Callable[[str | None, str], None]) -> tuple[str, ...]:
        name = next((name for name in ANSWER_FIELDS if row.get(name) not in (None, "", [])), None)
        if name is None:
            return ()
        values = row[name] if isinstance(row[name], list) else [row[name]]
        if not all(isinstance(value, str) and value.strip() for value in values):
            bad(name, f"expected a text or a list of texts, found {row[name]!r:.80}")
            return ()
        return tuple(value.strip() for value in values)

    def _caption(self, row: dict[str, Any], text: Callable[..., str | None]) -> str | None:
        for name in self.caption_fields:
            if row.get(name) is None:
                continue
            if isinstance(row[name], list) and row[name] and all(isinstance(c, str) for c in row[name]):
                caption = row[name][0].strip()  # COCO has five captions of one image, which say the same
            else:
                caption = text(name) or ""
            if caption:
                self.reading.caption_fields[name] += 1
                return caption
        return None

    def _count(self, question: Question, label: str, unknown: dict[str, Any]) -> None:
        if label != question.category:
            self.respelt[(label, question.category)] += 1
        if not question.answerable and question.reason is None:
            self.without_reason += 1
        self.reading.unknown_fields.update(unknown.keys())
        if question.caption is None:
            self.long_unknown_texts.update(
                name for name, value in unknown.items() if isinstance(value, str) and len(value.split()) > 5
            )

    def add_notes(self) -> None:
        notes = self.reading.notes
        for (label, category), count in sorted(self.respelt.items()):
            notes.append(f"category {label!r} was read as {category} in {count} row(s)")
        if self.without_reason:
            notes.append(
                f"{self.without_reason} unanswerable row(s) have no `reason`: "
                "composed answers to them can only name the category"
            )
        if not self.reading.caption_fields and self.reading.questions:
            hint = ", ".join(name for name, _ in self.long_unknown_texts.most_common(3))
            notes.append(
                "no caption was found under " + ", ".join(self.caption_fields)
                + (f"; if one of these fields is it, set caption_field: {hint}" if hint else "")
            )  # fmt: skip
        if self.reading.unknown_fields:
            listed = ", ".join(f"{name} ({n})" for name, n in self.reading.unknown_fields.most_common())
            notes.append(f"fields that nothing reads were kept in metadata.upstream: {listed}")
