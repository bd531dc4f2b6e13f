"""The reader of upstream's training rows in LLaMA-Factory's forms."""

import json
import shutil
from pathlib import Path

import pytest

from align.data.mohobench import read_mohobench
from align.data.preferences import read_preferences
from align.records import DataError

UPSTREAM = Path(__file__).parents[1] / "fixtures" / "upstream"
IMAGES = UPSTREAM / "images"


def sharegpt(**changes):
    whole = {
        "conversations": [{"from": "human", "value": "<image>\nWho ordered it?"}],
        "chosen": {"from": "gpt", "value": "That is not shown."},
        "rejected": {"from": "gpt", "value": "A student."},
        "images": ["coffee.jpg"],
    }
    return {key: value for key, value in (whole | changes).items() if value != "absent"}


def alpaca(**changes):
    whole = {"instruction": "Who ordered it?", "input": "", "chosen": "Not shown.", "rejected": "A student."}
    whole["images"] = ["coffee.jpg"]
    return {key: value for key, value in (whole | changes).items() if value != "absent"}


def turns(*pairs):
    return [{"from": role, "value": text} for role, text in pairs]


@pytest.fixture
def read(tmp_path):
    def reader(*rows, **options):
        path = tmp_path / "vqa_train.json"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return read_preferences(path, IMAGES, **options)

    return reader


def questions(split="train"):
    found = read_mohobench(UPSTREAM / "mohobench.json").questions
    return [q.model_copy(update={"split": split}) for q in found]


def test_sharegpt_array_matched_with_the_questions():
    reading = read_preferences(UPSTREAM / "vqa_train.json", IMAGES, questions=questions())
    assert reading.problems == []
    assert reading.forms == {"sharegpt ranking": 5}
    first, *_, last = reading.pairs
    assert first.prompt == "Who ordered this coffee before it was put on the table?"
    assert first.chosen == "I can't tell: The picture shows the cup, not the person who ordered it."
    assert (first.rejected, first.images) == ("Surely yes.", ("coffee.jpg",))
    assert (first.kind, first.category) == ("refuse", "Context_Dependent")
    assert first.question_id == questions()[0].id
    assert (last.prompt, last.kind, last.category) == ("Describe the rocket.", "retain", None)


def test_alpaca_lines_with_and_without_ranking():
    reading = read_preferences(UPSTREAM / "vqa_train_alpaca.jsonl", IMAGES, questions=questions())
    assert reading.problems == []
    assert reading.forms == {"alpaca ranking": 1, "alpaca": 1}
    assert reading.pairs[0].rejected == "Bread."
    assert reading.sft[0].completion == "No coin here is golden."
    assert (reading.sft[0].kind, reading.sft[0].category) == ("refuse", "False_Premises")


def test_supervised_sharegpt_and_the_names_that_openai_uses(read):
    supervised = sharegpt(
        conversations=turns(("human", "<image>Who?"), ("gpt", "Nobody.")), chosen="absent", rejected="absent"
    )
    openai = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Nobody."}]}
    reading = read(supervised, openai | {"images": ["coffee.jpg"]})
    assert reading.problems == []
    assert [(r.prompt, r.completion) for r in reading.sft] == [("Who?", "Nobody.")] * 2


def test_sides_may_be_texts_and_the_input_follows_the_instruction(read):
    reading = read(sharegpt(chosen="Not shown.", rejected="A man."), alpaca(input="Answer briefly."))
    assert (reading.pairs[0].chosen, reading.pairs[0].rejected) == ("Not shown.", "A man.")
    assert reading.pairs[1].prompt == "Who ordered it?\nAnswer briefly."


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ({"question": "Who?"}, None, "no known form"),
        (sharegpt(conversations=[]), "conversations", "a list of turns"),
        (sharegpt(conversations=[{"from": "human"}]), "conversations.0", "`from` and `value`"),
        (
            sharegpt(conversations=turns(("human", "A?"), ("gpt", "B."), ("human", "C?"))),
            "conversations",
            "one question",
        ),
        (
            sharegpt(conversations=turns(("system", "Be kind."), ("human", "A?"))),
            "conversations",
            "system prompt",
        ),
        (sharegpt(system="Be kind."), "conversations", "system prompt"),
        (sharegpt(conversations=turns(("human", "<image>"))), "conversations", "the question is empty"),
        (sharegpt(chosen="absent"), "chosen", "missing or empty"),
        (sharegpt(rejected={"from": "gpt", "value": " "}), "rejected", "a turn with"),
        (sharegpt(rejected={"from": "human", "value": "x"}), "rejected", "turn of the assistant"),
        (sharegpt(rejected={"from": "gpt", "value": "That is not shown."}), None, "the same text"),
        (sharegpt(images="absent"), "images", "at least one file name"),
        (sharegpt(images=["coffee.jpg", "coins.jpg"]), "images", "2 image(s) for 1 <image>"),
        (sharegpt(images=["nowhere.jpg"]), "images", "missing image"),
        (sharegpt(images=["../coffee.jpg"]), "images", "leaves the data root"),
        (alpaca(history=[["a", "b"]]), "history", "earlier turns"),
        (alpaca(instruction=5), "instruction", "expected a text, found int"),
        (alpaca(chosen="absent", rejected="absent"), "output", "is missing"),
    ],
)
def test_one_bad_row_is_named_and_the_others_are_kept(read, row, field, says):
    reading = read(sharegpt(), row, alpaca())
    assert len(reading.pairs) == 2
    assert reading.bad_rows == {2}
    (problem,) = reading.problems
    assert (problem.line, problem.field) == (2, field)
    assert says in problem.message
    with pytest.raises(DataError, match="vqa_train"):
        reading.raise_if_bad()


def test_rows_on_images_of_the_test_split_are_held_out_and_named():
    held = [q.model_copy(update={"split": "test"}) if q.image == "coffee.jpg" else q for q in questions()]
    reading = read_preferences(UPSTREAM / "vqa_train.json", IMAGES, questions=held)
    assert reading.problems == []
    assert [p.images for p in reading.pairs] == [("rocket.jpg",)]
    assert [p.line for p in reading.held_out] == [2, 21, 40, 59]
    assert all("test split" in p.message for p in reading.held_out)


def test_a_copy_of_a_test_image_under_another_name_is_held_out(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("coffee.jpg", "COCO_1.jpg"):
        shutil.copy(IMAGES / "coffee.jpg", images / name)
    shutil.copy(IMAGES / "rocket.jpg", images)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(sharegpt(images=[n])) + "\n" for n in ("COCO_1.jpg", "rocket.jpg")))
    test = [q for q in questions("test") if q.image == "coffee.jpg"]
    reading = read_preferences(rows, images, questions=test)
    assert [p.images for p in reading.pairs] == [("rocket.jpg",)]
    assert [p.message for p in reading.held_out] == ["row 1: its image is in the test split"]


def test_rows_on_images_that_another_data_set_holds_out_are_kept_out():
    reading = read_preferences(UPSTREAM / "vqa_train.json", IMAGES, questions=questions())
    before = len(reading.pairs)
    shown = sum("coffee.jpg" in pair.images for pair in reading.pairs)
    assert reading.images["coffee.jpg"].fingerprint is not None
    reading.hold_out({"coffee.jpg": "held out elsewhere"})
    assert shown > 0
    assert len(reading.pairs) == before - shown
    assert [problem.message for problem in reading.held_out] == ["held out elsewhere"] * shown


def test_unknown_fields_are_counted(read):
    assert read(sharegpt(origin="x"), alpaca()).unknown_fields == {"origin": 1}


def test_image_name_only(read):
    reading = read(sharegpt(images=["/data/mohobench/coffee.jpg"]), image_name_only=True)
    assert reading.pairs[0].images == ("coffee.jpg",)
