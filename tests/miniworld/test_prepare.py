import pytest

from align.miniworld.dataset import build_questions
from align.miniworld.prepare import ensure_pairs, ensure_questions, ensure_responses
from align.records import Pair, Response, SFTRow, read_records


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    build_questions(root, train=12, test=8)
    ensure_pairs(root)
    return root


def test_pairs_and_rows_are_made_from_the_training_split_only(prepared):
    questions = {q.id: q for q in ensure_questions(prepared)}
    pairs, rows = read_records(prepared / "pairs.jsonl", Pair), read_records(prepared / "sft.jsonl", SFTRow)
    assert len(pairs) == 24
    assert len(rows) == 24
    assert {questions[row.question_id].split for row in [*pairs, *rows]} == {"train"}
    for pair in pairs:
        expected = "answer" if questions[pair.question_id].answerable else "refuse"
        assert pair.kind == expected
        assert pair.rejected_source.startswith("own:" if expected == "refuse" else "miniworld")


def test_what_is_there_is_left_alone(prepared):
    before = {path: path.stat().st_mtime_ns for path in prepared.glob("*.jsonl")}
    ensure_pairs(prepared)
    assert {path: path.stat().st_mtime_ns for path in prepared.glob("*.jsonl")} == before


def test_a_cut_off_sampling_is_completed(prepared):
    path = prepared / "responses.jsonl"
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:5]) + lines[5][: len(lines[5]) // 2])
    responses = ensure_responses(prepared)
    assert path.read_text() == whole
    assert len({r.question_id for r in responses}) == len(read_records(path, Response)) == 12
