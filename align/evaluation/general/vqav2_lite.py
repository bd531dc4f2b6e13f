"""VQAv2 (Goyal et al. 2017, arXiv 1612.00837), or its lite subset: open questions with ten answers each.

Official rule: `vqa_accuracy` of the response as it stands. A model that answers in sentences has an official
accuracy near 0, whatever it says, which is why the prompt asks for a word or a phrase. Ours finds the
annotators' answer that a sentence gives, and gives it the official accuracy of that answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from align.data.json_rows import iter_rows
from align.data.sources.cells import Cells
from align.data.sources.vqav2 import AGREEMENT, VQAv2
from align.evaluation.general.base import (
    GeneralTask,
    Item,
    code_digest,
    declines,
    fixed_subset,
    scored_record,
)
from align.evaluation.general.figures import Figure
from align.evaluation.general.reading import (
    Items,
    Pictures,
    Source,
    as_paths,
    check_images,
    fill_prompt,
    found_paths,
    read_rows,
)
from align.evaluation.general.vqa_accuracy import ANNOTATORS, normalise_answer, vqa_accuracy
from align.evaluation.general.yes_no import Reading, read_yes_no
from align.judging.matching import matches, normalise
from align.records import DataError, Scored

PROMPT = "{question}\nAnswer the question using a single word or phrase."


@dataclass(frozen=True)
class Vqav2Benchmark:
    """Parts are the answer types of the annotation: `yes/no`, `number`, `other`."""

    name: str = "vqav2_lite"
    headline: str = "official"

    @property
    def digest(self) -> str:
        files = ("vqav2_lite.py", "vqa_accuracy.py", "yes_no.py")
        return code_digest(*(f"evaluation/general/{file}" for file in files))

    def grade(self, item: Item, response: str) -> Scored:
        annotated = item.facts["answers"]
        state, said = read_answer(response, str(item.facts["question"]), annotated)
        worth = vqa_accuracy(said, annotated) if said is not None else 0.0
        return scored_record(
            item,
            self,
            response,
            state=state,
            parsed=said,
            score=worth if state == "answer" else None,
            official=vqa_accuracy(response, annotated),
        )

    def figures(self, scored: Sequence[Scored]) -> dict[str, Figure]:
        return {}


def read_answer(response: str, question: str, annotated: Sequence[str]) -> Reading:
    """The state of a response, and the annotators' answer that it gives.

    A response that is one of the annotators' answers is an answer, even "unknown". Else a refusal is an
    abstention. In a sentence, the answer is the annotators' one that stands in it and isn't negated; of
    several the longest, where one holds the other ("red and white"), and else the first. A sentence with
    none of them is an answer all the same, a wrong one, and its `parsed` is None. To a yes-no question (most
    annotators say yes or no) a response is read by `read_yes_no`.
    """
    answers = list(dict.fromkeys(text.strip() for text in annotated))
    whole = normalise_answer(response)
    if exact := [text for text in answers if normalise_answer(text) == whole]:
        return "answer", exact[0]
    yes_no = sum(text.strip().casefold() in ("yes", "no") for text in annotated)
    if 2 * yes_no > len(annotated):
        return read_yes_no(response, question)
    refused = declines(response, question)
    if refused:
        return "abstain", None
    if refused is None:
        return "unparsed", None
    return "answer", _said(response, answers)


def _said(response: str, answers: Sequence[str]) -> str | None:
    """The annotators' answer in a sentence. One in yes or no has been read before."""
    words = normalise(response)
    found = []
    for text in answers:
        gold = normalise(text)
        if gold and gold not in (["yes"], ["no"]) and matches(response, [text]):
            places = range(len(words) - len(gold) + 1)
            found.append((next(at for at in places if words[at : at + len(gold)] == gold), gold, text))
    outer = [
        (at, text)
        for at, gold, text in found
        if not any(at >= start and at + len(gold) <= start + len(more) and len(more) > len(gold)
                   for start, more, _ in found)
    ]  # fmt: skip
    return min(outer)[1] if outer else None


def vqav2_lite(
    source: Source,
    images: str,
    *,
    annotations: str | None = None,
    image_pattern: str = VQAv2.image_pattern,
    hub_subset: str | None = None,
    hub_split: str | None = None,
    hub_revision: str | None = None,
    prompt: str = PROMPT,
    limit: int | None = None,
) -> GeneralTask:
    """VQAv2 from the official files of questions and annotations, or from a data set with both in a row.

    Args:
        source: the file of questions, a parquet, JSON or JSON Lines file, or a data set that `datasets` loads
            (`lmms-lab/LMMs-Eval-Lite`, subset `vqav2_val`, split `lite`).
        images: the folder that image names are relative to; pictures in the rows are written there.
        annotations: the official file of annotations, where `source` is that of questions.
        image_pattern: the file name of an `image_id`, for the official files.
        hub_subset, hub_split, hub_revision: of a data set.
        prompt: what is asked, with `{question}` in it.
        limit: at most that many questions, of whole images.

    Raises `DataError` where nothing can be read, `FileNotFoundError`, and ValueError for settings that cannot
    be.
    """
    form = VQAv2(
        annotations=annotations,
        image_pattern=image_pattern,
        hub_subset=hub_subset,
        hub_split=hub_split,
        hub_revision=hub_revision,
    )
    read, pictures = Items(), Pictures(images)
    types = {} if annotations is None else _answer_types(annotations)
    for path in found_paths(source, "vqav2_lite"):

        def make(cells: Cells, number: int) -> Item | None:
            return _item(cells, pictures, image_pattern, prompt, types)

        read_rows(path, form.rows(path), make, read)
    named = ", ".join(map(str, as_paths(source)))
    if not read.items and read.problems:
        raise DataError(read.problems)
    check_images(read.items, images, named)
    chosen = fixed_subset(read.items, limit, by="image")
    return GeneralTask(Vqav2Benchmark(), tuple(chosen), tuple(read.problems), str(images), named)


def _answer_types(annotations: str) -> dict[Any, Any]:
    """The answer type of each question; rows that cannot be read are problems of the questions' reading."""
    rows = (row.value for row in iter_rows(annotations, key="annotations"))
    return {row.get("question_id"): row.get("answer_type") for row in rows if isinstance(row, dict)}


def _item(
    cells: Cells, pictures: Pictures, image_pattern: str, prompt: str, types: Mapping[Any, Any]
) -> Item | None:
    number = cells.number("question_id")
    question = cells.text("question")
    annotated = _annotated(cells)
    part = cells.text("answer_type", required=False) or types.get(number)
    if not cells.good or question is None:
        return None
    if cells.first("image"):
        image = pictures.name(cells, "image", suffix=".jpg")
    else:
        image_id = cells.number("image_id")
        image = None if image_id is None else image_pattern.format(image_id=image_id)
    if image is None:
        return None
    counts = Counter(text.strip() for text in annotated)
    most = counts.most_common(1)[0][1]
    return Item(
        id=f"vqav2-{number}",
        image=image,
        prompt=fill_prompt(prompt, question),
        gold=tuple(text for text, n in counts.most_common() if n >= min(AGREEMENT, most)),
        part=part,
        facts={"question": question, "answers": annotated},
    )


def _annotated(cells: Cells) -> list[str]:
    name = cells.first("answers")
    if name is None:
        cells.bad("answers", "is missing: set `annotations` to the official file of annotations")
        return []
    given = cells.values[name]
    rows = given if isinstance(given, list) else []
    texts = [row.get("answer") if isinstance(row, dict) else row for row in rows]
    if len(texts) != ANNOTATORS or not all(isinstance(text, str) for text in texts):
        cells.bad(name, f"expected the answers of {ANNOTATORS} annotators, found {given!r:.80}")
        return []
    return [str(text) for text in texts]
