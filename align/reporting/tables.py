"""One table as text in the forms that other tools read: CSV, Markdown, LaTeX.

A row is a mapping from column to value; a column that a row lacks, or None, is an empty cell. Texts may be a
model's or a user's: what would be markup in the form is written so that it is shown as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "−": r"$-$",
    "–": "--",
    "†": r"$^\dagger$",
}


def to_csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """RFC 4180, with a header. A text that a spreadsheet would run as a formula gets an apostrophe."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(row.get(column)) for column in columns] for row in rows)
    return stream.getvalue()


def to_markdown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A pipe table; columns of numbers are aligned to the right."""
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    rule = ["---:" if right else "---" for right in _right(columns, rows)]
    lines = [list(map(_markdown, columns)), rule, *(list(map(_markdown, line)) for line in cells)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def to_latex(columns: Sequence[str], rows: Sequence[Row], *, caption: str | None = None) -> str:
    """A `table` with `booktabs` rules."""
    form = "".join("r" if right else "l" for right in _right(columns, rows))
    lines = [_latex_row(columns)]
    body = [_latex_row([_text(row.get(column)) for column in columns]) for row in rows]
    title = [rf"\caption{{{_latex(caption)}}}"] if caption else []
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            *title,
            rf"\begin{{tabular}}{{{form}}}",
            r"\toprule",
            *lines,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _right(columns: Sequence[str], rows: Sequence[Row]) -> list[bool]:
    def numeric(value: Any) -> bool:
        text = _text(value).strip()
        return not text or text[0].isdigit() or (text[0] in "+-−" and text[1:2].isdigit()) or text == "-"

    return [bool(rows) and all(numeric(row.get(column)) for row in rows) for column in columns]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _csv_cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(value):
        return f"'{value}"
    return "" if value is None else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _markdown(text: str) -> str:
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _latex_row(cells: Sequence[str]) -> str:
    line = " & ".join(map(_latex, cells))
    # After a row's end or a rule, LaTeX would take these for an option of that.
    return ("{}" if line.startswith(("[", "*")) else "") + line + r" \\"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))
