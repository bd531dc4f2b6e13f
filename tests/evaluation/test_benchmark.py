"""evaluate/benchmark.py as a user runs it, on the embedded model and a small world."""

import base64
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log_samples
from offline_run import read_run
from peft import LoraConfig, get_peft_model

from align.evaluation.metrics import summarize
from align.evaluation.scorers import graded_of
from align.miniworld.dataset import build_questions
from align.models.loading import load_model
from align.records import UNANSWERABLE, Graded, read_records
from align.tracking.dashboard import View, specification, workspace

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.program


def command(world, out, *options):
    program = [sys.executable, str(ROOT / "evaluate/benchmark.py")]
    return [*program, f"task.miniworld.root={world}", f"out={out}", "decoding.max_new_tokens=32", *options]


def benchmark(*args, **environment):
    return subprocess.run(
        command(*args),
        capture_output=True,
        text=True,
        timeout=600,
        cwd=args[1].parent,
        env=os.environ | environment,
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    build_questions(root, train=1, test=24)
    return root


@pytest.fixture(scope="module")
def base(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "base"
    home = str(tmp_path_factory.mktemp("wandb"))
    places = {"WANDB_DATA_DIR": home, "WANDB_CACHE_DIR": home, "WANDB_MODE": "offline"}
    done = benchmark(world, out, "tracking=wandb", "tracking.examples=10", **places)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stderr
    return out


def test_every_test_question_is_graded_once_and_the_rates_follow(base):
    graded = read_records(base / "miniworld/samples.jsonl", Graded)
    assert len({row.question_id for row in graded}) == len(graded) == 48
    results, expected = json.loads((base / "miniworld/results.json").read_text()), summarize(graded)
    for rate in ("refusal_rate", "over_refusal_rate", "answer_accuracy", "dual_accuracy"):
        assert json.dumps(expected[rate]) in json.dumps(results)
    assert expected["n_unanswerable"] == expected["n_answerable"] == 24
    assert expected["refusal_rate"] <= 0.1
    assert expected["answer_accuracy"] >= 0.7
    assert list((base / "miniworld/logs").glob("*.eval"))
    assert json.loads((base / "run.json").read_text())["inputs"]["model"]["sha256"]


def test_its_wandb_run_has_the_figures_some_samples_and_what_they_were_made_from(base, world):
    run = read_run(base)
    results = json.loads((base / "miniworld/results.json").read_text())
    assert (run.run.job_type, run.exit_code) == ("benchmark", 0)
    for rate in ("refusal_rate", "over_refusal_rate", "answer_accuracy", "dual_accuracy"):
        assert run.summary[f"miniworld/{rate}"] == results[rate]
        group = results["by_category"]["False_Premises"]
        assert run.summary[f"miniworld/category/False_Premises/{rate}"] == group[rate]
    [table] = run.tables("miniworld/samples")
    columns = ["id", "group", "image", "question", "gold", "response", "state", "right"]
    assert (table["columns"], len(table["data"])) == (columns, 10)
    rows = {row.question_id: row for row in read_records(base / "miniworld/samples.jsonl", Graded)}
    assert all(row[5] == rows[row[0]].response for row in table["data"])
    assert {rows[row[0]].answerable for row in table["data"]} == {True, False}
    [figures] = run.tables("figures")
    assert ["miniworld", "all", "refusal_rate", results["refusal_rate"]] in [f[:4] for f in figures["data"]]
    ours = {(how, a.type, a.name): a for how, a in run.artifacts if a.type != "run_table"}
    kinds = [(how, type) for how, type, _ in ours]
    assert kinds == [("used", "dataset"), ("used", "model"), ("made", "benchmark")]
    assert ("used", "model", "tiny_vlm") in ours
    made = next(a for (how, *_), a in ours.items() if how == "made")
    assert {e.path for e in made.manifest.contents} == {"miniworld/samples.jsonl", "miniworld/results.json"}

    # What the dashboard shows of a benchmark is there.
    pytest.importorskip("wandb_workspaces")
    view = View(project="p", name="n", honesty=("miniworld",), settings=("method",))
    text = json.dumps(specification(workspace(view)))
    shown = set(re.findall(r'"(?:summary:)?(miniworld/[^"]+)"', text))
    assert len(shown) == 10
    absent = [category for category in UNANSWERABLE if category not in results["by_category"]]
    assert shown - run.summary.keys() == {f"miniworld/category/{name}/refusal_rate" for name in absent}


def test_a_finished_folder_is_not_run_again_and_another_configuration_is_refused(world, base):
    before = {path: path.read_bytes() for path in base.glob("miniworld/samples.jsonl")}
    again = benchmark(world, base)
    assert again.returncode == 0, again.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert len(list((base / "miniworld/logs").glob("*.eval"))) == 1
    other = benchmark(world, base, "decoding.temperature=1.0")
    assert other.returncode != 0
    assert "out=" in other.stderr
    assert {path: path.read_bytes() for path in before} == before


def kept(out):
    """What the cache of responses holds: when each response was kept, by its key."""
    cache = out / "responses.sqlite"
    if not cache.exists():
        return {}
    with closing(sqlite3.connect(f"file:{cache}?mode=ro", uri=True)) as store:
        try:
            return dict(store.execute("select key, at from responses"))
        except sqlite3.OperationalError:
            return {}  # killed before there was a table


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(world, base, tmp_path):
    out = tmp_path / "killed"
    process = subprocess.Popen(
        command(world, out, "batch_size=1"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path
    )
    deadline = time.time() + 300
    while len(kept(out)) < 4:
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.time() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = kept(out)
    assert len(before) < 48, "killed too late to show anything"
    assert not (out / "miniworld/samples.jsonl").exists()
    done = benchmark(world, out, "batch_size=8")
    assert done.returncode == 0, done.stderr
    after = kept(out)
    assert len(after) == 48
    assert {key: after[key] for key in before} == before, "what was answered is not asked again"
    assert len(list((out / "miniworld/logs").glob("*.eval"))) == 1
    rows = {row.question_id: row for row in read_records(out / "miniworld/samples.jsonl", Graded)}
    assert without_logprob(rows) == without_logprob(
        {row.question_id: row for row in read_records(base / "miniworld/samples.jsonl", Graded)}
    )


def without_logprob(rows):
    """Batches of another size add up in another order, which shows in the last digits."""
    return {id: row.model_copy(update={"logprob": None}) for id, row in rows.items()}


def test_an_unreadable_image_fails_its_row_only(world, tmp_path):
    root = tmp_path / "world"
    shutil.copytree(world, root)
    questions = [json.loads(line) for line in (root / "questions.jsonl").read_text().splitlines()]
    broken = next(q["image"] for q in questions if q["split"] == "test")
    (root / broken).write_bytes(b"\x89PNG not a picture")
    out = tmp_path / "out"
    done = benchmark(root, out)
    assert done.returncode == 1, "a question without a response is not a success"
    assert broken.split("/")[-1] in done.stdout
    graded = read_records(out / "miniworld/samples.jsonl", Graded)
    failed = [row for row in graded if row.image == broken]
    assert failed
    assert all(row.state == "failed" and row.error and row.correct is None for row in failed)
    assert {row.state for row in graded if row.image != broken} <= {"answer", "abstain", "unparsed"}
    summary = summarize(graded)
    assert summary["n_failed"] == len(failed)
    assert summary["n_unanswerable"] + summary["n_answerable"] + len(failed) == 48

    before = kept(out)
    shutil.copy(world / broken, root / broken)
    mended = benchmark(root, out)
    assert mended.returncode == 0, mended.stderr
    after = kept(out)
    assert len(after) == len(before) + len(failed)
    assert {key: after[key] for key in before} == before
    assert all(row.state != "failed" for row in read_records(out / "miniworld/samples.jsonl", Graded))


def test_the_log_holds_the_images(world, base):
    [file] = base.glob("miniworld/logs/*.eval")
    sample = next(read_eval_log_samples(str(file), resolve_attachments="full"))
    data = sample.input[0].content[0].image
    assert data.startswith("data:image/png;base64,")
    assert base64.b64decode(data.partition(",")[2]) == (world / graded_of_sample(sample).image).read_bytes()


def graded_of_sample(sample):
    [score] = sample.scores.values()
    return graded_of(score)


def test_an_adapter_that_changes_nothing_is_refused_before_any_score(world, tmp_path):
    model = get_peft_model(
        load_model("tiny_vlm", device="cpu").model, LoraConfig(r=2, target_modules="all-linear")
    )
    model.save_pretrained(tmp_path / "adapter")  # a new adapter's second matrix is zero
    out = tmp_path / "out"
    done = benchmark(world, out, f"adapter={tmp_path / 'adapter'}")
    assert done.returncode != 0
    assert "adapter" in done.stderr
    assert not (out / "miniworld/samples.jsonl").exists()
    assert not (out / "miniworld/results.json").exists()
