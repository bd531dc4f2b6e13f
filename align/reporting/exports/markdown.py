"""The comparison as a page of Markdown: for a pull request, a notebook, a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from align.records import Problem
from align.reporting.exports.summary_tables import summary_tables
from align.reporting.findings import findings, headline
from align.reporting.tables import to_markdown


def markdown(comparison: Mapping[str, Any], *, title: str, problems: Sequence[Problem] = ()) -> str:
    """The headline, what is good and what is not, what to know before reading on, and the tables."""
    plain = dict(comparison)
    lines = [f"# {_text(title)}", "", f"**{_text(headline(plain))}**", ""]
    lines += [f"- {f.mark}: {_text(f.title)}. {_text(f.detail)}" for f in findings(plain)]
    if problems:
        lines += ["", "To know before reading on:", "", *(f"- {_text(str(problem))}" for problem in problems)]
    for table in summary_tables(comparison):
        lines += ["", f"## {_text(table.title)}", "", to_markdown(table.columns, table.rows)]
        lines += [_text(table.note)]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Text that stays text: no markup of a user's or a model's."""
    for mark in "\\`*_[]<>":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
