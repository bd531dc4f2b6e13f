"""The jobs of a sweep, as a file that every process of it reads: `sweep.json`.

A job is known by its content, a digest of recipe and words, and not by its number: a grid that grows keeps
what is there. Everything that a job's process needs stands in the file, so the process composes nothing and
a word is quoted for no shell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

import align.run  # noqa: F401  # its resolvers stand in the configurations
from align.cli.launching import accelerate_config
from align.cli.programs import find_program, home
from align.records import stable_id, write_json
from align.sweeping.words import key_of, quoted, search_path, value_of

PLAN = "sweep.json"
_LEAVES_RESULT = ("tracking", "threads")
"""Settings that do not change what a job learns, and so are no part of what it is."""


@dataclass(frozen=True)
class Job:
    """One job: `words` as the user gave them, `given` with what the sweep adds, `base` the id of its base.

    A base is a job without a recipe, of which only the benchmark is run.
    """

    id: str
    recipe: str | None
    words: tuple[str, ...]
    given: tuple[str, ...]
    benchmark: tuple[str, ...]
    base: str | None = None
    resumes: bool = True
    trial: int | None = None
    label: str = "base"

    def settings(self) -> dict[str, str]:
        """The words by key."""
        return {key_of(word): value_of(word) for word in self.words}


@dataclass(frozen=True)
class Plan:
    """What all jobs have in common, and the jobs.

    `launch` and `benchmark_launch` are options of the recipe's command and of the benchmark's; `axes` is the
    space of a search.
    """

    name: str
    launch: tuple[str, ...] = ()
    benchmark_launch: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    adapter: str = "last"
    gpus: tuple[tuple[int, ...], ...] = ()
    cache: str | None = None
    benchmark: tuple[str, ...] = ()
    search: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    jobs: tuple[Job, ...] = ()

    def job(self, id: str) -> Job:
        return next(job for job in self.jobs if job.id == id)

    def with_jobs(self, jobs: Iterable[Job]) -> Plan:
        """With these jobs in place of those that have their ids, and after the others."""
        found = {job.id: job for job in self.jobs} | {job.id: job for job in jobs}
        return replace(self, jobs=tuple(found.values()))

    @property
    def trained(self) -> list[Job]:
        return [job for job in self.jobs if job.recipe is not None]


def write_plan(folder: str | Path, plan: Plan) -> None:
    write_json(Path(folder) / PLAN, asdict(plan))


def read_plan(folder: str | Path) -> Plan | None:
    """The plan in a sweep's folder, None where there is none."""
    file = Path(folder) / PLAN
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    jobs = tuple(Job(**_tuples(job)) for job in found.pop("jobs"))
    gpus = tuple(tuple(group) for group in found.pop("gpus"))
    return Plan(jobs=jobs, gpus=gpus, **_tuples(found))


def _tuples(found: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def continue_plan(found: Plan | None, wanted: Plan, folder: str | Path) -> Plan:
    """`wanted` with the jobs that the folder's plan has already.

    Raises `ValueError` where the two measure differently, so that their jobs could not be compared, or search
    in different spaces, which one study cannot hold.
    """
    if found is None:
        return wanted
    if found.benchmark != wanted.benchmark and not _benchmark_begun(Path(folder)):
        # A word of the benchmark that was wrong: what was trained is kept, what was to be asked is not.
        found = replace(found, benchmark=wanted.benchmark, jobs=tuple(found.trained))
    for name, setting in (("benchmark", "benchmark"), ("adapter", "adapter")):
        if getattr(found, name) != getattr(wanted, name):
            raise ValueError(
                f"{folder} holds a sweep with {setting} {_shown(getattr(found, name))}, and this one has "
                f"{_shown(getattr(wanted, name))}: give what it has, or another out=FOLDER"
            )
    if found.search.get("kind") != wanted.search.get("kind"):
        raise ValueError(
            f"{folder} holds a sweep with search={found.search.get('kind')}: give another out=FOLDER"
        )
    if found.axes and found.axes != wanted.axes:
        raise ValueError(
            f"{folder} holds a search over {_shown(found.axes)}, and this one is over {_shown(wanted.axes)}: "
            "a search goes on in the space that it began with. Give that, or another out=FOLDER"
        )
    return replace(wanted, jobs=found.jobs)


def _benchmark_begun(folder: Path) -> bool:
    """Whether a task of a benchmark has its folder, which holds it to the settings that it was begun with."""
    found = [*folder.glob("*/benchmark/*/"), *folder.glob("jobs/*/benchmark/*/")]
    return any(task.is_dir() and not task.name.startswith(".") for task in found)


def _shown(value: Any) -> str:
    return (" ".join(value) or "as it comes") if isinstance(value, tuple) else str(value)


class Composer:
    """Makes jobs of words, and finds what is wrong with them before the first one starts."""

    def __init__(
        self, *, name: str, recipe: str | None, benchmark: Sequence[str], config_dir: Path | None = None
    ) -> None:
        self.name, self.recipe, self.benchmark = name, recipe, tuple(benchmark)
        self._configs, self._more = home() / "configs", config_dir

    def base(self, words: Sequence[str], tracking: str | None = None) -> Job:
        """The benchmark of the model that jobs with these words start from.

        `tracking` is the recipes' choice of a tracker, where none of the words makes one.
        """
        asked = self._asked(words)
        id = f"base-{stable_id(*sorted(asked))[:8]}"
        return Job(
            id=id, recipe=None, words=(), given=(), benchmark=self._tracked(asked, words, tracking, id)
        )

    def job(
        self,
        words: Sequence[str],
        chosen: Sequence[str] = (),
        *,
        trial: int | None = None,
        probed: bool = False,
    ) -> tuple[Job, Job]:
        """A job of the words that all jobs have and of those that were chosen for it, and its base.

        `probed`: its probe is needed, to prune by or to choose by. Raises `ValueError` for words that its
        recipe or the benchmark do not take.
        """
        words = [*words, *chosen]
        recipe = self.recipe or self._recipe_for(words)
        config, choices = self._compose(recipe, words)
        tracking = choices.get("tracking")
        base = self.base(words, tracking)
        benchmark, _ = self._compose("benchmark", base.benchmark)
        for key in ("name", "revision"):
            trained, asked = (OmegaConf.select(c, f"model.{key}") for c in (config, benchmark))
            if trained != asked:
                raise ValueError(
                    f"{' '.join(words)}: {recipe} would train model.{key}={trained} and the benchmark would "
                    f"ask {asked}: give model=... as a word of its own, or benchmark.model=... or "
                    "benchmark.experiment=... as well"
                )
        if probed and OmegaConf.select(config, "probe.every") is None:
            raise ValueError(
                f"{' '.join(words)}: there is no probe to prune or choose by: leave probe=none out"
            )
        asked = self._asked(words)
        content = sorted(word for word in words if key_of(word).partition(".")[0] not in _LEAVES_RESULT)
        # What the benchmark asks is no part of it: a word of it that was wrong costs no training.
        id = f"{recipe}-{stable_id(recipe, *content, *_of_model(words))[:10]}"
        job = Job(
            id=id,
            recipe=recipe,
            words=tuple(words),
            given=(*words, *self._tracker(config, words, id)),
            benchmark=self._tracked(asked, words, tracking, f"{id}-benchmark"),
            base=base.id,
            resumes=not OmegaConf.select(config, "trainer.save_only_model"),
            trial=trial,
            label=" ".join(chosen) or recipe,
        )
        return job, base

    def _recipe_for(self, words: Sequence[str]) -> str:
        """The recipe that trains by these words: the one named like the method, or else by its rows."""
        method = next((value_of(word) for word in reversed(words) if key_of(word) == "method"), None)
        if method is not None:
            places = [self._configs, *([] if self._more is None else [self._more])]
            known = sorted(path.stem for place in places for path in (place / "method").glob("*.yaml"))
            if method not in known:
                raise ValueError(f"method={method}: there are {', '.join(known)}")
            if (home() / "recipes" / f"{method}.py").is_file():
                return method
        config, _ = self._compose("dpo", words)  # an experiment may choose the method
        return "sft" if config.rows == "sft" else "dpo"

    def _asked(self, words: Sequence[str]) -> tuple[str, ...]:
        """The benchmark's words that decide what it measures."""
        return (*_of_model(words), *self.benchmark)

    def _tracked(
        self, asked: Sequence[str], words: Sequence[str], choice: str | None, name: str
    ) -> tuple[str, ...]:
        """These words with the tracker of the recipes, so that a sweep is one group of runs there."""
        given = [word for word in words if key_of(word).partition(".")[0] == "tracking"]
        if choice is not None and not any(key_of(word) == "tracking" for word in given):
            given.insert(0, f"tracking={choice}")
        whole = (*given, *asked)  # the benchmark's own words have the last say
        config, _ = self._compose("benchmark", whole)
        return (*whole, *self._tracker(config, whole, name))

    def _tracker(self, config: DictConfig, words: Sequence[str], name: str) -> list[str]:
        """Group and name of a run, where it has a tracker and no word gives them."""
        if OmegaConf.select(config, "tracking.report_to") in (None, "none"):
            return []
        keys = {key_of(word) for word in words}
        wanted = {"tracking.group": self.name, "tracking.name": f"{self.name}-{name}"}
        return [f"{key}={quoted(value)}" for key, value in wanted.items() if key not in keys]

    def _compose(self, program: str, words: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
        """A program's configuration with these words, and what is chosen of each group."""
        name = find_program(program).config_name()
        assert name is not None
        more = [] if self._more is None else [search_path(self._more)]
        with initialize_config_dir(str(self._configs), version_base="1.3"):
            try:
                config = compose(name, overrides=[*more, *words], return_hydra_config=True)
            except HydraException as error:
                said = str(error).strip()
                raise ValueError(f"{program} does not take {' '.join(words)}:\n{said}") from error
        return config, dict(config.hydra.runtime.choices)


def _of_model(words: Sequence[str]) -> list[str]:
    return [word for word in words if key_of(word).partition(".")[0] == "model"]


def launch_words(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The `accelerate` settings as options of the launcher.

    Raises `ProgramError` for a missing file, `ValueError` for one of several machines.
    """
    file = _settings_of_file(settings)  # refuses what cannot be, before the first job
    words = []
    for name, value in settings.items():
        if value is not None:
            words += ["--accelerate" if name == "config" else f"--{name}", str(value)]
    if settings.get("main_process_port") is None and file.get("main_process_port") is None:
        words += ["--main_process_port", "0"]  # a free one: jobs may run side by side
    return tuple(words)


def benchmark_launch_words(settings: Mapping[str, Any], benchmark: Sequence[str]) -> tuple[str, ...]:
    """Options with which the benchmark is asked by as many processes as train, each on a GPU of its own.

    None where one process trains, where the configuration is for CPUs, or where the benchmark's words choose
    a device.
    """
    file = _settings_of_file(settings)
    several = int(settings.get("num_processes") or file.get("num_processes") or 1)
    if several < 2 or file.get("use_cpu") or any(key_of(word) == "device" for word in benchmark):
        return ()
    words = ["--num_processes", str(several), "--main_process_port", "0"]
    gpus = settings.get("gpu_ids") or file.get("gpu_ids")
    return (*words, *(() if gpus is None else ("--gpu_ids", str(gpus))))


def _settings_of_file(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `accelerate.config` says; empty without one."""
    if settings.get("config") is None:
        return {}
    file = accelerate_config(str(settings["config"]))[1]
    found: dict[str, Any] = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
    if int(found.get("num_machines") or 1) > 1:
        raise ValueError(
            f"accelerate.config={settings['config']}: {file} is for {found['num_machines']} machines, and a "
            "job of a sweep is on one: choose another file"
        )
    return found
