"""The server as a browser, a hostile page and a stranger see it."""

import stat
import uuid
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from align.records import Question
from align.reviewing import log as log_module
from align.reviewing.access import TOKEN_VARIABLE, cookie_of, find_token, is_loopback, known_hosts
from align.reviewing.app import PAGE, Site, make_app
from align.reviewing.items import question_items
from align.reviewing.log import EventLog
from align.reviewing.state import Plan, Review

TOKEN = "a-token-of-enough-length"


@pytest.fixture
def server(play, root, tmp_path):
    """`server(...)`: a client of a new review, and the review."""

    def make(mode="questions", host="127.0.0.1", token=None, hosts=(), **plan):
        one = play(mode, **plan)
        site = Site(one.review, root, tmp_path / "out")
        app = make_app(site, host=host, token=token, hosts=known_hosts(host, hosts))
        return TestClient(app, base_url="http://127.0.0.1:8765"), one

    return make


def event(one, question_id, who="ana", **fields):
    key = one.key(question_id)
    return {
        "kind": "set", "id": uuid.uuid4().hex, "annotator": who, "round": 1, "item": key,
        "digest": one.items[key].digest, "fields": fields, "made": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def send(client, one, body, **headers):
    return client.post("/api/events", json=body, headers={"x-review": one.log.header.review, **headers})


def test_from_the_first_page_to_a_decision(server):
    client, one = server()
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for file in PAGE.iterdir():
        assert client.get(f"/page/{file.name}").content == file.read_bytes()
    setup = client.get("/api/setup").json()
    assert (setup["mode"], setup["items"]) == ("questions", 4)
    queue = client.get("/api/queue?annotator=ana").json()
    assert [done for _, _, done in queue["items"]] == [False] * 4
    key = one.key("q1")
    item = client.get(f"/api/item/{key}?annotator=ana").json()
    assert item["question"] == "Who painted it?"
    assert item["twin"]["question"] == "What color is it?"
    assert [r["model"] for r in item["responses"]] == ["m1", "m2"]
    assert item["state"] == {}
    first = event(one, "q1", rationality=3, novelty=2, diversity=1)
    assert send(client, one, first).json()["state"] == {"rationality": 3, "novelty": 2, "diversity": 1}
    accept = event(one, "q1", decision="accept")
    assert send(client, one, accept).json()["state"]["decision"] == "accept"
    assert send(client, one, accept).status_code == 200  # the same again is the same
    undo = {
        "kind": "undo",
        "id": uuid.uuid4().hex,
        "annotator": "ana",
        "round": 1,
        "undoes": accept["id"],
        "made": "x",
    }
    reply = send(client, one, undo).json()
    assert reply["item"] == key
    assert "decision" not in reply["state"]
    assert send(client, one, undo).json() == reply
    assert len(one.log.path.read_text().splitlines()) == 4
    again = event(one, "q1", novelty=3)
    assert send(client, one, again).json()["state"] == {"rationality": 3, "novelty": 3, "diversity": 1}
    queue = client.get("/api/queue?annotator=ana").json()
    before = {"rationality": 3, "novelty": 2, "diversity": 1}  # taking it back leads there
    assert queue["trail"] == [[first["id"], key, {}], [again["id"], key, before]]
    assert client.get("/api/agreement").json()["progress"]["ana"] == {"items": 4, "done": 0}
    exported = client.post("/api/export", json={}).json()
    assert exported["questions"]["without a finished opinion"] == 4
    assert (one.folder / "questions.reviewed.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"fields": {"rationality": 9}}, 422, "from 1 to 3"),
        ({"item": "nowhere"}, 409, "not in this review"),
        ({"digest": "old"}, 409, "was changed since"),
        ({"annotator": "<b>"}, 422, "annotator"),
        ({"id": "1"}, 422, "id"),
        ({"kind": "draw"}, 422, "items"),
        ({"round": 3}, 422, "round"),
        ({"extra": 1}, 422, "extra"),
        ({"received": "x" * 10, "undoes": "y"}, 422, "undoes"),
    ],
)
def test_a_bad_event_is_refused_and_leaves_no_trace(server, change, status, message):
    client, one = server()
    reply = send(client, one, event(one, "q1", rationality=1) | change)
    assert reply.status_code == status
    assert message in reply.json()["error"]
    assert len(one.log.path.read_text().splitlines()) == 1


def test_a_body_that_is_no_event(server):
    client, one = server()
    headers = {"x-review": one.log.header.review, "content-type": "application/json"}
    for body in (b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000):
        assert client.post("/api/events", content=body, headers=headers).status_code == 422
    # What a form of another site can send without asking.
    form = client.post("/api/events", data={"kind": "set"}, headers={"x-review": one.log.header.review})
    assert form.status_code == 422
    assert client.post("/api/events", content=b"x" * (2 << 20), headers=headers).status_code == 413
    # The server's clock is not the browser's to set.
    send(client, one, event(one, "q1", rationality=1) | {"received": "1999"})
    assert "1999" not in one.log.path.read_text()


def test_a_page_of_another_review_cannot_write_here(server):
    client, one = server()
    reply = send(client, one, event(one, "q1", rationality=1), **{"x-review": "0" * 32})
    assert reply.status_code == 412
    assert one.state("ana", "q1") == {}


def test_a_disk_that_fails_is_no_success(server, monkeypatch):
    client, one = server()

    def fail(handle):
        raise OSError(28, "No space left on device")

    body = event(one, "q1", rationality=1)
    with monkeypatch.context() as patch:
        patch.setattr(log_module.os, "fsync", fail)
        reply = send(client, one, body)
    assert reply.status_code == 503
    assert "disk full" in reply.json()["error"]
    assert send(client, one, body).status_code == 200


def test_second_pass_shows_nothing_of_the_first(server):
    client, one = server(second_pass=1.0)
    assert client.post("/api/second-pass", json={"annotator": "ana"}).status_code == 422
    for question in ("q1", "q2", "q3", "q4"):
        one.rate("ana", question, 3, 3, 3)
    assert client.get("/api/queue?annotator=ana").json()["second"]["ready"]
    assert client.post("/api/second-pass", json={"annotator": "ana"}).json() == {"items": 4}
    queue = client.get("/api/queue?annotator=ana&round=2").json()
    assert [done for *_, done in queue["items"]] == [False] * 4
    assert queue["trail"] == []
    item = client.get(f"/api/item/{one.key('q1')}?annotator=ana&round=2").json()
    assert item["state"] == {}
    again = event(one, "q1", rationality=1) | {"round": 2}
    assert send(client, one, again).json()["state"] == {"rationality": 1}
    assert client.get("/api/agreement").json()["self"] == {}


def test_names_of_models_are_not_shown_to_those_who_judge(server):
    client, one = server("responses")
    text = client.get("/api/queue?annotator=ana").text
    for key in one.items:
        text += client.get(f"/api/item/{key}?annotator=ana").text
    assert "Van Gogh did" in text
    assert "m1" not in text
    assert "m2" not in text


def test_images_are_those_of_items_and_nothing_else(server, root):
    client, one = server()
    reply = client.get(f"/image/{one.key('q1')}/0")
    assert reply.content == (root / "a.jpg").read_bytes()
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["x-content-type-options"] == "nosniff"
    for path in (
        f"/image/{one.key('q1')}/1", f"/image/{one.key('q1')}/-1", "/image/none/0", "/page/../app.py",
        "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/image/..%2f..%2fetc%2fpasswd/0", "/page//etc/passwd",
    ):  # fmt: skip
        assert client.get(path).status_code == 404, path
    # Swapped for a link out of the root after the start, or broken: an error, never the file.
    (root / "a.jpg").unlink()
    (root / "a.jpg").symlink_to("/etc/hostname")
    assert client.get(f"/image/{one.key('q1')}/0").status_code == 422
    (root / "b.png").write_bytes(b"<script>alert(1)</script>")
    reply = client.get(f"/image/{one.key('q3')}/0")
    assert reply.status_code == 422
    assert "cannot be shown" in reply.json()["error"]


def test_a_kind_of_image_that_browsers_lack_is_sent_as_png(tmp_path, root):
    Image.new("RGB", (9, 7), (1, 2, 3)).save(root / "c.tiff")
    items = question_items(
        [Question(id="q", image="c.tiff", question="?", category="False_Premises", source="test")], []
    )
    with EventLog(tmp_path / "out" / "reviews.jsonl", "questions") as log:
        site = Site(Review(items, log, Plan()), root, tmp_path / "out")
        app = make_app(site, host="127.0.0.1", token=None, hosts=known_hosts("127.0.0.1"))
        reply = TestClient(app, base_url="http://localhost").get(f"/image/{next(iter(items))}/0")
    assert reply.headers["content-type"] == "image/png"
    assert reply.content.startswith(b"\x89PNG")


def test_hostile_texts_are_data(server, questions, responses):
    """They leave the server as JSON only; that the page shows them as text is tested in the browser."""
    client, one = server()
    assert "Who painted it?" not in client.get("/").text
    reply = client.get(f"/api/item/{one.key('q1')}?annotator=ana")
    assert reply.headers["content-type"] == "application/json"


# --- who may talk to it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:9000", 200),  # through a tunnel the port is another
        ("[::1]:8765", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8765", 421),
        ("192.168.1.5:8765", 421),
        ("[bad", 421),
        ("", 421),
    ],
)
def test_a_rebound_name_is_turned_away(server, host, status):
    client, _ = server()
    assert client.get("/api/setup", headers={"host": host}).status_code == status


def test_an_allowed_name_is_let_in(server):
    client, _ = server(hosts=("review.lab.example",))
    assert client.get("/", headers={"host": "review.lab.example"}).status_code == 200
    assert client.get("/", headers={"host": "other.lab.example"}).status_code == 421


def test_another_sites_page_is_turned_away(server):
    client, one = server()
    body = event(one, "q1", rationality=1)
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        assert send(client, one, body, origin=origin).status_code == 403
    assert one.state("ana", "q1") == {}
    assert send(client, one, body, origin="http://127.0.0.1:8765").status_code == 200


def test_off_loopback_a_token_is_demanded(server):
    client, one = server(host="0.0.0.0", token=TOKEN)
    client.base_url = "http://192.168.1.5:8765"
    for path in (
        "/",
        "/page/review.js",
        "/api/setup",
        f"/image/{one.key('q1')}/0",
        "/?token=wrong",
        "/?token=",
    ):
        reply = client.get(path, follow_redirects=False)
        assert reply.status_code == 401, path
        assert TOKEN not in reply.text
    assert "That is not the token" in client.get("/?token=wrong").text
    assert client.get(f"/api/setup?token={TOKEN}").status_code == 401  # on the first page only
    assert send(client, one, event(one, "q1", rationality=1)).status_code == 401
    reply = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert TOKEN not in cookie
    assert client.get("/").status_code == 200
    assert send(client, one, event(one, "q1", rationality=1)).status_code == 200
    client.cookies.clear()
    client.cookies.set(cookie_of(TOKEN)[0], cookie_of("another token of length")[1])
    assert client.get("/").status_code == 401
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421


def test_tokens(tmp_path, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert find_token("127.0.0.1", tmp_path) is None
    token = find_token("0.0.0.0", tmp_path)
    assert len(token) >= 32
    assert find_token("192.168.1.5", tmp_path) == token  # a restarted server lets the same browsers in
    assert stat.S_IMODE((tmp_path / "review.token").stat().st_mode) == 0o600
    monkeypatch.setenv(TOKEN_VARIABLE, "short")
    with pytest.raises(ValueError, match="16 or more"):
        find_token("0.0.0.0", tmp_path)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert find_token("127.0.0.1", tmp_path) == TOKEN
    monkeypatch.delenv(TOKEN_VARIABLE)
    Path(tmp_path / "review.token").write_text("")
    with pytest.raises(ValueError, match="holds no token"):
        find_token("0.0.0.0", tmp_path)


def test_loopback():
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "example.org")] == [False] * 4
