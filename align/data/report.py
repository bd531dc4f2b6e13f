"""What the data programs say: tables on the terminal, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from align.data.images import ImageFacts
from align.data.near_duplicates import Near, groups_of
from align.data.preferences import PreferenceReading
from align.data.reading import Reading
from align.data.split import SPLITS
from align.records import Category, Problem, Question

console = Console()


def ingest_report(
    reading: Reading,
    questions: Sequence[Question],
    rows: PreferenceReading | None,
    *,
    near: Sequence[Near] | None = None,
    images_folder: str = "",
) -> dict[str, Any]:
    """Everything that reading upstream files found, as it is written to report.json.

    `near` are the near-duplicates among all images, None where they were not looked for.
    """
    unequal = _of_different_bytes(near or (), reading.images)
    report: dict[str, Any] = {
        "file": reading.file,
        "images_folder": images_folder,
        "complete": reading.complete,
        "rows": reading.n_rows,
        "rows_not_used": len(reading.bad_rows),
        "questions": len(questions),
        "pairs": len(reading.pairs),
        "responses": len(reading.responses),
        "sources": dict(Counter(question.source for question in questions)),
        "licenses": dict(Counter(question.license or "not stated" for question in questions)),
        "held_out": [_plain(problem) for problem in reading.held_out],
        "problems": [_plain(problem) for problem in reading.problems],
        "notes": reading.notes,
        "splits": {
            split or "not split": dict(
                sorted(Counter(q.category for q in questions if q.split == split).items())
            )
            for split in (*SPLITS, None)
            if split is not None or any(q.split is None for q in questions)
        },
        "twins": sum(question.twin is not None for question in questions),
        "images": len(reading.images),
        "same_picture_under_several_names": _same_pictures(reading.images),
        "near_duplicates_looked_for": near is not None,
        "near_duplicates": groups_of(unequal),
        "near_duplicate_pairs": [[pair.first, pair.second, pair.bits] for pair in unequal],
        "fields": dict(reading.fields),
        "caption_fields": dict(reading.caption_fields),
        "unknown_fields": dict(reading.unknown_fields),
    }
    if rows is not None:
        report["preferences"] = {
            "file": rows.file,
            "complete": rows.complete,
            "rows": rows.n_rows,
            "rows_not_used": len(rows.bad_rows),
            "forms": dict(rows.forms),
            "pairs": dict(Counter(pair.kind for pair in rows.pairs)),
            "sft": dict(Counter(row.kind for row in rows.sft)),
            "held_out": [_plain(problem) for problem in rows.held_out],
            "problems": [_plain(problem) for problem in rows.problems],
            "unknown_fields": dict(rows.unknown_fields),
        }
    return report


def print_ingest(report: Mapping[str, Any], problems: Sequence[Problem], shown: int = 40) -> None:
    """The report as tables: questions by split and category, problems, notes."""
    if report["questions"] or not report["pairs"]:
        title = f"{report['questions']} questions on {report['images']} images"
        table = Table(title=title, title_justify="left")
        table.add_column("category")
        for split in report["splits"]:
            table.add_column(split, justify="right")
        for category in get_args(Category):
            table.add_row(category, *(str(counts.get(category, 0)) for counts in report["splits"].values()))
        console.print(table)
    if report["pairs"]:
        say(f"{report['pairs']} preference pairs on {report['images']} images")
    if report["held_out"]:
        say(f"note: {len(report['held_out'])} row(s) show a held-out image and were kept out")
    if "preferences" in report:
        rows = report["preferences"]
        say(
            f"training rows: {sum(rows['pairs'].values())} pairs, {sum(rows['sft'].values())} supervised, "
            f"{len(rows['held_out'])} held out with their images, {rows['rows_not_used']} not used"
        )
    for note in report["notes"]:
        say(f"note: {note}")
    for names in report["same_picture_under_several_names"]:
        say(f"note: the same picture under several names: {', '.join(names)}")
    _say_groups(report["near_duplicates"])
    print_problems(problems, shown)


def _say_groups(groups: Sequence[Sequence[str]], shown: int = 10) -> None:
    if groups:
        say(f"note: {len(groups)} group(s) of near-duplicate pictures, each kept in one split:")
    for names in groups[:shown]:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        say(f"  {', '.join(names[:8])}{more}")
    if len(groups) > shown:
        say(f"  ... and {len(groups) - shown} more in report.json")


def print_problems(problems: Sequence[Problem], shown: int = 40) -> None:
    """A table of problems with file, line and field; all of them are in report.json.

    What is wrong with many rows in the same way, such as a category that is not translated, is one line.
    """
    if not problems:
        return
    alike: dict[tuple[str, str | None, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.file, problem.field, problem.message), []).append(problem)
    groups = list(alike.values())
    rows = [(p.file, p.line, p.field, p.row_id, p.message + _lines_of(more)) for p, *more in groups[:shown]]
    one_file = len({problem.file for problem in problems}) == 1
    title = f"{len(problems)} problem(s)" + (f" in {escape(problems[0].file)}" if one_file else "")
    table = Table(title=title, title_justify="left", show_lines=False)
    columns = [
        (name, cells)
        for name, cells in zip(
            ("file", "line", "field", "row", "problem"), zip(*rows, strict=True), strict=True
        )
        if any(cell is not None for cell in cells) and not (one_file and name == "file")
    ]
    for name, _ in columns:
        table.add_column(name, overflow="fold")
    for row in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console.print(table)
    left = sum(map(len, groups[shown:]))
    if left:
        say(f"... and {left} more in report.json")


def _lines_of(problems: Sequence[Problem], shown: int = 3) -> str:
    """Where else a problem is, in a few words."""
    if not problems:
        return ""
    lines = [str(problem.line) for problem in problems[:shown] if problem.line is not None]
    where = f": lines {', '.join(lines)}{', ...' if len(problems) > shown else ''}" if lines else ""
    return f" ({len(problems)} more like it{where})"


def way_out(complete: bool, any_question: bool) -> str:
    """What to do about bad rows."""
    if not complete:
        return "A part of a file could not be read at all, so skipping rows is no way out: repair the file."
    if not any_question:
        return "No row is left."
    return "Repair the rows above, or set on_bad_row=skip to go on without them."


def say(text: str) -> None:
    """A line as it is: not folded, and nothing in it taken for markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_summary(title: str, summary: Mapping[str, Any]) -> None:
    """What `build_pairs` and `build_sft` made."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column()
    for name, value in summary.items():
        if isinstance(value, Mapping):
            lines = [f"{key}: {_words(item)}" for key, item in value.items()]
            table.add_row(name, escape("\n".join(lines) or "-"))
        elif isinstance(value, list):
            table.add_row(name, escape("\n".join(map(str, value)) or "-"))
        else:
            table.add_row(name, escape(str(value)))
    console.print(table)


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal; yields the function `(done, total)` that moves it."""
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(description, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield update


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    return str(value)


def _plain(problem: Problem) -> dict[str, Any]:
    return problem.model_dump(exclude_none=True)


def _of_different_bytes(near: Sequence[Near], images: Mapping[str, ImageFacts]) -> list[Near]:
    """Without those that are one picture under two names, which are listed apart."""
    return [pair for pair in near if images[pair.first].digest != images[pair.second].digest]


def _same_pictures(images: Mapping[str, ImageFacts]) -> list[list[str]]:
    names: dict[str, list[str]] = {}
    for name, facts in sorted(images.items()):
        names.setdefault(facts.digest, []).append(name)
    return [group for group in names.values() if len(group) > 1]
