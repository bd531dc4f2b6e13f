"""Lines that no row has: they are named, and never held whole."""

import tracemalloc

import pytest

from align.records import DataError, Problem, Response, iter_jsonl, read_records


@pytest.fixture
def file(tmp_path):
    """Line 2 is longer than any row; a hole, so no disk is used."""
    path = tmp_path / "rows.jsonl"
    row = b'{"question_id": "q", "model": "m", "text": "%d"}\n'
    with path.open("wb") as stream:
        stream.write(row % 1 + b'{"question_id": "')
        stream.seek(200 * 2**20, 1)
        stream.write(b'"}\n' + row % 3)
    return path


def test_a_long_line_is_passed_over_in_pieces_and_counted_as_one(file):
    tracemalloc.start()
    rows = list(iter_jsonl(file, max_line=2**20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert [(number, row["text"]) for number, row in rows if not isinstance(row, Problem)] == [
        (1, "1"),
        (3, "3"),
    ]
    (problem,) = [row for _, row in rows if isinstance(row, Problem)]
    assert problem.line == 2
    assert "a line of 209,715,220 bytes is more than the 1,048,576 bytes" in problem.message


def test_readers_say_so_instead_of_running_out_of_memory(file):
    with pytest.raises(
        DataError, match=r"rows.jsonl:2: a line of 209,715,220 bytes is more than the 67,108,864"
    ):
        read_records(file, Response)


def test_the_longest_line_that_is_read(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 12}\n{"a": 3}')
    kinds = [type(row) for _, row in iter_jsonl(path, max_line=9)]
    assert kinds == [dict, dict, dict]  # the end of a line does not count
    kinds = [type(row) for _, row in iter_jsonl(path, max_line=8)]
    assert kinds == [dict, Problem, dict]
