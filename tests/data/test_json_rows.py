"""Rows of JSON Lines and JSON arrays: which lines they are on, and what cannot be read."""

import json
import tracemalloc

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
        (b'[\n{"a": 1},\n{"a": "caf\xe9"},\n{"a": 3}\n]', 3, 'not UTF-8: byte 0xe9 after \'{"a": "caf\''),
        (b'[\n{"a": 1},\n{"a": ["\\ud83d"]},\n{"a": 3}\n]', 3, "half of a surrogate pair"),
        (b'{"a": 1}\n{"b": {"a": "\\ude00"}}\n{"a": 3}\n', 2, "half of a surrogate pair"),
        (b'[\n{"a": 1},\n{"a": ' + b"7" * 5000 + b'},\n{"a": 3}\n]', 3, "digits"),
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


# --- Files of any size ----------------------------------------------------------------------------------


def read_bounded(tmp_path, content, limit=2000, **options):
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    return list(iter_rows(path, max_row=limit, **options))


LONG = b'{"a": "' + b"x" * 5000 + b'"}'


def test_a_line_that_is_too_long_is_a_problem_and_the_next_is_read(tmp_path):
    rows = read_bounded(tmp_path, b'{"a": 1}\n' + LONG + b'\n{"a": 3}\n')
    assert values(rows) == [(1, {"a": 1}), (3, {"a": 3})]
    ((line, message),) = problems(rows)
    assert line == 2
    assert "a line of 5,010 bytes is more than the 2,000 bytes" in message
    assert not any(row.last for row in rows)


def test_a_line_of_exactly_the_limit_is_read(tmp_path):
    line = b'{"a": "' + b"x" * 1991 + b'"}'
    assert len(line) == 2000
    assert len(values(read_bounded(tmp_path, line + b"\n" + line))) == 2
    assert len(problems(read_bounded(tmp_path, line + b" \n" + line, limit=1999))) == 2


@pytest.mark.parametrize("between", [b", ", b",\n"])
@pytest.mark.parametrize(
    "long",
    [
        LONG,
        b'{"a": "' + b'\\"]}' * 2000 + b'"}',
        b"[" + b'"a]", {"b": [1, 2]}, ' * 500 + b"0]",
        b'"' + b"y" * 5000 + b'"',
        b"1" * 5000,
    ],
)
def test_an_element_that_is_too_long_is_a_problem_and_the_next_is_read(tmp_path, between, long):
    rows = read_bounded(tmp_path, b"[" + between.join([b'{"a": 1}', long, b'{"a": 3}']) + b"]")
    assert [value for _, value in values(rows)] == [{"a": 1}, {"a": 3}]
    assert ["2,000 bytes" in message for _, message in problems(rows)] == [True]
    assert not any(row.last for row in rows)


def test_an_element_that_never_ends(tmp_path):
    rows = read_bounded(tmp_path, b'[{"a": 1}, {"a": "' + b"x" * 9000)
    assert values(rows) == [(1, {"a": 1})]
    assert rows[-1].last


def test_an_array_on_one_line_over_many_pieces(tmp_path, monkeypatch):
    """Every place where a piece may end, in an array of everything that JSON has."""
    rows = [
        {"n": n, "t": 'q"\\\u00e9\u4e2d\U0001f600', "l": [1.5e3, True, None, {"x": -2}]} for n in range(40)
    ]
    content = json.dumps(rows, ensure_ascii=False).encode()
    for size in (1, 2, 3, 5, 7, 64):
        monkeypatch.setattr("align.data.json_window._CHUNK", size)
        found = read_bounded(tmp_path, content)
        assert [value for _, value in values(found)] == rows, size
        assert problems(found) == []
    monkeypatch.setattr("align.data.json_window._CHUNK", 3)
    found = read_bounded(tmp_path, json.dumps(rows, indent=1).encode())
    assert [line for line, _ in values(found)] == [2 + 12 * n for n in range(40)]


def test_memory_is_bounded_while_a_huge_line_is_passed_over(tmp_path):
    path = tmp_path / "rows.json"
    with path.open("wb") as stream:
        stream.write(b'{"a": 1}\n{"a": "')
        stream.seek(200 * 2**20, 1)  # a hole: no disk is used
        stream.write(b'"}\n{"a": 3}\n')
    tracemalloc.start()
    rows = list(iter_rows(path, max_row=2**20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values(rows) == [(1, {"a": 1}), (3, {"a": 3})]
    assert peak < 8 * 2**20


def test_rows_under_a_key(tmp_path):
    content = json.dumps({"info": {"rows": [1, 2]}, "n": 1.5, "rows": [{"a": 1}, {"a": 2}], "more": []})
    assert values(read_bounded(tmp_path, content.encode(), key="rows")) == [(1, {"a": 1}), (1, {"a": 2})]
    (row,) = read_bounded(tmp_path, content.encode(), key="data")
    assert row.last
    assert "found 'info', 'n', 'rows', 'more'" in row.value.message
    for broken in (b'{"info": {"rows": [1', b"[1]", b'{"rows": 1}', b'{"info" 1}', b'{"a": 1 "rows": []}'):
        (row,) = read_bounded(tmp_path, broken, key="rows")
        assert row.last
        assert "'rows'" in row.value.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_wide_encodings_are_named(tmp_path, encoding):
    content = json.dumps({"a": 1}).encode(encoding)
    if encoding == "utf-16-le":
        content = b"\xff\xfe" + content
    (row,) = read(tmp_path, content)
    assert row.last
    assert "iconv" in row.value.message


def test_the_whole_benchmark_as_an_array_on_one_line(tmp_path):
    rows = [
        {"question": f"Who is {n}?", "image": f"{n % 2334}.jpg", "reason": "x" * 200} for n in range(12158)
    ]
    found = read(tmp_path, json.dumps(rows))
    assert [value for _, value in values(found)] == rows
