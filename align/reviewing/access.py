"""Who may talk to the server: the right host name, the right origin, and off loopback the right token."""

from __future__ import annotations

import hashlib
import hmac
import html
import ipaddress
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_VARIABLE = "MOHOALIGN_REVIEW_TOKEN"
MOST_BYTES = 1 << 20  # of one request

# Everything comes from this server; nothing runs but its own scripts, and nobody frames the page.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether an address to bind is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_token(host: str, folder: Path) -> str | None:
    """The token that a server on `host` demands: none on loopback, unless one is given.

    It is the environment's (so that it stands in no configuration file and no list of processes), or else one
    that is made once and kept in `folder`, readable by its owner only: a restarted server takes the same.

    Raises `ValueError` for a given token that is easily guessed.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given is not None:
        if len(given) < 16:
            raise ValueError(f"{TOKEN_VARIABLE} has {len(given)} characters: give 16 or more")
        return given
    if is_loopback(host):
        return None
    file = folder / "review.token"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_urlsafe(24))
    token = file.read_text().strip()
    if len(token) < 16:
        raise ValueError(f"{file} holds no token: remove it, and a new one is made")
    return token


def known_hosts(host: str, more: tuple[str, ...] = ()) -> frozenset[str]:
    """Host names that the page may be reached by, beside addresses in digits."""
    names = {"localhost", host, *more}
    if not is_loopback(host):
        names |= {socket.gethostname(), socket.getfqdn()}
    return frozenset(name.lower() for name in names)


class Guard:
    """ASGI middleware: refuses what comes under a foreign name, from a foreign page, or without the token.

    A page of an attacker's can make its own name point to this machine (DNS rebinding) and would then be
    of one origin with the server; the name in `Host` gives it away. An address in digits cannot be rebound.
    """

    def __init__(self, app: ASGIApp, *, host: str, token: str | None, hosts: frozenset[str]) -> None:
        self.app, self.loopback, self.token, self.hosts = app, is_loopback(host), token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, _limited(receive), send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._known(host):
            return PlainTextResponse(
                f"This server is not known as {host!r}. Open it by its address, or add the name to "
                "`allowed_hosts`.\n",
                421,
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return PlainTextResponse("Another site's page may not use this server.\n", 403)
        if int(headers.get("content-length") or 0) > MOST_BYTES:
            return PlainTextResponse(f"More than {MOST_BYTES} bytes.\n", 413)
        return self._without_token(scope) if self.token is not None else None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # brackets without an address in them
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.hosts
        return address.is_loopback or not self.loopback

    def _without_token(self, scope: Scope) -> Response | None:
        assert self.token is not None
        name, expected = cookie_of(self.token)
        if _equal(HTTPConnection(scope).cookies.get(name, ""), expected):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and _equal(given, self.token):
            # On to the page without the token in its address, where histories and screenshots keep it.
            response: Response = RedirectResponse("/", 303)
            # Lax: with `strict` a link in a chat would lead to the page without the cookie.
            response.set_cookie(name, expected, max_age=30 * 86400, httponly=True, samesite="lax")
            return response
        if scope["path"].startswith("/api/"):
            return PlainTextResponse("The token is missing or wrong.\n", 401)
        return HTMLResponse(_asks_for_token(bool(given)), 401)


def _asks_for_token(wrong: bool) -> str:
    what = "That is not the token." if wrong else "This review asks for a token."
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<meta name=color-scheme content='light dark'><title>Token</title>"
        f"<form action='/'><h1>{html.escape(what)}</h1>"
        "<p>The one who started the server has it: it is at the end of the address that was printed.</p>"
        "<p><label>Token <input name=token type=password autofocus autocomplete=off></label> "
        "<button>Open</button></p></form></html>"
    )


def cookie_of(token: str) -> tuple[str, str]:
    """Name and value of the cookie: not the token itself, and one a token, since ports share cookies."""
    value = hmac.new(token.encode(), b"mohoalign review cookie", hashlib.sha256).hexdigest()
    return f"mohoalign_review_{value[:8]}", value[8:]


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _limited(receive: Receive) -> Receive:
    """Stop reading a body that is longer than it said."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MOST_BYTES:
            return {"type": "http.disconnect"}
        return message

    return limited
