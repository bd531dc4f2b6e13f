"""evaluate/benchmark.py with a model as the judge, as a user runs it: a server on loopback stands in."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in import Fault, text_of

from align.miniworld.dataset import build_questions
from align.records import Graded, read_records

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[2]


@pytest.fixture
def questions(tmp_path):
    """Six questions of the miniature world in MoHoBench's form: what its grader knows exactly is left out."""
    build_questions(tmp_path / "world", train=1, test=6)
    lines = [json.loads(line) for line in (tmp_path / "world/questions.jsonl").read_text().splitlines()]
    chosen = [line | {"metadata": {}} for line in lines if line["split"] == "test"][:6]
    (tmp_path / "world/photos.jsonl").write_text("".join(json.dumps(line) + "\n" for line in chosen))
    return tmp_path / "world/photos.jsonl"


def benchmark(questions, out, server, *options):
    return subprocess.run(
        [
            sys.executable,
            str(ROOT / "evaluate/benchmark.py"),
            "task=[mohobench,corruption]",
            f"task.mohobench.questions={questions}",
            "task@task.corruption.of=mohobench",
            f"task.corruption.of.questions={questions}",
            "task.corruption.kinds=[contrast]",
            "task.corruption.severities=[5]",
            "decoding.max_new_tokens=24",
            "judge=local",
            "endpoint@judge.endpoint=openai_compatible",
            "judge.endpoint.model=openai-api/stand-in/judge",
            f"judge.endpoint.base_url={server.base_url}",
            "judge.endpoint.backoff=0.01",
            "judge.endpoint.attempts=2",
            f"out={out}",
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=out.parent,
        env=os.environ | {"COLUMNS": "200"},
    )


def test_a_judge_marks_what_it_can_and_nothing_else(questions, tmp_path, stand_in):
    first = json.loads(questions.read_text().splitlines()[0])["question"]

    def answer(request, n):
        text = text_of(request)
        tag, label = re.search(r'\{"id": "(\w+)", "reason": .*?, "(\w+)": <', text).groups()
        if label == "score" and "helpful" in text.lower() and first in text and healthy is False:
            return Fault.status(500)
        said = {"refused": True, "correct": True, "score": 8}[label]
        return json.dumps({"id": tag, "reason": "because", label: said})

    healthy = False
    server, out = stand_in(answer), tmp_path / "out"
    run = benchmark(questions, out, server)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "lack a judgement" in run.stdout
    rows = {row.question_id: row for row in read_records(out / "mohobench/samples.jsonl", Graded)}
    hit = [row for row in rows.values() if row.question == first]
    assert hit
    for row in rows.values():
        assert row.state == "abstain"
        if row.question == first:
            assert row.error
            assert "judge" in row.error
        else:
            assert (row.rationality, row.helpfulness, row.error) == (8, 8, None)
    results = json.loads((out / "mohobench/results.json").read_text())
    assert results["rationality"] == 8
    corrupted = read_records(out / "corruption/samples.jsonl", Graded)
    assert {row.condition for row in corrupted} == {"raw", "contrast-5", "blank", "no-image"}
    assert all(row.state == "abstain" and row.rationality is None for row in corrupted)

    asked, healthy = len(server.requests), True
    again = benchmark(questions, out, server)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(server.requests) - asked == len(hit), "what was judged is not judged again"
    mended = read_records(out / "mohobench/samples.jsonl", Graded)
    assert all((row.helpfulness, row.error) == (8, None) for row in mended)
    record = json.loads((out / "run.json").read_text())
    assert "judge of mohobench" in record["inputs"]

    other = benchmark(questions, out, server, "judge.asks.helpfulness=null")
    assert other.returncode != 0
    assert "judge" in other.stderr, "another judge is another configuration"
