"""Turns many single requests that arrive at once into batches for the model.

Two threads: one takes requests from the queue, decodes their images and runs the processor; the other
runs the model. So the next batch is ready when the model is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Queue

from align.models.generation import Decoding, Generation, Prepared, Request, prepare, run
from align.models.loading import LoadedModel

WAITING_BATCHES = 4
"""Batches to have in flight: one that runs, one that is ready, and enough to choose from by length."""

LINGER = 0.5
"""Seconds without a new request after which a batch that isn't full runs as it is."""


@dataclass
class _Item:
    request: Request
    decoding: Decoding
    future: Future[Generation] = field(default_factory=Future)


class Batcher:
    """Answers requests in batches of `batch_size`, filled with requests of similar length.

    A batch is the oldest request that waits and those nearest to it in length, so none waits forever.
    What arrives sorted by length is batched in the order of arrival, whatever the timing.
    """

    def __init__(self, loaded: LoadedModel, batch_size: int) -> None:
        self._loaded = loaded
        self._batch_size = batch_size
        self._waiting: deque[_Item] = deque()
        self._arrived = threading.Condition()
        self._last_arrival = 0.0
        self._closed = False
        # One batch may wait for the model; more would only hold memory.
        self._ready: Queue[tuple[list[_Item], Prepared] | None] = Queue(maxsize=1)
        self._threads = [
            threading.Thread(target=target, name=f"align-{target.__name__}", daemon=True)
            for target in (self._prepare_batches, self._run_batches)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: Request, decoding: Decoding) -> Future[Generation]:
        """Queue one request. The future holds its `Generation`, or what the model raised."""
        item = _Item(request, decoding)
        with self._arrived:
            if self._closed:
                raise RuntimeError("the model was closed")
            self._waiting.append(item)
            self._last_arrival = time.monotonic()
            self._arrived.notify()
        return item.future

    def close(self) -> None:
        """Finish what was submitted, then stop."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
        for thread in self._threads:
            thread.join()

    def _prepare_batches(self) -> None:
        while (batch := self._take()) is not None:
            try:
                requests = [item.request for item in batch]
                self._ready.put((batch, prepare(self._loaded, requests, seed=batch[0].decoding.seed)))
            except Exception as error:
                _fail(batch, error)
        self._ready.put(None)

    def _run_batches(self) -> None:
        while (ready := self._ready.get()) is not None:
            batch, prepared = ready
            try:
                results = run(self._loaded, prepared, batch[0].decoding)
            except Exception as error:
                _fail(batch, error)
                continue
            for place, item in enumerate(batch):
                item.future.set_result(results[place])

    def _take(self) -> list[_Item] | None:
        """The next batch, or None when there will be no more."""
        with self._arrived:
            while True:
                if self._waiting:
                    quiet = time.monotonic() - self._last_arrival
                    if len(self._waiting) >= self._batch_size or quiet >= LINGER or self._closed:
                        break
                    self._arrived.wait(LINGER - quiet)
                elif self._closed:
                    return None
                else:
                    self._arrived.wait()
            oldest = self._waiting[0]
            alike = [item for item in self._waiting if item.decoding == oldest.decoding]
            alike.sort(key=lambda item: _distance(item.request, oldest.request))
            batch = alike[: self._batch_size]
            taken = {id(item) for item in batch}
            self._waiting = deque(item for item in self._waiting if id(item) not in taken)
            return batch


def _distance(a: Request, b: Request) -> tuple[bool, int]:
    return (a.image is None) != (b.image is None), abs(len(a.question) - len(b.question))


def _fail(batch: list[_Item], error: Exception) -> None:
    for item in batch:
        item.future.set_exception(error)
