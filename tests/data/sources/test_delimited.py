"""Rows of CSV and TSV files: their lines, and everything that can be wrong with them."""

import pytest

from align.data.sources.delimited import iter_delimited
from align.records import Problem


def read(tmp_path, content, **options):
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(iter_delimited(path, **({"delimiter": ","} | options)))


def values(rows):
    return [(row.line, row.value) for row in rows if not isinstance(row.value, Problem)]


def problems(rows):
    return [(row.line, row.value.message) for row in rows if isinstance(row.value, Problem)]


def test_cells_keep_the_lines_that_they_begin_on(tmp_path):
    content = b'\xef\xbb\xbf,a, b \r\n0,one,"two, ""three"""\r\n\r\n1,"on\ntwo lines",x\n2,,\n'
    assert values(read(tmp_path, content)) == [
        (2, {"": "0", "a": "one", "b": 'two, "three"'}),
        (4, {"": "1", "a": "on\ntwo lines", "b": "x"}),
        (6, {"": "2", "a": "", "b": ""}),
    ]


def test_tabs(tmp_path):
    assert values(read(tmp_path, "a\tb\n1, 2\t3\n", delimiter="\t")) == [(2, {"a": "1, 2", "b": "3"})]


def test_a_ragged_row_is_named_and_costs_no_other(tmp_path):
    rows = read(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert [value["a"] for _, value in values(rows)] == ["1", "7"]
    assert problems(rows) == [
        (3, "1 cells, where the header has 2"),
        (4, "3 cells, where the header has 2"),
    ]


def test_a_stray_quotation_mark_swallows_one_row_only(tmp_path):
    rows = read(tmp_path, 'a,b\n1,"2\n3,4\n5,6"\n7,8\n')
    # Read as CSV the mark spans three lines that make two cells: that is a row, and cannot be told from one.
    assert values(rows) == [(2, {"a": "1", "b": "2\n3,4\n5,6"}), (5, {"a": "7", "b": "8"})]
    rows = read(tmp_path, 'a,b\n"1,2\n3,4\n5",6,7\n8,9\n')
    assert [value["a"] for _, value in values(rows)] == ["3", "8"]
    assert [line for line, _ in problems(rows)] == [2, 4]
    assert "spans lines 2 to 4" in problems(rows)[0][1]
    rows = read(tmp_path, 'a,b\n"1,2\n3,4\n5,6\n')
    assert [value["a"] for _, value in values(rows)] == ["3", "5"]
    assert [line for line, _ in problems(rows)] == [2]
    assert "open to line 4" in problems(rows)[0][1]


def test_bytes_of_another_encoding_name_their_column(tmp_path):
    content = "a,b\n1,caf\xe9\n".encode("latin-1") + "2,caf\xe9\n".encode()
    rows = read(tmp_path, content)
    assert values(rows) == [(3, {"a": "2", "b": "caf\xe9"})]
    (row,) = [row.value for row in rows if isinstance(row.value, Problem)]
    assert (row.line, row.field) == (2, "b")
    assert "byte 0xe9" in row.message
    assert values(read(tmp_path, content[:11], encoding="cp1252")) == [(2, {"a": "1", "b": "caf\xe9"})]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        ("a,b\n1,2\n".encode("utf-16"), "iconv"),
        (b"a,b,a\n1,2,3\n", "the column 'a' is there twice"),
        (b"a,caf\xe9\n1,2\n", "names of the columns are not utf-8"),
        (b'"a,b\n1,2\n', "not a row"),
    ],
)
def test_a_file_that_cannot_be_read_at_all(tmp_path, content, says):
    (row,) = read(tmp_path, content)
    assert row.last
    assert says in row.value.message


def test_a_row_that_is_too_long_is_passed_over(tmp_path):
    rows = read(tmp_path, "a,b\n1," + "x" * 500 + "\n2,y\n", max_row=100)
    assert values(rows) == [(3, {"a": "2", "b": "y"})]
    ((line, message),) = problems(rows)
    assert line == 2
    assert "a row of at least 503 bytes is more than the 100 bytes" in message


def test_an_open_quotation_mark_does_not_take_the_file_into_memory(tmp_path):
    lines = "".join(f"{n},y\n" for n in range(3, 60))
    rows = read(tmp_path, '\na,b\n"1,y\n' + lines, max_row=100)
    assert [value["a"] for _, value in values(rows)] == [str(n) for n in range(3, 60)]
    assert [line for line, _ in problems(rows)] == [3]


def test_encodings_that_have_no_lines_are_refused(tmp_path):
    with pytest.raises(ValueError, match="convert the file to UTF-8"):
        read(tmp_path, "a\n1\n", encoding="utf-16")
    with pytest.raises(LookupError):
        read(tmp_path, "a\n1\n", encoding="utf-99")
    with pytest.raises(FileNotFoundError):
        list(iter_delimited(tmp_path / "no.csv", delimiter=","))
