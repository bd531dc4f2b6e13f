"""Rows of JSON Lines and JSON arrays: which lines they are on, and what cannot be read."""

import json

import pytest

from align.data.json_rows import iter_rows
from align.records import Problem


def read(tmp_path, content):
    path = tmp_path / "rows.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(iter_rows(path))


def values(rows):
    return [(row.line, row.value) for row in rows if not isinstance(row.value, Problem)]


def problems(rows):
    return [(row.value.line, row.value.message) for row in rows if isinstance(row.value, Problem)]


def test_lines_keep_their_numbers_over_empty_lines_and_a_byte_order_mark(tmp_path):
    rows = read(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\r\n  {"a": 2}\n{"a": 3}')
    assert values(rows) == [(1, {"a": 1}), (3, {"a": 2}), (4, {"a": 3})]


def test_a_line_separator_character_in_a_text_does_not_end_the_line(tmp_path):
    rows = read(tmp_path, '{"a": "one\u2028two"}\n{"a": "three"}\n')
    assert values(rows) == [(1, {"a": "one\u2028two"}), (2, {"a": "three"})]


def test_array_rows_have_the_line_that_they_begin_on(tmp_path):
    rows = read(tmp_path, json.dumps([{"a": 1, "b": [{"c": 2}]}, {"a": "x\ny"}, {}], indent=2))
    assert values(rows) == [(2, {"a": 1, "b": [{"c": 2}]}), (10, {"a": "x\ny"}), (13, {})]


def test_compact_array(tmp_path):
    assert values(read(tmp_path, '[{"a":1},{"a":2}]')) == [(1, {"a": 1}), (1, {"a": 2})]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b'{"a": 1}\n{"a": \n{"a": 3}\n', 2, "not a line of UTF-8 JSON"),
        (b'{"a": 1}\n{"a": "\xff"}\n{"a": 3}\n', 2, "utf-8"),
        (b'{"a": 1}\n[1]\n{"a": 3}\n', 2, "expected a JSON object, found list"),
        (b'{"a": 1}\n{"a": NaN}\n{"a": 3}\n', 2, "NaN is not JSON"),
        (b'{"a": 1}\n{"a": 1, "a": 2}\n{"a": 3}\n', 2, "'a' is given twice"),
        (b'[\n{"a": 1},\n{"a": },\n{"a": 3}\n]', 3, "reading goes on"),
        (b'[\n{"a": 1}\n{"a": 3}\n]', 3, "expected ','"),
        (b'[\n{"a": 1},\n{"a": 1, "a": 2},\n{"a": 3}\n]', 3, "'a' is given twice"),
        (b'[\n{"a": 1},\n17,\n{"a": 3}\n]', 3, "expected a JSON object, found int"),
    ],
)
def test_one_bad_row_is_named_with_its_line_and_the_others_are_read(tmp_path, content, line, says):
    rows = read(tmp_path, content)
    assert [found for found, _ in problems(rows)] == [line]
    assert says in problems(rows)[0][1]
    good = [value for _, value in values(rows)]
    assert good[0] == {"a": 1}
    if "expected ','" not in says:
        assert good[-1] == {"a": 3}
        assert not any(row.last for row in rows)


def test_after_a_broken_element_nested_objects_are_not_taken_for_rows(tmp_path):
    content = (
        '[\n  {\n    "a": oops,\n    "b": [\n      {\n        "c": 1\n      }\n    ]\n  },\n  {"a": 2}\n]'
    )
    rows = read(tmp_path, content)
    assert values(rows) == [(10, {"a": 2})]
    assert [line for line, _ in problems(rows)] == [2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b'[{"a": 1}, {"a": }, {"a": 3}]', "the rest of the file was NOT read"),
        (b'[{"a": 1}', "NOT read"),
        (b'[{"a": 1}] {"a": 2}', "text after the end"),
        (b'[{"a": "\xff"}]', "no row of the array was read"),
        (b'{"data": [\n{"a": 1}\n]}', "one JSON object with the keys 'data'"),
    ],
)
def test_what_makes_a_file_incomplete_is_marked(tmp_path, content, says):
    rows = read(tmp_path, content)
    assert rows[-1].last
    assert says in problems(rows)[-1][1]


def test_deep_nesting_is_a_problem_and_not_a_crash(tmp_path):
    rows = read(tmp_path, '{"a": ' + "[" * 100_000 + "]" * 100_000 + '}\n{"a": 1}\n')
    assert [line for line, _ in problems(rows)] == [1]
    assert values(rows) == [(2, {"a": 1})]


def test_deep_nesting_in_an_array(tmp_path):
    rows = read(tmp_path, '[{"a": ' + "[" * 100_000 + "]" * 100_000 + "}]")
    assert rows[-1].last
