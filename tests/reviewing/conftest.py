"""A small review: four questions on two pictures, with twins, and three models' answers."""

import shutil
import uuid
from pathlib import Path

import pytest
from PIL import Image
from review_driver import Server

from align.records import Question, Response
from align.reviewing.events import Event
from align.reviewing.items import question_items, response_items
from align.reviewing.log import EventLog
from align.reviewing.state import Plan, Review

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as engine:
        # No sandbox: it can't be set up by root, nor in many containers.
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def serve(data):
    started = []

    def start(*arguments):
        started.append(Server(data, *arguments))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(folder / "a.jpg")
    Image.new("RGB", (48, 64), (30, 30, 200)).save(folder / "b.png")
    return folder


@pytest.fixture
def questions() -> list[Question]:
    def make(id, image, text, category, **more):
        return Question(id=id, image=image, question=text, category=category, source="test", **more)

    return [
        make("q1", "a.jpg", "Who painted it?", "Context_Dependent", reason="Not signed.", twin="q2"),
        make("q2", "a.jpg", "What color is it?", "Answerable", answers=("red",), twin="q1"),
        make("q3", "b.png", "Where is the dog?", "False_Premises", reason="There is no dog."),
        make("q4", "b.png", "Is it beautiful?", "Subjective_or_Philosophical", reason="Taste."),
    ]


@pytest.fixture
def responses() -> list[Response]:
    return [
        Response(question_id="q1", model="m1", text="Van Gogh did."),
        Response(question_id="q1", model="m2", text="I can't tell: it is not signed."),
        Response(question_id="q3", model="m1", text="Beside the house."),
        Response(question_id="q3", model="m2", error="timeout"),
    ]


class Play:
    """A review in a folder that events are played into; `again()` is what a restarted server sees."""

    def __init__(self, mode, items, folder, plan):
        self.mode, self.items, self.folder, self.plan = mode, items, folder, plan
        self.log = EventLog(folder / "reviews.jsonl", mode)
        self.review = Review(items, self.log, plan)

    def key(self, question_id, model=None):
        (key,) = [
            key
            for key, item in self.items.items()
            if item.question.id == question_id and (model is None or item.response.model == model)
        ]
        return key

    def set(self, who, question_id, model=None, round=1, id=None, **fields):
        key = self.key(question_id, model)
        return self.review.add(
            Event(
                kind="set",
                id=id or uuid.uuid4().hex,
                annotator=who,
                round=round,
                item=key,
                digest=self.items[key].digest,
                fields=fields,
                made="now",
            )
        )

    def rate(self, who, question_id, r, n, d, decision="accept", round=1, **more):
        ratings = {"rationality": r, "novelty": n, "diversity": d}
        return self.set(who, question_id, round=round, **ratings, decision=decision, **more)

    def undo(self, who, event, round=1):
        return self.review.add(
            Event(kind="undo", id=uuid.uuid4().hex, annotator=who, round=round, undoes=event.id, made="now")
        )

    def state(self, who, question_id, model=None, round=1):
        return self.review.state(who, round, self.key(question_id, model))

    def again(self):
        self.log.close()
        return Play(self.mode, self.items, self.folder, self.plan)


@pytest.fixture
def play(tmp_path, questions, responses):
    """`play(mode, **plan)`: a new review."""
    open_ = []

    def make(mode="questions", folder=tmp_path / "out", **plan):
        items = (question_items if mode == "questions" else response_items)(questions, responses)
        open_.append(Play(mode, items, folder, Plan(**plan)))
        return open_[-1]

    yield make
    for one in open_:
        one.log.close()
