"""The files that a comparison leaves: which, under which names, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from align.records import DataError, Problem, atomic_write, write_json
from align.reporting.exports.latex import latex
from align.reporting.exports.markdown import markdown
from align.reporting.exports.tidy import tidy_csv

FILES = {
    "html": "report.html",
    "json": "comparison.json",
    "csv": "figures.csv",
    "markdown": "report.md",
    "latex": "tables.tex",
}


def check_outputs(outputs: Sequence[str]) -> None:
    """Raises `DataError` for an output that there is not, or when none is wanted."""
    unknown = [name for name in outputs if name not in FILES]
    if unknown or not outputs:
        found = f"{unknown[0]!r} is none" if unknown else "none is given"
        raise DataError([Problem(file="outputs", message=f"{found}: choose from {', '.join(FILES)}")])


def write_outputs(
    folder: Path,
    outputs: Sequence[str],
    comparison: Mapping[str, Any],
    *,
    page: str | None,
    title: str,
    problems: Sequence[Problem] = (),
) -> list[Path]:
    """Write the wanted outputs, each whole or not at all. `page` is the rendered report, for `html`."""
    make: dict[str, Callable[[], str]] = {
        "html": lambda: page or "",
        "csv": lambda: tidy_csv(comparison),
        "markdown": lambda: markdown(comparison, title=title, problems=problems),
        "latex": lambda: latex(comparison),
    }
    written = []
    for name in outputs:
        path = folder / FILES[name]
        if name == "json":
            write_json(path, comparison)
        else:
            with atomic_write(path) as stream:
                stream.write(make[name]())
        written.append(path)
    return written
