"""`data_prep/sample_responses.py` against an endpoint, as a user runs it and as a power cut ends it."""

import hashlib
import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from stand_in import Fault, images_of, text_of
from warm_programs import WarmPrograms

from align.calling.digests import request_seed
from align.records import Question, Response, read_records, write_records

pytestmark = pytest.mark.program

PHOTOS = Path(__file__).parents[2] / "samples" / "photos" / "images"
KEY = "sk-never-to-be-written-down"
KILLS = 20
QUESTIONS, SAMPLES, CONNECTIONS = 40, 3, 4


@pytest.fixture(scope="module")
def warm():
    with WarmPrograms({"STAND_IN_API_KEY": KEY}) as warm:
        yield warm


def a_folder(folder):
    """A folder as ingest.py leaves it, with photographs."""
    images = sorted(PHOTOS.iterdir())
    folder.mkdir()
    write_records(
        folder / "questions.jsonl",
        [
            Question(
                id=f"q{k}",
                image=images[k % len(images)].name,
                question=f"What will happen to thing {k} next?",
                category="Context_Dependent",
                source="s",
                split="train",
            )
            for k in range(QUESTIONS)
        ],
    )
    return folder


def arguments(server, **more):
    given = {
        "folder": ".",
        "root": PHOTOS,
        "endpoint": "openai_compatible",
        "endpoint.model": "openai-api/stand-in/m",
        "endpoint.base_url": server.base_url,
        "endpoint.max_connections": CONNECTIONS,
        "endpoint.attempts": 6,
        "endpoint.backoff": 0.005,
        "sampling.samples": SAMPLES,
        "out": "run",
    }
    return [f"{name}={value}" for name, value in (given | more).items()]


def requests_arrive(server, count, run):
    end = time.monotonic() + 180
    while len(server.requests) < count:
        assert time.monotonic() < end, run.output.read_text()
        time.sleep(0.001)


def faulty():
    """A model whose answer hangs on the request alone. One request in nine never has a usable text; of the
    others, one in six fails when it first comes, in a way that passes."""
    passing = [Fault.status(500), Fault.status(429), Fault.half_json(), Fault.disconnect()]
    seen = set()

    def answer(request, n):
        text = f"{text_of(request)[20:-6]}, by chance {request['seed']}"
        draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        if draw % 9 == 0:
            return Fault.empty()
        if draw % 6 == 0 and text not in seen:
            seen.add(text)
            return passing[draw // 6 % 4]
        return text

    return answer


def sent_requests(journal):
    """(key, seed, what became of it) for each request that the journal says was sent."""
    refused, requests = Counter(), {}
    for line in map(json.loads, journal.read_text().splitlines()):
        key = line["key"]
        if line["what"] == "sent":
            requests[key, line["attempt"]] = [key, request_seed(0, key, refused[key]), "in flight"]
        elif line["what"] in ("text", "error"):
            requests[key, line["attempt"]][2] = line["what"]
        elif line["what"] == "unusable":
            refused[key] += 1
    return [tuple(request) for request in requests.values()]


def question_of(key):
    return f"What will happen to thing {key.partition('/')[0][1:]} next?"


def test_a_run_from_estimate_to_responses(stand_in, tmp_path, warm):
    server = stand_in()
    folder = a_folder(tmp_path / "folder")
    price = {"endpoint.price.input": 2.5, "endpoint.price.output": 10, "limit": 7}

    run = warm.start("sample_responses.py", arguments(server, dry_run="true", **price), folder)
    assert run.wait() == 0, run.output.read_text()
    assert "21 call(s) to openai-api/stand-in/m, 0 more in the journal: at most" in run.output.read_text()
    assert ", $" in run.output.read_text()
    assert (server.requests, sorted(p.name for p in folder.glob("responses*"))) == ([], [])

    other = Response(question_id="q1", model="another", model_digest="d", text="Mine.", sample_index=1)
    write_records(folder / "responses.jsonl", [other])
    run = warm.start("sample_responses.py", arguments(server, **price), folder)
    assert run.wait() == 0, run.output.read_text()
    rows = read_records(folder / "responses.jsonl", Response)
    assert rows[0] == other
    assert len(rows) == 1 + 21
    assert (rows[1].model, rows[1].text) == ("openai-api/stand-in/m", "ok")
    assert rows[1].decoding == {"temperature": 1.0, "top_p": 0.95, "max_new_tokens": 256, "seed": 0}
    assert all(len(images_of(body)) == 1 for body in server.bodies)
    results = json.loads((folder / "run" / "run.json").read_text())["results"]
    assert (results["finished"], results["requests"]) == (21, 21)
    assert 0 < results["dollars"] < 0.1

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) >= 5
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "hub"}, "model=hub does nothing here: it is for a model of this process"),
        ({"sampling.batch_size": 2}, "sampling.batch_size=2 does nothing here"),
        ({"sampling.temperature": 0}, "samples > 1 needs a temperature above 0"),
        ({"endpoint.budget.dollars": 1}, "set endpoint.price.input and endpoint.price.output"),
        ({"root": "nowhere"}, "is root= right?"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_anything_is_sent(
    stand_in, tmp_path, warm, more, message
):
    server = stand_in()
    folder = a_folder(tmp_path / "folder")
    run = warm.start("sample_responses.py", arguments(server, **more), folder)
    assert run.wait() == 1
    assert message in run.output.read_text()
    assert (server.requests, (folder / "responses.jsonl").exists()) == ([], False)


def test_twenty_kills_change_nothing(stand_in, tmp_path, warm):
    server = stand_in(faulty())
    undisturbed = a_folder(tmp_path / "undisturbed")
    run = warm.start("sample_responses.py", arguments(server), undisturbed)
    assert run.wait() == 0, run.output.read_text()

    server = stand_in(faulty(), delay=0.01)
    folder = a_folder(tmp_path / "killed")
    dice = random.Random(4)
    for _ in range(KILLS):
        before, enough = len(server.requests), dice.choice([0, 1, 2, 4, 6])
        run = warm.start("sample_responses.py", arguments(server), folder)
        requests_arrive(server, before + enough, run)
        time.sleep(dice.uniform(0, 0.03 if enough else 0.5))
        run.kill()
        assert run.wait() == -9, run.output.read_text()
    journal = folder / "responses.journal.jsonl"
    assert '"in flight"' not in journal.read_text()
    assert not (folder / "responses.jsonl").exists(), "it ended before the last kill: ask more questions"
    run = warm.start("sample_responses.py", arguments(server), folder)
    assert run.wait() == 0, run.output.read_text()

    responses = (folder / "responses.jsonl").read_bytes()
    assert responses == (undisturbed / "responses.jsonl").read_bytes()
    rows = read_records(folder / "responses.jsonl", Response)
    asked = [(f"q{n}", k) for k in range(SAMPLES) for n in range(QUESTIONS)]
    assert [(row.question_id, row.sample_index) for row in rows] == asked
    assert all(row.text and not row.error for row in rows)
    assert len({row.text for row in rows}) == len(rows)

    sent = sent_requests(journal)
    texts = Counter((key, seed) for key, seed, became in sent if became == "text")
    assert max(texts.values()) == 1, "an answered request was sent again"
    lost = Counter((question_of(key), seed) for key, seed, became in sent if became == "in flight")
    assert 0 < sum(lost.values()) <= KILLS * CONNECTIONS
    # The server's own log: it got nothing that the journal does not know of, and the same request again only
    # where it had answered with a fault, or a kill had come before the answer.
    arrived = Counter((text_of(asked.body), asked.body["seed"]) for asked in server.requests)
    assert arrived <= Counter((question_of(key), seed) for key, seed, _ in sent)
    answered = Counter(
        (text_of(asked.body), asked.body["seed"])
        for asked in server.requests
        if isinstance(asked.reply, str) or asked.reply.kind == "empty"
    )
    assert all(count - 1 <= lost[request] for request, count in answered.items())

    # Nothing is left to do: the same command sends nothing and changes nothing.
    requests = len(server.requests)
    run = warm.start("sample_responses.py", arguments(server), folder)
    assert (run.wait(), len(server.requests)) == (0, requests)
    assert (folder / "responses.jsonl").read_bytes() == responses


def test_kills_while_the_file_is_written(stand_in, tmp_path, warm):
    server = stand_in()
    folder = a_folder(tmp_path / "folder")
    whole = None
    for wait in [None, 0.3, 0.4, 0.5, 0.6]:
        run = warm.start("sample_responses.py", arguments(server), folder)
        if wait is None:
            assert run.wait() == 0, run.output.read_text()
            whole = (folder / "responses.jsonl").read_bytes()
        else:
            time.sleep(wait)
            run.kill()
            run.wait()
        assert (folder / "responses.jsonl").read_bytes() == whole


def test_kills_do_not_let_the_budget_be_passed(stand_in, tmp_path, warm):
    server = stand_in(delay=0.01)
    folder = a_folder(tmp_path / "folder")
    budget = {"endpoint.budget.calls": 50}
    dice = random.Random(5)
    for _ in range(5):
        before = len(server.requests)
        run = warm.start("sample_responses.py", arguments(server, **budget), folder)
        requests_arrive(server, before + 5, run)
        time.sleep(dice.uniform(0, 0.02))
        run.kill()
        assert run.wait() == -9, run.output.read_text()
    run = warm.start("sample_responses.py", arguments(server, **budget), folder)
    assert run.wait() == 1
    said = run.output.read_text()
    assert "the budget of calls=50 is reached: raise endpoint.budget.calls to go on" in said
    assert len(server.requests) <= 50
    sent = sent_requests(folder / "responses.journal.jsonl")
    assert len(sent) == 50
    # What is finished is in the file, in the questions' order.
    rows = read_records(folder / "responses.jsonl", Response)
    assert len(rows) == sum(became == "text" for _, _, became in sent)
    numbers = [(row.sample_index, int(row.question_id[1:])) for row in rows]
    assert numbers == sorted(numbers)


def test_ctrl_c_waits_for_what_is_in_flight_and_the_same_command_goes_on(stand_in, tmp_path, warm):
    server = stand_in(delay=0.3)
    folder = a_folder(tmp_path / "folder")
    run = warm.start("sample_responses.py", arguments(server), folder)
    requests_arrive(server, CONNECTIONS + 2, run)
    run.interrupt()
    assert run.wait() == 130
    said = run.output.read_text()
    assert "in flight; Ctrl-C again leaves them" in said
    assert "interrupted. What is finished is kept; the same command goes on from there." in said
    assert "Traceback" not in said
    rows = read_records(folder / "responses.jsonl", Response)
    assert len(rows) == len(server.requests) < QUESTIONS * SAMPLES
    server.delay = 0.0
    run = warm.start("sample_responses.py", arguments(server), folder)
    assert run.wait() == 0, run.output.read_text()
    assert len(server.requests) == QUESTIONS * SAMPLES
    server.delay = 30.0
    run = warm.start("sample_responses.py", arguments(server, **{"sampling.seed": 1}), folder)
    requests_arrive(server, QUESTIONS * SAMPLES + 1, run)
    run.interrupt()
    time.sleep(0.2)
    run.interrupt()
    assert run.wait() == 130, "the second Ctrl-C waits for nothing"
