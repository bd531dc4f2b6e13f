"""A user's own table in every form, with its mapping of columns."""

import hashlib
import json

import datasets
import pytest

from align.data.sources import make_source
from align.data.sources.reader import read_source

MAP = {"image": "file", "question": "q", "category": "kind", "answers": "gold"}
ROWS = [
    {"file": "coffee.jpg", "q": "What is it?", "kind": "ok", "gold": "coffee; a coffee", "who": "me"},
    {"file": "coins.jpg", "q": "Whose are they?", "kind": "False premise", "gold": "", "who": "you"},
]
CATEGORIES = {"ok": "Answerable"}


def check(reading):
    assert reading.problems == []
    one, two = reading.questions
    assert (one.image, one.question, one.category) == ("coffee.jpg", "What is it?", "Answerable")
    assert one.answers == ("coffee", "a coffee")
    assert (two.category, two.answers) == ("False_Premises", ())
    assert one.metadata == {"upstream": {"who": "me"}}
    assert one.source == "table"
    return [q.id for q in reading.questions]


@pytest.mark.parametrize("file", ["my.csv", "my.tsv", "my.jsonl", "my.parquet", "my.json", "keyed.json"])
def test_every_kind_of_file_gives_the_same_questions_and_ids(read, tmp_path, file):
    rows, options = ROWS, {"map": MAP, "categories": CATEGORIES, "answers_separator": ";"}
    if file == "my.parquet":
        datasets.Dataset.from_list(ROWS).to_parquet(tmp_path / file)
        rows = (tmp_path / file).read_bytes()
    elif file == "my.json":
        rows = json.dumps(ROWS, indent=1)
    elif file == "keyed.json":
        rows = json.dumps({"version": 1, "data": ROWS})
        options["rows_key"] = "data"
    ids = check(read("table", rows, file, **options))
    texts = ("table\x1fcoffee.jpg\x1fWhat is it?", "table\x1fcoins.jpg\x1fWhose are they?")
    assert ids == [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]


@pytest.mark.parametrize("form", ["saved", "parquet folder"])
def test_a_hugging_face_data_set_with_pictures_inside(images, tmp_path, form):
    rows = [row | {"file": {"bytes": (images / row["file"]).read_bytes(), "path": None}} for row in ROWS]
    data = datasets.Dataset.from_list(rows).cast_column("file", datasets.Image())
    folder = tmp_path / "set"
    if form == "saved":
        data.save_to_disk(folder)
    else:
        folder.mkdir()
        data.to_parquet(folder / "train-00000-of-00001.parquet")
    options = {"map": MAP, "categories": CATEGORIES, "answers_separator": ";"}
    written = tmp_path / "written"
    reading = read_source(make_source("table", options), [folder], written)
    assert reading.problems == []
    assert [q.question for q in reading.questions] == ["What is it?", "Whose are they?"]
    for question, row in zip(reading.questions, ROWS, strict=True):
        assert (written / question.image).read_bytes() == (images / row["file"]).read_bytes()


def test_a_data_set_with_several_splits_asks_which(images, tmp_path):
    data = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"a": data, "b": data.select([1])}).save_to_disk(tmp_path / "set")
    options = {"map": MAP, "categories": CATEGORIES, "answers_separator": ";"}
    with pytest.raises(ValueError, match=r"set source\.hub_split to one of a, b"):
        read_source(make_source("table", options), [tmp_path / "set"], images)
    reading = read_source(make_source("table", options | {"hub_split": "b"}), [tmp_path / "set"], images)
    assert [q.question for q in reading.questions] == ["Whose are they?"]
    (tmp_path / "my.csv").write_text("file,q\n")
    with pytest.raises(ValueError, match="is a file"):
        read_source(make_source("table", options | {"hub_split": "b"}), [tmp_path / "my.csv"], images)


def test_constants_and_all_fields(read):
    row = {"f": "coffee.jpg", "q": "Who ordered it?", "why": "It is not shown.", "n": 3, "cap": "A cup."}
    mapping = {
        "image": "f",
        "question": "q",
        "category": {"constant": "context dependent"},
        "reason": "why",
        "id": "n",
        "caption": "cap",
        "split": {"constant": "train"},
        "part": {"constant": "mine"},
        "license": {"constant": "CC0"},
    }
    (question,) = read("table", [row], map=mapping, name="mine").questions
    assert question.model_dump(exclude_none=True, exclude_defaults=True) == {
        "id": "3",
        "image": "coffee.jpg",
        "question": "Who ordered it?",
        "category": "Context_Dependent",
        "reason": "It is not shown.",
        "caption": "A cup.",
        "source": "mine",
        "license": "CC0",
        "split": "train",
        "part": "mine",
    }


def test_a_wrong_column_is_one_problem_with_the_nearest_names(read):
    reading = read("table", ROWS * 50, "my.csv", map=MAP | {"question": "question", "image": "files"})
    assert [(p.line, p.field) for p in reading.problems] == [(2, "map.image"), (2, "map.question")]
    assert "there is no column 'files': nearest: file" in reading.problems[0].message
    assert "there is no column 'question'" in reading.problems[1].message
    assert not reading.complete


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"map": {}}, "source.map has no image, question, category"),
        ({"map": MAP | {"anwers": "x"}}, r"unknown field 'anwers' \(did you mean answers\?\)"),
        ({"map": MAP | {"image": ["x"]}}, "expected a column or"),
        ({"map": MAP, "categories": {"a": "b"}}, "expected one of Context_Dependent"),
    ],
)
def test_mappings_that_cannot_be(options, says):
    with pytest.raises(ValueError, match=says):
        make_source("table", options)


def test_bad_rows(read):
    good = ROWS[0]
    rows = [
        good | {"kind": "okay"},
        good | {"q": " "},
        good | {"gold": ""},
        good | {"file": "/etc/passwd"},
        good | {"file": ""},
        good,
        good,
    ]
    reading = read("table", rows, "my.csv", map=MAP, categories=CATEGORIES)
    assert [(p.line, p.field) for p in reading.problems] == [
        (2, "kind"), (3, "q"), (4, "gold"), (5, "file"), (6, "file"), (8, "id")
    ]  # fmt: skip
    assert "unknown category 'okay'" in reading.problems[0].message
    assert "did you mean ok?" in reading.problems[0].message
    assert len(reading.questions) == 1


def test_corrupt_parquet_is_a_problem(read, tmp_path):
    datasets.Dataset.from_list(ROWS).to_parquet(tmp_path / "my.parquet")
    content = (tmp_path / "my.parquet").read_bytes()
    reading = read("table", content[: len(content) // 2], "my.parquet", map=MAP)
    assert not reading.complete
    assert "cannot be read on as parquet" in reading.problems[0].message


def test_line_breaks_in_cells_are_noted(read):
    rows = [ROWS[0] | {"q": "One,\ntwo?"}]
    reading = read("table", rows, "my.csv", map=MAP, categories=CATEGORIES)
    assert any("1 row(s) have line breaks" in note for note in reading.notes)


def test_a_missing_file_names_the_nearest(tmp_path, images):
    (tmp_path / "mine.csv").write_text("a\n")
    source = make_source("table", {"map": MAP})
    with pytest.raises(FileNotFoundError, match=r"did you mean mine\.csv"):
        read_source(source, [tmp_path / "mien.csv"], images)
    (tmp_path / "mine.txt").write_text("a\n")
    with pytest.raises(ValueError, match=r"expected a file ending in \.csv"):
        read_source(source, [tmp_path / "mine.txt"], images)
    (tmp_path / "mine.jsonl").write_text(json.dumps(ROWS[1]) + "\n")
    with pytest.raises(FileNotFoundError, match="folder of images"):
        read_source(source, [tmp_path / "mine.jsonl"], tmp_path / "nowhere")
