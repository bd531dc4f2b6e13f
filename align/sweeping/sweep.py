"""A sweep from its command line to its summary: what recipes/sweep.py runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from align.cli.programs import home
from align.run import to_plain
from align.sweeping import guard
from align.sweeping.job import SweepStopped, give_up, job_folder, read_state, run_job, seen_state
from align.sweeping.objective import PROBE, Objective
from align.sweeping.plan import (
    Composer,
    Job,
    Plan,
    benchmark_launch_words,
    continue_plan,
    launch_words,
    read_plan,
    write_plan,
)
from align.sweeping.running import OWNER
from align.sweeping.words import ASK_ONLY, Words, quoted, take_apart

Main = Callable[[], None]


def sweep(main: Main, arguments: Sequence[str]) -> int:
    """Run a sweep and write its summary. Returns the exit status: 1 if a job failed.

    `main` is a program's Hydra main that calls `run_one`; it is what launchers are given. Raises `ValueError`
    for what is wrong with the command, before anything is started.
    """
    if any(word.partition("=")[0] in ASK_ONLY for word in arguments):
        _hydra(main, arguments)
        return 0
    own = set(_configuration(()))
    words = take_apart(arguments, own)
    config = _configuration(words.own)
    if config["summarize"] is not None:
        return _summarize(Path(config["summarize"]), words, config)
    if config["search"].get("space"):
        words = take_apart(arguments, own, space=config["search"]["space"])
    objective = Objective.of(config["objective"])
    out = _folder(config)
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out), _stops_in_order():
        composer = _composer(config, words, out.name)
        plan = continue_plan(read_plan(out), _plan(config, words, composer, out, arguments), out)
        if config["launcher"] == "submitit_slurm":
            os.environ.pop(OWNER, None)  # jobs of a cluster do not end with who submitted them
        else:
            os.environ[OWNER] = guard.this_process()
        run = _Sweep(main, out, words, plan, composer, objective)
        try:
            run.grid() if config["search"]["kind"] == "grid" else run.search(config["search"])
        except (SweepStopped, KeyboardInterrupt) as stopped:
            print(f"stopped: the same command with out={out} goes on", flush=True)
            raise SystemExit(130 if isinstance(stopped, KeyboardInterrupt) else 143) from stopped
        return _finish(out)


def planned(arguments: Sequence[str]) -> list[Job]:
    """The jobs of a command line, bases first, without starting any; of a search, one of its space.

    Raises `ValueError` for what is wrong with the command, as `sweep` does.
    """
    own = set(_configuration(()))
    words = take_apart(arguments, own)
    config = _configuration(words.own)
    words = take_apart(arguments, own, space=config["search"].get("space"))
    Objective.of(config["objective"])
    composer = _composer(config, words, "sweep")
    _plan(config, words, composer, Path("sweep"), arguments)
    if config["search"]["kind"] == "grid":
        chosen: Sequence[tuple[str, ...]] = words.grid()
    else:
        from align.sweeping.search import some_words

        chosen = [some_words(words)]
    made = [composer.job(words.jobs, each) for each in chosen]
    return [*{base.id: base for _, base in made}.values(), *(job for job, _ in made)]


def run_one(config: DictConfig) -> None:
    """The job that a launcher wants run in this process. What becomes of it stands in its folder."""
    if config.job is None:
        raise ValueError("job: the sweep sets it; start one with `python recipes/sweep.py -m ...`")
    try:
        run_job(config.out, config.job, say=lambda text: print(text, flush=True))
    except SweepStopped:
        if os.environ.get(OWNER) not in (None, guard.this_process()):
            os._exit(143)  # a worker of the launcher, which would wait for jobs that nobody sends
        raise


class _Sweep:
    def __init__(
        self, main: Main, out: Path, words: Words, plan: Plan, composer: Composer, objective: Objective
    ) -> None:
        self.main, self.out, self.words, self.plan = main, out, words, plan
        self.composer, self.objective = composer, objective

    def grid(self) -> None:
        probed = self.objective.task == PROBE
        made = [self.composer.job(self.words.jobs, chosen, probed=probed) for chosen in self.words.grid()]
        jobs, bases = [job for job, _ in made], [base for _, base in made]
        self.keep([*bases, *jobs])
        if self.objective.below_base is None:
            self.launch([*bases, *jobs])
        else:
            self.launch_bases(bases)
            self.launch(jobs)

    def search(self, settings: dict[str, Any]) -> None:
        from align.sweeping.search import Search

        search = Search(self.out, self.words, settings, self.objective, self.composer)
        search.check()
        self.launch_bases([job for job in self.plan.jobs if job.recipe is None])  # one that failed before
        while trials := search.next_trials():
            self.launch_bases([base for _, _, base in trials])
            self.launch([job for _, job, _ in trials])
            for trial, job, _ in trials:
                search.tell(trial, job, self.plan)

    def keep(self, jobs: Sequence[Job]) -> None:
        """Write the jobs into the plan, where their processes find them."""
        known = {job.id: job for job in self.plan.jobs}
        # A job that two trials propose stays the first one's.
        self.plan = self.plan.with_jobs(
            [replace(j, trial=known[j.id].trial) if j.id in known else j for j in jobs]
        )
        write_plan(self.out, self.plan)

    def launch_bases(self, bases: Sequence[Job]) -> None:
        """Run the bases that are not over yet.

        Raises `ValueError` where one is not brought to its end and the floor of its jobs hangs on it: they
        would be trained for nothing.
        """
        self.keep(bases)
        if todo := [base for base in bases if not read_state(job_folder(self.out, base)).over]:
            self.launch(todo)
        for base in bases:
            state = read_state(job_folder(self.out, base))
            if self.objective.below_base is not None and not state.over:
                raise ValueError(
                    f"{base.id} was not benchmarked ({state.reason}; {self.out / str(state.log)}), and the "
                    "floor of the objective is relative to it: mend that, or give objective.floor=null"
                )

    def launch(self, jobs: Sequence[Job]) -> None:
        """Have the launcher run what is not over yet."""
        self.keep(jobs)
        jobs = list({job.id: job for job in jobs}.values())
        todo = [job.id for job in jobs if not read_state(job_folder(self.out, job)).over]
        done = len(jobs) - len(todo)
        if done:
            print(f"{done} of {done + len(todo)} jobs are done already", flush=True)
        if todo:
            print(f"{len(todo)} job{'s' * (len(todo) > 1)} in {self.out}", flush=True)
        lost: dict[str, int] = {}
        while todo:
            words = ["--multirun", *self.words.own, f"out={quoted(self.out)}", f"job={','.join(todo)}"]
            try:
                _hydra(self.main, words)
                return
            except SystemExit:  # Hydra has said why the launcher failed
                todo = self._after_loss(jobs, todo, lost)

    def _after_loss(self, jobs: Sequence[Job], todo: Sequence[str], lost: dict[str, int]) -> list[str]:
        """What to launch again when a launcher failed because a process that ran a job was killed.

        A launcher may end the other jobs with it, so each is tried once more before it counts as failed.
        Raises `SystemExit` where no job was cut off: then it was not for a job that the launcher failed.
        """
        folders = {job.id: job_folder(self.out, job) for job in jobs}
        cut_off = [id for id in todo if seen_state(folders[id]).status == "stopped"]
        if not cut_off:
            raise SystemExit(1)
        for id in cut_off:
            lost[id] = lost.get(id, 0) + 1
            if lost[id] > 1:
                give_up(folders[id], "the process that ran it was killed, twice")
        states = {id: read_state(folders[id]) for id in todo}
        return [id for id in todo if not states[id].over and states[id].status != "failed"]


def _configuration(words: Sequence[str]) -> dict[str, Any]:
    with initialize_config_dir(str(home() / "configs"), version_base="1.3"):
        try:
            config = compose("sweep", overrides=list(words), return_hydra_config=True)
        except HydraException as error:
            launcher = any(word.startswith("hydra/launcher") for word in words)
            hint = "\nLaunchers come with pip install 'mohoalign[sweep]'" if launcher else ""
            raise ValueError(f"{str(error).strip()}{hint}") from error
    for key in ("nodes", "tasks_per_node"):
        several = OmegaConf.select(config, f"hydra.launcher.{key}")
        if several is not None and int(several) > 1:
            raise ValueError(
                f"hydra.launcher.{key}={several}: a job of a sweep is one task on one machine: leave it out. "
                "hydra.launcher.gpus_per_node and accelerate.num_processes give it several GPUs"
            )
    launcher = config.hydra.runtime.choices["hydra/launcher"]
    mine = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return to_plain(mine) | {"launcher": launcher}


def _plan(
    config: dict[str, Any], words: Words, composer: Composer, out: Path, arguments: Sequence[str]
) -> Plan:
    if config["adapter"] not in ("last", "best"):
        raise ValueError(f"adapter={config['adapter']}: choose last or best")
    if config["adapter"] == "best" and config["objective"]["task"] == PROBE:
        raise ValueError(
            "adapter=best objective.task=probe: the last probe of training is of the last adapter, and "
            "another one would be benchmarked: leave one of the two out"
        )
    given = {word.partition("=")[0] for word in words.benchmark}
    slurm = config["launcher"] == "submitit_slurm"
    if slurm and config["gpus"]:
        raise ValueError(
            "gpus: Slurm gives each job its own: leave it out, and set hydra.launcher.gpus_per_node"
        )
    more = () if words.config_dir is None else (f"--config-dir={words.config_dir}",)
    return Plan(
        name=composer.name,
        launch=(*launch_words(config["accelerate"]), *more),
        benchmark_launch=(*benchmark_launch_words(config["accelerate"], words.benchmark), *more),
        axes=() if config["search"]["kind"] == "grid" else tuple(sorted(axis.text for axis in words.axes)),
        adapter=config["adapter"],
        gpus=tuple(tuple(g) if isinstance(g, list) else (g,) for g in config["gpus"] or ()),
        # SQLite's log is for one machine: jobs on several have a file each.
        cache=None if slurm or "cache" in given else str(out / "responses.sqlite"),
        benchmark=words.benchmark,
        search=config["search"],
        objective=config["objective"],
        command=tuple(arguments),
    )


def _composer(config: dict[str, Any], words: Words, name: str) -> Composer:
    return Composer(
        name=config["name"] or name,
        recipe=config["recipe"],
        benchmark=words.benchmark,
        config_dir=words.config_dir,
    )


def _folder(config: dict[str, Any]) -> Path:
    from align.run import _run_dir

    return Path(_run_dir("sweep", config["out"]))


def _hydra(main: Main, words: Sequence[str]) -> None:
    """Call a Hydra main with a command line."""
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        main()
    finally:
        sys.argv = before


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second sweep out of the folder."""
    lock = FileLock(out / ".sweep.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"another sweep is at work in {out}: wait for it, or summarize={out} to see how far it is"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _stops_in_order() -> Iterator[None]:
    """A SIGTERM ends the jobs' programs before this process ends."""

    def stop(number: int, _: Any) -> None:
        raise SweepStopped(signal.Signals(number).name)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _finish(out: Path) -> int:
    from align.sweeping.summary import write_summary

    return write_summary(out)


def _summarize(out: Path, words: Words, config: dict[str, Any]) -> int:
    if words.jobs or words.axes or words.benchmark:
        raise ValueError(f"summarize={out} starts no job: leave {' '.join(words.jobs) or 'the others'} out")
    if read_plan(out) is None:
        raise ValueError(f"summarize={out}: there is no sweep in this folder (no sweep.json)")
    return _finish(out)
