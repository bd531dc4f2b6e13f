"""From rows to batches: images are opened and processed, texts tokenised, in DataLoader workers."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from transformers import ProcessorMixin

from align.data.images import open_image
from align.data.loading import resolve_image
from align.models.special_tokens import adds_special_tokens
from align.records import Pair, SFTRow
from align.training.data import row_texts
from align.training.losses import gate_for
from align.training.sequences import SequenceBatch, build_sequences

KEPT_AREA = (0.01, 0.2)  # of a corrupted image; mDPO, arXiv 2406.11839

# Marks of completion tokens where they are not 0.
COMPLETION_TYPES: dict[str, dict[str, int]] = {"paligemma": {"token_type_ids": 1}}
_BLANK = Image.new("RGB", (64, 64), "gray")


@dataclass(frozen=True)
class Example:
    """A row and its place in the file's order; `sampling.FILLER` for one that is not to be trained on."""

    index: int
    row: Pair | SFTRow


class RowDataset(Dataset[Example]):
    """Rows as they are: what costs time is done by the collator, in the same worker."""

    def __init__(self, rows: Sequence[Pair | SFTRow]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        # A filler is run as the first row is, and its result thrown away.
        return Example(index, self.rows[max(0, index)])


@dataclass
class Collator:
    """Make a batch of rows.

    Args:
        model_type: the family, for what its token marks mean.
        shared: both sides of a pair go behind one prompt; else each side into a row of its own.
        corrupt: add `corrupted`, the chosen sides behind prompts whose images were cropped to 1-20 % of
            their area and resized back (mDPO). The crop is the same for a row every time.
        closed: categories whose rows are left out of `corrupted`, as are rows without an image; `gate` `[B]`
            says which rows are in it.
        image_always: a batch without any image gets one more row, a blank image with nothing to score, so
            that each process runs its vision tower in each step: where weights are sharded over processes,
            one that skipped it would keep the others waiting for ever.

    Gives `index` `[B]`, `sequences`, and with `corrupt` `gate` and `corrupted` (not where no row of the
    batch is in it). Completions are numbered in the order of
    the rows, a pair's chosen side first.
    """

    processor: ProcessorMixin
    data_root: str | Path
    model_type: str
    shared: bool = True
    corrupt: bool = False
    closed: Collection[str] = ()
    image_always: bool = False

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        rows = [example.row for example in examples]
        texts = [row_texts(row, self.processor) for row in rows]
        images = [[open_image(resolve_image(i, self.data_root)) for i in row.images] for row in rows]
        batch: dict[str, Any] = {"index": torch.tensor([example.index for example in examples])}
        prompts = [prompt for prompt, _ in texts]
        sides = [self._tokens(completions) for _, completions in texts]
        if self.shared:
            batch["sequences"] = self._sequences(prompts, images, sides)
        else:
            each = [(p, i, [side]) for p, i, own in zip(prompts, images, sides, strict=True) for side in own]
            batch["sequences"] = self._sequences(*(list(column) for column in zip(*each, strict=True)))
        if self.corrupt:
            seen = torch.tensor([bool(row.images) for row in rows])  # there is no other way to see nothing
            batch["gate"] = gate_for([row.category for row in rows], self.closed) & seen
            kept = batch["gate"].nonzero().flatten().tolist()
            cropped = [
                [
                    crop(image, random.Random(f"{rows[k].question_id}-{i}"))
                    for i, image in enumerate(images[k])
                ]
                for k in kept
            ]
            if kept or self.image_always:
                batch["corrupted"] = self._sequences(
                    [prompts[k] for k in kept], cropped, [sides[k][:1] for k in kept]
                )
        return batch

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        return self.processor.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def _sequences(
        self, prompts: list[str], images: list[list[Image.Image]], completions: list[list[list[int]]]
    ) -> SequenceBatch:
        if self.image_always and not any(images):
            blank, _ = row_texts(_blank_row(), self.processor)
            prompts, images, completions = [*prompts, blank], [*images, [_BLANK]], [*completions, []]
        seen = [i for i, own in enumerate(images) if own]
        blind = [i for i, own in enumerate(images) if not own]
        encoded = {}
        if seen:
            encoded = dict(self._process([prompts[i] for i in seen], [images[i] for i in seen]))
        if blind:
            # Few processors take rows with and without images in one call.
            plain = dict(self._process([prompts[i] for i in blind], None))
            encoded = _joined(encoded, plain) if encoded else plain
        order = [*seen, *blind]
        batch = build_sequences(
            encoded,
            [completions[i] for i in order],
            pad=self.processor.tokenizer.pad_token_id or 0,
            completion_types=COMPLETION_TYPES.get(self.model_type),
        )
        return batch if order == sorted(order) else _renumbered(batch, order, [len(c) for c in completions])

    def _process(self, prompts: list[str], images: list[list[Image.Image]] | None) -> Mapping[str, Tensor]:
        given = {"images": images} if images is not None else {}
        inputs = self.processor(
            text=prompts,
            padding=True,
            padding_side="right",
            add_special_tokens=adds_special_tokens(self.processor, prompts[0]),
            return_tensors="pt",
            **given,
        )
        # PaliGemma's processor adds labels, with nothing in them for a prompt.
        return {name: value for name, value in inputs.items() if name != "labels"}


def crop(image: Image.Image, rng: random.Random) -> Image.Image:
    """A random part of the image with its proportions, 1-20 % of its area, at its size."""
    share = rng.uniform(*KEPT_AREA) ** 0.5
    width, height = max(1, round(share * image.width)), max(1, round(share * image.height))
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height)).resize(image.size)


def _cropped(images: list[Image.Image], question_id: str) -> list[Image.Image]:
    return [crop(image, random.Random(f"{question_id}-{i}")) for i, image in enumerate(images)]


def _blank_row() -> SFTRow:
    return SFTRow(
        question_id="blank",
        prompt=".",
        completion=".",
        images=("blank",),
        kind="retain",
        completion_source="",
    )


def _joined(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    """Prompts with images, and behind them prompts without."""
    if "cross_attention_mask" in first:
        raise ValueError(
            "rows with and without images cannot share a batch in families with cross-attention to the "
            "image: train on one kind at a time"
        )
    shape = first["input_ids"].shape
    width = max(shape[1], second["input_ids"].shape[1])
    joined = {}
    for name, value in first.items():
        if value.shape != shape or not (name in second or name.endswith("_type_ids")):
            joined[name] = value  # images
            continue
        other = second.get(name)
        if other is None:
            other = value.new_zeros(second["input_ids"].shape)
        joined[name] = torch.cat([_widened(value, width), _widened(other, width)])
    return joined


def _widened(value: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(value, (0, width - value.shape[1]))


def _renumbered(batch: SequenceBatch, order: list[int], counts: list[int]) -> SequenceBatch:
    """Owners as if the rows stood in the order that the caller gave them in."""
    first = [0]
    for count in counts:
        first.append(first[-1] + count)
    number = [first[i] + k for i in order for k in range(counts[i])]
    batch.owners = torch.tensor(number)[batch.owners]
    return batch
