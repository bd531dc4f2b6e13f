"""Embeddings and moderations from a server on loopback, with the faults that real ones have."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from align.construction.services import Service, ServiceError
from align.records import DataError


@contextmanager
def serving(reply):
    """`reply(texts, n)` gives (status, JSON or text) of request n. Yields the address and the requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, body, self.headers.get("Authorization")))
            status, content = reply(body["input"], len(requests) - 1)
            raw = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def embedded(texts, n=0):
    rows = [{"index": i, "embedding": [float(len(text)), 1.0]} for i, text in enumerate(texts)]
    return 200, {"data": rows[::-1]}  # the order is not promised


def moderated(texts, n=0):
    return 200, {"results": [{"flagged": "bad" in text} for text in texts]}


def service(tmp_path, url, path="embeddings", **more):
    return Service(path, url, "name", tmp_path / "j" / "x.jsonl", backoff=0.01, **{"batch": 2} | more)


def test_embeddings_and_moderations_are_kept_and_not_asked_for_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    with serving(embedded) as (url, requests):
        asked = service(tmp_path, url, key="MY_KEY")
        seen = []
        found = asked.ask(["a", "bb", "ccc", "a"], lambda done, total: seen.append((done, total)))
        assert {text: list(vector) for text, vector in found.items()} == {
            "a": [1, 1],
            "bb": [2, 1],
            "ccc": [3, 1],
        }
        assert [body["input"] for _, body, _ in requests] == [["a", "bb"], ["ccc"]]
        assert {(path, key) for path, _, key in requests} == {("/v1/embeddings", "Bearer s3cret")}
        assert seen == [(2, 3), (3, 3)]
        again = asked.ask(["ccc", "a", "d"])
        assert requests[2][1]["input"] == ["d"]
        assert np.array_equal(again["ccc"], found["ccc"])
        replace(asked, model="another").ask(["a"])
        assert len(requests) == 4
    assert "s3cret" not in asked.journal.read_text()
    with serving(moderated) as (url, requests):
        asked = service(tmp_path, url, "moderations")
        assert asked.ask(["a", "bad b"]) == {"a": False, "bad b": True} == asked.ask(["a", "bad b"])
        assert len(requests) == 1


HALF = json.dumps(embedded(["a", "b"])[1])[:40]


@pytest.mark.parametrize(
    "fault",
    [
        (500, "oops"),
        (429, "slow down"),
        (200, HALF),
        (200, "<html>Sign in</html>"),
        (200, {"data": []}),
        (200, {"error": "none"}),
        (200, {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}),
        (200, {"data": [{"index": i, "embedding": [0.0, 0.0]} for i in range(2)]}),
        (200, {"data": [{"index": i, "embedding": [[1.0]]} for i in range(2)]}),
        (200, '{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1.0]}]}'),
    ],
    ids=str,
)
def test_a_fault_is_tried_again_and_then_an_error_and_never_a_value(tmp_path, fault):
    with serving(lambda texts, n: fault if n == 0 else embedded(texts)) as (url, requests):
        assert list(service(tmp_path, url).ask(["a", "b"])["a"]) == [1, 1]
        assert len(requests) == 2
    with serving(lambda texts, n: fault) as (url, requests):
        found = service(tmp_path, url, attempts=3).ask(["a", "c", "d"])
        assert list(found["a"]) == [1, 1]  # from the journal
        assert all(isinstance(found[text], ServiceError) for text in "cd")
        assert "the last of 3 attempts" in str(found["c"])
        assert len(requests) == 3
    with serving(embedded) as (url, _):
        assert list(service(tmp_path, url).ask(["c", "d"])["d"]) == [1, 1]  # a failure was not kept


def test_a_text_that_is_refused_fails_alone(tmp_path):
    with serving(lambda texts, n: (400, "no") if "evil" in texts else moderated(texts)) as (url, _):
        found = service(tmp_path, url, "moderations", batch=8).ask(["a", "b", "evil", "bad"])
    assert {text: value for text, value in found.items() if text != "evil"} == {
        "a": False,
        "b": False,
        "bad": True,
    }
    assert "status 400" in str(found["evil"])


def test_a_key_that_is_refused_is_not_tried_again(tmp_path, monkeypatch):
    with serving(lambda texts, n: (401, "who are you?")) as (url, requests):
        assert "status 401" in str(service(tmp_path, url).ask(["a", "b"])["a"])
        assert len(requests) == 1
        monkeypatch.delenv("MY_KEY", raising=False)
        with pytest.raises(ValueError, match="MY_KEY"):
            service(tmp_path, url, key="MY_KEY").ask(["a"])


def test_a_torn_last_line_is_cut_off_and_a_broken_one_is_an_error(tmp_path):
    with serving(embedded) as (url, requests):
        asked = service(tmp_path, url)
        asked.ask(["a", "b"])
        whole = asked.journal.read_bytes()
        asked.journal.write_bytes(whole[:-7])
        assert list(asked.ask(["b"])["b"]) == [1, 1]
        assert requests[1][1]["input"] == ["b"]
        assert asked.journal.read_bytes() == whole
        asked.journal.write_bytes(b"nonsense\n" + whole)
        with pytest.raises(DataError, match=r"x\.jsonl:1"):
            asked.ask(["b"])


@pytest.mark.program
def test_the_program_measures_by_category_beside_what_the_paper_reports(tmp_path):
    root = Path(__file__).parents[2]
    rows = [json.loads(line) for line in (root / "samples/photos/mohobench.json").read_text().splitlines()]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row | {"source": "photos"}) + "\n" for row in rows))

    def measured(*overrides):
        command = [
            sys.executable,
            str(root / "data_prep/measure_questions.py"),
            "questions=q.jsonl",
            "folder=.",
        ]
        result = subprocess.run(
            [*command, *overrides],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(root), "COLUMNS": "300"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        return result.returncode, result.stdout + result.stderr

    def lines_with(output, start):
        return [
            [cell.strip() for cell in line.split("│")[1:-1]]
            for line in output.splitlines()
            if f"│ {start}" in line
        ]

    status, output = measured()
    assert status == 0, output
    assert "reported, not re-run" in output
    assert lines_with(output, "Self-BLEU-4, exp")[0][-2:] == ["36.78", "42.24"]
    assert lines_with(output, "TF-IDF cosine")[0][-2:] == ["-", "-"]  # never beside 0.39
    assert "not comparable" in output
    found = json.loads((tmp_path / "measures.json").read_text())
    assert [entry["questions"] for entry in found["measures"].values()] == [112, 28, 28, 28, 28, 84]
    assert found["similarity"]["comparable_with_reported"] is False
    assert found["reported_not_rerun"]["MoHoBench"]["self_bleu"] == 36.78

    def reply(texts, n):
        if rows[0]["question"] in texts:
            return 400, "no"
        return (
            moderated(texts)
            if any(path.endswith("moderations") for path, *_ in requests[-1:])
            else embedded(texts)
        )

    with serving(reply) as (url, requests):
        settings = ["similarity.kind=endpoint", "similarity.model=e", f"similarity.base_url={url}"]
        settings += ["moderation.model=m", f"moderation.base_url={url}"]
        status, output = measured(*settings)
        assert status == 1
        assert "1 embeddings failed" in output
        assert "1 moderations failed" in output
        assert lines_with(output, "cosine of e")[0][-2:] == ["0.39", "0.41"]
        blocked = lines_with(output, "blocked by moderation")[0]
        assert (blocked[1], blocked[-2:]) == ("0.90 %", ["0.09 %", "-"])  # one that speaks of a badge, of 111
        measures = json.loads((tmp_path / "measures.json").read_text())["measures"]
        assert measures["all unanswerable"]["moderation"]["failed"] == 1
