"""A web server on loopback that serves files as badly as it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """A file and what goes wrong with it. `faults` are used up, one a request."""

    body: bytes
    faults: list[str] = field(default_factory=list)
    ranges: bool = True
    etag: str = '"1"'
    type: str = "application/octet-stream"


class FileServer:
    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.redirects: dict[str, str] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.sent: Counter[str] = Counter()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append((self.path, dict(self.headers)))
                if self.path in server.redirects:
                    self.send_response(302)
                    self.send_header("Location", server.redirects[self.path])
                    self.end_headers()
                elif self.path not in server.files:
                    self.send_error(404)
                else:
                    server._serve(self, server.files[self.path])

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def add_json(self, path: str, value: Any) -> None:
        self.files[path] = Served(json.dumps(value).encode(), type="application/json")

    def _serve(self, handler: BaseHTTPRequestHandler, file: Served) -> None:
        fault = file.faults.pop(0) if file.faults else ""
        if fault.isdigit():
            handler.send_response(int(fault))
            handler.send_header("Retry-After", "0")
            handler.end_headers()
            return
        start, wanted = 0, handler.headers.get("Range")
        fresh = handler.headers.get("If-Range") in (None, file.etag)
        if wanted and file.ranges and fresh:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(file.body):
                handler.send_response(416)
                handler.end_headers()
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(file.body) - 1}/{len(file.body)}")
        else:
            handler.send_response(200)
        body = file.body[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Content-Type", file.type)
        if file.etag:
            handler.send_header("ETag", file.etag)
        handler.end_headers()
        send: Callable[[bytes], Any] = handler.wfile.write
        if fault == "truncate":
            send(body[: len(body) // 2])
            self.sent[handler.path] += len(body) // 2
            handler.wfile.flush()
            handler.close_connection = True
            return
        if fault == "stall":
            send(body[: len(body) // 2])
            self.sent[handler.path] += len(body) // 2
            handler.wfile.flush()
            time.sleep(1.5)
            return
        if fault == "slow":
            for at in range(0, len(body), 1000):
                send(body[at : at + 1000])
                self.sent[handler.path] += 1000
                handler.wfile.flush()
                time.sleep(0.01)
            return
        if fault == "garble":
            body = bytes(len(body))
        send(body)
        self.sent[handler.path] += len(body)
