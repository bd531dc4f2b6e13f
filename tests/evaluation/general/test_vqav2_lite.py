"""VQAv2 from its public files: the official figure and what a sentence gives."""

import json
from pathlib import Path

import pytest

from align.evaluation.general.base import summarize_general
from align.evaluation.general.vqav2_lite import vqav2_lite
from align.records import DataError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "general"
QUESTIONS, ANNOTATIONS = str(FIXTURES / "vqa_questions.json"), str(FIXTURES / "vqa_annotations.json")
PHOTOS = Path(__file__).parents[3] / "samples" / "photos" / "images"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    for name, photo in (("262148", "coffee"), ("393225", "chelsea")):
        (folder / f"COCO_val2014_{int(name):012d}.jpg").write_bytes((PHOTOS / f"{photo}.jpg").read_bytes())
    return str(folder)


@pytest.fixture(scope="module")
def task(images):
    return vqav2_lite(QUESTIONS, images, annotations=ANNOTATIONS)


def grade(task, number, response):
    item = next(item for item in task.items if item.id == f"vqav2-{number}")
    return task.benchmark.grade(item, response)


def test_official_files(task):
    assert [item.id for item in task.items] == [
        f"vqav2-{number}" for number in (262148000, 262148001, 393225000, 393225001)
    ]
    first = task.items[0]
    assert first.image == "COCO_val2014_000000262148.jpg"
    assert first.prompt == "What color is the cup?\nAnswer the question using a single word or phrase."
    assert (first.gold, first.part, len(first.facts["answers"])) == (("white",), "other", 10)


@pytest.mark.parametrize(
    ("number", "response", "state", "parsed", "score", "official"),
    [
        # white 6, white and brown 2, Gray. 1, brown 1
        (262148000, "white", "answer", "white", 1, 1),
        (262148000, "White.", "answer", "white", 1, 1),
        (262148000, "The cup is white and brown.", "answer", "white and brown", 0.6, 0),
        (262148000, "gray", "answer", "Gray.", 0.3, 0.3),
        (262148000, "The cup is not white, it is brown.", "answer", "brown", 0.3, 0),
        (262148000, "It looks blue.", "answer", None, 0, 0),
        (262148000, "I cannot determine the color of the cup.", "abstain", None, 0, 0),
        (262148000, "...", "unparsed", None, 0, 0),
        # 1 ten times: agreed, so nothing is normalised
        (262148001, "1", "answer", "1", 1, 1),
        (262148001, "One.", "answer", "1", 1, 0),
        (262148001, "There is one cup on the table.", "answer", "1", 1, 0),
        # no 9, yes 1
        (393225000, "No, it is awake.", "answer", "no", 1, 0),
        (393225000, "yes", "answer", "yes", 0.3, 0.3),
        (393225000, "It is impossible to tell.", "abstain", None, 0, 0),
        (393225000, "The cat.", "unparsed", None, 0, 0),
        # unknown 3, can't tell 2, chelsea 2, tom, kitty, cat: what annotators said is an answer
        (393225001, "Unknown", "answer", "unknown", 0.9, 0.9),
        (393225001, "can't tell", "answer", "can't tell", 0.6, 0.6),
        (393225001, "I cannot tell what it is called.", "abstain", None, 0, 0),
        (393225001, "Its name is Tom.", "answer", "tom", 0.3, 0),
    ],
)
def test_both_readings(task, number, response, state, parsed, score, official):
    row = grade(task, number, response)
    assert (row.state, row.parsed) == (state, parsed)
    assert row.score == pytest.approx(score)
    assert row.official == pytest.approx(official)


def test_figures(task):
    rows = [
        grade(task, 262148000, "white and brown"),  # 0.6
        grade(task, 262148001, "1"),  # 1
        grade(task, 393225000, "no"),  # 1
        grade(task, 393225001, "I don't know."),
    ]
    summary = summarize_general(task.benchmark, rows)
    figures = summary["figures"]
    assert summary["headline"] == "official"
    assert figures["official"]["value"] == figures["accuracy"]["value"] == pytest.approx(2.6 / 4)
    assert figures["accuracy_when_answering"]["value"] == pytest.approx(2.6 / 3)
    assert summary["by_part"]["other"]["figures"]["official"]["value"] == pytest.approx(0.3)
    assert set(summary["by_part"]) == {"other", "number", "yes/no"}


def test_what_is_missing_is_said(images, tmp_path):
    with pytest.raises(DataError, match="set `annotations` to the official file"):
        vqav2_lite(QUESTIONS, images)
    few = json.loads(Path(ANNOTATIONS).read_text())
    few["annotations"][0]["answers"].pop()
    del few["annotations"][3]
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(few))
    task = vqav2_lite(QUESTIONS, images, annotations=str(file))
    assert len(task.items) == 2
    assert [(p.line, p.field) for p in task.problems] == [(3, "answers"), (6, "question_id")]
    assert "10 annotators" in task.problems[0].message


def test_the_lite_form_has_questions_answers_and_pictures_in_a_row(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    answers = [
        {"answer": text, "answer_id": i, "answer_confidence": "yes"} for i, text in enumerate(["cup"] * 10)
    ]
    row = {"question_id": 7, "question": "What is this?", "answers": answers, "answer_type": "other"}
    row |= {"image": {"bytes": (PHOTOS / "coffee.jpg").read_bytes(), "path": "x.jpg"}, "image_id": 3}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "lite.parquet")
    task = vqav2_lite(str(tmp_path / "lite.parquet"), str(tmp_path / "images"), prompt="{question}")
    [item] = task.items
    assert (item.id, item.prompt, item.gold) == ("vqav2-7", "What is this?", ("cup",))
    assert (tmp_path / "images" / item.image).is_file()
