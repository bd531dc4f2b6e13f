"""Reading a source: its rows, their records, their images, and the checks that need all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from align.data.images import MAX_PIXELS
from align.data.reading import PairRow, ParsedRow, Reading
from align.data.row_checks import with_mutual_twins, with_whole_images, without_duplicates
from align.data.sources.base import Draft, Source
from align.data.sources.cells import Cells, bare_name
from align.data.sources.store import BadBytes, ImageStore
from align.records import Pair, Problem, Question, problems_of, stable_id


def read_source(
    source: Source,
    paths: Sequence[str | Path],
    images: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    fingerprints: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Reading:
    """Read and check the files of one source with its images.

    Args:
        source: the form of the rows; `align.data.sources.SOURCES` has them by name.
        paths: files, or data sets, that are read one after the other as one.
        images: the folder that image names are relative to, and into which pictures that the rows hold
            themselves are written; it is made when there is something to write.
        max_pixels, follow_links, fingerprints, progress: see `inspect_images`.

    Returns:
        A `Reading`. Rows with a problem are not among its records; it is the caller's choice to stop or to go
        on without them.

    Raises:
        FileNotFoundError: an input, or a folder of images that names are looked for in, does not exist.
        ValueError: an option of the source that cannot be.
    """
    reading = Reading(file=", ".join(map(str, paths)))
    store = ImageStore(images)
    questions: list[ParsedRow] = []
    pairs: list[PairRow] = []
    link_of: dict[int, str | None] = {}
    spanning = 0
    for path in paths:
        reading.begin_file(path)
        for row in source.rows(path):
            number = reading.count_row(row.line)
            reading.complete &= not row.last
            if isinstance(row.value, Problem):
                reading.reject_as(number, row.value)
                continue
            reading.fields.update(row.value.keys())
            if str(path).lower().endswith((".csv", ".tsv")):
                spanning += any("\n" in cell for cell in row.value.values() if isinstance(cell, str))
            cells = Cells(row.value, _rejecter(reading, number, row.line))
            for draft in source.drafts(cells):
                record = _record(source, draft, reading, number, row.line, store)
                if isinstance(record, Question):
                    questions.append(ParsedRow(number, row.line, record, draft.image_field))
                    link_of[number] = draft.link
                elif record is not None:
                    pairs.append(PairRow(number, row.line, record, draft.image_field))
            if number not in reading.bad_rows:
                reading.unknown_fields.update(n for n in row.value if n and n not in cells.read)
    if store.written == 0 and not Path(images).is_dir() and (questions or pairs):
        raise FileNotFoundError(f"the folder of images does not exist: {images}")
    if questions or pairs:
        checks = {"max_pixels": max_pixels, "follow_links": follow_links, "fingerprints": fingerprints}
        questions = with_whole_images(reading, questions, images, progress=progress, **checks)  # type: ignore[arg-type]
        pairs = with_whole_images(reading, pairs, images, progress=progress, **checks)  # type: ignore[arg-type]
    twins = source.twins([(row, link_of[row.number]) for row in questions])
    questions = [
        ParsedRow(
            row.number,
            row.line,
            row.question.model_copy(update={"twin": twins.get(row.id, row.question.twin)}),
            row.image_field,
        )
        for row in questions
    ]
    reading.questions = with_mutual_twins(reading, without_duplicates(reading, questions))
    reading.pairs = _without_repeated_pairs(reading, pairs)
    if spanning:
        reading.notes.append(
            f"{spanning} row(s) have line breaks inside a cell; if that is not meant, a stray quotation mark "
            "may have joined lines"
        )
    if store.written:
        reading.notes.append(f"{store.written} picture(s) from the rows were written to {images}")
    if reading.unknown_fields:
        listed = ", ".join(f"{name} ({n})" for name, n in reading.unknown_fields.most_common())
        reading.notes.append(f"fields that nothing reads were kept in metadata.upstream: {listed}")
    reading.notes += source.notes()
    reading.finish()
    return reading


def _rejecter(reading: Reading, number: int, line: int) -> Callable[[str | None, str], None]:
    return lambda field, message: reading.reject(number, line, message, field)


def _record(
    source: Source, draft: Draft, reading: Reading, number: int, line: int, store: ImageStore
) -> Question | Pair | None:
    image = draft.image
    if isinstance(image, bytes):
        try:
            image = store.put(image)
        except BadBytes as error:
            reading.reject(number, line, str(error), draft.image_field, draft.id)
            return None
    elif source.image_name_only:
        image = bare_name(image)
    fields = {name: value for name, value in draft.fields.items() if value is not None}
    metadata = fields.get("metadata", {})
    if metadata.get("upstream") == {}:
        fields["metadata"] = {name: value for name, value in metadata.items() if name != "upstream"}
    text = str(fields.get("prompt", fields.get("question", "")))
    try:
        if draft.is_pair:
            id_ = draft.id or stable_id(source.name, image, text)
            return Pair.model_validate(fields | {"question_id": id_, "images": (image,)})
        common = {"image": image, "source": source.name}
        if source.license is not None:
            common["license"] = source.license
        if source.split is not None:
            fields.setdefault("split", source.split)
        part = (str(fields["part"]),) if "part" in fields else ()
        id_ = draft.id or fields.get("id") or stable_id(source.name, image, *part, text)
        return Question.model_validate(common | fields | {"id": id_})
    except ValidationError as error:
        for problem in problems_of(error, reading.file_of(number), line, draft.id):
            field = draft.image_field if problem.field == "image" else problem.field
            reading.reject(number, line, problem.message, field, draft.id)
        return None


def _without_repeated_pairs(reading: Reading, rows: list[PairRow]) -> list[Pair]:
    seen: dict[Pair, PairRow] = {}
    for row in rows:
        # Source fields do not make another pair of the same texts.
        content = row.pair.model_copy(update={"chosen_source": "", "rejected_source": "", "question_id": ""})
        first = seen.setdefault(content, row)
        if first is not row:
            reading.reject_row(row, "text", f"duplicate: line {first.line} is the same pair")
    kept = list(seen.values())
    reading.remember_places(kept)
    return [row.pair for row in kept]
