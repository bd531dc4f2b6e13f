"""The order in which rows are visited, the same on all processes and in a run that was resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

FILLER = -1
"""In place of a row, where the rows do not fill the last batch of every process. It is not trained on."""


class RowSampler(Sampler[int]):
    """Indices of rows, each once an epoch, in an order that depends on `seed` and the epoch alone.

    With several processes, accelerate fills up the last step with rows from the beginning, which are then
    trained on twice. Here it is filled up with `FILLER`, so that a step of several processes is the step that
    one process would make.

    Args:
        rows: how many there are.
        multiple: what the number of indices is made a multiple of: batch size times processes.
        shuffle: False keeps the order of the file.
        lengths: of the rows in tokens; rows of like length then come together, in groups of `group`.
    """

    def __init__(
        self,
        rows: int,
        *,
        seed: int,
        multiple: int = 1,
        shuffle: bool = True,
        lengths: Sequence[int] | None = None,
        group: int = 1,
    ) -> None:
        self.rows, self.seed, self.multiple = rows, seed, multiple
        self.shuffle, self.lengths, self.group = shuffle, lengths, group
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.rows // self.multiple) * self.multiple

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        if self.lengths is not None:
            order = get_length_grouped_indices(list(self.lengths), self.group, generator=generator)
        elif self.shuffle:
            order = torch.randperm(self.rows, generator=generator).tolist()
        else:
            order = list(range(self.rows))
        yield from order
        yield from [FILLER] * (len(self) - self.rows)
