from dataclasses import replace

from report_folders import CATEGORIES, edit_samples

from align.evaluation.metrics import is_right
from align.reporting.examples import choose_examples, failing_questions
from align.reporting.runs import load_runs


def shown(examples):
    return [id for example in examples for id in example.question_ids]


def test_twenty_different_questions_of_all_categories_with_twins_and_failures(runs):
    examples = choose_examples(runs, "base")
    ids = shown(examples)
    assert len(ids) == len(set(ids)) == 20
    rows = runs[0].by_id
    drawn = [example for example in examples if example.kind == "drawn"]
    failures = [example for example in examples if example.kind == "failure"]
    assert len(failures) == 6
    assert len(drawn) == 7
    for example in drawn:
        unanswerable, answerable = example.question_ids
        assert rows[unanswerable].twin == answerable
        assert not rows[unanswerable].answerable
    assert {rows[example.question_ids[0]].category for example in drawn} == set(CATEGORIES)
    for example in failures:
        (id,) = example.question_ids
        assert any(is_right(run.by_id[id]) is False for run in runs[1:])


def test_the_choice_depends_on_ids_only(runs, folders):
    before = choose_examples(runs, "base")
    for folder in folders.values():
        edit_samples(folder, lambda rows: rows[::-1])
    assert choose_examples(load_runs(folders), "base") == before


def test_drawn_examples_do_not_depend_on_the_responses(runs, folders):
    before = [e for e in choose_examples(runs, "base", 60) if e.kind == "drawn"]

    def spoil(rows):
        failing = set(shown([e for e in choose_examples(runs, "base", 60) if e.kind == "failure"]))
        return [
            row | {"state": "answer", "reason": None}
            if row["category"] != "Answerable" and row["question_id"] not in failing
            else row
            for row in rows
        ]

    edit_samples(folders["base"], spoil)
    assert [e for e in choose_examples(load_runs(folders), "base", 60) if e.kind == "drawn"] == before


def test_without_failures_all_are_drawn(runs):
    perfect = [row for row in runs[0].graded if row.question_id in ("a1", "a2", "a3")]
    only = [replace(runs[0], main=replace(runs[0].main, graded=perfect))]
    examples = choose_examples(only, "base")
    assert sorted(shown(examples)) == ["a1", "a2", "a3"]
    assert {example.kind for example in examples} == {"drawn"}
    assert failing_questions(only, "base") == set()


def test_no_examples_when_none_are_wanted(runs):
    assert choose_examples(runs, "base", 0) == []
    assert len(shown(choose_examples(runs, "base", 1000))) == 80
