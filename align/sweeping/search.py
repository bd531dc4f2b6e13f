"""A search by Optuna: which words the next jobs have, and which jobs are ended early.

Hydra's Optuna sweeper asks for an Optuna older than 3.0, so Optuna is used directly: the axes of the command
line are the space, and the same launchers run the jobs. The study is a journal in the sweep's folder, so a
search that was stopped goes on with what it knows, and jobs in other processes can report their probes to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from align.sweeping.objective import PROBE, Objective, ObjectiveError, evaluate, probed
from align.sweeping.outcomes import outcome_of
from align.sweeping.plan import Composer, Job, Plan
from align.sweeping.words import Axis, Words

try:
    import optuna
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import Trial, TrialState
except ImportError as error:
    raise ValueError("search=optuna needs Optuna 5: pip install 'mohoalign[sweep]'") from error

STUDY = "study.journal"
_BELOW_FLOOR = "below_floor"


class Search:
    """The trials of one sweep. `settings` is the `search` part of its configuration."""

    def __init__(
        self,
        out: Path,
        words: Words,
        settings: dict[str, Any],
        objective: Objective,
        composer: Composer,
    ) -> None:
        if not words.axes:
            raise ValueError(
                "search=optuna: there is nothing to search in: give a space, such as lora.r=8,16 or "
                "'trainer.learning_rate=tag(log,interval(1e-5,1e-2))'"
            )
        for name in ("trials", "parallel"):
            if not isinstance(settings[name], int) or settings[name] < 1:
                raise ValueError(f"search.{name}={settings[name]}: give a whole number of at least 1")
        self.out, self.words, self.settings, self.objective, self.composer = (
            out,
            words,
            settings,
            objective,
            composer,
        )
        self.space = {axis.key: distribution(axis) for axis in words.axes}
        self.study = open_study(out, settings)

    def check(self) -> None:
        """Raises `ValueError` for what is wrong with a value of the space: a trial is too late for it."""
        first = {axis.key: _text(_some_value(self.space[axis.key])) for axis in self.words.axes}
        points = [first]
        for key, space in self.space.items():
            points += [first | {key: _text(value)} for value in getattr(space, "choices", ())[1:]]
        for point in points:
            self._job([f"{key}={value}" for key, value in point.items()], None)

    def next_trials(self) -> list[tuple[int, Job, Job]]:
        """Those that an earlier sweep began, then new ones; none when there are as many as were asked for.

        Each is its number, its job and its job's base: a model may be what is searched.
        """
        trials = self._whole_trials()
        begun = [trial for trial in trials if trial.state == TrialState.RUNNING]
        new = min(self.settings["parallel"], self.settings["trials"] - len(trials))
        if not begun:
            begun = [self.study.ask(self.space) for _ in range(max(0, new))]  # type: ignore[misc]
        return [
            (trial.number, *self._job([f"{k}={_text(v)}" for k, v in trial.params.items()], trial.number))
            for trial in begun[: self.settings["parallel"]]
        ]

    def _whole_trials(self) -> list[optuna.trial.FrozenTrial]:
        """The trials without those whose values were not all drawn when the sweep that asked was killed."""
        whole = []
        for trial in self.study.get_trials(deepcopy=False):
            if trial.params.keys() == self.space.keys():
                whole.append(trial)
            elif trial.state == TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)
        return whole

    def tell(self, number: int, job: Job, plan: Plan) -> None:
        """What became of a trial. One that was cut off is left as it is: the next sweep goes on with it."""
        outcome = outcome_of(self.out, plan, job, self.objective)
        trial = Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id)
        trial.set_user_attr("job", job.id)
        if outcome.verdict in ("feasible", "infeasible"):
            trial.set_constraint(_BELOW_FLOOR, -(outcome.margin or 0.0))  # feasible: zero or less
            self.study.tell(number, outcome.objective)
        elif outcome.verdict == "pruned":
            self.study.tell(number, state=TrialState.PRUNED)
        elif outcome.verdict == "failed":
            trial.set_user_attr("reason", outcome.reason)
            self.study.tell(number, state=TrialState.FAIL)
        else:
            raise ValueError(f"{job.id} was not brought to its end: the same command goes on with it")

    def _job(self, chosen: Sequence[str], number: int | None) -> tuple[Job, Job]:
        probed = bool(self.settings["prune"]) or self.objective.task == PROBE
        return self.composer.job(self.words.jobs, chosen, trial=number, probed=probed)


def open_study(out: str | Path, settings: dict[str, Any]) -> optuna.Study:
    """The study in a sweep's folder, made if it is not there."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(Path(out) / STUDY)))
    study = optuna.create_study(
        study_name="sweep", storage=storage, load_if_exists=True, direction="maximize"
    )
    # Else a search that goes on would draw what it drew at its beginning.
    seed = settings["seed"] + len(study.get_trials(deepcopy=False))
    prune = settings.get("prune")
    # Trials side by side: what is not told yet counts as bad, so that they are not all drawn at one place.
    study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=settings.get("parallel", 1) > 1)
    study.pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=prune["trials"], n_warmup_steps=prune["steps"])
        if prune
        else optuna.pruners.NopPruner()
    )
    return study


def pruner(out: Path, plan: Plan, number: int) -> Callable[[Path], str | None]:
    """Report the probes of a training run to the study as they come, and say when it should end."""
    study = open_study(out, plan.search)
    trial = Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
    told = set(study.get_trials(deepcopy=False)[number].intermediate_values)
    formula = plan.search["prune"]["by"]
    size = -1

    def watch(run: Path) -> str | None:
        nonlocal size
        file = run / "probe.jsonl"
        if not file.is_file() or file.stat().st_size == size:
            return None
        size = file.stat().st_size
        for step, figures in sorted(probed(file).items()):
            if step in told or step == 0:  # before training all are alike
                continue
            told.add(step)
            try:
                value = evaluate(formula, {PROBE: figures}, PROBE)
            except ObjectiveError:  # a response that failed: the next probe may do
                continue
            trial.report(value, step)
            if trial.should_prune():
                return f"at step {step} {formula} is {value:.3g}, below the median of earlier jobs there"
        return None

    return watch


def distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    """What Optuna draws from, of one axis of Hydra's grammar. Raises `ValueError` for what it cannot draw."""
    sweep: Any = axis.override.value()
    if axis.override.is_interval_sweep():
        low, high, log = sweep.start, sweep.end, "log" in sweep.tags
        kind = (
            optuna.distributions.IntDistribution
            if isinstance(low, int) and isinstance(high, int)
            else optuna.distributions.FloatDistribution
        )
        try:
            return kind(low, high, log=log)
        except ValueError as error:
            raise ValueError(f"{axis.key}: {error}") from error
    values = axis.values()
    if axis.override.is_range_sweep() and isinstance(sweep.start, int) and isinstance(sweep.step, int):
        low, high = sorted((int(values[0]), int(values[-1])))
        return optuna.distributions.IntDistribution(low, high, step=abs(sweep.step))
    return optuna.distributions.CategoricalDistribution(values)


def some_words(words: Words) -> tuple[str, ...]:
    """The words of one point of the space."""
    return tuple(f"{axis.key}={_text(_some_value(distribution(axis)))}" for axis in words.axes)


def _some_value(given: Any) -> Any:
    return given.choices[0] if hasattr(given, "choices") else given.low


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
