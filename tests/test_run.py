"""The record of a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from align.run import _run_dir, content_digest, git_state, write_run_json


def test_run_json_holds_what_is_needed_to_repeat_the_run(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_bytes(b"abc")
    config = OmegaConf.create(
        {"a": {"b": 2, "c": "${.b}"}, "max_new_tokens": 5, "judge": {"api_key": "k-123"}}
    )
    path = write_run_json(
        tmp_path,
        config=config,
        seeds=7,
        inputs={"rows": data},
        digests={"model": "0f"},
        results={"loss": 0.5},
    )
    record = json.loads(path.read_text())
    assert record["config"]["a"] == {"b": 2, "c": 2}
    assert record["config"]["max_new_tokens"] == 5
    assert "k-123" not in path.read_text()
    assert record["seeds"] == {"seed": 7}
    assert record["inputs"]["rows"]["sha256"].startswith("ba7816bf8f01cfea")  # SHA-256 of "abc"
    assert record["inputs"]["model"] == {"sha256": "0f"}
    assert record["results"] == {"loss": 0.5}
    assert {"python", "torch", "trl", "mohoalign"} <= record["packages"].keys()
    assert record["hardware"]["cpus"] >= 1
    assert record["wall_seconds"] > 0


def test_a_missing_input_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.jsonl"):
        write_run_json(tmp_path, config={}, seeds=0, inputs={"rows": tmp_path / "gone.jsonl"})
    assert not (tmp_path / "run.json").exists()


def test_a_folders_digest_is_of_its_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "x" / "sub").mkdir(parents=True)
    (tmp_path / "x" / "a").write_text("1")
    (tmp_path / "x" / "sub" / "b").write_text("2")
    first = content_digest(tmp_path / "x")
    assert content_digest(tmp_path / "x") == first
    (tmp_path / "x" / "a").rename(tmp_path / "x" / "c")
    renamed = content_digest(tmp_path / "x")
    (tmp_path / "x" / "c").write_text("3")
    assert len({first, renamed, content_digest(tmp_path / "x")}) == 3


def test_git_state(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    state = git_state(tmp_path)
    assert state is not None
    assert state["commit"] is None
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    commit = ["commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(["git", "-C", str(tmp_path), *identity, *commit], check=True)
    state = git_state(tmp_path)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["changed"] is False


def test_run_folder_by_name_or_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert _run_dir("dpo", "my/run") == "my/run"
    assert _run_dir("dpo", None).startswith("runs/dpo/20")
    monkeypatch.setenv("WORLD_SIZE", "16")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    with pytest.raises(ValueError, match="give out=FOLDER"):
        _run_dir("dpo", None)


def test_the_processes_of_one_launch_agree_on_the_folder() -> None:
    program = (
        "import sys, time; time.sleep(float(sys.argv[1]));"
        "from align.run import _run_dir; print(_run_dir('x', None))"
    )
    environment = os.environ | {"LOCAL_RANK": "0"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", program, wait], stdout=subprocess.PIPE, text=True, env=environment
        )
        for wait in ("0", "1.5")
    ]
    assert len({rank.communicate(timeout=60)[0] for rank in ranks}) == 1
