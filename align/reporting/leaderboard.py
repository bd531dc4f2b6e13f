"""Any number of benchmarked models in one order, as far as they can be ordered.

Only runs on the same questions, by the same grader and judge, are ranked against each other: others form a
group of their own. A rank has the range that its interval allows: from 1 + the number of models that are
surely better (their whole interval is) to all but those that are surely worse. Figures that others reported
are rows beside the groups, without rank or test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from align.records import DataError, Problem
from align.reporting import wording
from align.reporting.leaderboard_runs import Entry, Ground
from align.reporting.reference_rows import Reference

DOWN = ("over_refusal_rate", "unparsed_rate", "unscored_rate", "failed_rate")
"""Metrics of which less is better; all others count the other way."""
_MARKS = ("rationality", "helpfulness", "helpfulness_unanswerable")
_HONESTY = (*wording.RATES, "rationality", "helpfulness", "bpi")
_SORT = ("dual_accuracy", "bpi", "refusal_rate")


@dataclass(frozen=True)
class Column:
    """One metric of one task. `form` is how its values are written: `percent`, `mark` or `index`."""

    task: str
    metric: str
    kind: str

    @property
    def key(self) -> str:
        return f"{self.task}.{self.metric}"

    @property
    def better_is_less(self) -> bool:
        return self.metric in DOWN

    @property
    def form(self) -> str:
        if self.metric in _MARKS:
            return "mark"
        return "index" if self.metric == "bpi" or self.metric.startswith("phi_") else "percent"


@dataclass
class Place:
    """A run's place in its group: `rank`, and the best and worst rank that the intervals allow."""

    entry: Entry
    rank: int | None = None
    best: int | None = None
    worst: int | None = None


@dataclass
class Group:
    """Runs that can be ranked against each other; `ground` is None for those without the metric."""

    name: str
    ground: Ground | None
    places: list[Place]


@dataclass
class Board:
    """The leaderboard. `notes` say what is not comparable and what was left out."""

    columns: list[Column]
    sort: Column
    groups: list[Group]
    reference: Reference | None
    notes: list[str] = field(default_factory=list)

    def other_ground(self, group: Group, entry: Entry, column: Column) -> list[str]:
        """In what a run's figure differs from those of its group, in a column of another task."""
        grounds = [
            task.ground for place in group.places if (task := place.entry.tasks.get(column.task)) is not None
        ]
        task = entry.tasks.get(column.task)
        if task is None or not grounds:
            return []
        usual = max(grounds, key=grounds.count)
        return task.ground.differences(usual)


def make_board(
    entries: Sequence[Entry],
    *,
    sort: str | None = None,
    columns: Sequence[str] | None = None,
    reference: Reference | None = None,
) -> Board:
    """Order runs by a metric.

    Args:
        sort: `TASK.METRIC`, or a metric that one task only has; None: dual accuracy, BPI or refusal rate of
            the first honesty task that has it, else the headline of the first task.
        columns: what to show, likewise; None: the main figures of every task.
        reference: what others reported.

    Raises `DataError` for a metric that no run has.
    """
    known = _columns_of(entries)
    shown = [find_column(name, known) for name in columns] if columns else _default_columns(entries, known)
    by = find_column(sort, known) if sort else _default_sort(known, shown)
    if by not in shown:
        shown.insert(0, by)
    board = Board(shown, by, _grouped(entries, by), reference, [n for e in entries for n in e.notes])
    _note_what_differs(board)
    return board


def figure_of(entry: Entry, column: Column) -> tuple[float, tuple[float, float] | None, int | None] | None:
    task = entry.tasks.get(column.task)
    return None if task is None else task.figures.get(column.metric)


def tidy_rows(board: Board) -> list[dict[str, Any]]:
    """One row a figure, for CSV and JSON: rates and intervals 0-1, marks 1-10."""
    rows: list[dict[str, Any]] = []
    for group in board.groups:
        for place in group.places:
            entry = place.entry
            about = {
                "source": "run",
                "group": group.name,
                "run": entry.name,
                "model": entry.model,
                "adapter": entry.adapter,
                "parameters": entry.parameters,
            }
            for column in board.columns:
                figure = figure_of(entry, column)
                if figure is None:
                    continue
                value, interval, n = figure
                low, high = interval or (None, None)
                ranked = column == board.sort
                rows.append(
                    about
                    | {"task": column.task, "metric": column.metric, "value": value, "low": low, "high": high}
                    | {"n": n, "rank": place.rank if ranked else None}
                    | {
                        "rank_best": place.best if ranked else None,
                        "rank_worst": place.worst if ranked else None,
                    }
                )
    for row in board.reference.rows if board.reference else ():
        about = {
            "source": f"reported: {board.reference and board.reference.source}",
            "model": row.model,
            "adapter": row.method,
        }
        about["parameters"] = row.parameters
        for metric, value in row.figures().items():
            task = "mmmu" if metric == "mmmu" else "mohobench"
            rows.append(
                about | {"task": task, "metric": "accuracy" if metric == "mmmu" else metric, "value": value}
            )
    return rows


ROW_COLUMNS = (
    *(
        "source",
        "group",
        "run",
        "model",
        "adapter",
        "parameters",
        "task",
        "metric",
        "value",
        "low",
        "high",
        "n",
    ),
    *("rank", "rank_best", "rank_worst"),
)


def known_columns(board: Board) -> list[Column]:
    """Every metric that a run has."""
    return _columns_of([place.entry for group in board.groups for place in group.places])


def _columns_of(entries: Sequence[Entry]) -> list[Column]:
    found: dict[Column, None] = {}
    for entry in entries:
        for name, task in entry.tasks.items():
            for metric in task.figures:
                found[Column(name, metric, task.kind)] = None
    return list(found)


def find_column(name: str, known: Sequence[Column]) -> Column:
    """The column that `TASK.METRIC` names, or `METRIC` if one task only has it. Raises `DataError`."""
    fitting = [c for c in known if name in (c.key, c.metric)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        which = ", ".join(column.key for column in fitting)
        raise DataError([Problem(file="runs", message=f"{name} is a figure of several tasks: {which}")])
    there = ", ".join(column.key for column in known)
    raise DataError([Problem(file="runs", message=f"no run has {name}: there are {there}")])


def _default_columns(entries: Sequence[Entry], known: Sequence[Column]) -> list[Column]:
    shown = []
    kinds = {name: task.kind for entry in entries for name, task in entry.tasks.items()}
    for name in sorted(kinds, key=lambda name: kinds[name] != "honesty"):
        of_task = [column for column in known if column.task == name]
        if of_task and of_task[0].kind == "general":
            headlines = {entry.tasks[name].headline for entry in entries if name in entry.tasks}
            shown += [column for column in of_task if column.metric in headlines]
        elif of_task and of_task[0].kind == "honesty":
            shown += [column for metric in _HONESTY for column in of_task if column.metric == metric]
    return shown or list(known)


def _default_sort(known: Sequence[Column], shown: Sequence[Column]) -> Column:
    for metric in _SORT:
        for column in known:
            if column.kind == "honesty" and column.metric == metric:
                return column
    return shown[0]


def _grouped(entries: Sequence[Entry], by: Column) -> list[Group]:
    grounds: dict[Ground, list[Entry]] = {}
    without = []
    for entry in entries:
        if figure_of(entry, by) is None:
            without.append(entry)
        else:
            grounds.setdefault(entry.tasks[by.task].ground, []).append(entry)
    ordered = sorted(grounds.items(), key=lambda item: -len(item[1]))
    groups = [
        Group(chr(ord("A") + i) if i < 26 else f"A{i}", ground, _ranked(members, by))
        for i, (ground, members) in enumerate(ordered)
    ]
    if without:
        groups.append(Group("-", None, [Place(entry) for entry in without]))
    return groups


def _ranked(entries: Sequence[Entry], by: Column) -> list[Place]:
    sign = -1 if by.better_is_less else 1

    def ends(entry: Entry) -> tuple[float, float, float]:
        value, interval, _ = figure_of(entry, by)  # type: ignore[misc]
        low, high = interval or (value, value)
        return sign * value, *sorted((sign * low, sign * high))  # type: ignore[return-value]

    known = {entry.name: ends(entry) for entry in entries}
    places = []
    for entry in sorted(entries, key=lambda entry: (-known[entry.name][0], entry.name)):
        value, low, high = known[entry.name]
        others = [known[other.name] for other in entries if other.name != entry.name]
        places.append(
            Place(
                entry,
                rank=1 + sum(other[0] > value for other in others),
                best=1 + sum(other[1] > high for other in others),
                worst=len(entries) - sum(other[2] < low for other in others),
            )
        )
    return places


def _note_what_differs(board: Board) -> None:
    ranked = [group for group in board.groups if group.ground is not None]
    for group in ranked[1:]:
        assert group.ground is not None
        assert ranked[0].ground is not None
        other = " and ".join(group.ground.differences(ranked[0].ground))
        board.notes.append(
            f"group {group.name} is not ranked against {ranked[0].name}: other {other} of {board.sort.task}"
        )
    for group in board.groups:
        for column in board.columns:
            odd: Mapping[str, list[str]] = {
                place.entry.name: differs
                for place in group.places
                if (differs := board.other_ground(group, place.entry, column))
            }
            if odd and (column.task != board.sort.task):
                what = " and ".join(dict.fromkeys(each for differs in odd.values() for each in differs))
                board.notes.append(f"† {column.key} of {', '.join(odd)}: other {what} than the group's")
