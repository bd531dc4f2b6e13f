"""The comparison's tables for a paper: LaTeX with the package `booktabs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align.reporting.exports.summary_tables import summary_tables
from align.reporting.tables import to_latex

HEAD = "% Needs \\usepackage{booktabs}. Wide tables: put the tabular into \\resizebox{\\linewidth}{!}{...}.\n"


def latex(comparison: Mapping[str, Any]) -> str:
    """One `table` each, with its caption; all text is escaped."""
    tables = summary_tables(comparison)
    return HEAD + "\n".join(
        to_latex(table.columns, table.rows, caption=f"{table.title}. {table.note}".strip())
        for table in tables
    )
