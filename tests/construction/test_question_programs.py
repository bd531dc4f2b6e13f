"""From a folder of photographs to filtered questions, as a user runs it, with faulty endpoints and a kill."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from PIL import Image
from stand_in import Fault, images_of, system_of, text_of

from align.construction.yields import Dropped
from align.records import UNANSWERABLE, Question, Response, Verdict, read_records, write_records

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "samples" / "photos" / "images"
NAMES = ("camera.jpg", "coffee.jpg", "flower.jpg", "rocket.jpg")


def start(program, *overrides, folder):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "data_prep" / program), *map(str, overrides)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(program, *overrides, folder):
    """Status and output of a program run in `folder`, so that nothing lands in the checkout."""
    process = start(program, *overrides, folder=folder)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def endpoint(place, name, server, plus=True, **more):
    """Overrides that put an endpoint of the stand-in at a place of the configuration."""
    settings = {"model": f"openai-api/stand-in/{name}", "base_url": server.base_url, "backoff": 0.01} | more
    return [
        f"{'+' if plus else ''}endpoint@{place}=openai_compatible",
        *(f"{place}.{key}={value}" for key, value in settings.items()),
    ]


@pytest.fixture
def images(tmp_path):
    """Four photographs, one of them in a folder; copies of two, a broken one, and a file that is none."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(PHOTOS / name, folder / ("more" if name == "rocket.jpg" else "") / name)
    shutil.copy(PHOTOS / "camera.jpg", folder / "camera_again.jpg")
    with Image.open(PHOTOS / "coffee.jpg") as image:
        image.resize((300, 200)).save(folder / "coffee_small.png")
    (folder / "cut.jpg").write_bytes((PHOTOS / "flower.jpg").read_bytes()[:-400])
    (folder / "notes.txt").write_text("none")
    return folder


OF_DIGEST = {hashlib.sha256((PHOTOS / name).read_bytes()).hexdigest(): name for name in NAMES}


def image_of(request):
    (data,) = images_of(request)
    return OF_DIGEST[hashlib.sha256(data).hexdigest()]


def words(*key):
    """Nine words that nothing else has."""
    digest = hashlib.sha256(" ".join(key).encode()).hexdigest()
    return [f"w{digest[i : i + 6]}" for i in range(0, 54, 6)]


def wanted(request):
    """The category that a generator is asked for."""
    return next(c for c in UNANSWERABLE if text_of(request).startswith(f"The kind of question is {c}"))


def draft(request):
    image, category, model = image_of(request), wanted(request), request["model"]
    asked = words(image, category, model)
    return json.dumps(
        {
            "caption": f"A picture of {image}.",
            "question": f"Who gave {' '.join(asked)} to them in {image[:-4]}?",
            "reason": "Nobody says so in the picture.",
            "twin_question": f"What is {' '.join(words('twin', *asked))} made of in {image[:-4]}?",
            "twin_answers": ["oak", "oak wood"],
        }
    )


GONE = {
    ("b", "camera.jpg", "Context_Dependent"): "gone",
    ("b", "rocket.jpg", "Vague_Description"): "down",
}


def generator(request, n):
    """Generators with faults: half a JSON once, one that declines, and one that is down for one image."""
    image, category, model = image_of(request), wanted(request), request["model"]
    if (model, image, category) == ("a", "coffee.jpg", "False_Premises") and n == 0:
        return draft(request)[:50]
    gone = GONE.get((model, image, category))
    if gone == "gone":
        return "I'm sorry, but I can't help with that."
    return Fault.status(500) if gone else draft(request)


def test_generated_questions_and_their_twins(tmp_path, images, stand_in):
    server = stand_in(generator, delay=0.02)
    settings = [
        f"images={images}",
        "folder=data",
        "license=CC0",
        *endpoint("generators.a", "a", server, attempts=2, max_connections=2),
        *endpoint("generators.b", "b", server, attempts=2, max_connections=2),
    ]
    status, output = run("generate_questions.py", *settings, "dry_run=true", folder=tmp_path)
    assert (status, len(server.requests)) == (0, 0)
    assert output.count("16 call(s)") == 2
    assert "4 images; 1 broken, 2 that repeat another and 1 other files are left out" in output
    assert "cut.jpg" in output

    # Killed among its calls: nothing is written, and nothing but what was in flight is asked again.
    process = start("generate_questions.py", *settings, folder=tmp_path)
    while len(server.requests) < 8:
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "data/candidates.jsonl").exists()
    status, output = run("generate_questions.py", *settings, folder=tmp_path)
    assert status == 0, output
    times = Counter(json.dumps(body["messages"]) for body in server.bodies)
    assert len(times) == 32
    # Three drafts were asked for twice: a half, a refusal and one that is down.
    assert sum(count - 1 for count in times.values()) <= 3 + 2
    questions = read_records(tmp_path / "data/candidates.jsonl", Question)
    dropped = read_records(tmp_path / "data/candidates.dropped.jsonl", Dropped)
    assert {(d.image, d.category, d.generator, d.reason, d.undecided) for d in dropped} == {
        ("camera.jpg", "Context_Dependent", "b", "not the form", False),
        ("more/rocket.jpg", "Vague_Description", "b", "call failed", True),
    }
    assert "I'm sorry" in next(d.why for d in dropped if not d.undecided)
    assert len(questions) == 2 * (4 * 4 * 2 - 2)
    by_id = {q.id: q for q in questions}
    for question, twin in zip(questions[::2], questions[1::2], strict=True):
        assert (question.answerable, twin.answerable) == (False, True)
        assert by_id[question.twin] is twin
        assert twin.twin == question.id
        assert (question.image, question.caption, question.license) == (twin.image, twin.caption, "CC0")
        assert (question.answers, twin.answers, twin.reason) == ((), ("oak", "oak wood"), None)
        assert question.reason
        assert question.source == f"generated:openai-api/stand-in/{question.metadata['generator']}"
    summary = json.loads((tmp_path / "data/candidates.yield.json").read_text())
    assert summary["yield"]["all"] == {"in": 32, "kept": 30, "undecided": 1, "dropped": {"not the form": 1}}
    assert summary["yield"]["by_generator"]["a"]["kept"] == 16
    assert summary["copies_left_out"] == {"camera_again.jpg": "camera.jpg", "coffee_small.png": "coffee.jpg"}
    # What was asked: three examples of the category, other ones for another image or generator.
    asked = [body for body in server.bodies if wanted(body) == "Vague_Description"]
    shown = {(image_of(b), b["model"]): text_of(b).split("Now the image")[0] for b in asked}
    assert all(text.count("The image: ") == 3 for text in shown.values())
    assert len(set(shown.values())) >= 6
    assert "twin_answers" in system_of(asked[0])
    assert {q.question for q in questions[::2]} | {"gone", "down"} == {
        json.loads(draft(body))["question"] if place not in GONE else GONE[place]
        for body in server.bodies
        for place in [(body["model"], image_of(body), wanted(body))]
    }
    # Again: only what failed or declined is asked anew, and the result is the same.
    before, sent = (tmp_path / "data/candidates.jsonl").read_bytes(), len(server.requests)
    status, output = run("generate_questions.py", *settings, folder=tmp_path)
    assert status == 0, output
    assert {(b["model"], image_of(b), wanted(b)) for b in server.bodies[sent:]} == set(GONE)
    assert (tmp_path / "data/candidates.jsonl").read_bytes() == before


def fate(text):
    """What becomes of a question, by its first word that nothing else has."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 4


class Panel:
    """Answerers x, y and z (z is down at first), a judge, and a checker that breaks one reply off."""

    def __init__(self):
        self.down = True
        self.broken = None

    def __call__(self, request, n):
        text, model = text_of(request), request["model"]
        if model == "judge":
            return json.dumps({"reason": "r", "refused": "It was John" not in text})
        if model == "checker":
            twin = '"right"' in text
            if self.broken and self.broken in text:
                return '{"answerable": false, "fi'
            return json.dumps(
                {"answerable": twin, "right": True} if twin else {"answerable": False, "fits": True}
            )
        if model == "z" and self.down:
            return Fault.status(503)
        # 0: all decline; 1: x and z attempt; 2: x and y; 3: x alone
        attempts = {0: "", 1: "xz", 2: "xy", 3: "x"}[fate(text)]
        return "It was John." if model in attempts else "I can't tell that from the picture."


def written():
    """Eight questions of each category with their twins, two about each photograph."""
    questions = []
    for name, category, number in product(NAMES, UNANSWERABLE, "12"):
        id = f"{name}-{category}-{number}"
        common = {"image": name, "source": "generated:m", "metadata": {"generator": f"g{number}"}}
        asked = f"Who gave {' '.join(words(id))} to them?"
        answered = f"What is {' '.join(words(id, 'twin'))} made of?"
        twin = {"category": "Answerable", "answers": ("oak",), "twin": id}
        questions.append(Question(id=id, question=asked, category=category, twin=f"{id}-twin", **common))
        questions.append(Question(id=f"{id}-twin", question=answered, **twin, **common))
    return questions


def test_filtered_questions(tmp_path, stand_in):
    panel = Panel()
    server = stand_in(panel)
    candidates = written()
    write_records(tmp_path / "data/candidates.jsonl", candidates)
    fates = {q.id: fate(q.question) for q in candidates if not q.answerable}
    assert set(fates.values()) == {0, 1, 2, 3}
    kept_at_last = [q for q in candidates if fates.get(q.id) in (1, 2)]
    panel.broken = kept_at_last[0].question
    first = next(q for q in candidates if q.id == kept_at_last[0].id)

    def filtered(*more):
        return run(
            "filter_questions.py",
            f"images={PHOTOS}",
            "folder=data",
            "hard.at_least=2",
            *(o for name in "xyz" for o in endpoint(f"answerers.{name}", name, server, attempts=1)),
            *endpoint("checker", "checker", server, plus=False, attempts=2),
            "judge=local",
            *endpoint("judge.endpoint", "judge", server, plus=False, attempts=2),
            "stages=[length,hard,category,duplicates]",
            *more,
            folder=tmp_path,
        )

    status, output = filtered("dry_run=true")
    assert (status, len(server.requests)) == (0, 0), output

    status, output = filtered()
    assert status == 1, output
    assert "Stopped: z: " in output  # ten calls in a row without an answer
    dropped = {d.question.id: d for d in read_records(tmp_path / "data/questions.dropped.jsonl", Dropped)}
    assert {
        id for id, d in dropped.items() if d.stage == "hard" and not d.question.answerable and d.undecided
    } == {id for id, f in fates.items() if f in (1, 3)}
    assert {id for id, d in dropped.items() if d.reason == "too few attempts"} == {
        id for id, f in fates.items() if f == 0
    }
    left = {q.id for q in read_records(tmp_path / "data/questions.jsonl", Question)}
    apart = {"": True, ".dropped": False}
    responses, verdicts = (
        [row for part in apart for row in read_records(tmp_path / f"data/{name}{part}.jsonl", kind)]
        for name, kind in (("responses", Response), ("verdicts", Verdict))
    )
    for part, wanted_there in apart.items():
        rows = read_records(tmp_path / f"data/responses{part}.jsonl", Response)
        assert {row.question_id in left for row in rows} <= {wanted_there}
    assert len(responses) == len(verdicts) == 3 * len(fates)
    assert {r.model[-1] for r in responses if r.text is None} == {"z"}
    assert {v.model[-1] for v in verdicts if v.refused is None} == {"z"}

    sampled = Response(question_id=kept_at_last[-1].id, model="mine", model_digest="m", text="A sample.")
    with (tmp_path / "data/responses.jsonl").open("a") as stream:
        stream.write(sampled.model_dump_json() + "\n")
    panel.down = False
    sent = len(server.requests)
    status, output = filtered()
    assert status == 0, output
    again = Counter(body["model"] for body in server.bodies[sent:])
    assert (again["x"], again["y"], again["z"]) == (0, 0, len(fates))
    # The judge is asked about what only z says now, and of nothing but refusals.
    assert again["judge"] == sum(f == 2 for f in fates.values())
    judged = [text_of(body) for body in server.bodies if body["model"] == "judge"]
    assert all('"refused"' in text and '"score"' not in text for text in judged)
    questions = read_records(tmp_path / "data/questions.jsonl", Question)
    dropped = {d.question.id: d for d in read_records(tmp_path / "data/questions.dropped.jsonl", Dropped)}
    responses = read_records(tmp_path / "data/responses.jsonl", Response)
    assert [r for r in responses if r.model == "mine"] == [sampled]  # of another program
    assert len(responses) == 3 * sum(not q.answerable for q in questions) + 1
    assert len(questions) + len(dropped) == len(candidates)
    assert not {q.id for q in questions} & set(dropped)
    assert [q.id for q in questions if not q.answerable] == [q.id for q in kept_at_last if q.id != first.id]
    assert (dropped[first.id].reason, dropped[first.id].undecided) == ("check failed", True)
    assert (dropped[first.twin].reason, dropped[first.twin].undecided) == ("with its question", True)
    assert {q.twin for q in questions if not q.answerable} == {q.id for q in questions if q.answerable}
    assert all(q.metadata["hard"]["attempted"] == 2 for q in questions if not q.answerable)
    summary = json.loads((tmp_path / "data/questions.yield.json").read_text())
    assert [y["stage"] for y in summary["yields"]] == ["length", "hard", "category", "duplicates"]
    assert all(f"yield of {y['stage']}" in output for y in summary["yields"])

    # One stage alone, with no model, over what is there; and a split by image.
    sent = len(server.requests)
    assert "no split yet" in output
    status, output = run(
        "filter_questions.py",
        f"images={PHOTOS}",
        "folder=data",
        "candidates=data/questions.jsonl",
        "questions=data/covering.jsonl",
        "stages=[coverage]",
        "coverage.categories=[Context_Dependent]",
        "split={train:0.5,validation:0,test:0.5}",
        folder=tmp_path,
    )
    there = {q.image: set() for q in questions}
    for q in questions:
        there[q.image].add(q.category)
    covering = {image for image, found in there.items() if "Context_Dependent" in found}
    assert status == 0, output
    left = read_records(tmp_path / "data/covering.jsonl", Question)
    assert {q.image for q in left} == covering
    assert {q.split for q in left} == {"train", "test"}
    assert len({(q.image, q.split) for q in left}) == len(covering)
    assert len(server.requests) == sent


@pytest.mark.parametrize(
    ("program", "overrides", "says"),
    [
        ("generate_questions.py", [f"images={PHOTOS}"], "no generator"),
        ("generate_questions.py", [f"images={PHOTOS}", "categories=[Riddle]"], "categories must be of"),
        ("filter_questions.py", ["stages=[hard]"], "no answerer"),
        ("filter_questions.py", ["stages=[category]"], "no checker"),
        ("measure_questions.py", ["similarity.kind=local"], "similarity.model"),
    ],
)
def test_what_is_missing_is_said(tmp_path, program, overrides, says):
    rows = [
        {"id": "1", "image": "coffee.jpg", "question": "Who?", "category": "False_Premises", "source": "t"}
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"filter_questions.py": [f"images={PHOTOS}", "candidates=q.jsonl"]}.get(program, [])
    given += ["questions=q.jsonl"] if program == "measure_questions.py" else []
    status, output = run(program, *given, *overrides, folder=tmp_path)
    assert status == 1
    assert says in output
