"""The record of a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from align.run import _run_dir, content_digest, cost_of, files_digest, git_state, write_run_json


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


def test_what_calls_took_is_added_up() -> None:
    used = {"calls": 2, "attempts": 3, "input_tokens": 10, "output_tokens": 5}
    results = {"judges": {"a": {"m": used | {"dollars": 0.5}, "n": used}}, "refusal_rate": 0.5}
    assert cost_of(results) == {
        "calls": 4,
        "attempts": 6,
        "input_tokens": 20,
        "output_tokens": 10,
        "dollars": 0.5,
    }
    assert cost_of({"refusal_rate": 0.5}) is None


def test_the_digest_of_images_changes_with_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    first = files_digest(tmp_path, ["a.png", "b.png", "a.png"])
    assert files_digest(tmp_path, ["b.png", "a.png"]) == first
    (tmp_path / "b.png").write_bytes(b"")
    there = files_digest(tmp_path, ["a.png", "b.png"])
    (tmp_path / "a.png").write_bytes(b"2")
    assert len({first, there, files_digest(tmp_path, ["a.png", "b.png"])}) == 3


def test_uncommitted_changes_have_a_digest(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    (tmp_path / ".gitignore").write_text("ignored\n")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    states = [git_state(tmp_path)]
    (tmp_path / "ignored").write_text("x")
    states.append(git_state(tmp_path))
    assert states[0] == states[1]
    assert "diff" not in states[0]
    for name, text in (("a", "2"), ("a", "3"), ("new", "1"), ("new", "2")):
        (tmp_path / name).write_text(text)
        states.append(git_state(tmp_path))
    digests = [state["diff"] for state in states[2:]]
    assert len(set(digests)) == 4
    (tmp_path / "new").write_text("1")
    assert git_state(tmp_path)["diff"] == digests[2]


def test_a_program_names_itself_and_its_overrides(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import hydra\nfrom align.run import run_folder, write_run_json\n"
        "@hydra.main(version_base='1.3', config_path=None)\n"
        "def main(cfg):\n    write_run_json(run_folder(), config=cfg, seeds=0, inputs={})\n"
        "main()\n"
    )
    arguments = ["+a=1", "+b.api_key=k-123", "+c='x=y'", "hydra.run.dir=out"]
    subprocess.run([sys.executable, str(file), *arguments], cwd=tmp_path, check=True, capture_output=True)
    text = (tmp_path / "out" / "run.json").read_text()
    record = json.loads(text)
    assert record["program"] == str(file.resolve())
    assert record["job"] == "mine"
    assert record["overrides"] == ["+a=1", "+b.api_key=<hidden>", "+c='x=y'"]
    assert record["cwd"] == str(tmp_path)
    assert "k-123" not in text
