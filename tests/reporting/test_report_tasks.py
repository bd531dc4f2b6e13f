"""Comparisons of run folders with several tasks and repeats."""

import io
import json
import re
import shutil

import pytest
from full_folders import scored_rows, write_full_run, write_general
from report_folders import edit_samples
from rich.console import Console

from align.evaluation.repeats import summarize_repeats
from align.records import DataError, Scored, read_records
from align.reporting.comparison import compare_runs
from align.reporting.exports.summary_tables import summary_tables
from align.reporting.exports.tidy import tidy_csv
from align.reporting.findings import findings
from align.reporting.general_comparison import paired_score_test
from align.reporting.page import render_page
from align.reporting.page_sections import sections
from align.reporting.runs import concerns, inputs_of, load_runs
from align.reporting.terminal import comparison_tables
from align.reporting.wording import points


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write_full_run(folder / "base", 0.2, folder / "data")
    for seed, honest in enumerate((0.9, 0.7)):
        write_full_run(folder / f"dpo-{seed}", honest, folder / "data", seed=seed, right=0.4)
    write_full_run(folder / "sft", 0.6, folder / "data", general=False)
    return folder


@pytest.fixture
def place(made, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made"


def problems_of(folders, **how):
    with pytest.raises(DataError) as caught:
        load_runs(folders, **how)
    return [str(problem) for problem in caught.value.problems]


def test_a_run_folder_a_task_folder_and_repeats_are_read(made):
    whole = {"base": made / "base", "dpo": [made / "dpo-0", made / "dpo-1"]}
    base, dpo = load_runs(whole)
    assert base.main.name == "miniworld"
    assert {name: rows.kind for name, rows in base.tasks.items()} == {
        "miniworld": "honesty",
        "corruption": "corruption",
        "pope": "general",
    }
    assert len(base.tasks["corruption"].graded) == 7 * 80
    assert [run.folder.name for run in dpo.all_runs] == ["dpo-0", "dpo-1"]
    assert inputs_of([base, dpo])["dpo.1/pope"].endswith("dpo-1/pope/samples.jsonl")
    assert set(inputs_of([base])) == {"base", "base/corruption", "base/pope"}
    [alone] = load_runs({"base": made / "base" / "miniworld"})
    assert alone.graded == base.graded
    assert list(alone.tasks) == ["miniworld"]
    assert alone.record == base.record  # it stands in the run folder


def test_what_is_missing_or_unfinished_is_named(place):
    (place / "base" / "pope" / "results.json").unlink()
    (place / "base" / "run.json").unlink()
    (place / "dpo-0" / "pope" / "samples.jsonl").write_text('{"sample_id": 1}\n')
    found = problems_of({"base": place / "base", "dpo": place / "dpo-0", "x": place / "nowhere"})
    assert any("base/pope/results.json" in text and "give its command again" in text for text in found)
    assert any("base/run.json" in text for text in found)
    assert any("pope/samples.jsonl:1: field `sample_id`" in text for text in found)
    assert any("nowhere/results.json" in text for text in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "quiz"}, "field `kind`: expected one of honesty, corruption, general, found 'quiz'"),
        ({"headline": "f9"}, "field `headline`: 'f9' is none of the figures"),
        ({"figures": None}, "field `figures`: expected an object of figures, found None"),
    ],
)
def test_results_that_are_none_are_named(place, change, message):
    path = place / "base" / "pope" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert any(message in text for text in problems_of({"base": place / "base"}))


def test_every_task_must_have_the_same_questions(place):
    edit_samples(place / "dpo-0" / "pope", lambda rows: rows[1:])
    edit_samples(place / "dpo-1" / "corruption", lambda rows: [rows[0] | {"question": "Why?"}, *rows[1:]])
    found = problems_of({"base": place / "base", "dpo": [place / "dpo-0", place / "dpo-1"]})
    assert len(found) == 2
    assert any("run 'dpo' lacks question g0" in text for text in found)
    assert any("question u0 is 'Why?'" in text for text in found)


def test_the_honesty_task_is_found_or_chosen(place):
    assert "no honesty task in common" in problems_of({"base": place / "base" / "pope"})[0]
    shutil.copytree(place / "base" / "miniworld", place / "base" / "other")
    path = place / "base" / "other" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "other"}))
    [found] = problems_of({"base": place / "base"})
    assert "every run has miniworld and other: choose one with task=NAME" in found
    runs = load_runs({"base": place / "base"}, task="other")
    assert runs[0].main.name == "other"
    assert any("the honesty task miniworld is not in this comparison" in str(p) for p in concerns(runs))
    assert "'pope' is no honesty task" in problems_of({"base": place / "base"}, task="pope")[0]


@pytest.mark.parametrize("several", [[], None, ["dpo-0", "dpo-0"]])
def test_folders_of_a_name_are_different_runs(made, several):
    given = several and [made / name for name in several]
    assert re.search("names no folder|stands there twice", problems_of({"dpo": given})[0])


def test_what_has_to_be_known_is_said(made):
    runs = load_runs({"base": made / "base", "sft": made / "sft", "dpo": [made / "dpo-0", made / "dpo-1"]})
    said = [problem.message for problem in concerns(runs)]
    assert "run 'sft' has no task pope: it is shown for the others only" in said
    assert sum("responses of run 'dpo' failed on pope" in text for text in said) == 2
    assert any("run 'dpo' has 2 repeats" in text for text in said)
    again = load_runs({"base": made / "base", "copy": made / "base"})
    assert any("runs 'base' and 'copy' are of the same model" in p.message for p in concerns(again))


def test_scores_are_paired_by_sample_and_failures_left_out(made):
    base = read_records(made / "base" / "pope" / "samples.jsonl", Scored)
    tuned = read_records(made / "dpo-0" / "pope" / "samples.jsonl", Scored)
    kept = [(b.score, t.score) for b, t in zip(base, tuned, strict=True) if b.score is not None]
    test = paired_score_test(base, list(reversed(tuned)), resamples=200, seed=0)
    assert test["n"] == len(kept) == 59
    assert test["base"] == pytest.approx(sum(b for b, _ in kept) / 59)
    assert test["difference"] == pytest.approx(sum(t - b for b, t in kept) / 59)
    assert test["interval"][0] < test["difference"] < test["interval"][1]
    assert 0 < test["p"] < 0.2
    failed = [row for row in base if row.state == "failed"]
    assert paired_score_test(failed, tuned, resamples=50, seed=0) is None


def test_the_comparison_has_all_of_it(made):
    runs = load_runs({"base": made / "base", "sft": made / "sft", "dpo": [made / "dpo-0", made / "dpo-1"]})
    found = compare_runs(runs, resamples=100)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["general"]["pope"]["models"]) == ["base", "dpo"]
    assert found["general"]["pope"]["models"]["base"]["states"] == {
        "answer": 52,
        "abstain": 6,
        "unparsed": 1,
        "failed": 1,
    }
    assert list(found["general"]["pope"]["tests"]) == ["dpo"]
    tests = [t for one in found["tests"].values() for kind in ("rates", "marks") for t in one[kind].values()]
    tests += found["general"]["pope"]["tests"].values()
    there = [test for test in tests if test is not None]
    assert found["n_tests"] == len(there) == 15  # 2 x 5 rates, 2 x 2 marks, pope
    assert min(test["p_holm"] for test in there) == pytest.approx(15 * min(test["p"] for test in there))
    assert all(
        test["p_bh"] >= test["p"] for test in found["tests"]["dpo"]["groups"]["by_part"]["standard"].values()
    )
    rows = [run.graded for run in runs[2].all_runs]
    assert found["repeats"]["models"]["dpo"] == summarize_repeats(rows, resamples=100)
    assert found["repeats"]["models"]["dpo"]["refusal_rate"]["by_repeat"] == [0.9, 0.7]
    assert found["models"]["dpo"]["refusal_rate"] == 0.9  # of the first run
    assert set(found["corruption"]["corruption"]["sft"]["by_condition"]) >= {"raw", "blank", "no-image"}
    assert set(found["power"]) == {"sft", "dpo"}
    assert 0 < found["power"]["dpo"]["refusal_rate"]["smallest_difference"] < 1
    assert found["bpi"]["dpo"]["bpi"] is not None
    assert found["phi"]["base"]["phi"][0]["c"] == 1
    assert found["risk_coverage"]["base"]["all"]["n"] == 80
    alone = compare_runs(load_runs({"base": made / "sft" / "miniworld"}), resamples=50)
    assert alone["repeats"] is None
    assert alone["general"] == alone["corruption"] == alone["tests"] == {}


@pytest.fixture(scope="module")
def shown(made):
    runs = load_runs({"base": made / "base", "sft": made / "sft", "dpo": [made / "dpo-0", made / "dpo-1"]})
    comparison = compare_runs(runs, resamples=100)
    html, _ = render_page(comparison, runs, examples=4)
    return comparison, html


def test_the_page_shows_every_task(shown):
    comparison, html = shown
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.split("<main>")[1].split("samples-data")[0]))
    assert not re.search(r"\b(None|nan|Undefined)\b", text)
    for heading in (
        "What the judge makes of it",
        "Can it still see and think?",
        "When the image gets worse",
        "Is it surest where it is right?",
        "The same with other seeds",
    ):
        assert heading in text
    assert "60 samples; main figure: f1, by the benchmark’s own rule; not every model was asked" in text
    accuracy = comparison["general"]["pope"]["models"]["dpo"]["figures"]["accuracy"]["value"]
    assert f"{100 * accuracy:.1f}%" in text
    assert f"corrected for all {comparison['n_tests']} tests" in text
    smallest = max(comparison["power"][m]["refusal_rate"]["smallest_difference"] for m in ("sft", "dpo"))
    assert f"{100 * smallest:.1f} points in “declines”" in text
    assert "1.7% failed" in text
    of_category = comparison["bpi"]["dpo"]["by_category"]["Vague_Description"]
    assert f"BPI {of_category['bpi']:.2f}, " in text
    assert of_category["n"] == 10
    assert html.count('<figure class="panel chart">') == 3 * 3 + 1


def test_the_benchmark_that_lost_most_is_a_finding(shown):
    comparison, _ = shown
    test = comparison["general"]["pope"]["tests"]["dpo"]
    [found] = [finding for finding in findings(comparison) if "pope" in finding.title]
    assert found.title == f"General ability: pope changed by {points(test['difference'])} points"
    assert found.mark == "bad"
    better = {**test, "difference": 0.2}
    worse = {**test, "difference": -0.02}
    general = {
        name: {**comparison["general"]["pope"], "tests": {"dpo": t}}
        for name, t in (("a", better), ("b", worse))
    }
    [found] = [f for f in findings({**comparison, "general": general}) if "General" in f.title]
    assert found.title == "General ability: b changed by −2.0 points, the most of 2 benchmarks"
    assert found.mark == "watch"


def test_curves_lie_where_their_figures_are(shown):
    comparison, _ = shown
    found = sections(comparison)
    [(title, panels), *_] = found["corruption"]["corruption"]["charts"]
    assert title == "Unanswerable questions declined"
    assert [panel.title for panel in panels] == ["gaussian", "shot", "contrast"]
    top, bottom = panels[0].y_ticks[-1][0], panels[0].y_ticks[0][0]
    conditions = comparison["corruption"]["corruption"]["dpo"]["by_condition"]
    [line] = [line for line in panels[0].lines if line.model == "dpo"]
    for dot, condition in zip(
        line.dots, ("raw", "gaussian-1", "gaussian-5", "blank", "no-image"), strict=True
    ):
        rate = conditions[condition]["refusal_rate"]
        assert dot.y == pytest.approx(bottom - rate * (bottom - top), abs=0.2)
        assert dot.said.startswith(f"{condition}: {100 * rate:.1f}%")
    assert [dot.x for dot in line.dots] == sorted(dot.x for dot in line.dots)
    cells = found["corruption"]["corruption"]["categories"]["False_Premises"]["dpo"]
    assert cells["raw"]["value"] == conditions["raw"]["by_category"]["False_Premises"]["refusal_rate"]
    panel = found["risk_panel"]
    [line] = [line for line in panel.lines if line.model == "base"]
    end = comparison["risk_coverage"]["base"]["all"]["max_coverage"]
    left, right = panel.x_ticks[0][0], panel.x_ticks[-1][0]
    assert line.dots[-1].x == pytest.approx(left + end * (right - left), abs=0.2)


def test_the_terminal_shows_marks_repeats_and_general_ability(shown):
    comparison, _ = shown
    stream = io.StringIO()
    console = Console(file=stream, width=100)
    for table in comparison_tables(comparison):
        console.print(table)
    text = stream.getvalue()
    for expected in (
        "The judge's marks",
        "BPI",
        "All runs of each model",
        "2 runs",
        "General ability",
        "pope",
    ):
        assert expected in text
    assert f"{comparison['models']['dpo']['rationality']:.2f}" in text
    assert "…" not in text


def test_a_part_called_all_does_not_hide_the_whole(tmp_path):
    rows = [row.model_copy(update={"part": "all"}) for row in scored_rows(0.5)]
    write_full_run(tmp_path / "base", 0.2, tmp_path / "data")
    write_general(tmp_path / "base" / "pope", rows[:30] + scored_rows(0.9)[30:], tmp_path / "data")
    comparison = compare_runs(load_runs({"base": tmp_path / "base"}), resamples=50)
    found = [row for row in sections(comparison)["general_rows"] if row["figure"] == "accuracy"]
    assert [row["part"] for row in found] == ["", "adversarial", "all", "popular", "random"]
    assert found[0]["by_model"]["base"]["n"] == 59


def say_responses(folder, share, images="0" * 64):
    """Put into a task's results how many of its responses were cut off."""
    file = folder / "results.json"
    results = json.loads(file.read_text())
    rate = {"value": share, "interval": [share / 2, share * 2], "n": 80, "official": False}
    responses = {"truncated_rate": rate, "n_truncated": round(80 * share), "max_new_tokens": 64}
    file.write_text(json.dumps(results | {"responses": responses, "images": images}))


def test_bpi_of_each_category_is_a_row_of_the_tidy_table(shown):
    comparison, _ = shown
    cells = [line.split(",") for line in tidy_csv(comparison).splitlines() if ",bpi," in line]
    groups = {cell[2]: float(cell[4]) for cell in cells if cell[0] == "dpo" and cell[1] == "miniworld"}
    by_category = comparison["bpi"]["dpo"]["by_category"]
    assert groups == {"all": comparison["bpi"]["dpo"]["bpi"]} | {
        f"category/{name}": index["bpi"] for name, index in by_category.items()
    }
    assert len(by_category) == 4


def test_responses_that_were_cut_off_stand_in_every_table(place):
    say_responses(place / "base/miniworld", 0.0)
    say_responses(place / "dpo-0/miniworld", 0.2125)
    say_responses(place / "dpo-0/pope", 0.0375)
    runs = load_runs({"base": place / "base", "dpo": place / "dpo-0"})
    comparison = compare_runs(runs, resamples=50)
    notes = " ".join(map(str, concerns(runs)))
    assert "run 'dpo': 21.2 % of the responses were cut off at 64 tokens" in notes
    assert "raise decoding.max_new_tokens, and benchmark it again" in notes
    assert "pope: 3.8 %" not in notes, "few were"
    console = Console(file=io.StringIO(), width=200)
    for table in comparison_tables(comparison):
        console.print(table)
    assert "cut off at the limit of tokens: DPO 21.2%" in console.file.getvalue()
    page, _ = render_page(
        comparison, runs, problems=[], examples=0, title="t", images=0, folder=place / "report"
    )
    assert "21.2% cut off" in page
    assert "3.8% cut off" in page
    cells = [line.split(",") for line in tidy_csv(comparison).splitlines() if ",truncated_rate," in line]
    assert [[*cell[:3], float(cell[4])] for cell in cells] == [
        ["base", "miniworld", "all", 0.0],
        ["dpo", "miniworld", "all", 0.2125],
        ["dpo", "pope", "all", 0.0375],
    ]
    rates, general = (
        next(t for t in summary_tables(comparison) if t.title.startswith(title))
        for title in ("Honesty on", "General ability")
    )
    assert [row["Cut off"] for row in rates.rows] == ["0.0", "21.2"]
    assert [row["Cut off"] for row in general.rows] == ["–", "3.8"]


def test_a_benchmark_about_a_single_image_is_reported_without_an_interval(place):
    one_image = [row.model_copy(update={"image": "images/0.png"}) for row in scored_rows(0.8, 12)]
    for name in ("base", "dpo-0"):
        write_general(place / name / "pope", one_image, place / "data")
    comparison = compare_runs(load_runs({"base": place / "base", "dpo": place / "dpo-0"}), resamples=50)
    said = " ".join(f"{f.title} {f.detail}" for f in findings(comparison))
    assert "General ability: pope changed by" in said


def test_models_that_were_shown_other_images_are_not_compared_in_silence(place):
    say_responses(place / "base/miniworld", 0.0, images="a" * 64)
    say_responses(place / "dpo-0/miniworld", 0.0, images="b" * 64)
    notes = map(str, concerns(load_runs({"base": place / "base", "dpo": place / "dpo-0"})))
    assert any("were not shown the same images" in note for note in notes)
    say_responses(place / "dpo-0/miniworld", 0.0, images="a" * 64)
    notes = map(str, concerns(load_runs({"base": place / "base", "dpo": place / "dpo-0"})))
    assert not any("images" in note for note in notes)
