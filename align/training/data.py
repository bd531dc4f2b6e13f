"""Find the rows to train on, and refuse those that would break training before it starts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Generic, TypeVar

from peft import PeftModel
from PIL import Image
from tqdm.auto import tqdm
from transformers import PreTrainedModel, ProcessorMixin
from trl.data_utils import apply_chat_template, prepare_multimodal_messages

from align.data.images import inspect_images, open_image
from align.data.loading import resolve_image
from align.models.special_tokens import adds_special_tokens
from align.records import DataError, Pair, Problem, SFTRow, read_records

R = TypeVar("R", Pair, SFTRow)

_ORIENTATION = 0x0112  # EXIF tag


def find_rows(data: Mapping[str, Any], which: str) -> Path:
    """The file `data[which]` ("pairs" or "sft"), made first if it is the miniature world's own.

    Only the main process of a launch may make it. Raises `FileNotFoundError` for a file of the user's that is
    not there, and `ValueError` if none was named.
    """
    if data[which] == "???":
        raise ValueError(f"data.{which} is not given: say where the rows are with data.{which}=FILE")
    path = Path(data[which])
    if path.is_file():
        return path
    home = data.get("generate_in")
    if home is not None and Path(data["root"]) == Path(home) and path.parent == Path(home):
        from align.miniworld.prepare import ensure_pairs

        with tqdm(desc="asking the tiny model", unit="question", file=sys.stderr, leave=False) as bar:

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            ensure_pairs(Path(home), progress=advance)
        if path.is_file():
            return path
    raise FileNotFoundError(f"data.{which}={path}: no such file")


@dataclass(frozen=True)
class RowLengths:
    """Tokens of each row as it enters the model: prompt with image tokens, and its longest completion."""

    tokens: list[int]
    images: list[int]  # image tokens among them
    shapes: list[tuple[tuple[int, int], ...]]  # (width, height) of each row's images

    def where(self, keep: Sequence[bool]) -> RowLengths:
        """The rows for which `keep` is true."""
        columns = (self.tokens, self.images, self.shapes)
        return RowLengths(*[list(compress(column, keep)) for column in columns])  # type: ignore[arg-type]

    def summary(self) -> str:
        ordered = sorted(self.tokens)
        middle, longest = ordered[len(ordered) // 2], ordered[-1]
        return (
            f"{len(ordered)} rows, {middle} tokens in the middle one and {longest} in the longest "
            f"(up to {max(self.images)} of them for images)"
        )


def measure_rows(rows: Sequence[R], data_root: str | Path, processor: ProcessorMixin) -> RowLengths:
    """Count the tokens of every row, with the chat template and the processor that training will use.

    Text is tokenised row by row; images cost the same for all rows whose images have the same shapes, so the
    processor runs once for each. Raises `DataError` for images that cannot be used.
    """
    facts = inspect_images({image for row in rows for image in row.images}, data_root)
    problems = [
        Problem(file=str(data_root), field="images", message=facts[image])  # type: ignore[arg-type]
        for image in sorted(facts)
        if isinstance(facts[image], str)
    ]
    if problems:
        raise DataError(problems)

    size = {image: _upright_size(resolve_image(image, data_root)) for image in facts}
    prompts, completions = [], []
    for row in rows:
        prompt, sides = row_texts(row, processor)
        prompts.append(prompt)
        completions.append(sides)
    tokenizer = processor.tokenizer
    special = bool(prompts) and adds_special_tokens(processor, prompts[0])
    prompt_tokens = [len(ids) for ids in tokenizer(prompts, add_special_tokens=special)["input_ids"]]
    flat = [side for sides in completions for side in sides]
    side_tokens = iter([len(ids) for ids in tokenizer(flat, add_special_tokens=False)["input_ids"]])

    cost: dict[tuple[tuple[int, int], ...], int] = {(): 0}
    tokens, images, shapes = [], [], []
    for row, prompt, in_prompt, sides in zip(rows, prompts, prompt_tokens, completions, strict=True):
        shape = tuple(size[image] for image in row.images)
        if shape not in cost:
            pictures = [open_image(resolve_image(image, data_root)) for image in row.images]
            ids = processor(images=[pictures], text=[prompt], add_special_tokens=special)["input_ids"][0]
            cost[shape] = len(ids) - in_prompt
        tokens.append(in_prompt + cost[shape] + max(next(side_tokens) for _ in sides))
        # The placeholder that stands for an image before it is expanded counts as one of its tokens.
        images.append(cost[shape] + len(shape))
        shapes.append(shape)
    return RowLengths(tokens, images, shapes)


@dataclass(frozen=True)
class TrainingRows(Generic[R]):
    """Rows that fit the model, with what is known of them."""

    file: Path
    rows: list[R]
    lengths: RowLengths
    skipped: list[Problem]

    def describe(self) -> dict[str, Any]:
        """For the terminal, the run's record and the model card."""
        kinds = Counter(row.kind for row in self.rows)
        return {
            "file": str(self.file),
            "rows": len(self.rows),
            "kinds": ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
            "lengths": self.lengths.summary(),
            "left out as too long": len(self.skipped),
        }


def read_training_rows(
    file: str | Path,
    kind: type[R],
    *,
    data_root: str | Path,
    processor: ProcessorMixin,
    max_tokens: int,
    skip_too_long: bool = False,
) -> TrainingRows[R]:
    """Read rows, check their images and measure them in tokens. No row is ever cut.

    Raises `DataError` with every malformed row and unusable image, or with every row longer than
    `max_tokens`; with `skip_too_long`, those are left out and listed in `skipped`, unless none would be left.
    """
    rows = read_records(file, kind)
    lengths = measure_rows(rows, data_root, processor)
    fits = [n <= max_tokens for n in lengths.tokens]
    too_long = [
        Problem(
            file=str(file),
            row_id=row.question_id,
            message=f"row {row.question_id} has {tokens} tokens, and {max_tokens} is the limit: shorten it, "
            "use smaller images, raise data.max_tokens if the model allows, or set data.skip_too_long=true",
        )
        for row, tokens in zip(rows, lengths.tokens, strict=True)
        if tokens > max_tokens
    ]
    if too_long and (not skip_too_long or not any(fits)):
        raise DataError(too_long)
    return TrainingRows(Path(file), list(compress(rows, fits)), lengths.where(fits), too_long)


def longest_context(model: PreTrainedModel | PeftModel) -> int:
    """Tokens that the language model was made for."""
    text = model.config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    if limit is None:
        raise ValueError(f"{type(text).__name__} names no max_position_embeddings: give data.max_tokens=N")
    return int(limit)


def row_texts(row: Pair | SFTRow, processor: ProcessorMixin) -> tuple[str, list[str]]:
    """A row's prompt in the chat template, and its completions with their end; a pair's chosen side first."""
    sides = (
        {"chosen": row.chosen, "rejected": row.rejected}
        if isinstance(row, Pair)
        else {"completion": row.completion}
    )
    example: dict[str, Any] = {
        "prompt": prepare_multimodal_messages(
            [{"role": "user", "content": row.prompt}], images=list(row.images)
        )
    }
    for name, text in sides.items():
        example[name] = prepare_multimodal_messages([{"role": "assistant", "content": text}])
    texts = apply_chat_template(example, processor)
    return texts["prompt"], [texts[name] for name in sides]


def _upright_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)
