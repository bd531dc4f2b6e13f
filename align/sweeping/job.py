"""One job of a sweep: train, benchmark, and a record of how that went.

    OUT/jobs/<id>/state.json       how far it is, and why it ended
                  train/           the recipe's run folder       train.log
                  benchmark/       the benchmark's folder        benchmark.log

The record is written when something changes, so that a job whose process was killed at any moment is known
to be unfinished, and goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from align.cli.launching import command_for
from align.cli.programs import find_program
from align.records import write_json
from align.sweeping.guard import GONE, end_marked
from align.sweeping.plan import Job, Plan, read_plan
from align.sweeping.running import Ended, run_guarded, status_text, tail
from align.sweeping.words import quoted

Status = Literal["waiting", "training", "benchmark", "finished", "failed", "pruned", "stopped"]
Watch = Callable[[Path], str | None]
"""Given the run folder of a job that trains: why it should end, or None."""

STATE = "state.json"
_OVER = ("finished", "pruned")


@dataclass(frozen=True)
class State:
    """How far a job is. `reason` says why it failed, was pruned or stopped; `tail` is the end of its log."""

    status: Status = "waiting"
    reason: str | None = None
    log: str | None = None
    tail: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    host: str | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do. What failed is tried again by the next sweep."""
        return self.status in _OVER


class SweepStopped(BaseException):
    """The sweep that a job belongs to has ended: no `Exception`, so that nothing takes it for a failure."""


def job_folder(out: str | Path, job: Job) -> Path:
    return Path(out) / job.id if job.recipe is None else Path(out) / "jobs" / job.id


def read_state(folder: str | Path) -> State:
    file = Path(folder) / STATE
    if not file.is_file():
        return State()
    found = json.loads(file.read_text(encoding="utf-8"))
    return State(**found | {"tail": tuple(found["tail"])})


def seen_state(folder: str | Path) -> State:
    """The state, where a job that nobody is at work on is not said to be at work."""
    state = read_state(folder)
    if state.status in ("training", "benchmark") and not _is_held(Path(folder)):
        return replace(state, status="stopped", reason=f"cut off while at {state.status}")
    return state


def give_up(folder: str | Path, reason: str) -> None:
    """Record a job as failed whose own process could not."""
    state = read_state(folder)
    logs = {"training": "train.log", "benchmark": "benchmark.log"}
    log = Path(folder) / logs.get(state.status, "train.log")
    write_json(
        Path(folder) / STATE,
        asdict(replace(state, status="failed", reason=reason, tail=tuple(tail(log)))),
    )


def run_job(out: str | Path, id: str, *, say: Callable[[str], None] = print) -> State:
    """Bring one job to its end, from where it is. A job that fails is recorded and raises nothing.

    Raises `SweepStopped` if the sweep has ended meanwhile.
    """
    out = Path(out)
    plan = read_plan(out)
    assert plan is not None, f"{out} has no plan"
    job = plan.job(id)
    folder = job_folder(out, job)
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder, say=lambda: say(f"{id}: another process is at work on it: waiting")):
        state = read_state(folder)
        if state.over:
            return state
        end_marked(_mark(folder))  # of an earlier sweep on this machine, killed together with what guarded it
        return _Run(out, plan, job, folder, state, say).run()


class _Run:
    def __init__(
        self, out: Path, plan: Plan, job: Job, folder: Path, state: State, say: Callable[[str], None]
    ) -> None:
        self.out, self.plan, self.job, self.folder, self.say = out, plan, job, folder, say
        self.state = replace(
            State(), seconds=state.seconds, attempts=state.attempts + 1, host=os.uname().nodename
        )

    def run(self) -> State:
        steps = [self.benchmark] if self.job.recipe is None else [self.train, self.benchmark]
        with _gpus(self.out, self.plan.gpus) as visible:
            self.environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
            for step in steps:
                step()
                if self.state.status in ("failed", "pruned"):
                    break
            else:
                self.record(status="finished", tail=(), log=None)
        took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.state.seconds.items())
        why = f": {self.state.reason}" if self.state.reason else ""
        self.say(f"{self.job.label}: {self.state.status}{why} ({took}; {self.folder})")
        return self.state

    def train(self) -> None:
        run = self.folder / "train"
        if (run / "run.json").is_file():  # what training writes last
            return
        if run.exists() and not self.job.resumes:
            shutil.rmtree(run)
        going_on = run.exists()
        self.record(status="training")
        self.say(
            f"{self.job.label}: training{', going on' if going_on else ''} ({self.folder / 'train.log'})"
        )
        assert self.job.recipe is not None
        words = [*self.job.given, f"out={quoted(run)}", f"resume={str(going_on).lower()}"]
        command = command_for(find_program(self.job.recipe), [*self.plan.launch, *words])
        watch = self._watch()
        pruned: list[str] = []

        def look() -> str | None:
            why = watch(run)
            pruned.extend([why] if why else [])
            return why

        ended = self.stage("train", command, look)
        if pruned and not (run / "run.json").is_file():
            self.record(status="pruned", reason=pruned[0])
        else:
            self.check(ended, "training", run / "run.json")

    def benchmark(self) -> None:
        folder = self.folder / "benchmark"
        self.record(status="benchmark")
        self.say(f"{self.job.label}: benchmark ({self.folder / 'benchmark.log'})")
        subject: list[str] = []
        if self.job.recipe is not None:
            tuned = self.folder / "train" / ("best" if self.plan.adapter == "best" else "adapter")
            whole = self.folder / "train" / "model"
            if tuned.is_dir():
                subject = [f"adapter={quoted(tuned)}"]
            elif self.plan.adapter == "last" and whole.is_dir():  # trained in full
                subject = [f"model.name={quoted(whole)}", "model.revision=null", "adapter=null"]
            else:
                self.record(status="failed", reason=f"training left no {tuned}: no probe chose an adapter")
                return
        words = [*self.job.benchmark, *subject, f"out={quoted(folder)}"]
        if self.plan.cache is not None:
            words.append(f"cache={quoted(self.plan.cache)}")
        ended = self.stage(
            "benchmark", command_for(find_program("benchmark"), [*self.plan.benchmark_launch, *words])
        )
        self.check(ended, "the benchmark", folder / "run.json")

    def stage(
        self, name: str, command: Sequence[str], watch: Callable[[], str | None] = lambda: None
    ) -> Ended:
        log = self.folder / f"{name}.log"
        ended = run_guarded(
            command, log=log, mark=_mark(self.folder), environment=self.environment, watch=watch
        )
        before = self.state.seconds.get(name, 0.0)
        self.record(
            seconds=self.state.seconds | {name: round(before + ended.seconds, 1)},
            log=str(log.relative_to(self.out)),
            tail=tuple(tail(log)),
        )
        return ended

    def check(self, ended: Ended, what: str, result: Path) -> None:
        """Record a failure, if it is one."""
        if ended.status == 0 and result.is_file():
            return
        if ended.stopped == GONE:
            self.record(status="stopped", reason=ended.stopped)
            raise SweepStopped(ended.stopped)
        why = status_text(ended.status) if ended.status else f"it left no {result.name}"
        self.record(status="failed", reason=f"{what}: {why}")

    def record(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        write_json(self.folder / STATE, asdict(self.state))

    def _watch(self) -> Watch:
        prune = self.plan.search.get("prune")
        if self.job.trial is None or not prune:
            return lambda _: None
        from align.sweeping.search import pruner

        return pruner(self.out, self.plan, self.job.trial)


def _mark(folder: Path) -> str:
    return str(folder.resolve())


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / ".lock")


def _is_held(folder: Path) -> bool:
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a copy that may only be read: nobody is at work in it
        return False
    lock.release()
    return False


@contextmanager
def _held(folder: Path, *, say: Callable[[], None]) -> Iterator[None]:
    """Be the only one at work on a job. The system lets go of the lock when a process dies."""
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _gpus(out: Path, groups: Sequence[Sequence[int]]) -> Iterator[str | None]:
    """Take one of the groups of GPUs that no other job of the sweep has; None where there are no groups."""
    if not groups:
        with nullcontext():
            yield None
        return
    locks = [FileLock(out / ".gpus" / "-".join(map(str, group))) for group in groups]
    (out / ".gpus").mkdir(exist_ok=True)
    while True:
        for lock, group in zip(locks, groups, strict=True):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield ",".join(map(str, group))
            finally:
                lock.release()
            return
        time.sleep(0.5)
