"""data_prep/judge_responses.py as a user runs it."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import Fault, images_of, text_of

from align.records import Question, Response, Verdict, read_records, write_records

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "samples" / "photos" / "images"
TEXTS = ("I can't tell from the image.", "He is a teacher.", "That depends on the viewer.", None)


@pytest.fixture
def folder(tmp_path):
    """Questions of two categories on a real photograph, and four responses to each, one of them failed."""
    image = sorted(path.name for path in IMAGES.iterdir())[0]
    questions = [
        Question(
            id=f"{category}-{i}",
            image=image,
            question=f"What is number {i}?",
            category=category,
            source="t",
            split="train",
            answers=("a teacher",) if category == "Answerable" else (),
        )
        for category in ("Context_Dependent", "Answerable")
        for i in range(2)
    ]
    write_records(tmp_path / "questions.jsonl", questions)
    write_records(
        tmp_path / "responses.jsonl",
        [
            Response(
                question_id=q.id, model="m", sample_index=i, text=text, error=None if text else "timeout"
            )
            for q in questions
            for i, text in enumerate(TEXTS)
        ],
    )
    return tmp_path


def start(folder, *overrides):
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "data_prep" / "judge_responses.py"),
            f"folder={folder}",
            f"root={IMAGES}",
            f"out={folder / 'run'}",
            *overrides,
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, *overrides):
    process = start(folder, *overrides)
    out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def local(server, *overrides):
    return (
        "judge=local",
        "endpoint@judge.endpoint=openai_compatible",
        "judge.endpoint.model=openai-api/stand-in/judge",
        f"judge.endpoint.base_url={server.base_url}",
        "judge.endpoint.backoff=0.01",
        *overrides,
    )


def answer(request, n):
    text = text_of(request)
    tag, label = re.search(r'\{"id": "(\w+)", "reason": .*?, "(\w+)": <', text).groups()
    quoted = text.split(f"BEGIN QUOTED {tag} -----\n")[1]
    said = {"refused": "| I can't" in quoted, "correct": "teacher" in quoted, "score": 7}[label]
    if "| That depends" in quoted and label == "refused":
        return Fault.empty()
    return json.dumps({"id": tag, "reason": "because", label: said})


def test_rules_judge_a_file(folder):
    result = run(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    verdicts = read_records(folder / "verdicts.jsonl", Verdict)
    assert [v.refused for v in verdicts[:4]] == [True, False, True, None]
    rates = json.loads((folder / "verdicts.summary.json").read_text())["rates"]["m"]
    assert (rates["all"]["responses"], rates["all"]["failed"], rates["all"]["n"]) == (16, 4, 12)
    assert rates["Answerable"]["refusal_rate"] == pytest.approx(2 / 3)
    record = json.loads((folder / "run" / "run.json").read_text())
    assert set(record["inputs"]) == {"questions", "responses", "verdicts", "judge"}
    assert "Context_Dependent" in result.stdout


def test_a_model_judges_within_a_budget_and_goes_on(folder, stand_in):
    server = stand_in(answer)
    dry = run(folder, *local(server, "dry_run=true"))
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "12 call(s) to openai-api/stand-in/judge" in dry.stdout
    assert not (folder / "verdicts.jsonl").exists()
    assert server.requests == []

    stopped = run(folder, *local(server, "judge.endpoint.budget.calls=5"))
    assert stopped.returncode == 1
    assert "budget" in stopped.stdout
    assert len(server.requests) == 5
    first = read_records(folder / "verdicts.jsonl", Verdict)
    assert len(first) == 16
    assert all(v.error for v in first)

    server.delay = 0.3
    killed = start(folder, *local(server, "judge.endpoint.max_connections=2"))
    while sum(asked.answered is not None for asked in server.requests) < 9:
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert read_records(folder / "verdicts.jsonl", Verdict) == first
    server.delay = 0.0

    result = run(folder, *local(server))
    assert result.returncode == 0, result.stdout + result.stderr
    verdicts = read_records(folder / "verdicts.jsonl", Verdict)
    assert len(verdicts) == 16
    declines, answers, unscored, failed = verdicts[8:12]
    assert (declines.refused, declines.rationality, declines.helpfulness) == (True, 7, 7)
    assert (answers.refused, answers.rationality, answers.correct) == (False, None, True)
    assert unscored.refused is None
    assert unscored.error.startswith("refusal: no verdict after")
    assert failed.error == "there is no response to judge: timeout"
    figures = json.loads((folder / "verdicts.summary.json").read_text())
    assert figures["rates"]["m"]["all"]["unscored"]["refusal"] == pytest.approx(1 / 3)
    assert figures["rates"]["m"]["all"]["refusal_rate"] == pytest.approx(1 / 2)
    assert "refused 33.3%" in result.stdout
    # No answer that came was asked for again, but for the two that were in flight at the kill.
    texts = [text_of(body) for body in server.bodies if "| That depends" not in text_of(body)]
    assert len(set(texts)) == 8 + 8 + 4 + 2  # refusals, help, reasons, and what is right
    assert len(texts) <= len(set(texts)) + 2
    asked = len(server.requests)
    assert {len(images_of(body)) for body in server.bodies} == {0, 1}

    server.answer = lambda request, n: Fault.status(500)
    again = run(folder, *local(server, "judge.endpoint.attempts=1"))
    assert read_records(folder / "verdicts.jsonl", Verdict)[:2] == verdicts[:2], again.stdout
    assert len(server.requests) == asked + 4  # only what had failed is asked for again


def test_responses_to_questions_that_a_review_took_out(folder):
    kept = [q for q in read_records(folder / "questions.jsonl", Question) if q.category == "Answerable"]
    write_records(folder / "questions.reviewed.jsonl", kept)
    reviewed = f"questions={folder / 'questions.reviewed.jsonl'}"
    strict = run(folder, reviewed)
    assert strict.returncode == 1
    assert "no such question: Context_Dependent-0" in strict.stderr
    assert "leave_out_others=true leaves out the responses to them" in strict.stderr
    assert not (folder / "verdicts.jsonl").exists()
    result = run(folder, reviewed, "leave_out_others=true")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 of 16 response(s) are to questions that are not in" in result.stdout
    verdicts = read_records(folder / "verdicts.jsonl", Verdict)
    assert {v.question_id for v in verdicts} == {q.id for q in kept}
    assert len(verdicts) == 8
    summary = json.loads((folder / "verdicts.summary.json").read_text())
    assert summary["responses_to_other_questions"] == 8
