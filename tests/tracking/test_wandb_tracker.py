"""What a run tells W&B, read back from its offline file; and what becomes of it when W&B fails."""

import json
import os
import subprocess
import sys
import time

import pytest
from offline_run import read_run, read_runs
from PIL import Image

from align.tracking.artifacts import DATASET, MODEL, of_model, of_path
from align.tracking.tracker import Table
from align.tracking.tracking import KEPT, Tracking

pytest.importorskip("wandb")


def make(folder, **settings):
    config = {
        "seed": 1,
        "endpoint": {"api_key": "SECRET", "model": "m"},
        "tracking": {"report_to": "wandb", "project": "ours"} | settings,
    }
    return Tracking(config, folder, job_type="train")


def test_a_run_holds_what_it_was_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dpo.py", "seed=1", "endpoint.api_key=SECRET"])
    out = tmp_path / "runs" / "dpo"
    out.mkdir(parents=True)
    small, large = out / "pairs.jsonl", out / "responses.jsonl"
    small.write_text("row")
    large.write_bytes(b"x" * (2**20 + 1))
    page = out / "report.html"
    page.write_text("<html><body>the page</body></html>")
    record = out / "run.json"
    record.write_text(json.dumps({"config": {"a": 1}, "results": {}, "packages": {"torch": "2"}}))
    picture = Image.new("RGB", (30, 20), "red")

    with make(out, group="sweep", tags=["a"]).run() as tracking:
        assert tracking.on
        tracking.config({"lora": {"r": 8}, "hub_token": "SECRET"})
        tracking.figures({"train/loss": 0.5}, 10)
        tracking.figures({"probe/honesty": 0.25}, 20)
        tracking.summary({"miniworld/refusal_rate": 0.9, "name": "left out", "flag": True})
        tracking.table("probe/samples", Table(["step", "image"], [[20, picture], [20, None]]), 20)
        tracking.page("report", page)
        tracking.uses(of_path(small, DATASET), of_model("tiny_vlm", "0123"))
        tracking.made(of_path(large, DATASET).told("what it is", {"rows": 1}))
        tracking.record(record)
    said = capsys.readouterr()
    assert f"W&B: offline, kept in {out / 'wandb'} (upload with `wandb sync" in said.out
    assert "failed" not in said.err

    run = read_run(out)
    assert (run.run.project, run.run.run_group, run.run.job_type) == ("ours", "sweep", "train")
    assert (run.run.display_name, list(run.run.tags)) == ("runs-dpo", ["a"])
    assert run.exit_code == 0
    assert run.run.run_id == json.loads((out / KEPT).read_text())["id"]
    assert run.config["endpoint"] == {"api_key": "<hidden>", "model": "m"}
    assert run.config["lora"] == {"r": 8}
    assert run.config["record"] == {"packages": {"torch": "2"}}
    assert run.arguments == ["seed=1", "endpoint.api_key=<hidden>"]
    rows = [{k: v for k, v in row.items() if k[0] != "_"} for row in run.history]
    assert rows[:2] == [
        {"train/loss": 0.5, "train/global_step": 10},
        {"probe/honesty": 0.25, "train/global_step": 20},
    ]
    assert run.summary["miniworld/refusal_rate"] == 0.9
    assert not {"name", "flag"} & run.summary.keys()
    [table] = run.tables("probe/samples")
    assert table["columns"] == ["step", "image"]
    assert [row[0] for row in table["data"]] == [20, 20]
    [stored] = [a for _, a in run.artifacts if a.type == "run_table"]
    assert [e.path.rpartition(".")[2] for e in stored.manifest.contents].count("png") == 1
    assert "the page" in (run.folder / "files" / rows[3]["report"]["path"]).read_text()
    assert {"run.json"} <= set(run.files)
    assert b"SECRET" not in b"".join(p.read_bytes() for p in run.folder.rglob("*") if p.is_file())

    ours = [(how, a) for how, a in run.artifacts if a.type != "run_table"]
    assert [(how, a.type) for how, a in ours] == [("used", "dataset"), ("used", "model"), ("made", "dataset")]
    assert [a.name.rpartition("-")[2] for _, a in ours] == ["pairs", "tiny_vlm", "responses"]
    [entry] = ours[2][1].manifest.contents
    assert entry.ref == large.as_uri()  # named, not uploaded
    assert (ours[2][1].description, json.loads(ours[2][1].metadata)["rows"]) == ("what it is", 1)
    assert [e.ref for e in ours[0][1].manifest.contents] == [small.as_uri()]  # only read
    assert set(ours[0][1].aliases) == {"latest", of_path(small, DATASET).alias}


def test_used_and_made_are_the_same_version_also_when_it_is_uploaded(tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "weights").write_bytes(b"x" * (2**20 + 1))
    (adapter / "README.md").write_text("card")
    for name, upload in (("maker", ["model"]), ("user", [])):
        (tmp_path / name).mkdir()
        with make(tmp_path / name, upload=upload).run() as tracking:
            one = of_path(adapter, MODEL)
            tracking.made(one) if name == "maker" else tracking.uses(one)
    (_, made), (_, used) = [read_run(tmp_path / name).artifacts[0] for name in ("maker", "user")]
    assert (made.name, made.digest) == (used.name, used.digest)
    assert {entry.ref for entry in made.manifest.contents} == {""}
    assert all(entry.ref for entry in used.manifest.contents)


def test_a_run_that_is_taken_up_again_keeps_its_id_and_another_gets_its_own(tmp_path):
    ids = []
    for resume in (False, True, False):
        with make(tmp_path).run(resume=resume, step=5):
            ids.append(json.loads((tmp_path / KEPT).read_text())["id"])
    assert ids[0] == ids[1] != ids[2]
    runs = read_runs(tmp_path)
    assert sorted(run.run.run_id for run in runs) == sorted(ids)
    assert all(run.run.resume for run in runs)


def test_the_users_environment_wins(tmp_path):
    os.environ |= {"WANDB_PROJECT": "mine", "WANDB_RUN_GROUP": "g", "WANDB_DIR": str(tmp_path / "elsewhere")}
    (tmp_path / "elsewhere").mkdir()
    with make(tmp_path, group="theirs", job_type="odd").run():
        pass
    run = read_run(tmp_path / "elsewhere").run
    assert (run.project, run.run_group, run.job_type) == ("mine", "g", "odd")


def test_an_error_ends_the_run_as_failed(tmp_path):
    def fail():
        with make(tmp_path).run():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert read_run(tmp_path).exit_code == 1


def test_the_run_goes_on_when_wandb_dies_in_it(tmp_path):
    code = f"""
import psutil
from align.tracking.tracking import Tracking
config = {{"tracking": {{"report_to": ["wandb", "tensorboard"], "mode": "offline"}}}}
with Tracking(config, {str(tmp_path)!r}, job_type="train").run() as tracking:
    tracking.figures({{"train/loss": 1.0}}, 1)
    [service] = [p for p in psutil.Process().children(recursive=True) if "wandb-core" in p.name()]
    service.kill()
    service.wait()
    for step in range(2, 8):
        tracking.figures({{"train/loss": 1.0}}, step)
print("the adapter is saved")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "the adapter is saved" in done.stdout
    assert done.stderr.count("note: wandb failed at `figures`") == 1
    assert "note: wandb is left out from here on" in done.stderr
    assert list((tmp_path / "tensorboard").iterdir()) != []


def test_a_killed_run_has_lost_a_second_at_most(tmp_path):
    code = f"""
import time
from align.tracking.tracking import Tracking
config = {{"tracking": {{"report_to": "wandb", "mode": "offline"}}}}
with Tracking(config, {str(tmp_path)!r}, job_type="train").run() as tracking:
    tracking.figures({{"train/loss": 1.0}}, 1)
    print("told", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert any(line == "told\n" for line in process.stdout)
    end = time.monotonic() + 14  # W&B's own 15 seconds would be too late
    while not any(run.history for run in read_runs(tmp_path, finished=False)):
        assert time.monotonic() < end
        time.sleep(0.1)
    process.kill()
    process.wait()
    [run] = read_runs(tmp_path, finished=False)
    assert run.history[0]["train/loss"] == 1.0
    assert run.exit_code is None


def test_a_server_that_cannot_be_reached_leaves_an_offline_run(tmp_path, capsys):
    os.environ |= {
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "WANDB_API_KEY": "a" * 40,
        "WANDB_INIT_TIMEOUT": "2",
    }
    import wandb

    wandb.teardown()  # the service of other tests knows another environment
    with make(tmp_path).run() as tracking:
        tracking.figures({"train/loss": 1.0}, 1)
    said = capsys.readouterr()
    assert "W&B: offline, since W&B cannot be reached" in said.out
    assert "failed" not in said.err
    assert read_run(tmp_path).history[0]["train/loss"] == 1.0
    wandb.teardown()
