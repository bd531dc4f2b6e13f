"""Labelled responses in the forms that people and programs write."""

import json

import pytest

from align.judging.labels import NO_IMAGE, read_labels, require_images
from align.judging.raters import raters_in
from align.records import DataError, Graded, digest_of_text, write_records

ROW = {"question": "Why?", "response": "I can't tell.", "category": "Context_Dependent", "refused": True}


def written(tmp_path, *rows, name="labels.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_of_ones_own_become_responses_and_verdicts(tmp_path):
    labels = read_labels(
        written(
            tmp_path, ROW | {"id": "a", "half": "held_out", "rationality": 3}, ROW | {"response": "A dog."}
        )
    )
    assert [i.response.text for i in labels.items] == ["I can't tell.", "A dog."]
    assert len({i.question.id for i in labels.items}) == 1
    assert [v.text_digest for v in labels.verdicts] == [
        digest_of_text("I can't tell."),
        digest_of_text("A dog."),
    ]
    assert (labels.verdicts[0].judge, labels.verdicts[0].rationality) == ("labels", 3)
    place = (labels.items[0].question.id, "labelled", 0)
    assert labels.facts[place] == {"id": "a", "half": "held_out"}
    assert labels.items[0].question.image == NO_IMAGE
    with pytest.raises(DataError, match=r"2 labelled responses name no image.*image=false"):
        require_images(labels.items, "labels.jsonl")


def test_two_people_label_the_same_response_and_one_person_two_that_are_alike(tmp_path):
    rows = [
        ROW | {"annotator": "ana"},
        ROW | {"annotator": "ben", "refused": False},
        ROW | {"annotator": "ana"},
    ]
    labels = read_labels(written(tmp_path, *rows))
    ana, ben = raters_in(labels.verdicts, "f")
    assert len(labels.items) == 2
    assert len(ana.said) == 2
    assert set(ben.said) < set(ana.said)


def test_a_table_of_a_spreadsheet(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(
        "\ufeffquestion,response,category,refused,answers,rationality\n"
        '"Why, sir?","I can\'t,\ntell.",Context_Dependent,yes,,4\n'
        "What?,A dog,Answerable,0,a dog|dog,\n"
        "What?,A cat,Answerable,,dog,\n"
    )
    labels = read_labels(path)
    assert [v.refused for v in labels.verdicts] == [True, False, None]
    assert labels.verdicts[0].rationality == 4
    assert labels.items[1].question.answers == ("a dog", "dog")
    assert labels.items[0].response.text == "I can't,\ntell."


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({k: v for k, v in ROW.items() if k != "refused"}, "labels.jsonl:2: field `refused`"),
        (ROW | {"refused": "perhaps"}, "field `refused`"),
        (ROW | {"rationality": 11}, "field `rationality`"),
        (ROW | {"category": "Riddle"}, "field `category`"),
        ({"judge": "ana", "question_id": "q"}, "field `model`"),
        (ROW | {"refused": False, "rationality": 3}, "refused` is false"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, says):
    with pytest.raises(DataError) as error:
        read_labels(written(tmp_path, ROW, row))
    assert says in str(error.value)


def test_a_csv_row_of_another_width_is_named(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("question,response,category,refused\nWhy?,No,Context_Dependent\n")
    with pytest.raises(DataError, match=r"labels.csv:2: has other columns than the 4"):
        read_labels(path)


def test_a_benchmarks_samples_are_labels_of_its_grader(tmp_path):
    def graded(id, state, **more):
        return Graded(
            question_id=id, image="a.png", question="What?", category="Answerable", grader="exact",
            state=state, **{"response": "x"} | more,
        )  # fmt: skip

    path = tmp_path / "samples.jsonl"
    rows = [
        graded("a", "abstain"),
        graded("b", "answer", correct=False),
        graded("c", "unparsed"),
        graded("d", "failed", response=None, error="broken image"),
    ]
    write_records(path, rows)
    labels = read_labels(path)
    assert [(v.judge, v.refused, v.correct) for v in labels.verdicts] == [
        ("exact", True, None),
        ("exact", False, False),
        ("exact", None, None),
        ("exact", None, None),
    ]
    assert labels.items[3].response.error == "broken image"
    assert labels.verdicts[2].error == "the grader calls it unparsed"
