import pytest
from report_folders import edit_samples

from align.records import DataError
from align.reporting.runs import concerns, load_runs


def problems_of(folders):
    with pytest.raises(DataError) as caught:
        load_runs(folders)
    return [str(problem) for problem in caught.value.problems]


def test_runs_are_read_in_the_given_order(folders):
    runs = load_runs({"z": folders["dpo"], "a": folders["base"]})
    assert [run.name for run in runs] == ["z", "a"]
    assert len(runs[0].graded) == 80
    assert runs[0].data_root.name == "data"
    assert runs[0].graders == ["rules"]
    assert concerns(runs) == []


def test_every_missing_file_is_named(folders):
    (folders["base"] / "results.json").unlink()
    (folders["dpo"] / "samples.jsonl").unlink()
    (folders["dpo"] / "run.json").unlink()
    found = problems_of(folders)
    assert len(found) == 3
    for part in ("base/results.json", "dpo/samples.jsonl", "dpo/run.json"):
        assert any(part in text and "evaluate/benchmark.py" in text for text in found)


def test_questions_that_differ_are_named(folders):
    def change(rows):
        rows[2]["question"] = "Another one?"
        return rows[1:]

    edit_samples(folders["dpo"], change)
    edit_samples(folders["sft"], lambda rows: [*rows, {**rows[0], "question_id": "extra", "twin": None}])
    found = problems_of(folders)
    assert len(found) == 3
    assert any(
        "run 'dpo' lacks question u0 ('What color is star 0?'), which 'base' has" in text for text in found
    )
    assert any("field `question`: question u1 is 'Another one?' in run 'dpo'" in text for text in found)
    assert any("run 'base' lacks question extra" in text for text in found)


def test_a_question_graded_twice_is_named(folders):
    edit_samples(folders["base"], lambda rows: [*rows, rows[5]])
    (found,) = problems_of(folders)
    assert found.startswith(f"{folders['base']}/samples.jsonl: field `question_id`: a2 stands there twice")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("results.json", "{", "not a JSON document"),
        ("results.json", "[]", "expected a JSON object, found list"),
        (
            "results.json",
            '{"task": "t", "model": {}}',
            "field `data_root`: expected the folder of the images, found None",
        ),
        ("samples.jsonl", "", "holds no graded response"),
        ("samples.jsonl", '{"question_id": 1}\n', "samples.jsonl:1: field `question_id`"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(folders, file, text, message):
    (folders["sft"] / file).write_text(text)
    assert any(message in problem for problem in problems_of(folders))


@pytest.mark.parametrize("given", [{}, "runs/base", None])
def test_runs_must_be_named(given):
    with pytest.raises(DataError, match="give a name and a folder for each"):
        load_runs(given)


def test_what_makes_a_comparison_doubtful_is_said(folders):
    def change(rows):
        rows[0] |= {"state": "failed", "error": "timeout", "response": None, "reason": None}
        return [row | {"grader": "other"} for row in rows]

    edit_samples(folders["dpo"], change)
    found = [problem.message for problem in concerns(load_runs(folders))]
    assert found == [
        "run 'dpo' was graded by other and 'base' by rules: a difference may be the graders'",
        "1 of 80 responses of run 'dpo' failed and are in no rate; the first: timeout",
    ]
