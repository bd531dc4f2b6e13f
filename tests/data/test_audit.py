"""Bad rows, duplicates and leaks are found in the rows themselves, each by name."""

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from align.data import audit_report
from align.data.audit import (
    duplicate_images,
    duplicate_rows,
    leaks,
    near_leaks,
    read_held_out,
    read_rows,
    set_unreadable_apart,
)
from align.data.audit_report import duration, print_audit, size
from align.data.images import image_digests
from align.records import DataError, Pair, Question, write_records


def picture(path: Path, color: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), color).save(path)


def pair(id: str, image: str, **changes: str) -> Pair:
    values = {"prompt": "What color is it?", "chosen": "Red.", "rejected": "Blue."} | changes
    return Pair(
        question_id=id, images=(image,), kind="answer", chosen_source="t", rejected_source="t", **values
    )


def question(id: str, image: str, split: str | None) -> Question:
    return Question(id=id, image=image, question="What?", category="Answerable", source="t", split=split)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures; `again.png` is `red.png` under another name."""
    for name, color in (("red", "red"), ("again", "red"), ("blue", "blue")):
        picture(tmp_path / f"{name}.png", color)
    return tmp_path


def test_one_bad_row_does_not_hide_the_others(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    good = pair("a", "red.png").model_dump_json()
    same = (
        '{"question_id": "b", "prompt": "Q?", "chosen": "x", "rejected": " x", "images": [], "kind": "answer"'
    )
    file.write_text(f'{good}\n{{"question_id": \n{same}, "chosen_source": "t", "rejected_source": "t"}}\n')
    rows, problems = read_rows(file, Pair)
    assert [row.question_id for row in rows] == ["a"]
    assert [problem.line for problem in problems] == [2, 3]
    assert (problems[1].row_id, "nothing to prefer" in problems[1].message) == ("b", True)


def test_a_file_without_rows_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("\n")
    assert "no rows" in read_rows(tmp_path / "pairs.jsonl", Pair)[1][0].message


def test_every_row_with_an_unreadable_image_is_named(root: Path) -> None:
    (root / "cut.png").write_bytes((root / "red.png").read_bytes()[:40])
    rows = [pair("a", "red.png"), pair("b", "cut.png"), pair("c", "gone.png"), pair("d", "cut.png")]
    whole, problems = set_unreadable_apart(rows, root, "pairs.jsonl")
    assert [row.question_id for row in whole] == ["a"]
    assert [problem.row_id for problem in problems] == ["b", "c", "d"]
    assert "cut.png" in problems[0].message
    assert "missing image: 'gone.png'" in problems[1].message


def test_duplicates_are_told_from_twins_and_from_other_wordings(root: Path) -> None:
    rows = [
        pair("a", "red.png"),
        pair("twin", "blue.png"),  # the same words about another picture
        pair("b", "again.png", prompt="what  color IS it?"),  # the same row, spelt otherwise
        pair("c", "red.png", rejected="Green."),  # the same question with another rejected side
        pair("d", "red.png", prompt="What shape is it?"),
    ]
    digests = image_digests({image for row in rows for image in row.images}, root)
    repeated, asked_again = duplicate_rows(rows, digests, "pairs.jsonl")
    assert [(problem.row_id, "the same row as a" in problem.message) for problem in repeated] == [("b", True)]
    assert [problem.row_id for problem in asked_again] == ["c"]
    found = duplicate_images(digests, root)
    assert [problem.message for problem in found] == ["one picture, several names: again.png, red.png"]


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_test_picture_is_recognised_under_another_name(root: Path, split: str) -> None:
    file = root / "questions.jsonl"
    write_records(file, [question("q", "again.png", split), question("r", "blue.png", "train")])
    held_out = read_held_out(file, root)
    rows = [pair("a", "red.png"), pair("b", "blue.png")]
    digests = image_digests(["red.png", "blue.png"], root)
    found = leaks(rows, digests, [held_out], "pairs.jsonl")
    assert [problem.row_id for problem in found] == ["a"]
    assert f"again.png ({split})" in found[0].message
    assert held_out.missing == []


def test_all_questions_count_where_none_is_split_and_rows_of_an_evaluation_as_well(root: Path) -> None:
    write_records(root / "questions.jsonl", [question("q", "red.png", None)])
    write_records(root / "pairs.jsonl", [pair("p", "blue.png"), pair("q", "elsewhere.png")])
    questions, pairs = (read_held_out(root / f"{name}.jsonl", root) for name in ("questions", "pairs"))
    digests = image_digests(["again.png", "blue.png"], root)
    found = leaks([pair("a", "again.png"), pair("b", "blue.png")], digests, [questions, pairs], "train.jsonl")
    assert [problem.row_id for problem in found] == ["a", "b"]
    assert ["elsewhere.png" in problem.message for problem in pairs.missing] == [True]


@pytest.mark.parametrize(
    ("text", "says"),
    [('{"prediction": 1}\n', "neither questions nor pairs"), ("", "no rows"), ("[\n", "JSON")],
)
def test_an_evaluation_file_of_another_kind_is_refused(root: Path, text: str, says: str) -> None:
    (root / "other.jsonl").write_text(text)
    with pytest.raises(DataError, match=says):
        read_held_out(root / "other.jsonl", root)


# --- The terminal ---------------------------------------------------------------------------------------


def test_what_is_printed_says_what_breaks_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(audit_report, "console", Console(file=stream, width=120))
    monkeypatch.setattr(audit_report, "say", lambda text: stream.write(text + "\n"))
    problems = [{"file": "p.jsonl", "line": n, "field": "images", "message": f"bad [{n}]"} for n in range(5)]
    finding = {"check": "malformed rows", "breaks_training": True, "count": 5, "not_checked": None}
    print_audit(
        {
            "file": "p.jsonl",
            "breaks_training": True,
            "rows": 3,
            "kinds": {"answer": 1, "refuse": 2},
            "pictures": 3,
            "image_shapes": 4,
            "image_shapes_checked": 2,
            "max_tokens": 77,
            "tokens": {"text": {"least": 1, "middle": 2, "p95": 3, "most": 4, "together": 5}, "image": None},
            "findings": [
                finding | {"problems": problems},
                {
                    "check": "leaks",
                    "breaks_training": True,
                    "count": 0,
                    "not_checked": "none given",
                    "problems": [],
                },
                finding
                | {"check": "repeated", "breaks_training": False, "count": 1, "problems": problems[:1]},
            ],
        },
        shown=2,
    )
    text = stream.getvalue()
    assert "3 rows (1 answer, 2 refuse), 3 images" in text
    assert "limit 77" in text
    assert "2 of 4 image shapes" in text
    lines = text.splitlines()
    assert any("malformed rows" in line and "5" in line and "breaks training" in line for line in lines)
    assert any("leaks" in line and "not checked: none given" in line for line in lines)
    assert any("repeated" in line and "warning" in line for line in lines)
    assert "  p.jsonl:1: field `images`: bad [1]" in lines
    assert "bad [2]" not in text
    assert "3 more in audit.json" in text
    assert lines[-1].startswith("Training on this would break")


@pytest.mark.parametrize(
    ("seconds", "says"), [(0.25, "0.25 s"), (42, "42 s"), (600, "10 min"), (2 * 3600, "2.0 h")]
)
def test_durations_are_said_in_a_unit_that_fits(seconds: float, says: str) -> None:
    assert duration(seconds) == says


def test_sizes_are_in_binary_units() -> None:
    assert (size(5 * 2**20), size(3 * 2**30)) == ("5 MiB", "3.0 GiB")


# --- Near-duplicates of held-out pictures ----------------------------------------------------------------

PHOTOS = Path(__file__).parents[2] / "samples" / "photos" / "images"


def test_copies_of_held_out_pictures_are_found_in_training_rows(tmp_path: Path) -> None:
    for name in ("coffee", "coins", "rocket"):
        with Image.open(PHOTOS / f"{name}.jpg") as image:
            image.save(tmp_path / f"{name}.png")
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((200, 150)).save(
                tmp_path / f"{name}_copy.jpg", quality=50
            )
    write_records(
        tmp_path / "questions.jsonl",
        [question("q", "coffee.png", "test"), question("r", "coins.png", "train")],
    )
    rows = [pair("a", "coffee_copy.jpg"), pair("b", "coins_copy.jpg"), pair("c", "coffee.png")]
    digests = image_digests({image for row in rows for image in row.images}, tmp_path)
    held_out = read_held_out(tmp_path / "questions.jsonl", tmp_path, fingerprints=True)
    (found,) = near_leaks(rows, tmp_path, digests, [held_out], "pairs.jsonl")
    assert found.row_id == "a", "the very file, row c, is a leak and not a near one"
    assert "coffee.png (test)" in found.message
    assert [problem.row_id for problem in leaks(rows, digests, [held_out], "pairs.jsonl")] == ["c"]
    without = read_held_out(tmp_path / "questions.jsonl", tmp_path)
    assert near_leaks(rows, tmp_path, digests, [without], "pairs.jsonl") == []


def test_a_held_out_picture_that_cannot_be_decoded_is_named(root: Path) -> None:
    (root / "cut.png").write_bytes((root / "red.png").read_bytes()[:40])
    write_records(root / "questions.jsonl", [question("q", "cut.png", "test")])
    (problem,) = read_held_out(root / "questions.jsonl", root, fingerprints=True).missing
    assert "corrupt image 'cut.png'" in problem.message
