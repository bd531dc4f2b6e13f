"""The two calls of OpenAI's form that are no chat: embeddings and moderations, in batches and with a journal.

Every finished text is written to the journal before it counts, so a run that was cut off asks for none again.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock

from align.records import DataError, Problem, stable_id

Path_ = Literal["embeddings", "moderations"]

_WAIT = 60.0  # seconds at most between two attempts


class ServiceError(Exception):
    """A request that cannot be answered; the message says why."""


@dataclass(frozen=True)
class Service:
    """An endpoint that takes a list of texts.

    Attributes:
        path: what is asked for; it is put behind `base_url`.
        key: the environment variable that holds the key; None sends none.
        batch: texts in one request.
        attempts: requests for one batch. One that is refused as a whole is cut in two, so that a single text
            that the endpoint does not take fails alone.
        timeout: seconds for one request.
    """

    path: Path_
    base_url: str
    model: str
    journal: Path
    key: str | None = None
    batch: int = 64
    attempts: int = 4
    timeout: float = 60.0
    backoff: float = 1.0

    def __post_init__(self) -> None:
        if self.batch < 1 or self.attempts < 1:
            raise ValueError(f"{self.path}: batch and attempts must be 1 or more")

    def ask(
        self, texts: Iterable[str], progress: Callable[[int, int], None] | None = None
    ) -> dict[str, Any | ServiceError]:
        """What the endpoint says of each text: a vector [D] or whether it is flagged; or why it has none.

        Raises `ValueError` if the key's variable is not set; `DataError` for a journal that cannot be read.
        """
        wanted = list(dict.fromkeys(texts))
        headers = {}
        if self.key is not None:
            value = os.environ.get(self.key)
            if not value:
                raise ValueError(f"the environment variable {self.key} ({self.path}.key) is not set")
            headers["Authorization"] = f"Bearer {value}"
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.journal}.lock", timeout=0):
            known = _read_journal(self.journal)
            found: dict[str, Any | ServiceError] = {
                text: _value(self.path, known[self._key(text)]) for text in wanted if self._key(text) in known
            }
            todo = [text for text in wanted if text not in found]
            import httpx

            with httpx.Client(headers=headers, timeout=self.timeout) as client:
                for start in range(0, len(todo), self.batch):
                    found |= self._batch(client, todo[start : start + self.batch])
                    if progress is not None:
                        progress(len(found), len(wanted))
        return found

    def _key(self, text: str) -> str:
        return stable_id(self.path, self.model, text)

    def _batch(self, client: Any, texts: Sequence[str]) -> dict[str, Any | ServiceError]:
        try:
            values = self._post(client, texts)
        except ServiceError as error:
            if len(texts) == 1 or not getattr(error, "divisible", False):
                return dict.fromkeys(texts, error)
            half = len(texts) // 2
            return self._batch(client, texts[:half]) | self._batch(client, texts[half:])
        with self.journal.open("a", encoding="utf-8") as stream:
            for text, value in zip(texts, values, strict=True):
                stream.write(json.dumps({"key": self._key(text), "value": value}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        return {text: _value(self.path, value) for text, value in zip(texts, values, strict=True)}

    def _post(self, client: Any, texts: Sequence[str]) -> list[Any]:
        """The values as they stand in the journal, in the order of the texts."""
        import httpx

        why = ""
        for attempt in range(self.attempts):
            wait = min(_WAIT, self.backoff * 2**attempt)
            try:
                reply = client.post(
                    f"{self.base_url.rstrip('/')}/{self.path}",
                    json={"model": self.model, "input": list(texts)},
                )
                if reply.status_code == 200:
                    return _read_reply(self.path, reply.json(), len(texts))
                why = f"status {reply.status_code}: {' '.join(reply.text.split())[:200]}"
                if reply.status_code in (400, 413, 422):
                    error = ServiceError(why)
                    error.divisible = True  # type: ignore[attr-defined]
                    raise error
                if reply.status_code in (401, 403, 404, 405):
                    raise ServiceError(why)
                wait = min(_WAIT, float(reply.headers.get("Retry-After") or wait))
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                why = f"{type(error).__name__}: {error}"
            if attempt + 1 < self.attempts:
                time.sleep(wait)
        raise ServiceError(f"{why} (the last of {self.attempts} attempts)")


def _read_reply(path: Path_, reply: Any, expected: int) -> list[Any]:
    rows = reply["data" if path == "embeddings" else "results"]
    if len(rows) != expected:
        raise ValueError(f"{len(rows)} results for {expected} texts")
    if path == "moderations":
        flags = [row["flagged"] for row in rows]
        if not all(isinstance(flag, bool) for flag in flags):
            raise ValueError("`flagged` must be true or false")
        return flags
    if sorted(row["index"] for row in rows) != list(range(expected)):
        raise ValueError("the indices are not those of the texts")
    vectors = [
        np.asarray(row["embedding"], dtype="<f4") for row in sorted(rows, key=lambda row: row["index"])
    ]
    if any(vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any() for vector in vectors):
        raise ValueError("an embedding must be a list of finite numbers that are not all zero")
    return [base64.b64encode(vector.tobytes()).decode() for vector in vectors]


def _value(path: Path_, stored: Any) -> Any:
    return np.frombuffer(base64.b64decode(stored), dtype="<f4") if path == "embeddings" else bool(stored)


def _read_journal(file: Path) -> dict[str, Any]:
    """What is in the journal. A last line that a kill tore is cut off: it never counted."""
    if not file.exists():
        return {}
    raw = file.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        with file.open("rb+") as stream:
            stream.truncate(len(whole))
    known = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = json.loads(line)
            known[row["key"]] = row["value"]
        except (ValueError, KeyError, TypeError) as error:
            message = f"not a line of this journal ({error}): remove the line, or the file to ask anew"
            raise DataError([Problem(file=str(file), line=number, message=message)]) from error
    return known
