"""Run the server until it is stopped; say where the page is."""

from __future__ import annotations

import signal
import socket
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette

from align.data.report import say
from align.reviewing.access import is_loopback


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a port in use is found before anything else is done. `port` 0 takes a free one.

    Raises `OSError` with what to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(
            f"host={host} port={port} can't be bound ({error.strerror}): give another one"
        ) from error
    return bound


def address(bound: socket.socket, host: str, token: str | None) -> str:
    """Where a browser finds the page, with the token if there is one."""
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{bound.getsockname()[1]}/" + (f"?token={quote(token)}" if token else "")


def serve(app: Starlette, bound: socket.socket, host: str, token: str | None) -> None:
    """Serve until Ctrl-C or SIGTERM. The address is printed when the page can be opened."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # its lines would hold the token
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    bound.listen(128)
    say(f"Review page: {address(bound, host, token)}")
    if not is_loopback(host):
        say("The connection is not encrypted: on a network that others use, tunnel it through ssh instead.")
    say("Every decision is on the disk when the page says that it is saved. Ctrl-C stops and exports.")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:  # uvicorn shuts down and then raises the signal again, for us to end in order
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        bound.close()
