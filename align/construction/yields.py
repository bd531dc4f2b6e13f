"""What each step let through, and what became of everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from align.records import Category, Question, Record

console = Console()

NO_GENERATOR = "not generated"


class Dropped(Record):
    """One question that a step did not keep, and why: a row of `dropped.jsonl`.

    `undecided`: the step could not tell, since calls failed or were not made. Another run of the same command
    makes them and decides. `question` is the whole record, where there is one, so that it can be brought
    back.
    """

    stage: str
    reason: str
    why: str
    undecided: bool = False
    image: str
    category: Category
    generator: str
    question: Question | None = None


def generator_of(question: Question) -> str:
    """Who wrote a question, for the tables."""
    return str(question.metadata.get("generator", NO_GENERATOR))


def drop(stage: str, question: Question, reason: str, why: str, *, undecided: bool = False) -> Dropped:
    """A row for a question that a stage does not keep."""
    return Dropped(
        stage=stage,
        reason=reason,
        why=why,
        undecided=undecided,
        image=question.image,
        category=question.category,
        generator=generator_of(question),
        question=question,
    )


def yield_of(
    stage: str, given: Sequence[tuple[str, str]], dropped: Sequence[Dropped], kept: int
) -> dict[str, Any]:
    """The yield of one stage: given, kept, undecided and dropped by reason; also by category and generator.

    Args:
        given: category and generator of everything that the stage was given.
        dropped: what it did not keep.
        kept: how many it kept.

    Raises:
        RuntimeError: the numbers do not add up, so something was lost on the way.
    """
    if len(given) != kept + len(dropped):
        raise RuntimeError(
            f"stage {stage}: {len(given)} were given, {kept} kept and {len(dropped)} listed: a row was lost"
        )
    return {
        "stage": stage,
        "all": _counts(len(given), dropped),
        "by_category": {
            category: _counts(n, [d for d in dropped if d.category == category])
            for category, n in sorted(Counter(category for category, _ in given).items())
        },
        "by_generator": {
            generator: _counts(n, [d for d in dropped if d.generator == generator])
            for generator, n in sorted(Counter(generator for _, generator in given).items())
        },
    }


def print_yield(result: Mapping[str, Any]) -> None:
    """A table of one stage's yield: a row for all, for each category and for each generator."""
    reasons = list(result["all"]["dropped"])
    table = Table(title=f"yield of {result['stage']}", title_justify="left")
    table.add_column("")
    for name in ("in", "kept", "kept %", *reasons, "undecided"):
        table.add_column(name, justify="right")
    groups = [("all", result["all"])]
    groups += [*result["by_category"].items(), *result["by_generator"].items()]
    last = {0, len(result["by_category"]), len(groups) - 1}
    for number, (name, counts) in enumerate(groups):
        share = f"{counts['kept'] / counts['in']:.0%}" if counts["in"] else "-"
        table.add_row(
            name,
            str(counts["in"]),
            str(counts["kept"]),
            share,
            *(str(counts["dropped"].get(reason, 0)) for reason in reasons),
            str(counts["undecided"]),
            end_section=number in last,
        )
    console.print(table)


def _counts(given: int, dropped: Sequence[Dropped]) -> dict[str, Any]:
    undecided = sum(row.undecided for row in dropped)
    return {
        "in": given,
        "kept": given - len(dropped),
        "undecided": undecided,
        "dropped": dict(Counter(row.reason for row in dropped if not row.undecided).most_common()),
    }
