"""Each program that asks a model: killed among its calls and while it writes, and with calls that fail."""

import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from stand_in import Fault, text_of
from warm_programs import WarmPrograms

from align.records import UNANSWERABLE, Question, Response, write_records

pytestmark = pytest.mark.program

PHOTOS = Path(__file__).parents[2] / "samples" / "photos" / "images"
IMAGES = sorted(path.name for path in PHOTOS.iterdir())
KILLS = 5
MODULES = (
    "align.construction.category",
    "align.construction.filter",
    "align.construction.generate",
    "align.construction.hard",
    "align.construction.pictures",
    "align.construction.selecting",
    "align.data.writers",
    "align.data.writing_judge",
    "align.data.writing_summary",
    "align.judging.ensemble",
    "align.judging.files",
    "align.judging.model_judge",
    "hydra.core.hydra_config",
    "scipy.stats",
)


@pytest.fixture(scope="module")
def warm():
    with WarmPrograms(modules=MODULES) as warm:
        yield warm


def draw(request):
    """A number that hangs on the prompt alone."""
    return int.from_bytes(hashlib.sha256(json.dumps(request["messages"]).encode()).digest()[:4], "big")


def words(number):
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return " ".join(f"w{digest[k : k + 6]}" for k in range(0, 54, 6))


def model(request, n):
    """Every model that a program asks; one answer in fifteen only comes when it is asked for again."""
    number, text, name = draw(request), text_of(request), request["model"]
    if n == 0 and number % 15 == 0:  # a few: the client draws a long trace for each
        return [Fault.status(500), Fault.half_json(), Fault.disconnect()][number // 15 % 3]
    if name == "judge":
        tag = (re.findall(r'"id": "(\w+)"', text) or [""])[0]
        label = next(label for label in ("refused", "correct", "score") if f'"{label}"' in text)
        said = {"refused": "nobody can tell" in text, "correct": True, "score": 7 + number % 3}[label]
        return json.dumps({"id": tag, "reason": "because", label: said})
    if name == "checker":
        twin = '"right"' in text
        return json.dumps(
            {"answerable": True, "right": True} if twin else {"answerable": False, "fits": True}
        )
    if name == "generator":
        return json.dumps(
            {
                "caption": "A picture.",
                "question": f"Who gave {words(number)} to them?",
                "reason": "Nobody says so in the picture.",
                "twin_question": f"What is {words(number + 1)} made of?",
                "twin_answers": ["oak"],
            }
        )
    if name == "teacher" and (gold := re.search(r"<right_answers>\n(.+)", text)):
        return f"{words(number).capitalize()} are around it, and what is asked for is {gold[1]}."
    if name == "teacher":
        return f"{words(number).capitalize()}: nobody can tell from that."
    return "It was John." if number % 3 else "I am sorry, nobody can tell that."


def questions(count, **more):
    """Unanswerable ones, each followed by its twin."""
    rows = []
    for k in range(count):
        common = {"image": IMAGES[k % 4], "source": "generated:m", "split": "train"} | more
        rows += [
            Question(
                id=f"q{k}",
                question=f"Who gave {words(k)} to them?",
                category=UNANSWERABLE[k % 4],
                reason="It is not shown.",
                twin=f"t{k}",
                **common,
            ),
            Question(
                id=f"t{k}",
                question=f"What is {words(-k)} made of?",
                category="Answerable",
                answers=("oak",),
                twin=f"q{k}",
                **common,
            ),
        ]
    return rows


def endpoint(place, name, plus=""):
    return [
        f"{plus}endpoint@{place}=openai_compatible",
        f"{place}.model=openai-api/stand-in/{name}",
        f"{place}.base_url=ADDRESS",
        f"{place}.max_connections=3",
        f"{place}.backoff=0.005",
    ]


JUDGE = ["judge=local", *endpoint("judge.endpoint", "judge")]


def to_judge(folder):
    write_records(folder / "questions.jsonl", questions(5))
    texts = ("It was John.", "Sorry, nobody can tell.")
    rows = [
        Response(question_id=q.id, model="m", sample_index=k, text=f"{text} {words(k)}")
        for q in questions(5)
        for k, text in enumerate(texts)
    ]
    write_records(folder / "responses.jsonl", rows)
    return ["folder=.", f"root={PHOTOS}", *JUDGE]


def to_answer(folder):
    write_records(folder / "questions.jsonl", questions(6))
    service = [o.replace("endpoint@endpoint", "endpoint") for o in endpoint("endpoint", "teacher")]
    return ["folder=.", f"root={PHOTOS}", "teacher=model", *service, *JUDGE, "bounds.round_size=6"]


def to_generate(folder):
    (folder / "images").mkdir()
    for name in IMAGES[:4]:
        (folder / "images" / name).symlink_to(PHOTOS / name)
    two = [*endpoint("generators.a", "generator", "+"), *endpoint("generators.b", "generator", "+")]
    return ["folder=.", "images=images", "follow_links=true", "drafts=1", *two]


def to_filter(folder):
    write_records(folder / "candidates.jsonl", questions(8, split=None))
    two = [*endpoint("answerers.a", "answerer", "+"), *endpoint("answerers.b", "other", "+")]
    stages = "stages=[length,hard,category,duplicates]"
    return [
        "folder=.",
        f"images={PHOTOS}",
        *two,
        *endpoint("checker", "checker"),
        *JUDGE,
        stages,
        "hard.at_least=1",
    ]


PROGRAMS = {
    "judge_responses.py": (to_judge, ["verdicts"]),
    "write_honest_answers.py": (to_answer, ["honest_answers", "honest_answers.left_out"]),
    "generate_questions.py": (to_generate, ["candidates", "candidates.dropped"]),
    "filter_questions.py": (
        to_filter,
        ["questions", "questions.dropped", "responses", "responses.dropped", "verdicts", "verdicts.dropped"],
    ),
}


class Gate:
    """Answers some requests, and holds those that come then until the program is dead."""

    def __init__(self):
        self.lock, self.dead = threading.Lock(), threading.Event()
        self.left, self.held = None, 0

    def open_for(self, count):
        self.left, self.dead = count, threading.Event()

    def __call__(self, request, n):
        with self.lock:
            dead, hold = self.dead, self.left == 0
            self.left = self.left - 1 if self.left else self.left
            self.held += hold
        if hold:
            dead.wait(60)
            return Fault.disconnect()
        return model(request, n)


def outputs(folder, names):
    return {name: (folder / f"{name}.jsonl").read_bytes() for name in names}


def answered(server):
    """How often each request got a whole text."""
    return Counter(json.dumps(a.body, sort_keys=True) for a in server.requests if isinstance(a.reply, str))


def check_journals(folder):
    """Nothing was sent for a call whose text was there. Returns how many requests were sent, and how many of
    those were in flight at a kill."""
    sent = lost = 0
    journals = [path for path in folder.rglob("*.jsonl") if '"what": "sent"' in path.read_text()]
    assert journals
    for path in journals:
        done, flying = set(), set()
        for row in map(json.loads, path.read_text().splitlines()):
            call, place = row["call"], (row["call"], row.get("attempt"))
            if row["what"] == "sent":
                assert call not in done, f"{path.name}: {row['key']} was answered, and asked again"
                sent += 1
                flying.add(place)
            elif row["what"] in ("text", "error"):
                flying.discard(place)
                done |= {call} if row["what"] == "text" else set()
            elif row["what"] == "unusable":
                done.discard(call)
        lost += len(flying)
    return sent, lost


@pytest.mark.parametrize("program", PROGRAMS)
def test_kills_change_nothing(stand_in, tmp_path, warm, program):
    prepare, names = PROGRAMS[program]
    dice, folders = random.Random(program), {}
    for name in ("undisturbed", "killed"):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        given = prepare(folders[name])

    def start(server, name):
        arguments = [one.replace("ADDRESS", server.base_url) for one in given]
        return warm.start(program, [*arguments, "out=run"], folders[name])

    whole = stand_in(model)
    run = start(whole, "undisturbed")
    assert run.wait() == 0, run.output.read_text()
    wanted = outputs(folders["undisturbed"], names)
    assert sum(map(len, wanted.values())) > 1000

    gate = Gate()
    server = stand_in(gate, delay=0.002)
    share = len(whole.requests) // (KILLS + 1)
    for _ in range(KILLS):
        before = gate.held
        gate.open_for(dice.randint(0, share))
        run = start(server, "killed")
        end = time.monotonic() + 120
        while gate.held == before:
            assert time.monotonic() < end, run.output.read_text()
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.02))
        run.kill()
        assert run.wait() == -9, run.output.read_text()
        gate.dead.set()
        assert not (folders["killed"] / f"{names[0]}.jsonl").exists()
    gate.open_for(None)
    run = start(server, "killed")
    assert run.wait() == 0, run.output.read_text()
    assert outputs(folders["killed"], names) == wanted

    sent, lost = check_journals(folders["killed"])
    assert KILLS <= lost <= KILLS * 3 * 2
    assert len(server.requests) <= sent
    twice = answered(server) - answered(whole)
    assert sum(twice.values()) <= lost, "an answered request was sent again"
    assert not answered(whole) - answered(server)

    # Nothing is left to ask; and a kill at any moment leaves the files whole.
    requests, begun = len(server.requests), time.monotonic()
    run = start(server, "killed")
    assert run.wait() == 0, run.output.read_text()
    took = time.monotonic() - begun
    run = start(server, "killed")
    time.sleep(took * dice.uniform(0.6, 1))
    run.kill()
    run.wait()
    assert outputs(folders["killed"], names) == wanted
    assert len(server.requests) == requests


BUDGETED = ["judge.endpoint", "endpoint", "generators.a", "answerers.a"]
LISTS = ["verdicts", "honest_answers.left_out", "candidates.dropped", "questions.dropped"]


@pytest.mark.parametrize(("program", "place", "listed"), zip(PROGRAMS, BUDGETED, LISTS, strict=True))
def test_the_last_lines_say_what_failed_and_how_to_go_on(stand_in, tmp_path, warm, program, place, listed):
    prepare, names = PROGRAMS[program]

    def bad(request, n):
        return Fault.status(400) if draw(request) % 4 == 0 else model(request, n=1)

    server = stand_in(bad)
    arguments = [one.replace("ADDRESS", server.base_url) for one in [*prepare(tmp_path), "out=run"]]
    run = warm.start(program, [*arguments, f"{place}.budget.calls=1"], tmp_path)
    assert run.wait() == 1, run.output.read_text()
    said = run.output.read_text()
    assert "the budget of calls=1 is reached" in said
    assert "the same command goes on from there" in said

    begun = len(server.requests)
    run = warm.start(program, arguments, tmp_path)
    assert run.wait() == 0, run.output.read_text()
    failed = sum(isinstance(asked.reply, Fault) for asked in server.requests[begun:])
    assert failed > 1
    line = f"{failed} call(s) failed: see {listed}.jsonl; the same command tries them again"
    assert line in run.output.read_text()
    assert "400: no" in (tmp_path / f"{listed}.jsonl").read_text()

    server.answer = model
    run = warm.start(program, arguments, tmp_path)
    assert run.wait() == 0, run.output.read_text()
    assert "call(s) failed" not in run.output.read_text()
    assert "400: no" not in "".join((tmp_path / f"{name}.jsonl").read_text() for name in names)
