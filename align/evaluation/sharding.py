"""A benchmark by all processes of an `accelerate launch`: each asks a share of the questions.

A share ends as a file of responses. The main process takes all files into the run's cache and then does what
it does without a launch: every response is there, and results are made in one place, by the same code. So a
kill at any moment costs what was being generated, and the next launch may have another number of processes.

Each file has one writer, since SQLite's lock is not to be trusted on the network disks of a cluster.

Shares are whole batches, dealt out by turns. Rows come by length, so shares are alike in length, and each
batch has the rows that it has in one process: its responses are the same to the last bit.
"""

from __future__ import annotations

import copy
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import Model, ModelOutput
from rich.console import Console

from align.evaluation.benchmark import finished, run_task
from align.evaluation.kinds import BenchmarkTask
from align.evaluation.progress import progress_bar, show_done
from align.evaluation.response_cache import ResponseCache, ResponseCacheError, find_response
from align.evaluation.subject import Subject
from align.launch import SAME_EVERYWHERE, LaunchError, gather, here, require_equal, require_shared, software

SHARES = "shares"
KNOWN = "known.sqlite"
PERIOD = 2.0
"""Seconds between two rounds in which the processes tell each other how far they are."""
SILENCE = timedelta(minutes=5)
"""A process that is not heard of for so long is gone. One that ends is known at once."""
PATIENCE = timedelta(minutes=60)
"""For what is done before the questions: digests of large weights on a slow disk take their time."""


@contextmanager
def joined(config: Mapping[str, Any], folder: Path) -> Iterator[None]:
    """Connect the processes of this launch, and make sure that they are about to do the same.

    Outside of a launch, nothing. Raises `LaunchError`.
    """
    if here().world == 1:
        yield
        return
    if config.get("endpoint") is not None:
        raise LaunchError(
            "a served model is asked by one process, which holds many requests open: leave out the launcher. "
            "The server is what runs on several GPUs (vLLM: --data-parallel-size 8)"
        )
    # One process is to say what it does; what goes wrong in another one it says itself, on stderr.
    if not here().main:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the rest of this process
    dist.init_process_group("gloo", timeout=PATIENCE)
    require_shared(folder, "out")
    require_equal({"config": config} | software(), SAME_EVERYWHERE)
    yield
    # Not after an error: the heartbeat may be waiting for the others, and this process's end tells them.
    dist.destroy_process_group()


@contextmanager
def main_first() -> Iterator[None]:
    """The block is run by the main process, and then by the others: for what is made if it is missing."""
    place = here()
    if not place.main:
        gather(None)
    yield
    if place.main:
        gather(None)


def device_of_process(device: str) -> str:
    """The device for this process: `auto` gives each of a node's processes a GPU of its own.

    Raises `LaunchError` where they would share one.
    """
    place = here()
    if place.local_world == 1 or device == "cpu":
        return device
    if device not in ("auto", "cuda"):
        raise LaunchError(
            f"device={device} would put {place.local_world} processes on one device: leave it out"
        )
    if not torch.cuda.is_available():
        return device
    if place.local_rank >= torch.cuda.device_count():
        raise LaunchError(
            f"{place.local_world} processes were started on {place.host}, which has "
            f"{torch.cuda.device_count()} GPU(s): give --num_processes as many as there are"
        )
    return f"cuda:{place.local_rank}"


def share_of(samples: Sequence[Sample], batch: int, rank: int, world: int) -> list[Sample]:
    """The rows that process `rank` of `world` asks: every `world`-th batch of `batch` rows."""
    starts = range(rank * batch, len(samples), world * batch)
    return [sample for start in starts for sample in samples[start : start + batch]]


def ask_shares(
    tasks: Sequence[BenchmarkTask],
    subject: Subject,
    folder: Path,
    cache: Path,
    *,
    batch: int,
    console: Console,
    stack: ExitStack,
) -> Model | None:
    """Ask all questions of the tasks that are not finished, each process its share of every task.

    When this returns in the main process, `cache` holds the responses of all. What failed is not in it, and
    is asked again by whoever goes on from there.

    Args:
        folder: the run's, which all nodes share.
        batch: the rows that the model answers together.
        stack: closes the model.

    Returns:
        The model of the main process, which answers from `cache`; None in the others, whose work is done, and
        where nothing was left to ask.

    Raises:
        LaunchError: another process has ended, or is not heard of any more.
        ResponseCacheError: a file of responses is in use, or is none.
    """
    place, shares = here(), folder / SHARES
    known = shares / KNOWN
    if place.main:
        absorb(shares, cache)
    unfinished = gather(
        [t.name for t in tasks if finished(folder / t.name, t) is None] if place.main else None
    )
    todo = [task for task in tasks if task.name in unfinished[0]]
    if not todo:
        return None
    if place.main:
        _snapshot(cache, known)
    gather(None)  # it is there
    mine = {task.name: share_of(list(task.task.dataset), batch, place.rank, place.world) for task in todo}
    responses = ResponseCache(cache) if place.main else ShareCache(shares / f"{place.rank}.sqlite", known)
    asked = sum(map(len, mine.values()))
    with Heartbeat(responses, asked) as heartbeat, ExitStack() as own:
        model = (stack if place.main else own).enter_context(subject.open(responses))
        total = sum(len(task.task.dataset) for task in todo)
        title = f"{subject.label}: {', '.join(task.name for task in todo)} in {place.world} processes"
        with progress_bar(console, title, total) if place.main else ExitStack():
            heartbeat.show = show_done if place.main else None
            for task in todo:
                if mine[task.name]:
                    _ask(task, mine[task.name], subject, model)
            if place.main:
                heartbeat.done_by_all()
        # The others say that they are done when their file is closed.
    if not place.main:
        return None
    absorb(shares, cache)
    for rank, (_, answered, asked) in enumerate(heartbeat.heard):
        if answered < asked:
            console.print(
                f"process {rank} has no response to {asked - answered} of its {asked} questions: they are "
                "asked again by the main process",
                style="yellow",
            )
    return model


def absorb(shares: Path, cache: Path) -> None:
    """Take the responses of all shares into `cache`, and remove the shares.

    Raises `ResponseCacheError` if another process still writes one of them.
    """
    files = sorted(file for file in shares.glob("*.sqlite") if file.name != KNOWN)
    if files:
        with ResponseCache(cache) as responses:
            for file in files:
                try:
                    responses.take_in(file)
                except (ResponseCacheError, sqlite3.OperationalError) as error:
                    raise ResponseCacheError(
                        f"{file} cannot be read ({error}): if it is in use, a process of an earlier launch "
                        "is still at work; end it first"
                    ) from error
    if shares.is_dir():
        shutil.rmtree(shares)  # with what SQLite left beside them, and the copy of what was known


class ShareCache(ResponseCache):
    """The responses of one process of a launch, which also knows those in `known`, that nobody writes."""

    def __init__(self, path: Path, known: Path) -> None:
        super().__init__(path, alone=True)
        self._known = sqlite3.connect(
            f"{known.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False
        )

    def __exit__(self, *details: object) -> None:
        self._known.close()
        super().__exit__(*details)

    def get(self, key: str) -> tuple[ModelOutput, float] | None:
        found = super().get(key)
        if found is None:
            with self._lock:
                found = find_response(self._known, key)
                self.hits += found is not None
        return found


class Heartbeat:
    """Tells the other processes every `PERIOD` seconds how far this one is, and hears of them.

    While the block lasts, a process that ends or falls silent ends this one, with a message: its responses
    are on the disk, and what it would wait for will not come. So does whatever else goes wrong here, such as
    a `show` that cannot write to a closed pipe.
    """

    def __init__(self, responses: ResponseCache, asked: int) -> None:
        self.show: Callable[[int], None] | None = None
        """Called with how many questions all processes have answered."""
        self.heard: list[Any] = [(False, 0, 0)] * here().world
        """By rank: whether it is done, questions that it has a response to, and questions of its share."""
        self._responses, self._asked = responses, asked
        self._done = threading.Event()
        self._all = threading.Event()
        self._group = dist.new_group(backend="gloo", timeout=SILENCE)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return  # this process ends, which tells the others
        self.done_by_all()

    def done_by_all(self) -> None:
        """This process has done its share; wait for the others."""
        self._done.set()
        self._all.wait()

    def _run(self) -> None:
        try:
            self._beat()
        except BaseException as error:  # of any kind: nobody else would end what waits for this thread
            said = f"{error}" if isinstance(error, LaunchError) else f"{type(error).__name__}: {error}"
            with suppress(Exception):  # the terminal may be what is gone
                print(
                    f"\n[{here()}] {said}\nAll responses so far are kept: the same command on every node "
                    "goes on from them, also with another number of processes",
                    file=sys.stderr,
                    flush=True,
                )
            os._exit(1)
        else:
            self._all.set()

    def _beat(self) -> None:
        heard = list(self.heard)
        while not all(done for done, *_ in self.heard):
            self._done.wait(PERIOD)
            mine = self._done.is_set(), self._responses.hits + self._responses.stored, self._asked
            try:
                dist.all_gather_object(heard, mine, group=self._group)
            except RuntimeError as error:
                raise LaunchError(
                    "another process of this launch has ended, or was not heard of for "
                    f"{SILENCE.total_seconds():.0f} s: {str(error).splitlines()[0]}\nWhat stopped it stands "
                    "in its own messages, which may be on another node"
                ) from error
            self.heard = list(heard)
            if self.show is not None:
                self.show(sum(answered for _, answered, _ in heard))
            if self._done.is_set():
                self._all.wait(PERIOD)  # for those that are not done


def _ask(task: BenchmarkTask, samples: Sequence[Sample], subject: Subject, model: Model) -> None:
    """Ask the model: what comes is in its cache. The log goes, since the main process writes one of all."""
    part = copy.copy(task.task)
    part.dataset = MemoryDataset(list(samples), name=task.task.dataset.name)
    part.scorer = None
    with TemporaryDirectory(prefix="mohoalign-") as logs:
        run_task(part, subject, model, Path(logs), log_images=False)


def _snapshot(cache: Path, known: Path) -> None:
    """What the cache holds now, in a file that all nodes may read at once, since nobody writes it."""
    known.parent.mkdir(parents=True, exist_ok=True)
    known.unlink(missing_ok=True)
    with ResponseCache(cache) as responses, closing(sqlite3.connect(known)) as target:
        responses.copy_to(target)
        target.execute("PRAGMA journal_mode = DELETE")
