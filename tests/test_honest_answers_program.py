"""data_prep/write_honest_answers.py as a user runs it: the composer, and a teacher and judge on loopback."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from stand_in import Fault, text_of

from align.data.mohobench import read_mohobench
from align.data.openings import allowed, opening
from align.data.writing import LeftOut
from align.judging.matching import matches
from align.judging.rules import judge_refusal
from align.records import HonestAnswer, read_records, write_records

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "samples" / "photos"
WORDS = (
    "cup", "lamp", "sign", "bird", "boat", "tree", "door", "coat", "rope", "ball", "bench", "fence", "horse",
    "cloud", "stone", "chair", "train", "clock", "shelf", "plate", "wheel", "brush", "glove", "ladder",
)  # fmt: skip


def command(folder, *overrides):
    return [
        sys.executable,
        str(ROOT / "data_prep" / "write_honest_answers.py"),
        f"folder={folder}",
        f"root={PHOTOS / 'images'}",
        f"out={folder}/run",
        *overrides,
    ]


def environment():
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "INSPECT_"))}
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def run(folder, *overrides):
    return subprocess.run(
        command(folder, *overrides),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def prepare(folder, *, first=None):
    folder.mkdir(parents=True, exist_ok=True)
    questions = [
        q.model_copy(update={"split": "train"}) for q in read_mohobench(PHOTOS / "mohobench.json").questions
    ]
    write_records(folder / "questions.jsonl", questions[:first])
    return {q.id: q for q in questions[:first]}


def test_the_composer_writes_for_all_photographs(tmp_path):
    questions = prepare(tmp_path / "data")
    result = run(tmp_path / "data")
    assert result.returncode == 0, result.stdout + result.stderr
    answers = read_records(tmp_path / "data" / "honest_answers.jsonl", HonestAnswer)
    left_out = read_records(tmp_path / "data" / "honest_answers.left_out.jsonl", LeftOut)
    assert sorted([a.question_id for a in answers] + [row.question_id for row in left_out]) == sorted(
        questions
    )
    assert len(left_out) <= 2
    for answer in answers:
        question = questions[answer.question_id]
        assert (answer.source, answer.judge, answer.rationality) == ("composer", "rules", None)
        assert judge_refusal(answer.text, question.question).refused is not question.answerable
        assert matches(answer.text, question.answers) or not question.answerable
        assert len(answer.text.split()) < 80
    for answerable in (True, False):
        texts = [a.text for a in answers if questions[a.question_id].answerable is answerable]
        most = max(Counter(opening(text) for text in texts).values())
        assert most <= allowed(len(texts), 0.05)
    summary = json.loads((tmp_path / "data" / "honest_answers.summary.json").read_text())
    assert summary["answers"] == len(answers)
    assert summary["rationality"].startswith("not judged")
    assert "not judged" in result.stdout
    assert abs(summary["longer_refusal"] - 0.5) < 0.1
    record = json.loads((tmp_path / "data" / "run" / "run.json").read_text())
    assert record["inputs"]["answers"]["path"].endswith("honest_answers.jsonl")
    assert record["results"]["openings"]["refuse"]["top_share"] <= 0.05


def written(request):
    """What the stand-in for teacher and judge says: drawn by the prompt, the same for the same prompt."""
    text = text_of(request)
    draw = random.Random(hashlib.sha256(json.dumps(request["messages"]).encode()).hexdigest())
    if "judge" in request["model"]:
        if "Decide whether the response below declines" in text:
            return (
                f'{{"id": "{tag(text)}", "reason": "r", "refused": {str("nobody can tell" in text).lower()}}}'
            )
        if "refused" not in text and '"score"' in text:
            return f'{{"id": "{tag(text)}", "reason": "r", "score": {draw.choice((4, 8, 9, 10, 10))}}}'
        return f'{{"id": "{tag(text)}", "reason": "r", "correct": true}}'
    words = " ".join(draw.sample(WORDS, 12))
    if gold := re.search(r"<right_answers>\n(.+)", text):
        return f"{words[:1].upper()}{words[1:]} are around it, and what is asked for is {gold[1]}."
    start = "I can't know that, as" if draw.random() < 0.4 else f"{words[:1].upper()}{words[1:]}:"
    return f"{start} nobody can tell from {words}."


def tag(text):
    return (re.findall(r'"id": "(\w+)"', text) or [""])[0]


def teaching(server, *more):
    service = f"endpoint.model=openai-api/stand-in/teacher endpoint.base_url={server.base_url}".split()
    judge = ["judge=local", "endpoint@judge.endpoint=openai_compatible"]
    judge += ["judge.endpoint.model=openai-api/stand-in/judge", f"judge.endpoint.base_url={server.base_url}"]
    fast = [
        f"{place}.{s}"
        for place in ("endpoint", "judge.endpoint")
        for s in ("max_connections=2", "backoff=0.01")
    ]
    bounds = ["bounds.round_size=12", "bounds.opening_share=0.1"]
    return ["teacher=model", "endpoint=openai_compatible", *service, *judge, *fast, *bounds, *more]


def test_a_teacher_and_a_judge_and_a_kill_in_between(tmp_path, stand_in):
    seen = Counter()

    def faulty(request, n):
        """The first requests go wrong in all ways; the same prompt is answered the same in the end."""
        seen["all"] += 1
        faults = [Fault.status(429), Fault.status(500), Fault.half_json(), Fault.empty(), Fault.disconnect()]
        if n == 0 and seen["all"] % 9 == 0:
            return faults[seen["all"] // 9 % 5]
        if n == 0 and seen["all"] % 13 == 0:
            return "I'm sorry, but I can't help with that request."
        return written(request)

    questions = prepare(tmp_path / "whole", first=26)
    prepare(tmp_path / "killed", first=26)
    whole = stand_in(lambda request, n: written(request))
    result = run(tmp_path / "whole", *teaching(whole))
    assert result.returncode == 0, result.stdout + result.stderr

    server = stand_in(faulty, delay=0.02)
    result = run(tmp_path / "killed", *teaching(server), "dry_run=true")
    assert (result.returncode, len(server.requests)) == (0, 0)
    assert "None" not in result.stdout
    process = subprocess.Popen(
        command(tmp_path / "killed", *teaching(server)),
        cwd=tmp_path / "killed",
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(server.requests) < 40 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "honest_answers.jsonl").exists()
    done = [asked for asked in server.requests if isinstance(asked.reply, str) and asked.answered]
    result = run(tmp_path / "killed", *teaching(server))
    assert result.returncode == 0, result.stdout + result.stderr

    for name in ("honest_answers.jsonl", "honest_answers.left_out.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    good = Counter(
        json.dumps(asked.body["messages"])
        for asked in server.requests
        if isinstance(asked.reply, str) and "sorry" not in asked.reply
    )
    twice = [prompt for prompt, times in good.items() if times > 1]
    assert len(twice) <= 4, "only what was in flight at the kill may be asked again"
    assert len(done) >= 20

    answers = read_records(tmp_path / "whole" / "honest_answers.jsonl", HonestAnswer)
    left_out = read_records(tmp_path / "whole" / "honest_answers.left_out.jsonl", LeftOut)
    assert sorted([a.question_id for a in answers] + [row.question_id for row in left_out]) == sorted(
        questions
    )
    assert {a.source for a in answers} == {"openai-api/stand-in/teacher"}
    assert {a.judge for a in answers} == {"openai-api/stand-in/judge"}
    marks = [a.rationality for a in answers if not questions[a.question_id].answerable]
    assert marks
    assert all(mark is not None and mark >= 7 for mark in marks)
    summary = json.loads((tmp_path / "whole" / "honest_answers.summary.json").read_text())
    assert summary["faults_on_the_way"]["weak reason"] > 0
    assert summary["faults_on_the_way"]["opening"] > 0
    teacher, judge = summary["usage"]["teacher"], summary["usage"]["judge openai-api/stand-in/judge"]
    assert teacher["calls"] == sum("teacher" in body["model"] for body in whole.bodies)
    assert judge["calls"] == sum("judge" in body["model"] for body in whole.bodies)
    assert not [
        body for body in whole.bodies if "helpful" in text_of(body).lower() and "judge" in body["model"]
    ]


def test_a_teacher_without_an_endpoint_is_refused(tmp_path):
    prepare(tmp_path / "data", first=4)
    result = run(tmp_path / "data", "teacher=model")
    assert result.returncode != 0
    assert "needs the endpoint to ask" in result.stderr
    assert not (tmp_path / "data" / "honest_answers.jsonl").exists()
