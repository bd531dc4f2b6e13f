"""An OpenAI-compatible server on loopback that answers as it is told, faults included.

    with StandIn(lambda request, n: "A red bus.") as server:
        ...  # endpoint=openai_compatible endpoint.model=openai-api/stand-in/NAME
        ...  # endpoint.base_url=server.base_url, and no key

`answer(request, n)` gets the JSON body of a request and how many requests with the same messages came
before it (so a call that is tried again is n = 1 whatever its seed), and gives the text of the answer,
a `Said` with its log-probabilities, or a `Fault`. It is called from several threads at once.

In tests: the fixture `stand_in` (tests/conftest.py) starts one and closes it with the test, and
`from stand_in import Fault, text_of` works in every test file.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. Made by the functions below."""

    kind: str
    code: int = 200
    seconds: float = 0.0
    then: str = "ok"

    @classmethod
    def status(cls, code: int, retry_after: float = 0.0, says: str = "no") -> Fault:
        """An HTTP error; `retry_after` seconds go into its header when above 0, `says` into its message."""
        return cls("status", code=code, seconds=retry_after, then=says)

    @classmethod
    def half_json(cls) -> Fault:
        """Status 200 and the first half of a body."""
        return cls("half_json")

    @classmethod
    def empty(cls) -> Fault:
        """A whole answer whose text is empty."""
        return cls("empty")

    @classmethod
    def cut_off(cls, text: str) -> Fault:
        """A text that ends at `max_tokens`."""
        return cls("cut_off", then=text)

    @classmethod
    def filtered(cls, text: str = "") -> Fault:
        """A text that the service's filter ended."""
        return cls("filtered", then=text)

    @classmethod
    def stall(cls, seconds: float, then: str = "ok") -> Fault:
        """Nothing for so long, then the answer `then`."""
        return cls("stall", seconds=seconds, then=then)

    @classmethod
    def wrong_encoding(cls) -> Fault:
        """A body in Latin-1 that says it is UTF-8."""
        return cls("wrong_encoding")

    @classmethod
    def lone_surrogate(cls) -> Fault:
        """A text with half of a character, which no UTF-8 file can hold."""
        return cls("lone_surrogate")

    @classmethod
    def web_page(cls) -> Fault:
        """Status 200 and a proxy's HTML."""
        return cls("web_page")

    @classmethod
    def disconnect(cls) -> Fault:
        """The connection is closed without an answer."""
        return cls("disconnect")


@dataclass(frozen=True)
class Said:
    """A text with the log-probability of each of its tokens, which go out where a request asks for them."""

    text: str
    logprobs: tuple[float, ...]


Answer = Callable[[Body, int], "str | Said | Fault"]


@dataclass
class Asked:
    """One request as the server saw it. `answered` is when a whole answer had been written, else None;
    `tokens` are those of input and output that it says it charged."""

    body: Body
    headers: dict[str, str]
    n: int
    arrived: float
    answered: float | None = None
    reply: str | Said | Fault | None = None
    tokens: int = 0


@dataclass
class StandIn:
    """The server. `requests` are all that came, in their order; `most_at_once` the most in work together;
    `models` are the names that it lists."""

    answer: Answer = lambda request, n: "ok"
    delay: float = 0.0
    image_tokens: int = 64
    models: tuple[str, ...] = ()
    requests: list[Asked] = field(default_factory=list)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._working = 0
        self._closing = threading.Event()

    def __enter__(self) -> StandIn:
        stand_in = self

        class Handler(_Handler):
            server_of = stand_in

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def bodies(self) -> list[Body]:
        return [asked.body for asked in self.requests]

    def _take(self, body: Body, headers: dict[str, str]) -> Asked:
        same = json.dumps(body["messages"], sort_keys=True)
        with self._lock:
            asked = Asked(body, headers, self._seen[same], time.monotonic())
            self._seen[same] += 1
            self.requests.append(asked)
            self._working += 1
            self.most_at_once = max(self.most_at_once, self._working)
        return asked

    def _leave(self) -> None:
        with self._lock:
            self._working -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no trouble of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of: StandIn

    def do_GET(self) -> None:
        cards = [{"id": name, "object": "model"} for name in self.server_of.models]
        self._send(200, json.dumps({"object": "list", "data": cards}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = self.server_of._take(body, {name.lower(): value for name, value in self.headers.items()})
        try:
            asked.reply = self.server_of.answer(body, asked.n)
            self.server_of._closing.wait(self.server_of.delay)
            self._reply(asked, asked.reply)
            asked.answered = time.monotonic()
        finally:
            self.server_of._leave()

    def _reply(self, asked: Asked, reply: str | Said | Fault) -> None:
        def completion(
            text: str, ascii: bool = True, reason: str = "stop", logprobs: tuple[float, ...] | None = None
        ) -> bytes:
            return _completion(asked, text, self.server_of.image_tokens, ascii, reason, logprobs)

        if isinstance(reply, str):
            return self._send(200, completion(reply))
        if isinstance(reply, Said):
            return self._send(200, completion(reply.text, logprobs=reply.logprobs))
        match reply.kind:
            case "status":
                extra = {"Retry-After": f"{reply.seconds:g}"} if reply.seconds else {}
                error = {"error": {"message": f"{reply.code}: {reply.then}", "type": "fault"}}
                return self._send(reply.code, json.dumps(error).encode(), extra)
            case "half_json":
                whole = completion("cut off")
                return self._send(200, whole[: len(whole) // 2])
            case "empty":
                return self._send(200, completion(""))
            case "cut_off":
                return self._send(200, completion(reply.then, reason="length"))
            case "filtered":
                return self._send(200, completion(reply.then, reason="content_filter"))
            case "stall":
                self.server_of._closing.wait(reply.seconds)
                return self._send(200, completion(reply.then))
            case "wrong_encoding":
                return self._send(200, completion("Zwölf Äpfel", ascii=False).decode().encode("latin-1"))
            case "lone_surrogate":
                return self._send(200, completion("half \ud83d"))
            case "web_page":
                return self._send(200, b"<html>Sign in</html>", {}, "text/html")
            case "disconnect":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return None
        raise ValueError(f"no such fault: {reply.kind}")

    def _send(
        self, code: int, body: bytes, extra: dict[str, str] | None = None, type: str = "application/json"
    ) -> None:
        self.send_response(code)
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _completion(
    asked: Asked, text: str, image_tokens: int, ascii: bool, reason: str, logprobs: tuple[float, ...] | None
) -> bytes:
    request = asked.body
    written = len(text) // 4 + 1
    read = sum(len(part) for part in (text_of(request), system_of(request))) // 4 + 1
    read += image_tokens * len(images_of(request))
    asked.tokens = read + written
    message = {"role": "assistant", "content": text}
    choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "message": message}
    if logprobs is not None and request.get("logprobs"):
        choice["logprobs"] = {"content": [{"token": "t", "logprob": value} for value in logprobs]}
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": request["model"],
        "choices": [choice],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": asked.tokens},
    }
    return json.dumps(completion, ensure_ascii=ascii).encode()


def text_of(request: Body) -> str:
    """The text of the user's messages."""
    return "\n".join(part["text"] for part in _parts(request, "user") if part["type"] == "text")


def system_of(request: Body) -> str:
    """The text of the system (or developer) message, or ''."""
    return "\n".join(
        part["text"] for part in _parts(request, "system", "developer") if part["type"] == "text"
    )


def images_of(request: Body) -> list[bytes]:
    """The image files that came with the request."""
    return [
        base64.b64decode(part["image_url"]["url"].partition(",")[2])
        for part in _parts(request, "user")
        if part["type"] == "image_url"
    ]


def _parts(request: Body, *roles: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for message in request["messages"]:
        if message["role"] in roles:
            content = message["content"]
            parts += [{"type": "text", "text": content}] if isinstance(content, str) else content
    return parts
