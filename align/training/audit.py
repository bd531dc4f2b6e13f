"""The audit before training: everything that can be known of rows and model before the first step.

Rows are measured and reported, never cut.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import ProcessorMixin

from align.data.audit import (
    Finding,
    HeldOut,
    R,
    duplicate_images,
    duplicate_rows,
    leaks,
    near_leaks,
    set_unreadable_apart,
)
from align.data.images import image_digests, open_image, resolve_image
from align.models.adapters import count_parameters
from align.models.families import Family, Part
from align.records import Pair, Problem
from align.training.data import RowLengths, measure_rows
from align.training.estimate import (
    MemoryEstimate,
    RowTokens,
    StepPlan,
    TimeEstimate,
    estimate_memory,
    estimate_time,
    measure_flop_rate,
    model_shape,
)
from align.training.placeholders import mismatch, process_prompt

_NO_LENGTHS = RowLengths([], [], [])
EFFICIENCY = 0.5
"""Share of a matrix product's rate that a training step is taken to reach."""


@dataclass(frozen=True)
class Planned:
    """The training that is asked about: the model as it will be trained (adapter in place) and its steps.

    `flop_rate` None measures this device for half a second. `efficiency` is the share of that rate that steps
    reach: elementwise work, small layers and loading take the rest.
    """

    model: nn.Module
    family: Family
    step: StepPlan
    flop_rate: float | None = None
    efficiency: float = EFFICIENCY


@dataclass(frozen=True)
class Audit:
    """What an audit found. `findings` holds every check that was made or could not be made."""

    file: str
    rows: int  # readable, well-formed and within the budget
    kinds: dict[str, int]
    pictures: int
    lengths: RowLengths
    max_tokens: int
    findings: list[Finding]
    shapes_checked: int
    parameters: dict[Part, dict[str, int]] | None
    memory: MemoryEstimate | None
    time: TimeEstimate | None
    row_tokens: list[RowTokens] = field(default_factory=list)  # what the estimate was made of

    @property
    def breaks_training(self) -> bool:
        return any(finding.fatal for finding in self.findings)

    @property
    def exit_status(self) -> int:
        return 1 if self.breaks_training else 0

    def problems(self) -> list[Problem]:
        """Those that break training."""
        return [problem for finding in self.findings if finding.fatal for problem in finding.problems]

    def report(self) -> dict[str, Any]:
        """As it is written to audit.json."""
        tokens, images = self.lengths.tokens, self.lengths.images
        text = [all_ - of_images for all_, of_images in zip(tokens, images, strict=True)]
        report: dict[str, Any] = {
            "file": self.file,
            "breaks_training": self.breaks_training,
            "rows": self.rows,
            "kinds": self.kinds,
            "pictures": self.pictures,
            "image_shapes": len(set(self.lengths.shapes)),
            "image_shapes_checked": self.shapes_checked,
            "max_tokens": self.max_tokens,
            "tokens": {
                "text": _spread(text),
                "image": _spread(images),
                "row": _spread(tokens),
            },
            "findings": [finding.as_dict() for finding in self.findings],
        }
        if self.parameters is not None:
            report["parameters"] = self.parameters
        if self.memory is not None and self.time is not None:
            report["memory_bytes"] = asdict(self.memory) | {"total": self.memory.total}
            report["time"] = asdict(self.time)
        return report


def audit_rows(
    rows: Sequence[R],
    *,
    file: str | Path,
    data_root: str | Path,
    processor: ProcessorMixin,
    max_tokens: int,
    skip_too_long: bool = False,
    lengths: RowLengths | None = None,
    malformed: Sequence[Problem] = (),
    held_out: Sequence[HeldOut] = (),
    planned: Planned | None = None,
    shapes: int | None = None,
) -> Audit:
    """Check rows before training on them.

    Args:
        file: where the rows came from, for the messages.
        data_root: the folder that image paths are relative to.
        max_tokens: the longest row that the model can take: its prompt with one completion.
        skip_too_long: rows over that budget will be left out of training, so they are a warning only.
        lengths: of these rows if they have been measured, which also says that their images are whole. Then
            no image is decoded again, and 4,000 rows take about a second and the time of reading their files.
        malformed: problems of the file's other rows.
        held_out: pictures that training must not see; none leaves leakage unchecked, and the audit says so.
        planned: the training; None leaves placeholders, parameters and the estimate out.
        shapes: image shapes whose placeholders are compared with the features that the vision side yields,
            those of most image tokens first. None: all of them; 0: none.

    Raises nothing for bad data: the `Audit` holds it.
    """
    unreadable: list[Problem] = []
    refused: list[Problem] = []
    if lengths is None:
        rows, lengths, unreadable, refused = _measure(rows, data_root, processor, file)
    digests = image_digests({image for row in rows for image in row.images}, data_root)

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
    fits = [tokens <= max_tokens for tokens in lengths.tokens]
    none_left = bool(too_long) and not any(fits)
    repeated, asked_again = duplicate_rows(rows, digests, file)
    leaked = leaks(rows, digests, held_out, file)
    alike = near_leaks(rows, data_root, digests, held_out, file)
    kept = [row for row, fit in zip(rows, fits, strict=True) if fit]
    kept_lengths = lengths.where(fits)

    checked, parameters, memory, time_ = 0, None, None, None
    tokens_of: list[RowTokens] = []
    placeholders: list[Problem] = []
    if planned is not None:
        parameters = count_parameters(planned.model, planned.family)
        if kept:
            checked, placeholders, patches = _check_shapes(
                kept, kept_lengths, data_root, processor, planned.model, file, shapes
            )
            tokens_of = row_tokens(kept, kept_lengths, processor, patches)
            memory, time_ = _estimate(planned, tokens_of)
    return Audit(
        file=str(file),
        rows=len(kept),
        kinds=dict(sorted(Counter(row.kind for row in kept).items())),
        pictures=len(set(digests.values())),
        lengths=kept_lengths,
        max_tokens=max_tokens,
        findings=[
            Finding("malformed rows", True, list(malformed)),
            Finding("unreadable images", True, unreadable),
            Finding("rows that the processor refuses", True, refused),
            Finding("rows over the token budget", not skip_too_long or none_left, too_long),
            Finding(
                "placeholders unlike image features",
                True,
                placeholders,
                None if planned is not None and shapes != 0 else "no model was run",
            ),
            Finding(
                "images of the test in training",
                True,
                leaked,
                None
                if any(part.pictures for part in held_out)
                else "no image of the evaluation was found"
                if held_out
                else "no questions or pairs of the evaluation were given",
            ),
            Finding(
                "images that look like one of the test",
                False,
                alike,
                None
                if any(part.fingerprints for part in held_out)
                else "data_prep/audit.py looks for them, given questions or pairs of the evaluation",
            ),
            Finding("images of the test not found", False, [p for part in held_out for p in part.missing]),
            Finding("repeated rows", False, repeated),
            Finding("repeated questions", False, asked_again),
            Finding("images under several names", False, duplicate_images(digests, data_root)),
        ],
        shapes_checked=checked,
        parameters=parameters,
        memory=memory,
        time=time_,
        row_tokens=tokens_of,
    )


def row_tokens(
    rows: Sequence[R], lengths: RowLengths, processor: ProcessorMixin, patches: float
) -> list[RowTokens]:
    """Rows in the shared-prefix layout; `patches` is how many of them the tower takes for an image token.

    The end mark of each completion is taken to be one token.
    """
    sides = [[row.chosen, row.rejected] if isinstance(row, Pair) else [row.completion] for row in rows]
    flat = [side for several in sides for side in several]
    counts = iter([len(ids) + 1 for ids in processor.tokenizer(flat, add_special_tokens=False)["input_ids"]])
    result = []
    for several, tokens, images in zip(sides, lengths.tokens, lengths.images, strict=True):
        completions = tuple(next(counts) for _ in several)
        result.append(RowTokens(max(0, tokens - max(completions)), completions, math.ceil(images * patches)))
    return result


def _measure(
    rows: Sequence[R], data_root: str | Path, processor: ProcessorMixin, file: str | Path
) -> tuple[list[R], RowLengths, list[Problem], list[Problem]]:
    """(rows that can be used, their lengths, unreadable images, rows that the processor refuses)."""
    if not rows:
        return [], _NO_LENGTHS, [], []
    try:
        return list(rows), measure_rows(rows, data_root, processor), [], []
    except Exception:  # an unreadable image, or what a processor raises: told apart by row below
        whole, unreadable = set_unreadable_apart(rows, data_root, file)
    kept, lengths, refused = _halve(whole, data_root, processor, file)
    return kept, lengths, unreadable, refused


def _halve(
    rows: Sequence[R], data_root: str | Path, processor: ProcessorMixin, file: str | Path
) -> tuple[list[R], RowLengths, list[Problem]]:
    """Measure rows; where that fails, halve them until the row that it fails on stands alone."""
    if not rows:
        return [], _NO_LENGTHS, []
    try:
        return list(rows), measure_rows(rows, data_root, processor), []
    except Exception as error:  # e.g. an aspect ratio that one family's image processor refuses
        if len(rows) == 1:
            id = rows[0].question_id
            message = f"row {id}: the processor refuses it ({type(error).__name__}: {error})"
            return [], _NO_LENGTHS, [Problem(file=str(file), row_id=id, message=message)]
    half = len(rows) // 2
    first, lengths, bad = _halve(rows[:half], data_root, processor, file)
    second, more, worse = _halve(rows[half:], data_root, processor, file)
    together = RowLengths(
        lengths.tokens + more.tokens, lengths.images + more.images, lengths.shapes + more.shapes
    )
    return first + second, together, bad + worse


def _check_shapes(
    rows: Sequence[R],
    lengths: RowLengths,
    data_root: str | Path,
    processor: ProcessorMixin,
    model: nn.Module,
    file: str | Path,
    limit: int | None,
) -> tuple[int, list[Problem], float]:
    """(shapes checked, problems, image patches for each image token, by the shape of most tokens)."""
    row_of = {shape: index for index, shape in reversed(list(enumerate(lengths.shapes))) if shape}
    chosen = sorted(row_of.values(), key=lambda index: -lengths.images[index])
    problems: list[Problem] = []
    patches = 0.0
    for place, index in enumerate(chosen):
        if limit is not None and place >= max(limit, 1):
            break
        row = rows[index]
        pictures = [open_image(resolve_image(image, data_root)) for image in row.images]
        inputs = process_prompt(processor, row.prompt, pictures)
        if place == 0:
            patches = _patches(inputs, model) / max(1, lengths.images[index])
        if limit == 0:
            break
        wrong = mismatch(model, inputs)
        if wrong is not None:
            alike = sum(shape == lengths.shapes[index] for shape in lengths.shapes)
            size = ", ".join(f"{width} x {height}" for width, height in lengths.shapes[index])
            problems.append(
                Problem(
                    file=str(file),
                    row_id=row.question_id,
                    message=f"row {row.question_id} and {alike - 1} others with images of {size}: {wrong}",
                )
            )
    checked = 0 if limit == 0 else len(chosen) if limit is None else min(limit, len(chosen))
    return checked, problems, patches


def _patches(inputs: Mapping[str, torch.Tensor], model: nn.Module) -> float:
    """Image patches in a processor's output, from its number of pixels and the tower's patch size."""
    vision: Any = getattr(model.config, "vision_config", None)
    pixels = inputs.get("pixel_values")
    size = getattr(vision, "patch_size", None)
    if pixels is None or size is None:
        return 0.0
    area = math.prod(size) if isinstance(size, list | tuple) else size**2
    channels = getattr(vision, "num_channels", None) or getattr(vision, "in_channels", None) or 3
    return pixels.numel() / (area * channels * getattr(vision, "temporal_patch_size", 1))


def _estimate(planned: Planned, rows: list[RowTokens]) -> tuple[MemoryEstimate, TimeEstimate]:
    shape = model_shape(planned.model, planned.family)
    middle = sorted(row.total for row in rows)[len(rows) // 2]
    rate = planned.flop_rate or measure_flop_rate(
        shape, planned.step, next(planned.model.parameters()).device, planned.step.batch * middle
    )
    return estimate_memory(shape, planned.step, rows), estimate_time(
        shape, planned.step, rows, flop_rate=rate, efficiency=planned.efficiency
    )


def _spread(values: Sequence[int]) -> dict[str, int] | None:
    """Smallest, middle, 95th of a hundred, largest, and sum; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        "least": ordered[0],
        "middle": ordered[len(ordered) // 2],
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "most": ordered[-1],
        "together": sum(ordered),
    }
