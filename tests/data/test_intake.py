"""The steps of ingest that depend on its configuration, and what a given split does."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from align.data.intake import READERS, check_settings, find_inputs, folder_of_images
from align.data.reading import ParsedRow, Reading
from align.data.sources import make_source
from align.data.split import split_conflicts, split_questions
from align.records import Question, Response
from align.run import to_plain

CONFIGS = Path(__file__).parents[2] / "configs"


def config(*overrides):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return to_plain(compose("ingest", list(overrides)))


@pytest.mark.parametrize("reader", READERS)
def test_every_source_has_a_configuration_with_just_its_options(reader):
    settings = config(f"source={reader}")
    check_settings(settings)
    options = dict(settings["source"])
    assert options.pop("reader") == reader
    assert ("input" in options, "images" in options) == (True, True)
    if reader not in ("mohobench", "table"):
        options = {name: value for name, value in options.items() if name not in ("input", "images")}
        source = make_source(reader, options)
        default = make_source(reader, {})
        assert source == default, "the YAML says what the code does without it"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["source=pope", "caption_field=c"], "caption_field is for source=mohobench"),
        (["source=pope", "preferences=p.json"], "preferences is for source=mohobench"),
        (["held_out_root=x"], "held_out, which is not given"),
        (["on_bad_row=stop"], "on_bad_row must be error or skip"),
        (["max_row=0"], "max_row is a number of bytes"),
        (["source.reader=halo"], r"source\.reader must be one of mohobench, haloquest"),
    ],
)
def test_settings_that_have_no_use_are_refused(overrides, says):
    with pytest.raises(ValueError, match=says):
        check_settings(config(*overrides))


def test_inputs_are_a_file_a_list_or_a_pattern(tmp_path):
    for name in ("b.csv", "a.csv", "c.json"):
        (tmp_path / name).touch()
    assert find_inputs("one.json", "pope") == ["one.json"]
    assert find_inputs(["x", f"{tmp_path}/*.csv"], "pope") == ["x", f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"]
    (tmp_path / "odd[1].json").touch()
    assert find_inputs(f"{tmp_path}/odd[1].json", "pope") == [f"{tmp_path}/odd[1].json"]
    with pytest.raises(ValueError, match="give input=FILE"):
        find_inputs(None, "pope")
    with pytest.raises(FileNotFoundError, match="no file fits the pattern"):
        find_inputs(f"{tmp_path}/*.tsv", "pope")


def test_pictures_from_rows_go_below_the_output(tmp_path):
    assert folder_of_images(None, tmp_path) == tmp_path / "images"
    assert folder_of_images("there", tmp_path) == Path("there")


# --- Given splits and near-duplicates ---------------------------------------------------------------------


def question(id, image, split=None, **changes):
    common = {"question": "What?", "category": "Vague_Description", "source": "s"}
    return Question(id=id, image=image, split=split, **common, **changes)


def test_a_split_through_near_duplicates_is_resolved_for_the_test():
    questions = [
        question("a", "1.jpg", "train"),
        question("b", "2.jpg", "test"),
        question("c", "3.jpg", "validation"),
        question("d", "4.jpg", "train"),
        question("e", "5.jpg"),
    ]
    together = [["1.jpg", "2.jpg", "5.jpg"], ["3.jpg", "4.jpg"]]
    reasons = split_conflicts(questions, together=together)
    assert set(reasons) == {"a", "d"}
    assert "nearly the same picture as '2.jpg', is in the test split as well (question b)" in reasons["a"]
    assert "in the validation split as well" in reasons["d"]
    assert split_conflicts(questions) == {}
    digests = {"1.jpg": "x", "2.jpg": "x"}
    assert set(split_conflicts(questions, digests=digests)) == {"a"}


def test_near_duplicates_stay_together_and_given_splits_need_no_shares():
    questions = [question(str(n), f"{n}.jpg") for n in range(40)]
    together = [[f"{n}.jpg", f"{n + 20}.jpg"] for n in range(20)]
    result = split_questions(questions, {"train": 0.5, "test": 0.5}, together=together)
    assert all(result[n].split == result[n + 20].split for n in range(20))
    apart = split_questions(questions, {"train": 0.5, "test": 0.5})
    assert any(apart[n].split != apart[n + 20].split for n in range(20))
    given = [question(str(n), f"{n}.jpg", "test") for n in range(3)]
    assert split_questions(given, {"train": 0.8, "test": 0.2}) == given


def reading_of(*questions):
    reading = Reading("f.json")
    rows = [ParsedRow(reading.count_row(line), line, q) for line, q in enumerate(questions, start=1)]
    reading.questions = list(questions)
    reading.remember_places(rows)
    return reading


def test_questions_that_are_rejected_late_name_their_line_and_cost_their_twin():
    twins = question("a", "1.jpg", twin="b"), question("b", "1.jpg", twin="a")
    reading = reading_of(*twins, question("c", "2.jpg"))
    reading.responses = [Response(question_id=id, model="m", text="t") for id in "abc"]
    reading.reject_questions({"a": "for a reason"}, "split")
    assert [(q.id, q.twin) for q in reading.questions] == [("b", None), ("c", None)]
    (problem,) = reading.problems
    assert (problem.line, problem.field, problem.row_id, problem.message) == (1, "split", "a", "for a reason")
    assert reading.bad_rows == {1}
    assert [r.question_id for r in reading.responses] == ["b", "c"]
    assert reading.notes == ["1 question(s) lost their twin, which is not used"]


def test_what_is_held_out_is_no_problem_and_is_listed():
    reading = reading_of(question("a", "1.jpg"), question("b", "2.jpg"))
    reading.hold_out({"1.jpg": "it is held out"})
    assert [q.id for q in reading.questions] == ["b"]
    assert reading.problems == []
    assert [(p.line, p.row_id, p.message) for p in reading.held_out] == [(1, "a", "it is held out")]


def test_a_group_has_one_name_that_does_not_depend_on_file_names():
    reading = reading_of(question("a", "1.jpg"), question("b", "2.jpg"), question("c", "3.jpg"))
    reading.name_groups([["1.jpg", "3.jpg"]], {"1.jpg": "f" * 64, "2.jpg": "a" * 64, "3.jpg": "b" * 64})
    assert [q.metadata.get("group") for q in reading.questions] == ["b" * 16, None, "b" * 16]
