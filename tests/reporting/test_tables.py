"""Tables as text: what a cell holds stays text."""

import pytest

from align.reporting.tables import to_latex


@pytest.mark.parametrize("first", ["[0.1, 0.2]", "*new*", "  [x]"])
def test_a_first_cell_is_no_option_of_the_line_before_it(first: str) -> None:
    lines = to_latex([first, "n"], [{first: first, "n": "[1]"}, {first: "base", "n": "*"}]).splitlines()
    rows = [line for line in lines if line.endswith(r" \\")]
    assert [row.startswith("{}" + first.strip()[0]) for row in rows] == [True, True, False]
    assert rows[0].startswith("{}" + first.strip().replace("_", r"\_"))
    assert rows[1].endswith(r" & [1] \\"), "in the middle of a row it is text as it is"
