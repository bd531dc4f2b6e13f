"""HumbleBench: option E as an answer, and the official rule with its articles."""

import json
import shutil
from pathlib import Path

import pytest
from choice_runs import FIXTURES, respond, states, values

from align.evaluation.general.humblebench import humblebench, officially_right
from align.records import DataError

PHOTOS = Path(__file__).parents[3] / "samples" / "photos" / "images"


@pytest.fixture
def source(tmp_path):
    return shutil.copy(FIXTURES / "humblebench.jsonl", tmp_path / "humblebench.jsonl")


def test_numbers_known_by_hand(source):
    made = humblebench(str(source), str(PHOTOS))
    item = made.items[1]
    assert (item.gold, item.part, item.image) == (("E",), "Object", "coins.jpg")
    assert item.prompt.startswith("Which animal is it?\nA. dog\nB. cat")
    assert "E. None of the above\nAnswer with the option's letter" in item.prompt
    rows = respond(
        made,
        {
            "1": "A cat is sitting there.",  # B for us; an A for the official rule
            "2": "E",
            "3": "None of the above.",
            "4": "E. None of the above",
            "5": "I cannot tell where the cup is.",
            "6": "D",
        },
    )
    assert states(rows) == dict.fromkeys("12346", "answer") | {"5": "abstain"}
    got = values(made, rows)
    assert got["accuracy"] == 4 / 6
    assert got["official"] == 2 / 6
    assert got["abstain_rate"] == 1 / 6
    assert (got["e_recall"], got["false_option_rate"], got["false_e_rate"]) == (2 / 3, 0.0, 1 / 3)
    assert got["official_e_accuracy"] == 1 / 3
    assert values(made, rows, "Attribute")["accuracy"] == 1 / 2
    wrong = respond(made, dict.fromkeys("123456", "A"))
    assert values(made, wrong)["false_option_rate"] == 1.0


@pytest.mark.parametrize(
    ("response", "label", "right"),
    [
        ("B", "B", True), ("b.", "B", True), ("B, a cat", "B", False), ("a dog", "A", True),
        ("I can't see a dog", "A", True), ("The answer is E.", "E", True), ("None of the above", "E", False),
        ("", "A", False),
    ],
)  # fmt: skip
def test_official_rule(response, label, right):
    assert officially_right(response, label) is right


def test_a_data_set_in_a_folder_brings_its_pictures(source, tmp_path):
    from datasets import Dataset, Features, Image, Value

    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["image"] = {"bytes": (PHOTOS / row.pop("file_name")).read_bytes(), "path": None}
    texts = {name: Value("string") for name in ("label", "question", "type")}
    features = Features(texts | {"question_id": Value("int64"), "image": Image()})
    folder = tmp_path / "hub"
    Dataset.from_list(rows, features=features).to_parquet(
        str(folder / "data" / "test-00000-of-00001.parquet")
    )
    made = humblebench(str(folder), hub_split="test")
    assert [item.gold for item in made.items] == [(row["label"],) for row in rows]
    assert Path(made.root) == folder / "images"
    assert len({item.image for item in made.items}) == 3
    assert (Path(made.root) / made.items[0].image).read_bytes() == (PHOTOS / "chelsea.jpg").read_bytes()
    with pytest.raises(DataError, match="set hub_split to one of test"):
        humblebench(str(folder), hub_split="dev")


def test_bad_rows_are_problems(source, tmp_path):
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    rows[0]["question"] = "Which animal is it?\nA. dog\nB. cat"
    rows[1]["label"] = "F"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    made = humblebench(str(source), str(PHOTOS))
    assert [(p.line, p.field) for p in made.problems] == [(1, "question"), (2, "label")]
    assert len(made.items) == 4
    with pytest.raises(DataError, match="none of its 3 images is in"):
        humblebench(str(source), str(tmp_path))
