"""Every row once an epoch, and nothing twice, however many processes share them."""

from collections import Counter

import pytest
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler

from align.training.sampling import FILLER, RowSampler


def shares(sampler: RowSampler, batch: int, processes: int) -> list[list[list[int]]]:
    """The batches of each process, as accelerate hands them out."""
    batches = BatchSampler(sampler, batch, drop_last=False)
    return [
        list(BatchSamplerShard(batches, num_processes=processes, process_index=rank))
        for rank in range(processes)
    ]


@pytest.mark.parametrize(("rows", "batch", "processes"), [(17, 3, 2), (18, 3, 2), (5, 4, 3), (1, 2, 4)])
def test_no_row_is_lost_or_doubled_over_processes(rows: int, batch: int, processes: int) -> None:
    found = shares(RowSampler(rows, seed=3, multiple=batch * processes), batch, processes)
    flat = Counter(i for share in found for indices in share for i in indices)
    assert {i: n for i, n in flat.items() if i != FILLER} == dict.fromkeys(range(rows), 1)
    assert len({len(share) for share in found}) == 1  # nobody waits for a batch that does not come
    one = list(BatchSampler(RowSampler(rows, seed=3), batch * processes, drop_last=False))
    steps = [[i for share in found for i in share[step] if i != FILLER] for step in range(len(found[0]))]
    assert steps == one  # a step of several processes is the step of one


def test_an_epochs_order_hangs_on_nothing_but_seed_and_epoch() -> None:
    straight = RowSampler(50, seed=1)
    first, again = list(straight), list(straight)
    assert first == again != sorted(first)
    straight.set_epoch(4)
    resumed = RowSampler(50, seed=1)
    resumed.set_epoch(4)
    assert list(straight) == list(resumed) != first
    assert list(RowSampler(50, seed=2)) != first
    assert list(RowSampler(5, seed=2, shuffle=False)) == [0, 1, 2, 3, 4]


def test_rows_of_like_length_come_together_and_differently_in_each_epoch() -> None:
    lengths = [10 + 3 * (i % 40) for i in range(400)]

    def spread(order: list[int]) -> float:
        groups = [order[at : at + 8] for at in range(0, 400, 8)]
        return sum(max(lengths[i] for i in g) - min(lengths[i] for i in g) for g in groups) / len(groups)

    sampler = RowSampler(400, seed=0, lengths=lengths, group=8)
    first = list(sampler)
    assert sorted(first) == list(range(400))
    assert spread(first) < spread(list(RowSampler(400, seed=0))) / 3
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
