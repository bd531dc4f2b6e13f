"""A record, read back: how its program is run again, what differs from today, and how results compare."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from align.records import DataError
from align.reproducing.differences import check_environment, check_inputs
from align.reproducing.recorded import CannotRepeat, command_of, new_config, read_recorded, write_config
from align.reproducing.results import Comparison, Figure, Rows, compare_figures, compare_results, compare_rows
from align.run import content_digest, hardware, package_versions

PAIRS = {"folder": "data", "questions": "data/q.jsonl", "pairs": "data/pairs.jsonl", "out": None, "seed": 3}


def written(folder, **record):
    folder.mkdir(parents=True, exist_ok=True)
    record = {"program": "data_prep/build_pairs.py", "cwd": str(folder), "config": PAIRS} | record
    (folder / "run.json").write_text(json.dumps({k: v for k, v in record.items() if v is not None}))
    return read_recorded(folder)


def test_what_is_written_goes_to_the_new_folder(tmp_path):
    recorded = written(tmp_path)
    assert recorded.outputs == {"pairs": tmp_path / "data" / "pairs.jsonl"}
    config = new_config(recorded, Path("/new"))
    assert config == PAIRS | {"out": "/new", "pairs": "/new/pairs.jsonl"}
    assert recorded.config == PAIRS


def test_neither_cache_nor_journal_of_the_old_run_is_used(tmp_path):
    old = {"out": "o", "cache": "shared.sqlite", "task": {"miniworld": {}}}
    benchmark = written(tmp_path / "a", program="evaluate/benchmark.py", config=old)
    assert new_config(benchmark, Path("/new"))["cache"] is None
    dpo = {"out": "o", "reference": {"cache": True, "folder": "cache/reference"}}
    training = written(tmp_path / "b", program="recipes/dpo.py", config=dpo)
    assert new_config(training, Path("/new"))["reference"] == {"cache": True, "folder": "/new/reference"}
    judge = {"out": None, "verdicts": "v.jsonl", "journal": "v.journal"}
    judging = written(tmp_path / "c", program="data_prep/judge_responses.py", config=judge)
    assert new_config(judging, Path("/new")) == {
        "out": "/new",
        "verdicts": "/new/verdicts.jsonl",
        "journal": "/new/journal",
    }


def test_an_older_record_names_its_program_by_its_command(tmp_path):
    command = ["/usr/bin/python3", "/elsewhere/checkout/evaluate/compare.py", "out=x"]
    recorded = written(tmp_path, program=None, cwd=None, command=command, config={"out": "x"})
    assert recorded.name == "compare"
    assert recorded.program.is_file()
    assert recorded.cwd == Path.cwd()


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"program": "data_prep/review_questions.py"}, "people decide there"),
        ({"program": "recipes/tiny_vlm.py"}, "where tiny_vlm.py writes is not known"),
        ({"hardware": {"processes": 4}, "command": ["python", "recipes/sft.py"]}, "of 4 processes"),
        (
            {
                "program": "evaluate/benchmark.py",
                "config": {"out": "x", "task": {"name": "miniworld", "root": "data"}},
                "git": {"commit": "abc"},
            },
            r"older evaluate/benchmark.py.*\(abc\)",
        ),
    ],
)
def test_what_cannot_be_repeated_is_refused_with_the_reason(tmp_path, record, says):
    with pytest.raises(CannotRepeat, match=says):
        new_config(written(tmp_path, **record), tmp_path / "new")


def test_files_that_are_no_records(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DataError, match="not a JSON document"):
        read_recorded(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match="lacks the object `config`"):
        read_recorded(tmp_path / "run.json")
    with pytest.raises(CannotRepeat, match=r"gone.py, which is not there"):
        written(tmp_path, program="/gone/gone.py")
    with pytest.raises(FileNotFoundError):
        read_recorded(tmp_path / "nowhere")


def test_the_configuration_is_passed_on_as_it_was_resolved(tmp_path):
    config = {"out": "x", "text": "a ${folder} and \\ {}", "list": [{"k": None}], "n": 1.5}
    recorded = written(tmp_path, program="evaluate/compare.py", config=config)
    write_config(config, recorded, tmp_path / "recorded.yaml")
    read = OmegaConf.to_container(OmegaConf.load(tmp_path / "recorded.yaml"), resolve=False)
    assert read["hydra"]["run"]["dir"] == "${run_dir:compare,${out}}"
    plain = OmegaConf.create({k: v for k, v in read.items() if k not in ("hydra", "defaults")})
    assert OmegaConf.to_container(plain, resolve=True) == config
    assert yaml.safe_load((tmp_path / "recorded.yaml").read_text())["defaults"][0] == "_self_"


def test_a_hidden_secret_has_to_be_given_again(tmp_path):
    config = {"out": "x", "judge": {"api_key": "<hidden>"}}
    recorded = written(tmp_path, program="evaluate/compare.py", config=config)
    with pytest.raises(CannotRepeat, match=r"hides judge.api_key: give it again, overrides="):
        command_of(recorded, tmp_path / "recorded.yaml", [])
    command = command_of(recorded, tmp_path / "recorded.yaml", ["judge.api_key=k"])
    assert command[:2] == [sys.executable, str(recorded.program)]
    assert command[-1] == "judge.api_key=k"


def test_inputs_that_changed_are_named_and_outputs_are_not_inputs(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("q", "r", "pairs"):
        (tmp_path / "data" / f"{name}.jsonl").write_text(name)
    files = {name: f"data/{name}.jsonl" for name in ("q", "r", "gone", "pairs", "made")}
    inputs = {name: {"path": path, "sha256": "0"} for name, path in files.items()}
    inputs["q"]["sha256"] = content_digest(tmp_path / "data" / "q.jsonl")
    # In the run's own folder what the configuration names is an input, and what it does not is a result.
    named = PAIRS | {name: files[name] for name in ("q", "r", "gone")}
    recorded = written(tmp_path, inputs=inputs | {"model": {"sha256": "1"}}, config=named)
    found = check_inputs(recorded)
    assert (found.same, found.unchecked) == (1, ["model"])
    assert [str(each) for each in found.differ] == [
        f"r (data/r.jsonl): was 0, is {content_digest(tmp_path / 'data' / 'r.jsonl')[:16]}…",
        "gone (data/gone.jsonl): was 0, is missing",
    ]


def test_packages_code_and_hardware_that_differ_are_named(tmp_path):
    packages = package_versions() | {"torch": "1.0", "old-package": "2.0"}
    machine = hardware() | {"cpus": 1000, "torch_threads": 7}
    recorded = written(tmp_path, packages=packages, hardware=machine, git={"commit": "abc"})
    found = {(each.kind, each.name): each.was for each in check_environment(recorded)}
    assert found["package", "torch"] == "1.0"
    assert found["package", "old-package"] == "2.0"
    assert found["code", "commit"] == "abc"
    assert found["hardware", "cpus"] == 1000
    assert not any(name == "numpy" for _, name in found)


def test_rows_in_the_runs_folder_are_compared_and_what_later_programs_put_there_is_not(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    ingest = written(old, program="data_prep/ingest.py", config={"out": str(old)})
    for folder in (old, new):
        write_rows(folder / "questions.jsonl", {"id": "q"})
    write_rows(old / "responses.jsonl", {"question_id": "q", "text": "sampled later"})
    (new / "run.json").write_text("{}")
    found = compare_results(ingest, new)
    assert [(rows.name, rows.same) for rows in found.rows] == [("questions.jsonl", True)]
    assert found.verdict == "equal"


def test_what_is_written_beside_an_output_is_found_there(tmp_path):
    named = PAIRS | {"pairs": "elsewhere/mine.jsonl"}
    building = written(tmp_path, config=named)
    for place, stem in ((tmp_path / "elsewhere", "mine"), (tmp_path / "new", "pairs")):
        write_rows(place / f"{stem}.jsonl", {"question_id": "q"})
        write_rows(place / f"{stem}.left_out.jsonl", {"question_id": "r"})
    (tmp_path / "new" / "run.json").write_text("{}")
    found = compare_results(building, tmp_path / "new")
    assert [(rows.name, rows.same) for rows in found.rows] == [
        ("pairs.left_out.jsonl", True),
        ("pairs", True),
    ]


def test_a_word_about_intervals_is_no_interval():
    document = {"intervals": "bootstrap", "by": [{"agreement": 0.5, "n": 3}]}
    found = compare_figures(document, {"intervals": "bootstrap", "by": [{"agreement": 0.6, "n": 3}]})
    assert [(f.name, f.status) for f in found] == [("by.0.agreement", "different"), ("by.0.n", "equal")]


HONESTY = {
    "task": "miniworld",
    "refusal_rate": 0.5,
    "reason_accuracy": None,
    "n": 24,
    "seconds": 3.2,
    "intervals": {"refusal_rate": [0.4, 0.6], "reason_accuracy": None},
    "by_category": {"A": {"refusal_rate": 1.0, "n": 3, "intervals": {"refusal_rate": None}}},
}


def test_figures_are_equal_within_or_different():
    def statuses(**now):
        return {f.name: f.status for f in compare_figures(HONESTY, HONESTY | now) if f.status != "equal"}

    assert statuses() == {}
    assert statuses(seconds=99.0) == {}
    assert statuses(refusal_rate=0.55) == {"refusal_rate": "within"}
    assert statuses(refusal_rate=0.61) == {"refusal_rate": "different"}
    assert statuses(refusal_rate=None) == {"refusal_rate": "different"}
    assert statuses(reason_accuracy=0.1) == {"reason_accuracy": "different"}
    assert statuses(n=25) == {"n": "different"}
    other = {"A": HONESTY["by_category"]["A"] | {"refusal_rate": 0.9}}
    assert statuses(by_category=other) == {"by_category.A.refusal_rate": "different"}
    general = {"figures": {"f1": {"value": 0.5, "interval": [0.4, 0.6], "n": 9}}, "states": {"answer": 9}}
    changed = {"figures": {"f1": {"value": 0.6, "interval": [0.5, 0.7], "n": 9}}, "states": {"answer": 8}}
    assert [(f.name, f.status) for f in compare_figures(general, changed)] == [
        ("figures.f1", "within"),
        ("figures.f1.n", "equal"),
        ("states.answer", "different"),
    ]


def write_rows(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def graded(id, response="x", state="answer", logprob=-1.0, **more):
    return {"question_id": id, "response": response, "state": state, "logprob": logprob} | more


def test_rows_are_compared_by_what_names_them(tmp_path):
    old = write_rows(
        tmp_path / "old.jsonl", graded("a"), graded("b"), graded("c"), graded("d"), graded("e"), graded("e")
    )
    new = write_rows(
        tmp_path / "new.jsonl",
        graded("e"),
        graded("d", logprob=-1.00001),
        graded("c", condition=None, tokens=3),
        graded("b", "y", "abstain"),
        graded("a", state="abstain"),
        graded("f"),
    )
    found = compare_rows("x", old, new)
    assert (found.was, found.now, found.equal) == (6, 6, 2)
    assert (found.texts, found.grades, found.others) == (1, 2, 1)
    assert (found.only_was, found.only_now) == (1, 1)
    assert found.examples[1] == {"row": "b", "response": ["x", "y"], "state": ["answer", "abstain"]}
    assert not found.same
    assert compare_rows("x", old, old).same
    assert "not there" in compare_rows("x", old, tmp_path / "gone").note


@pytest.mark.parametrize(
    ("figures", "rows", "files", "verdict"),
    [
        (["equal"], Rows("a", 2, 2, 2), {}, "equal"),
        (["equal", "within"], Rows("a", 2, 2, 1, texts=1), {}, "within"),
        (["equal"], Rows("a", 2, 2, 1, texts=1), {}, "within"),
        (["equal"], Rows("a", 2, 3, 2, only_now=1), {}, "different"),
        (["different"], Rows("a", 2, 2, 2), {}, "different"),
        ([], Rows("a", 2, 2, 1, texts=1), {}, "different"),
        ([], Rows("a", 2, 2, 2), {"adapter": False}, "different"),
        ([], Rows("a", 2, 2, 2), {"adapter": True}, "equal"),
    ],
)
def test_the_verdict(figures, rows, files, verdict):
    made = [Figure("f", 0.5, 0.5, (0.4, 0.6), status) for status in figures]
    assert Comparison(made, [rows], files).verdict == verdict
    assert Comparison().verdict is None


def test_an_adapter_is_compared_by_its_digest_and_written_rows_by_content(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    config = {"out": str(old), "reference": {"folder": "r"}}
    inputs = {
        "pairs": {"path": str(tmp_path / "pairs.jsonl"), "sha256": "1"},
        "adapter": {"path": str(old / "adapter"), "sha256": "2"},
        "model": {"sha256": "3"},
    }
    results = {"loss": 0.5, "train_runtime": 10.0, "peak_memory_mib": 5.0}
    training = written(old, program="recipes/dpo.py", config=config, inputs=inputs, results=results)
    new.mkdir()
    again = {"inputs": inputs | {"adapter": {"path": "x", "sha256": "9"}}, "results": results | {"loss": 0.6}}
    (new / "run.json").write_text(json.dumps(again))
    found = compare_results(training, new)
    assert found.files == {"adapter": False, "model": True}
    assert [(f.name, f.status) for f in found.figures] == [("loss", "different")]

    # The README of an adapter tells what its training took: that is no difference.
    for folder, memory in ((old, "5.0"), (new, "6.0")):
        (folder / "adapter").mkdir()
        (folder / "adapter" / "README.md").write_text(memory)
        (folder / "adapter" / "adapter_model.safetensors").write_text("w")
    made = {"path": str(old / "adapter"), "sha256": content_digest(old / "adapter")}
    training = written(old, program="recipes/dpo.py", config=config, inputs={"adapter": made})
    again["inputs"]["adapter"] = {
        "path": str(new / "adapter"),
        "sha256": content_digest(new / "adapter"),
    }
    (new / "run.json").write_text(json.dumps(again))
    assert compare_results(training, new).files == {"adapter": True}
    (new / "adapter" / "adapter_model.safetensors").write_text("v")
    assert compare_results(training, new).files == {"adapter": False}

    rows = write_rows(tmp_path / "b" / "data" / "pairs.jsonl", {"question_id": "q", "chosen": "a"})
    digests = {"pairs": {"path": "data/pairs.jsonl", "sha256": content_digest(rows)}}
    building = written(tmp_path / "b", inputs=digests)
    write_rows(new / "pairs.jsonl", {"question_id": "q", "chosen": "b"})
    (new / "run.json").write_text("{}")
    (compared,) = compare_results(building, new).rows
    assert (compared.name, compared.texts, compared.note) == ("pairs", 1, None)
    write_rows(rows, {"question_id": "q", "chosen": "b"})
    (compared,) = compare_results(building, new).rows
    assert "was written again since that run" in compared.note
