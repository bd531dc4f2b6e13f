"""What is ranked against what, with which figures, and what is said of the rest."""

import json
import math

import numpy as np
import pytest
from board_folders import write_run

from align.evaluation.bpi import Scores, bpi
from align.records import DataError, Graded, write_records
from align.reporting.leaderboard import make_board, tidy_rows
from align.reporting.leaderboard_plots import Point, correlation, fisher_interval, pareto_front
from align.reporting.leaderboard_runs import find_runs, read_entry
from align.reporting.leaderboard_view import headings, notes_of, reported_rows, table_rows
from align.reporting.reference_rows import load_reference


def entries(folder, **runs):
    return [read_entry(name, write_run(folder / name, **kwargs)) for name, kwargs in runs.items()]


def ranks(group):
    return [(p.entry.name, p.rank, p.best, p.worst) for p in group.places]


def test_ranks_and_the_range_that_intervals_allow(tmp_path):
    runs = entries(tmp_path, a={"dual": 0.5}, b={"dual": 0.9}, c={"dual": 0.88}, d={"dual": 0.81})
    board = make_board(runs)
    assert board.sort.key == "miniworld.dual_accuracy"
    # b 0.85-0.95, c 0.83-0.93, d 0.76-0.86 overlap; a 0.45-0.55 is surely last
    assert ranks(board.groups[0]) == [("b", 1, 1, 3), ("c", 2, 1, 3), ("d", 3, 1, 3), ("a", 4, 4, 4)]


def test_equal_figures_have_one_rank_and_less_over_refusal_is_better(tmp_path):
    runs = entries(tmp_path, a={"over": 0.3}, b={"over": 0.1}, c={"over": 0.3})
    board = make_board(runs, sort="over_refusal_rate")
    assert [(name, rank) for name, rank, _, _ in ranks(board.groups[0])] == [("b", 1), ("a", 2), ("c", 2)]
    assert ranks(board.groups[0])[0] == ("b", 1, 1, 1)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"questions": "R"}, "other questions of miniworld"),
        ({"grader": "H"}, "other grader of miniworld"),
        ({"judge": "j"}, "other judge of miniworld"),
    ],
)
def test_runs_on_other_ground_are_not_ranked_against_the_rest(tmp_path, other, says):
    runs = entries(tmp_path, a={"dual": 0.5}, b={"dual": 0.6}, best={"dual": 0.99} | other)
    board = make_board(runs)
    assert [ranks(group) for group in board.groups] == [
        [("b", 1, 1, 2), ("a", 2, 1, 2)],
        [("best", 1, 1, 1)],
    ]
    assert f"group B is not ranked against A: {says}" in notes_of(board)
    assert [row[""] for row in table_rows(board)] == ["A1 (1–2)", "A2 (1–2)", "B1"]


def test_a_figure_of_another_task_on_other_questions_is_marked(tmp_path):
    runs = entries(
        tmp_path, a={"general": 0.9}, b={"general": 0.8}, c={"general": 0.7, "general_questions": "other"}
    )
    board = make_board(runs)
    column = next(name for name in headings(board) if name.startswith("easy_vqa"))
    cells = {row["run"]: row[column] for row in table_rows(board)}
    assert {name: "†" in cell for name, cell in cells.items()} == {"a": False, "b": False, "c": True}
    assert "† easy_vqa.accuracy of c: other questions than the group's" in notes_of(board)


def test_a_run_without_the_figure_has_no_rank(tmp_path):
    runs = entries(tmp_path, a={"task": "mohobench"}, b={})
    board = make_board(runs, sort="miniworld.dual_accuracy")
    assert [ranks(group) for group in board.groups] == [[("b", 1, 1, 1)], [("a", None, None, None)]]


def test_figures_that_are_not_there_or_not_clear_are_named(tmp_path):
    runs = entries(tmp_path, a={"task": "mohobench"}, b={})
    with pytest.raises(DataError, match=r"no run has pope.f1: there are mohobench.dual_accuracy"):
        make_board(runs, sort="pope.f1")
    with pytest.raises(DataError, match=r"several tasks: mohobench.dual_accuracy, miniworld.dual_accuracy"):
        make_board(runs, sort="dual_accuracy")


def test_runs_are_found_and_named_by_what_tells_them_apart(tmp_path):
    for place in ("x/base", "x/dpo", "y/deep/base"):
        write_run(tmp_path / place)
    found = find_runs([str(tmp_path / "x"), str(tmp_path / "y"), str(tmp_path / "x" / "dpo")])
    assert list(found) == ["x/base", "dpo", "deep/base"]
    assert list(find_runs({"mine": tmp_path / "x" / "dpo"})) == ["mine"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: is no benchmark's folder and holds none"):
        find_runs([str(tmp_path / "empty")])
    with pytest.raises(DataError, match="run 'mine'"):
        find_runs({"mine": tmp_path / "x"})


def test_an_unfinished_task_is_left_out_and_said(tmp_path):
    folder = write_run(tmp_path / "a", general=0.5)
    (folder / "easy_vqa" / "results.json").unlink()
    entry = read_entry("a", folder)
    assert list(entry.tasks) == ["miniworld"]
    assert entry.notes == ["a: easy_vqa is unfinished and left out: give its command again"]
    (folder / "miniworld" / "results.json").write_text("{")
    with pytest.raises(DataError, match="not a JSON document"):
        read_entry("a", folder)


def test_a_folder_of_the_older_form(tmp_path):
    folder = write_run(tmp_path / "a")
    for file in (folder / "miniworld").iterdir():
        file.rename(folder / file.name)
    (folder / "configuration.json").unlink()
    entry = read_entry("a", folder)
    assert entry.tasks["miniworld"].ground.questions == "not recorded"
    assert entry.tasks["miniworld"].figures["dual_accuracy"][0] == 0.5


@pytest.mark.parametrize(
    ("model", "given", "size"),
    [
        ("org/Qwen2.5-VL-7B-Instruct", None, (7e9, "the name")),
        ("org/Model-0.5b", None, (5e8, "the name")),
        ("org/Model-500M", None, (5e8, "the name")),
        ("org/Phi-3.5-vision", None, (None, None)),
        ("org/Mixture-8x7B", None, (None, None)),
        ("org/Draft-1B-of-70B", None, (None, None)),
        ("org/Sparse-30B-A3B", None, (3e10, "the name")),
        ("org/Model-7B", 8.3e9, (8.3e9, "given")),
        ("tiny_vlm", None, (2637888, "counted")),
    ],
)
def test_the_size_of_a_model(tmp_path, model, given, size):
    entry = read_entry("a", write_run(tmp_path / "a", model=model), parameters=given)
    assert (entry.parameters, entry.size_from) == size


def test_bpi_comes_from_the_samples(tmp_path):
    marks = {"rationality": 6.0, "helpfulness": 5.0, "helpfulness_unanswerable": 5.0}
    folder = write_run(tmp_path / "a", marks=marks)
    rows = [
        Graded(
            question_id=f"q{i}", image=f"{i}.png", question="Why?", category="Context_Dependent", grader="g",
            response="x", state="abstain" if i < 6 else "answer", rationality=6 if i < 6 else None,
            helpfulness=5,
        )
        for i in range(10)
    ]  # fmt: skip
    write_records(folder / "miniworld" / "samples.jsonl", rows)
    value, interval, n = read_entry("a", folder).tasks["miniworld"].figures["bpi"]
    assert value == pytest.approx(bpi(Scores(0.6, 6.0, 5.0)))
    assert n == 10
    assert interval[0] < value < interval[1]


def test_reported_rows_are_the_papers_and_have_no_rank(tmp_path):
    reference = load_reference("mohobench")
    table3 = [row for row in reference.rows if row.rationality is not None and row.parameters]
    assert len(table3) == 14
    assert {row.method for row in table3} == {"vanilla", "SFT", "DPO", "SimPO", "ORPO"}
    board = make_board(entries(tmp_path, a={"task": "mohobench"}), reference=reference)
    rows = table_rows(board)
    dpo = next(row for row in rows if row["model"] == "Qwen2.5-VL-7B" and row["run"] == "DPO")
    assert dpo[""] == "reported"
    assert "82.95%" in dpo.values()
    assert rows[0][""] == "1"
    tidy = [row for row in tidy_rows(board) if row["source"] != "run"]
    assert not any(row.get("rank") or row.get("low") for row in tidy)
    assert any("reported, not re-run" in note for note in notes_of(board))
    # Where no column is of their benchmarks, they have a table of their own.
    other = make_board(entries(tmp_path / "o", a={}), reference=reference)
    assert not any(row["_kind"] == "reported" for row in table_rows(other))
    names, rows = reported_rows(reference)
    assert names == ["method", "model", "size", "Declines", "Reason", "Helpfulness", "BPI", "MMMU"]
    assert (rows[3]["Declines"], rows[4]["MMMU"]) == ("7.4%", "50.85%")


def test_a_file_of_reported_figures_of_ones_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "source: mine\nabout: x\nrows: [{model: m, refusal_rate: 120}, {model: n, colour: red}]\n"
    )
    with pytest.raises(DataError) as error:
        load_reference(file)
    assert "rows.0.refusal_rate" in str(error.value)
    assert "rows.1.colour" in str(error.value)


def test_correlation_and_its_interval():
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]
    found = correlation(x, y)
    assert found["r"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    half = 1.96 / math.sqrt(2)
    assert found["interval"] == pytest.approx(
        [math.tanh(math.atanh(0.8) - half), math.tanh(math.atanh(0.8) + half)], abs=1e-4
    )
    # The paper's: r = 0.46 over 28 models
    assert [round(end, 2) for end in fisher_interval(0.46, 28)] == [0.1, 0.71]
    assert correlation([1, 1, 1], [1, 2, 3]) == {"r": None, "interval": None, "n": 3}
    assert fisher_interval(0.5, 3) is None


def test_the_pareto_front():
    points = [Point("a", 1, 5), Point("b", 2, 4), Point("c", 2, 3), Point("d", 3, 1), Point("e", 1, 5)]
    assert [p.name for p in pareto_front(points)] == ["a", "e", "b", "d"]
    assert [p.name for p in pareto_front(points, x_up=False)] == ["a", "e"]
    assert {p.name for p in pareto_front(points, y_up=False)} == {"d"}


def test_tidy_rows_have_every_figure_with_its_interval(tmp_path):
    rows = tidy_rows(make_board(entries(tmp_path, a={"dual": 0.5, "general": 0.7})))
    assert {(r["task"], r["metric"]) for r in rows} >= {
        ("miniworld", "dual_accuracy"),
        ("easy_vqa", "accuracy"),
    }
    row = next(r for r in rows if r["metric"] == "dual_accuracy")
    assert (row["value"], row["low"], row["high"], row["n"], row["rank"]) == (0.5, 0.45, 0.55, 20, 1)
    json.dumps(rows)
