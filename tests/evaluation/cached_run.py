"""A small benchmark in a process of its own, for tests that kill it. Run by a fork server: see `start`.

`Job` says what is asked; a local model's process writes each question to `asked` as it is generated.
"""

import base64
import io
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText
from inspect_ai.solver import generate
from PIL import Image

from align.evaluation.subject import make_subject

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["cached_run_warm"])
_WARM = {
    # The server knows nothing of pytest's own paths, and forks before it has threads.
    "PYTHONPATH": os.pathsep.join(
        str(Path(__file__).parents[1] / name) for name in ("evaluation", "calling")
    ),
    "OMP_NUM_THREADS": "1",
}

GREEDY = {"max_new_tokens": 8, "temperature": 0.0, "top_p": 1.0, "seed": 0}
TINY = {"name": "tiny_vlm", "dtype": "auto", "attn_implementation": None, "revision": None}


@dataclass(frozen=True)
class Job:
    config: dict[str, Any]
    cache: Path
    logs: Path
    questions: tuple[str, ...]
    image: str
    asked: Path | None = None


def local(**settings: Any) -> dict[str, Any]:
    """The configuration of a benchmark of the embedded model."""
    model = TINY | {key: settings.pop(key) for key in list(settings) if key in ("name", "dtype")}
    return {"model": model, "adapter": None, "decoding": GREEDY, "batch_size": 4, "device": "cpu"} | settings


def served(base_url: str, **settings: Any) -> dict[str, Any]:
    """The configuration of a benchmark of a served model; the settings are the endpoint's or beside it."""
    beside = {key: settings.pop(key) for key in list(settings) if key in ("served", "decoding", "logprobs")}
    endpoint = {"model": "openai-api/stand-in/m", "base_url": base_url, "max_connections": 4} | settings
    return {"model": TINY, "adapter": None, "endpoint": endpoint, "decoding": GREEDY} | beside


def png(shade: int = 0) -> bytes:
    pixels = np.full((96, 96, 3), 240, np.uint8)
    pixels[20:60, 20:60] = (250 - 8 * shade, 8 * shade, 90)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def inline(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def ask(job: Job, **how: Any) -> Any:
    """(Inspect's log, responses that came from the cache, responses that were stored)."""
    samples = [
        Sample(id=i, input=[ChatMessageUser(content=[ContentImage(image=job.image), ContentText(text=text)])])
        for i, text in enumerate(job.questions)
    ]
    subject = make_subject(job.config)
    with subject.open(job.cache) as model:
        log = eval(
            Task(dataset=MemoryDataset(samples), solver=generate()),
            model=model,
            display="none",
            log_dir=str(job.logs),
            fail_on_error=False,
            max_samples=subject.max_connections,
            max_connections=subject.max_connections,
            log_realtime=False,
            ctl_server=False,
            **subject.generate_config() | how,
        )[0]
        return log, model.api.responses.hits, model.api.responses.stored


def _work(job: Job) -> None:
    if job.asked is not None:
        _write_what_is_generated(job.asked)
    log, _, _ = ask(job)
    assert log.status == "success", log.error
    assert all(sample.error is None for sample in log.samples)


def _write_what_is_generated(file: Path) -> None:
    from align.evaluation import batching

    run = batching.run

    def counted(loaded: Any, prepared: Any, decoding: Any) -> Any:
        with file.open("a") as stream:
            stream.writelines(f"{request.question}\n" for request in prepared.requests)
        return run(loaded, prepared, decoding)

    batching.run = counted


@contextmanager
def start(job: Job) -> Iterator[Any]:
    process = _PROCESSES.Process(target=_work, args=(job,))
    with mock.patch.dict(os.environ, _WARM):
        process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(30)
