"""Run a few rows through the model before training does."""

from __future__ import annotations

from typing import Any

from align.records import DataError, Problem
from align.training.collating import Example
from align.training.data import TrainingRows
from align.training.trainer import CompletionTrainer

_PROVEN_SHAPES = 4  # image shapes that go through the model once before training


def prove_rows_run(trainer: CompletionTrainer, training: TrainingRows[Any]) -> int:
    """Run the longest row of several image shapes through the trainer's collator and model, no gradients.

    A placeholder that has no image feature, or a feature without a placeholder, makes the model raise; here
    that happens before training and with the row's name. Returns how many rows were run; 0 when the
    weights are sharded, which cannot run outside the training loop. Raises `DataError`.
    """
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return 0
    rows, lengths, shapes = training.rows, training.lengths.tokens, training.lengths.shapes
    longest: dict[Any, int] = {}
    for index, (length, shape) in enumerate(zip(lengths, shapes, strict=True)):
        if shape not in longest or length > lengths[longest[shape]]:
            longest[shape] = index
    chosen = sorted(longest.values(), key=lambda index: -lengths[index])[:_PROVEN_SHAPES]
    for index in chosen:
        try:
            trainer.row_logps([Example(index, rows[index])])
        except ValueError as error:
            problem = Problem(
                file="training data",
                row_id=rows[index].question_id,
                message=f"row {rows[index].question_id} does not go through the model: {error}",
            )
            raise DataError([problem]) from error
    return len(chosen)
