"""Figures over groups of samples that count together: all rotations of a question, both forms of a pair."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from align.evaluation.general.figures import Figure, rates
from align.records import Scored

Value = Callable[[Scored], float | None]


def score_of(row: Scored) -> float | None:
    """By our rule."""
    return row.score


def official_of(row: Scored) -> float | None:
    """By the benchmark's own rule."""
    return row.official


@dataclass(frozen=True)
class Group:
    """Rows of one group. It belongs to the image of its first row, so that it is resampled as a whole."""

    name: str
    rows: tuple[Scored, ...]

    @property
    def cluster(self) -> str:
        first = self.rows[0]
        return first.image if first.image is not None else f"\x1f{first.sample_id}"

    def where(self, keep: Callable[[Scored], bool]) -> Group:
        return Group(self.name, tuple(row for row in self.rows if keep(row)))


def groups_of(scored: Iterable[Scored]) -> list[Group]:
    """The groups, in the order of their first rows. A row without a group is one by itself."""
    members: dict[str, list[Scored]] = {}
    for row in scored:
        members.setdefault(row.group if row.group is not None else f"\x1f{row.sample_id}", []).append(row)
    return [Group(name, tuple(rows)) for name, rows in members.items()]


def all_right(rows: Sequence[Scored], value: Value) -> float | None:
    """1 where every row is worth 1, else 0. None without rows, and where one of them failed."""
    values = [value(row) for row in rows]
    known = [v for v in values if v is not None]
    return float(all(v == 1.0 for v in known)) if values and len(known) == len(values) else None


def group_rates(
    groups: Sequence[Group],
    outcomes: Mapping[str, Callable[[Group], float | None]],
    official: Collection[str] = (),
) -> dict[str, Figure]:
    """The mean of each outcome over the groups that have one (`n`), with an interval from whole images."""
    groups = [group for group in groups if group.rows]
    fractions = {}
    for name, outcome in outcomes.items():
        values = [outcome(group) for group in groups]
        fractions[name] = (
            [0.0 if value is None else value for value in values],
            [float(value is not None) for value in values],
        )
    return rates([group.cluster for group in groups], fractions, official)
