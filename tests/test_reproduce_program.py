"""evaluate/reproduce.py as a user runs it: a benchmark and a step of data, run again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model

from align.miniworld.dataset import build_questions
from align.models.loading import load_model
from align.records import Question, Response, write_records
from align.reproducing.differences import check_inputs
from align.reproducing.recorded import read_recorded

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[1]


def run(program, folder, *overrides):
    return subprocess.run(
        [sys.executable, str(ROOT / program), *map(str, overrides)],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a benchmark of 24 questions to the embedded model with an adapter: `folder / "base"`."""
    folder = tmp_path_factory.mktemp("reproduce")
    build_questions(folder / "world", train=1, test=24)
    model = get_peft_model(
        load_model("tiny_vlm").model,
        LoraConfig(r=2, target_modules=r".*language_model.*q_proj", init_lora_weights=False),
    )
    model.save_pretrained(folder / "adapter")
    done = run(
        "evaluate/benchmark.py",
        folder,
        "out=base",
        "adapter=adapter",
        "task.miniworld.root=world",
        "task.miniworld.limit=24",
        "decoding.max_new_tokens=24",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_benchmark_is_reproduced_from_its_record(base):
    """Also from another folder: relative paths start where they started."""
    (base / "elsewhere").mkdir()
    done = run("evaluate/reproduce.py", base / "elsewhere", f"record={base / 'base'}", "out=again")
    assert done.returncode == 0, done.stdout + done.stderr
    again = base / "elsewhere" / "again"
    report = json.loads((again / "reproduction.json").read_text())
    assert report["verdict"] == "equal"
    assert report["figures"]["different"] == report["figures"]["within"] == 0
    assert report["figures"]["equal"] > 50
    assert [(rows["name"], rows["equal"]) for rows in report["rows"]] == [("miniworld", 24)]
    assert report["inputs"]["differ"] == []
    assert "every figure and every row is equal" in done.stdout
    # It answered anew.
    assert (again / "run" / "responses.sqlite").exists()
    assert (base / "base" / "run.json").exists()


def test_changed_questions_and_a_changed_adapter_are_seen_before_the_run(base, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("elsewhere"))
    record = json.loads((folder / "base" / "run.json").read_text())
    (folder / "base" / "run.json").write_text(json.dumps(record | {"cwd": str(folder)}))

    def changed():
        return [each.name for each in check_inputs(read_recorded(folder / "base")).differ]

    assert changed() == []
    config = folder / "adapter" / "adapter_config.json"
    as_it_was = config.read_text()
    config.write_text(as_it_was.replace('"lora_alpha": 8', '"lora_alpha": 16'))
    assert changed() == ["miniworld: model_digest"]
    config.write_text(as_it_was)
    questions = folder / "world" / "questions.jsonl"
    questions.write_text(questions.read_text().replace("color", "colour"))
    assert changed() == ["miniworld (world/questions.jsonl)", "miniworld: questions"]


def test_a_step_of_data_is_run_again_beside_the_old_one(tmp_path):
    questions = [
        Question(id=f"q{i}", image="a.png", question="Why?", category="Context_Dependent", source="t")
        for i in range(3)
    ]
    texts = ("I can't tell.", "He is sad.", "That is not shown.")
    responses = [Response(question_id=f"q{i}", model="m", text=text) for i, text in enumerate(texts)]
    write_records(tmp_path / "data" / "questions.jsonl", questions)
    write_records(tmp_path / "data" / "responses.jsonl", responses)
    done = run("data_prep/judge_responses.py", tmp_path, "folder=data", "out=judged")
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = tmp_path / "data" / "verdicts.jsonl"
    before = verdicts.read_bytes(), verdicts.stat().st_mtime_ns
    again = run("evaluate/reproduce.py", tmp_path, "record=judged", "out=again")
    assert again.returncode == 0, again.stdout + again.stderr
    assert (verdicts.read_bytes(), verdicts.stat().st_mtime_ns) == before
    assert (tmp_path / "again" / "run" / "verdicts.jsonl").read_bytes() == before[0]
    assert "rows of verdicts: 3 of 3 equal" in again.stdout
    assert "digest of judge: the same" in again.stdout
    taken = run("evaluate/reproduce.py", tmp_path, "record=judged", "out=again")
    assert taken.returncode == 1
    assert "choose another out=" in taken.stderr

    # Another response, and another package than today's
    write_records(
        tmp_path / "data" / "responses.jsonl",
        [responses[0].model_copy(update={"text": "A sad man."}), *responses[1:]],
    )
    record = json.loads((tmp_path / "judged" / "run.json").read_text())
    record["packages"]["pillow"] = "1.0.0"
    (tmp_path / "judged" / "run.json").write_text(json.dumps(record))
    dry = run("evaluate/reproduce.py", tmp_path, "record=judged", "out=dry", "dry_run=true")
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "changed: responses (data/responses.jsonl)" in dry.stdout
    assert "pillow: was 1.0.0" in dry.stdout
    stopped = run("evaluate/reproduce.py", tmp_path, "record=judged", "out=stopped")
    assert stopped.returncode == 1
    assert "allow_changed=true" in stopped.stderr
    assert not (tmp_path / "stopped" / "run").exists()
    assert not (tmp_path / "dry" / "run").exists()
    allowed = run("evaluate/reproduce.py", tmp_path, "record=judged", "out=allowed", "allow_changed=true")
    assert allowed.returncode == 1
    assert "rows of verdicts: 2 of 3 equal, 1 with another grade" in allowed.stdout
    assert "refused: True -> False" in allowed.stdout
    assert json.loads((tmp_path / "allowed" / "reproduction.json").read_text())["verdict"] == "different"
