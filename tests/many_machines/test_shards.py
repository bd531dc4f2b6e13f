"""Data preparation in shards gives what one process gives, and refuses what would not."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from stand_in import text_of

from align.calling.shards import Shard, divide, read_shard
from align.data.endpoint_sampling import join_responses
from align.records import DataError, Question, Response, read_records, write_records

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "samples" / "photos" / "images"
QUESTIONS = 11


def a_folder(folder: Path) -> Path:
    folder.mkdir()
    image = sorted(PHOTOS.iterdir())[0].name
    write_records(
        folder / "questions.jsonl",
        [
            Question(
                id=f"q{k}",
                image=image,
                question=f"What will happen to thing {k} next?",
                category="Context_Dependent",
                source="s",
                split="train",
            )
            for k in range(QUESTIONS)
        ],
    )
    return folder


def answer(request, n):
    """A model, and a judge, whose answers hang on the request alone."""
    text = text_of(request)
    asked = re.search(r'\{"id": "(\w+)", "reason": .*?, "(\w+)": <', text)
    if asked is None:
        thing = re.search(r"thing \d+", text)[0]
        return f"To {thing}: by chance {request['seed']}"
    tag, label = asked.groups()
    said = {"refused": "thing 3" in text, "score": len(text) % 10 + 1, "correct": True}[label]
    return json.dumps({"id": tag, "reason": "because", label: said})


def asking(server, folder: Path, *more: str) -> list[str]:
    return [
        f"folder={folder}",
        f"root={PHOTOS}",
        "endpoint=openai_compatible",
        "endpoint.model=openai-api/stand-in/m",
        f"endpoint.base_url={server.base_url}",
        "sampling.samples=2",
        f"out={folder}/run",
        *more,
    ]


def judging(server, folder: Path, *more: str) -> list[str]:
    return [
        f"folder={folder}",
        f"root={PHOTOS}",
        "judge=local",
        "endpoint@judge.endpoint=openai_compatible",
        "judge.endpoint.model=openai-api/stand-in/judge",
        f"judge.endpoint.base_url={server.base_url}",
        f"out={folder}/judged",
        *more,
    ]


@pytest.mark.program
def test_responses_and_verdicts_of_shards_are_those_of_one_process(warm, stand_in, tmp_path):
    one, shards = a_folder(tmp_path / "one"), a_folder(tmp_path / "shards")
    server = stand_in(answer)

    def run(program, arguments, folder=shards):
        started = warm.start(program, arguments, folder)
        return started.wait(), started.output.read_text()

    assert run("sample_responses.py", asking(server, one), one)[0] == 0
    assert run("judge_responses.py", judging(server, one), one)[0] == 0
    whole = len(server.requests)
    assert whole > 2 * 2 * QUESTIONS

    # The second shard's part of the budget, a third of 12, is too small for its 8 calls.
    small = asking(server, shards, "endpoint.budget.calls=12", "shard=2/3")
    code, said = run("sample_responses.py", small)
    assert (code, "budget of calls=4 is reached" in said) == (1, True), said
    assert run("sample_responses.py", asking(server, shards, "shard=1/3"))[0] == 0
    code, said = run("sample_responses.py", asking(server, shards, "join=3"))
    assert code == 1
    assert "shard=2/3 was stopped" in said
    assert "shard=3/3 is missing (no responses-3-of-3.shard.json)" in said
    assert not (shards / "responses.jsonl").exists()
    for shard in ("2/3", "3/3"):
        assert run("sample_responses.py", asking(server, shards, f"shard={shard}"))[0] == 0
    asked = len(server.requests)
    code, said = run("sample_responses.py", asking(server, shards, "join=3", "sampling.seed=1"))
    assert code == 1
    assert "shard=1/3 has seed=0, and this command 1" in said
    for _ in range(2):  # joining again changes nothing
        code, said = run("sample_responses.py", asking(server, shards, "join=3"))
        assert code == 0, said
        assert (shards / "responses.jsonl").read_bytes() == (one / "responses.jsonl").read_bytes()
    assert len(server.requests) == asked

    for number in (1, 2):
        assert run("judge_responses.py", judging(server, shards, f"shard={number}/2"))[0] == 0
    asked = len(server.requests)
    (shards / "verdicts-1-of-4.shard.json").touch()
    code, said = run("judge_responses.py", judging(server, shards, "join=2"))
    assert code == 1
    assert "shards of another division as well (verdicts-1-of-4.shard.json)" in said
    (shards / "verdicts-1-of-4.shard.json").unlink()
    code, said = run("judge_responses.py", judging(server, shards, "join=2"))
    assert code == 0, said
    assert (shards / "verdicts.jsonl").read_bytes() == (one / "verdicts.jsonl").read_bytes()
    assert len(server.requests) == asked == 2 * whole
    told = [json.loads((each / "verdicts.summary.json").read_text()) for each in (one, shards)]
    assert told[0]["rates"] == told[1]["rates"]
    assert told[0]["used"]["openai-api/stand-in/judge"]["attempts"] == whole - 2 * QUESTIONS


def test_a_local_models_shards_say_what_one_process_says(tmp_path):
    from align.data.sampling import sample_responses
    from align.models.loading import load_model

    questions = read_records(a_folder(tmp_path / "data") / "questions.jsonl", Question)[:7]
    loaded = load_model("tiny_vlm", device="cpu")
    settings = {"samples": 2, "max_new_tokens": 12, "temperature": 3.0, "batch_size": 3, "seed": 5}
    sample_responses(loaded, questions, PHOTOS, tmp_path / "one.jsonl", **settings)
    parts = []
    for number in (3, 1, 2):  # in any order
        share = Shard(number, 3).share(questions, key=lambda question: question.id)
        parts.append(Shard(number, 3).path(tmp_path / "all.jsonl"))
        sample_responses(loaded, share, PHOTOS, parts[-1], **settings)
    counts, digest = join_responses(parts, questions, tmp_path / "all.jsonl")
    assert (counts, digest) == ({"asked": 14, "failed": 0}, loaded.digest)
    assert (tmp_path / "all.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert len({row.text for row in read_records(tmp_path / "one.jsonl", Response)}) > 7

    rows = read_records(parts[0], Response)
    write_records(parts[0], [row.model_copy(update={"model_digest": "other"}) for row in rows])
    with pytest.raises(DataError, match="models are not the same"):
        join_responses(parts, questions, tmp_path / "again.jsonl")


def test_shares_are_disjoint_whole_and_keep_what_belongs_together():
    items = [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("b", 2), ("d", 1), ("e", 1)]
    shares = [Shard(number, 3).share(items, key=lambda item: item[0]) for number in (1, 2, 3)]
    assert shares == [[("a", 1), ("a", 2), ("d", 1)], [("b", 1), ("b", 2), ("e", 1)], [("c", 1)]]
    with pytest.raises(ValueError, match="there are 5 question"):
        Shard(6, 6).share(items, key=lambda item: item[0])


@pytest.mark.parametrize("wrong", ["0/8", "9/8", "2", "2/8/1", "a/b"])
def test_a_wrong_shard_is_refused(wrong):
    with pytest.raises(ValueError, match="from 1/8 to 8/8"):
        read_shard(wrong, None)


def test_shard_and_join_exclude_each_other():
    assert read_shard(None, 8) is None
    assert read_shard("2/8", None) == Shard(2, 8)
    with pytest.raises(ValueError, match="one of them"):
        read_shard("2/8", 8)


def test_every_endpoints_bounds_are_divided():
    endpoint = {
        "model": "m/m",
        "requests_per_minute": 60,
        "budget": {"dollars": 5.0, "tokens": 1001, "calls": None},
    }
    divided = {
        "model": "m/m",
        "requests_per_minute": 15,
        "budget": {"dollars": 1.25, "tokens": 250, "calls": None},
    }
    settings = {"kind": "model", "asks": {"refusal": {"endpoint": endpoint}}, "endpoint": endpoint}
    assert divide(settings, Shard(2, 4)) == {
        "kind": "model",
        "asks": {"refusal": {"endpoint": divided}},
        "endpoint": divided,
    }
    assert divide(settings, None) == settings


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, "shard=3/8"),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1", "SHARDS": "8"}, "shard=3/8"),
    ],
)
def test_a_job_array_of_slurm_has_a_shard_each(variables, shard, tmp_path):
    program = tmp_path / "mohoalign"
    program.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", str(ROOT / "examples/slurm/shards.sbatch"), "sample_responses", "folder=a folder"],
        env=os.environ | variables | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["sample_responses", "folder=a folder", shard]
