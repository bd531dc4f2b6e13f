"""Digests that name a call and a run in the journal."""

from __future__ import annotations

import hashlib
import json

from align.calling.asking import open_model
from align.calling.call import Call, Decoding, schema_text
from align.calling.endpoint import Endpoint
from align.calling.pictures import file_digest


def run_digest(endpoint: Endpoint, decoding: Decoding) -> str:
    """Of the model, its arguments and the decoding; of its weights, too, where it runs in this process."""
    digest = endpoint.digest(decoding)
    return _digest(digest, model_digest(endpoint)) if endpoint.provider == "align" else digest


def model_digest(endpoint: Endpoint) -> str:
    """Of the model alone: its name, revision and arguments, or its weights where it runs in this process."""
    if endpoint.provider == "align":
        return str(open_model(endpoint).api.loaded.digest)  # type: ignore[attr-defined]
    return _digest(endpoint.model, endpoint.revision, endpoint.args)


def call_digest(call: Call, run: str, seed: int) -> str:
    """Of all that decides the answer: the run's digest, prompt, picture bytes, form, seed and key.

    Raises `FileNotFoundError` for a picture that is not there.
    """
    form = None if call.schema is None else schema_text(call.schema)
    images = [file_digest(path) for path in call.images]
    return _digest(run, call.key, call.text, call.system, images, form, seed)


def request_seed(seed: int, key: str, refused: int) -> int:
    """The seed of a request (31 bits): another one for each call, and after each text that was refused.

    At temperature 0, where it would change nothing, none is sent.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}\x1f{key}\x1f{refused}".encode()).digest()[:4], "big") >> 1


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
