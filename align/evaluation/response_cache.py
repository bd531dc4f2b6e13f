"""Responses kept as they come, so that nothing is asked twice.

One SQLite file holds the responses of any number of models and tasks. A response is found again by a digest
of all that decides it: the subject (weights, adapter, processor, settings), the decoding, the messages with
the content of their images, the tools and the epoch. A call that failed is not kept. The file outlives a kill
at any moment and may be used by several processes at once (write-ahead log: on a local disk, not a network
share). One that a process has `alone` may lie anywhere.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelCall, ModelOutput
from inspect_ai.tool import ToolChoice, ToolInfo
from inspect_ai.util._concurrency import _request_was_cache_hit  # Inspect's own cache says it with this

from align.evaluation.wrapping import WrappedAPI, current_epoch

_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS responses (
    key TEXT PRIMARY KEY,    -- digest of all that decides the response
    model TEXT NOT NULL,     -- digest of the subject, to see whose it is
    at REAL NOT NULL,        -- seconds since 1970
    seconds REAL NOT NULL,   -- from the call to the response; a row of a batch takes as long as its batch
    output TEXT NOT NULL     -- Inspect's ModelOutput as JSON: text, stop reason, tokens, log-probability
)
"""
_BUSY = 60.0
"""Seconds to wait for another process that writes."""

_NO_RESPONSE = ("content_filter", "model_length")
"""Stop reasons with which a provider puts the endpoint's complaint where the text belongs."""

_HOW_IT_IS_SENT = frozenset(
    {
        "max_retries",
        "timeout",
        "attempt_timeout",
        "stream_idle_timeout",
        "max_connections",
        "adaptive_connections",
        "max_tool_output",
        "cache_prompt",
        "fail_on_refusal",
        "cache",
        "batch",
    }
)
"""Generation settings that don't change a response."""
_CHANCE = {"id", "source", "metadata", "model", "timestamp"}
"""Fields of a message that differ between two runs, or that the model is not shown."""


class ResponseCacheError(Exception):
    """The file cannot be used; the message says why and what to do."""


class ResponseCache:
    """The file. Use it as a context manager; `hits` and `stored` count since it was opened."""

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.hits = self.stored = 0
        self._lock = threading.Lock()
        self._file = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            if alone:  # then the log's index is in this process, and not in memory that processes share
                self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("PRAGMA journal_mode = WAL")
            # A commit survives the end of this process at once, and a power cut from the next checkpoint on.
            self._file.execute("PRAGMA synchronous = NORMAL")
            [version] = self._file.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise ResponseCacheError(
                    f"{path} has responses in form {version}, and this version reads {_VERSION}: give "
                    "another cache file"
                )
            self._file.execute(_TABLE)
            self._file.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.DatabaseError as error:
            self._file.close()
            raise ResponseCacheError(
                f"{path} cannot be used as a response cache ({error}): move it away, or give another file"
            ) from error
        except ResponseCacheError:
            self._file.close()
            raise

    def __enter__(self) -> ResponseCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, key: str) -> tuple[ModelOutput, float] | None:
        """(output, the seconds it took), or None."""
        with self._lock:
            found = find_response(self._file, key)
            self.hits += found is not None
        return found

    def put(self, key: str, model: str, output: ModelOutput, seconds: float) -> None:
        """Keep a response. Where two processes asked the same at the same time, the first stays."""
        text = output.model_dump_json(exclude_none=True)
        with self._lock:
            self._file.execute(
                "INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?)",
                (key, model, time.time(), seconds, text),
            )
            self.stored += 1

    def take_in(self, file: Path) -> None:
        """Add the responses of another cache, that nobody has open; what is known stays as it is.

        Raises `sqlite3.OperationalError` if somebody has it open.
        """
        with ResponseCache(file, alone=True) as other, self._lock:
            rows = other._file.execute("SELECT key, model, at, seconds, output FROM responses")
            self._file.execute("BEGIN")
            self._file.executemany("INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?)", rows)
            self._file.execute("COMMIT")

    def copy_to(self, target: sqlite3.Connection) -> None:
        """Copy the file as it is now, also while others write to it."""
        with self._lock:
            self._file.backup(target)


def opened(cache: Path | ResponseCache) -> ResponseCache:
    """The cache of a file, or the cache itself."""
    return cache if isinstance(cache, ResponseCache) else ResponseCache(cache)


def find_response(file: sqlite3.Connection, key: str) -> tuple[ModelOutput, float] | None:
    """(output, the seconds it took), or None."""
    row = file.execute("SELECT output, seconds FROM responses WHERE key = ?", (key,)).fetchone()
    return None if row is None else (ModelOutput.model_validate_json(row[0]), row[1])


class CachedAPI(WrappedAPI):
    """A provider that answers from the cache what is there, and keeps each response the moment it comes.

    `subject` is what decides the responses of the inner provider beside the prompt, as JSON. The output's
    metadata says `cached` and the `seconds` that the response took when it was made.
    """

    def __init__(self, inner: ModelAPI, responses: ResponseCache, subject: Mapping[str, Any]) -> None:
        super().__init__(inner)
        self.responses = responses
        self.subject = _digest(subject)

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput | tuple[ModelOutput | Exception, ModelCall]:
        key = response_key(self.subject, input, tools, tool_choice, config, current_epoch())
        kept = self.responses.get(key)
        if kept is not None:
            _request_was_cache_hit.set(True)
            output, seconds = kept
            output.metadata = (output.metadata or {}) | {"cached": True, "seconds": seconds}
            return output
        start = time.monotonic()
        result = await self.inner.generate(input, tools, tool_choice, config)
        seconds = round(time.monotonic() - start, 4)
        given = result[0] if isinstance(result, tuple) else result
        if isinstance(given, ModelOutput) and no_response(given) is None:
            self.responses.put(key, self.subject, given, seconds)
            given.metadata = (given.metadata or {}) | {"cached": False, "seconds": seconds}
        return result


def response_key(
    subject: str,
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolInfo],
    tool_choice: ToolChoice,
    config: GenerateConfig,
    epoch: int,
) -> str:
    """The digest that a response is kept under.

    Images must be inline, as Inspect hands them to a provider, so that it is their content that counts.
    Settings of Inspect that are not known to leave a response as it is count as well.
    """
    decoding = config.model_dump(mode="json", exclude_none=True, exclude=set(_HOW_IT_IS_SENT))
    return _digest(
        {
            "subject": subject,
            "messages": [_shown(message.model_dump(mode="json", exclude_none=True)) for message in messages],
            "tools": [tool.model_dump(mode="json", exclude_none=True) for tool in tools],
            "tool_choice": tool_choice if isinstance(tool_choice, str) else vars(tool_choice),
            "decoding": decoding,
            "epoch": epoch,
        }
    )


def no_response(output: ModelOutput) -> str | None:
    """Why an output is no response of the model, or None if it is one."""
    if output.error is not None:
        return output.error
    if not output.choices:
        return "an answer without choices"
    if output.stop_reason in _NO_RESPONSE:
        return f"{output.stop_reason}: {output.completion}"
    return None


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in _CHANCE}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
