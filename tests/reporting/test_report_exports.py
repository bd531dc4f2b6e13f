import csv
import io
import json
import re

import pytest
from full_folders import write_full_run
from offline_run import read_run

from align.records import DataError, Problem
from align.reporting.comparison import compare_runs
from align.reporting.examples import choose_examples
from align.reporting.exports.latex import latex
from align.reporting.exports.markdown import markdown
from align.reporting.exports.tidy import COLUMNS, tidy_csv
from align.reporting.exports.tracked_comparison import track_comparison
from align.reporting.exports.writing import FILES, check_outputs, write_outputs
from align.reporting.runs import load_runs
from align.tracking.tracking import Tracking


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    write_full_run(folder / "base", 0.2, folder / "data")
    for seed, honest in enumerate((0.9, 0.8, 0.7)):
        write_full_run(folder / f"dpo-{seed}", honest, folder / "data", seed=seed, right=0.4)
    repeats = [folder / f"dpo-{seed}" for seed in range(3)]
    runs = load_runs({"base": folder / "base", "dpo_1": repeats})
    return compare_runs(runs, resamples=100), runs


@pytest.fixture(scope="module")
def figures(full):
    rows = csv.DictReader(io.StringIO(tidy_csv(full[0])))
    assert tuple(rows.fieldnames) == COLUMNS
    found = {}
    for row in rows:
        key = tuple(row[name] for name in ("model", "task", "group", "metric"))
        assert key not in found, f"{key} stands there twice"
        found[key] = {name: row[name] for name in ("value", "low", "high", "n")}
    return found


def test_tidy_rows_hold_every_task_group_and_test(full, figures):
    comparison, _ = full

    def value(*key):
        return float(figures[key]["value"])

    assert value("dpo_1", "miniworld", "all", "refusal_rate") == 0.9
    assert figures["dpo_1", "miniworld", "all", "refusal_rate"]["n"] == "40"
    assert value("base", "miniworld", "category/False_Premises", "refusal_rate") == 0.2
    assert ("base", "miniworld", "part/standard", "dual_accuracy") in figures
    assert value("dpo_1", "miniworld", "repeats", "refusal_rate") == pytest.approx(0.8)
    assert value("dpo_1", "miniworld", "repeats", "sd/refusal_rate") == pytest.approx(0.1)
    assert value("dpo_1", "miniworld", "all", "difference/refusal_rate") == pytest.approx(0.7)
    test = comparison["tests"]["dpo_1"]["rates"]["refusal_rate"]
    assert value("dpo_1", "miniworld", "all", "p/refusal_rate") == test["p_holm"]
    assert value("base", "pope", "all", "f1") == 0.8
    assert ("base", "pope", "part/random", "accuracy") in figures
    assert ("dpo_1", "pope", "all", "difference/accuracy") in figures
    assert value("base", "corruption", "condition/blank", "refusal_rate") == 0.0
    assert ("base", "corruption", "condition/raw/category/False_Premises", "refusal_rate") in figures
    for metric in ("phi_10", "bpi", "mean_risk_all", "rationality", "helpfulness", "unscored_rationality"):
        assert ("dpo_1", "miniworld", "all", metric) in figures
    assert "base" not in {model for model, _, _, metric in figures if metric.startswith("difference/")}
    for row in figures.values():
        if row["low"] and row["value"]:
            assert float(row["low"]) - 1e-9 <= float(row["value"]) <= float(row["high"]) + 1e-9


def test_markdown_has_tables_of_one_width_and_escapes(full):
    comparison, _ = full
    problem = Problem(file="x", message="run_a <b>failed</b> | twice")
    text = markdown(comparison, title="A_b*", problems=[problem])
    assert text.startswith("# A\\_b\\*\n")
    assert "\\<b\\>failed" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 5  # rates, categories, marks, general ability, repeats
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    rates = next(line for line in tables[0] if line.startswith("| dpo"))
    assert "| 90.0\\* \\[" in rates


def test_latex_is_balanced_and_escaped(full):
    text = latex(full[0])
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\toprule") == 5
    assert text.count("{") == text.count("}")
    assert r"dpo\_1 & 90.0* [" in text
    for line in text.splitlines():
        if line.endswith(r"\\"):
            plain = line.replace(r"$\uparrow$", "").replace(r"$\downarrow$", "")
            assert not re.search(r"(?<!\\)[%$_#]", plain)
    columns = [len(form) for form in re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)]
    firsts = [line for line in text.splitlines() if line.startswith(("Model &", "Benchmark &"))]
    assert columns == [line.count(" & ") + 1 for line in firsts]


def test_outputs_are_those_asked_for(full, tmp_path):
    comparison, _ = full
    written = write_outputs(tmp_path, ["csv", "json"], comparison, page=None, title="T")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.json", "figures.csv"]
    assert json.loads(written[1].read_text())["base"] == "base"
    with pytest.raises(DataError, match="outputs: 'pdf' is none: choose from html, json"):
        check_outputs(["csv", "pdf"])
    with pytest.raises(DataError, match="none is given"):
        check_outputs([])
    check_outputs(list(FILES))


def test_the_wandb_run_holds_summary_tables_and_plots(full, tmp_path, monkeypatch, capsys):
    pytest.importorskip("wandb")
    from PIL import Image

    places = {"DATA_DIR": tmp_path / "staged", "CACHE_DIR": tmp_path / "cache", "DIR": tmp_path}
    for name, value in {"MODE": "offline", **places}.items():
        monkeypatch.setenv(f"WANDB_{name}", str(value))
    comparison, runs = full
    (tmp_path / "data" / "images").mkdir(parents=True)
    for i in range(11):  # the twelfth can't be shown
        Image.new("RGB", (400, 300), (20 * i, 0, 0)).save(tmp_path / "data" / "images" / f"{i}.png")
    monkeypatch.setitem(runs[0].main.results, "data_root", str(tmp_path / "data"))
    page = tmp_path / "report.html"
    page.write_text("<html><body>the page</body></html>")
    (tmp_path / "run.json").write_text('{"config": {}, "results": {}, "seeds": {"seed": 0}}')
    config = {"resamples": 100, "tracking": {"report_to": "wandb", "project": "ours"}}
    with Tracking(config, tmp_path, job_type="compare").run() as tracking:
        examples = choose_examples(runs, "base", 20)
        track_comparison(tracking, comparison, runs, examples, folder=tmp_path, written=[page])
    assert "failed" not in capsys.readouterr().err

    run = read_run(tmp_path)
    assert (run.run.job_type, run.config["record"]) == ("compare", {"seeds": {"seed": 0}})
    assert run.summary["dpo_1/refusal_rate"] == 0.9
    assert run.summary["base/pope/f1"] == 0.8
    assert {"over_refusal_plane_table", "risk_coverage_table", "report"} <= run.logged()
    used = [a.name for how, a in run.artifacts if how == "used"]
    assert [name.rpartition("-full")[2] for name in used] == ["0-base", "0-dpo-0", "0-dpo-1", "0-dpo-2"]
    [made] = [a for how, a in run.artifacts if how == "made" and a.type == "report"]
    assert [entry.path for entry in made.manifest.contents] == ["report.html"]
    [table] = run.tables("examples")
    assert table["columns"][:5] == ["question_id", "category", "question", "image", "truth"]
    assert table["columns"][5:] == [f"{m}: {w}" for m in ("base", "dpo_1") for w in ("response", "verdict")]
    assert len(table["data"]) == 20
    by_id = {row[0]: row for row in table["data"]}
    for id, row in by_id.items():
        assert row[5] == runs[0].by_id[id].response
        assert (row[3] is None) == (runs[0].by_id[id].image == "images/11.png")
    staged = [path for path in (tmp_path / "staged").rglob("*") if path.is_file()]
    pictures = [path for path in staged if path.read_bytes().startswith(b"\x89PNG")]
    assert {Image.open(path).size for path in pictures} == {(256, 192)}
    assert len(pictures) >= len({runs[0].by_id[id].image for id in by_id} - {"images/11.png"})
    assert len(run.tables("figures")[0]["data"]) > 500
