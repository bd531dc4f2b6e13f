"""The honesty probe: while a model trains, does it decline what it should, and only that?

Loss and margin say nothing of it. A margin grows as well when a model learns to decline everything. So every
few steps the model answers a fixed handful of questions, both kinds side by side, and the rates are logged
like any other figure. They can stop training (`stop_above`) and choose the adapter to keep (`keep_best`).

Training with a probe gives exactly the weights of training without one (`align.training.undisturbed`).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import Trainer, TrainerCallback

from align.data.compose import world_of
from align.models.generation import Generation, Request, generate
from align.models.loading import LoadedModel
from align.records import Question
from align.tracking.tracker import Table
from align.training.console import say
from align.training.probe_grading import METRICS, Matches, Metric, graded_sample, rates
from align.training.probe_log import SampleTable, append_samples, forget_later_samples
from align.training.undisturbed import undisturbed

_LESS_IS_BETTER = ("over_refusal_rate",)


@dataclass(frozen=True)
class ProbeSettings:
    """How often to probe, how to generate, and what hangs on the result.

    `every`: steps between probes; the last step is probed too. `stop_above`: over-refusal above which
    training stops when `patience` probes in a row exceed it (None: never). `keep_best`: the metric by which
    the best adapter is kept (None: none is).
    """

    every: int
    at_start: bool = True
    max_new_tokens: int = 64
    batch_size: int = 32
    stop_above: float | None = None
    patience: int = 1
    keep_best: Metric | None = "honesty"

    def __post_init__(self) -> None:
        for name in ("every", "max_new_tokens", "batch_size", "patience"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"probe.{name}={value!r}: give a whole number of at least 1")
        if self.stop_above is not None and not 0 <= self.stop_above < 1:
            raise ValueError(
                f"probe.stop_above={self.stop_above!r}: give a rate from 0 to below 1, such as 0.1, or "
                "null to never stop"
            )
        if self.keep_best is not None and self.keep_best not in METRICS:
            raise ValueError(
                f"probe.keep_best={self.keep_best!r}: choose one of {', '.join(METRICS)}, or null for none"
            )


@dataclass(frozen=True)
class ProbeSummary:
    """A run's probes: what was asked, the smaller number of questions of a kind, and rates by moment."""

    questions: str
    fewest: int
    columns: dict[str, dict[str, float]]


_OF_QUESTIONS = ("questions", "root", "unanswerable", "answerable", "seed")


def probe_settings(probe: Mapping[str, Any]) -> ProbeSettings | None:
    """The callback's part of a `probe` config; None where `every` is null, which switches the probe off.

    Raises `ValueError` that names the field, for an impossible value or an unknown name.
    """
    known = {field.name for field in fields(ProbeSettings)}
    if unknown := sorted(set(probe) - known - set(_OF_QUESTIONS)):
        raise ValueError(
            f"probe.{unknown[0]}: no such setting; there are {', '.join([*sorted(known), *_OF_QUESTIONS])}"
        )
    if probe["every"] is None:
        return None
    return ProbeSettings(**{name: value for name, value in probe.items() if name in known})


class HonestyProbe(TrainerCallback):
    """Generates greedily on fixed questions every N steps, grades, logs, stops, and keeps the best.

    Args:
        questions: what to ask (`align.training.probe_questions`); their images are under `root`.
        loaded: processor and name; the model asked is the trainer's, with its adapter.
        folder: the run folder, for `probe.jsonl` and `best/`.
        matches: grades answers to questions about photographs that have gold answers. Without it, their
            accuracy is not known and not logged; the miniature world's are graded exactly.
        show: is given each probe's samples, as a table with images, and the step: `Tracking.table`.

    Logged through the trainer, so that they reach the terminal, W&B and `trainer_state.json`:
    `probe/refusal_rate` (declined of the unanswerable), `probe/over_refusal_rate` (declined of the
    answerable), `probe/answer_accuracy` (right of the answerable), `probe/honesty` (the first minus the
    second: 1 is perfect, 0 is declining everything or nothing) and `probe/seconds`.

    With several processes the main one generates while the others wait. Where DeepSpeed ZeRO-3 has cut the
    weights up, all of them generate the same. FSDP is refused: its outermost weights are gathered by a call
    of the whole model only, which generation does not make.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        questions: Sequence[Question],
        *,
        root: str | Path,
        loaded: LoadedModel,
        folder: str | Path,
        matches: Matches | None = None,
        show: Callable[[str, Table, int], None] | None = None,
    ) -> None:
        self.settings, self.questions, self.loaded = settings, list(questions), loaded
        self.root, self.folder, self.matches = Path(root), Path(folder), matches
        self._table, self._show = SampleTable(root), show
        self._trainer: Trainer | None = None
        self._save: Callable[[Path, dict[str, Any]], Any] | None = None
        self._best: dict[str, Any] | None = None  # what `best.json` says
        self._bar: float | None = None  # what a probe has to beat for its adapter to be kept
        self._check_questions()

    def attach(self, trainer: Trainer, save: Callable[[Path, dict[str, Any]], Any] | None = None) -> None:
        """Add the probe to a trainer.

        `save(folder, best)` writes the adapter to `folder`, whole or not at all, with `best` (`step`,
        `metric`, `value`, `figures`) in it as `best.json`; every process calls it.

        Raises `ValueError` for what the probe cannot do.
        """
        if trainer.is_fsdp_enabled:
            raise ValueError(
                "probe.every: the probe cannot generate with weights that FSDP has cut up; give probe=none, "
                "or use DDP or DeepSpeed"
            )
        if self.settings.keep_best is not None and save is None:
            raise ValueError(
                f"probe.keep_best={self.settings.keep_best}: attach() needs `save` to keep an adapter with"
            )
        self._trainer, self._save = trainer, save
        trainer.add_callback(self)

    # --- Events of the trainer ---------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self._best = self._on_main(lambda: self._take_up(state.global_step))
        values = [entry[self._metric] for entry in state.log_history if self._metric in entry]
        self._bar = self._better_of([*values, *([self._best["value"]] if self._best else [])])
        if self.settings.at_start and state.global_step == 0:
            self._probe(state)
        return control

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        step, settings = state.global_step, self.settings
        if step % settings.every and step != state.max_steps:
            return control
        figures = self._probe(state)
        # From the history, which a checkpoint holds; the probe before training says nothing about training.
        name = "probe/over_refusal_rate"
        history = [entry[name] for entry in state.log_history if name in entry and entry["step"] > 0]
        if sum(map(self._exceeds, history[-settings.patience :])) >= settings.patience:
            say(
                f"step {step}: over-refusal {figures['probe/over_refusal_rate']:.3g} is above "
                f"probe.stop_above={settings.stop_above:g}: training stops here"
            )
            control.should_training_stop = True
        return control

    # --- One probe ---------------------------------------------------------------------------------------

    def _probe(self, state: Any) -> dict[str, float]:
        """Ask, log, and keep the adapter if it is the best so far. The same figures on every process."""
        trainer = self._trainer
        assert trainer is not None
        model: Any = trainer.accelerator.unwrap_model(trainer.model)
        with undisturbed(model, trainer.accelerator.device):
            if _is_cut_up(trainer):
                responses = self._ask(model)
                figures = self._on_main(lambda: self._record(responses, state.global_step))
            else:
                figures = self._on_main(lambda: self._record(self._ask(model), state.global_step))
            # Not the trainer's own `log`, which may add its averages since the last line and begin them anew.
            # Having logged, the trainer would take its own figures of this step for logged, too.
            due = trainer.control.should_log
            Trainer.log(trainer, dict(figures))
            trainer.control.should_log = due
            self._keep_if_best(figures, state.global_step)
        return figures

    def _ask(self, model: Any) -> tuple[list[Generation], float]:
        """Responses to all questions, and the seconds they took."""
        assert self._trainer is not None
        started = time.monotonic()
        requests = [Request(q.question, self.root / q.image, q.id) for q in self.questions]
        settings, accelerator = self.settings, self._trainer.accelerator
        # With DeepSpeed the weights themselves are in half precision.
        precision = nullcontext() if self._trainer.is_deepspeed_enabled else accelerator.autocast()
        with precision:
            responses = generate(
                replace(self.loaded, model=model),
                requests,
                max_new_tokens=settings.max_new_tokens,
                batch_size=settings.batch_size,
            )
        return responses, time.monotonic() - started

    def _record(self, asked: tuple[list[Generation], float], step: int) -> dict[str, float]:
        responses, seconds = asked
        samples = [
            graded_sample(question, response, step, self.matches)
            for question, response in zip(self.questions, responses, strict=True)
        ]
        append_samples(self.folder / "probe.jsonl", samples)
        if self._show is not None:
            self._show("probe/samples", self._table.of(samples), step)
        gradable = {question.id for question in self.questions if self._gradable(question)}
        return {**rates(samples, gradable), "probe/seconds": round(seconds, 3)}

    def _keep_if_best(self, figures: Mapping[str, float], step: int) -> None:
        value = figures.get(self._metric)
        if self.settings.keep_best is None or value is None:
            return
        if self._bar is not None and self._better_of([self._bar, value]) == self._bar:
            return
        self._bar = value
        if step == 0:  # an adapter that has not been trained is not worth keeping; it is the one to beat
            return
        assert self._save is not None
        best = {"step": step, "metric": self.settings.keep_best, "value": value, "figures": dict(figures)}
        self._best = best
        self._save(self.folder / "best", best)
        say(f"step {step}: {best['metric']} {value:.3g} is the best so far, kept in {self.folder / 'best'}")

    # --- The state of a run ------------------------------------------------------------------------------

    def _take_up(self, step: int) -> dict[str, Any] | None:
        """Forget what a stopped run did after `step`, and return what it says of the best adapter it kept.

        An adapter that was kept after `step` stays: the one before it was replaced by it, and going on
        reaches the same again.
        """
        forget_later_samples(self.folder / "probe.jsonl", step)
        if step == 0:
            shutil.rmtree(self.folder / "best", ignore_errors=True)
            return None
        best = read_best(self.folder)
        return best if best is not None and best["metric"] == self.settings.keep_best else None

    def _on_main(self, compute: Callable[[], Any]) -> Any:
        """What `compute` returns on the main process, on every process."""
        assert self._trainer is not None
        result = [compute() if self._trainer.accelerator.is_main_process else None]
        if self._trainer.accelerator.num_processes > 1:
            broadcast_object_list(result, from_process=0)
        return result[0]

    @property
    def _metric(self) -> str:
        return f"probe/{self.settings.keep_best}"

    def _better_of(self, values: Sequence[float]) -> float | None:
        choose = min if self.settings.keep_best in _LESS_IS_BETTER else max
        return choose(values) if values else None

    def _exceeds(self, rate: float) -> bool:
        return self.settings.stop_above is not None and rate > self.settings.stop_above

    def _check_questions(self) -> None:
        counts = {kind: sum(q.answerable == kind for q in self.questions) for kind in (True, False)}
        if not self.questions:
            raise ValueError("probe: there are no questions to probe with")
        settings = self.settings
        if settings.stop_above is not None and not counts[True]:
            raise ValueError("probe.stop_above: over-refusal needs answerable questions; there are none")
        needs = {
            "honesty": (True, False),
            "refusal_rate": (False,),
            "over_refusal_rate": (True,),
            "answer_accuracy": (True,),
        }
        for kind in needs[settings.keep_best] if settings.keep_best else ():
            if not counts[kind]:
                missing = "answerable" if kind else "unanswerable"
                raise ValueError(
                    f"probe.keep_best={settings.keep_best} needs {missing} questions, and there are none: "
                    "add some to probe.questions, or give probe.keep_best=null"
                )
        if settings.keep_best == "answer_accuracy" and not any(self._gradable(q) for q in self.questions):
            raise ValueError(
                "probe.keep_best=answer_accuracy needs questions with gold `answers`: give some, or choose "
                "another metric"
            )

    def _gradable(self, question: Question) -> bool:
        exact = world_of(question) is not None
        return question.answerable and (exact or bool(question.answers and self.matches))

    def describe(self) -> str:
        """One line for the terminal and the model card."""
        answerable = sum(q.answerable for q in self.questions)
        sources = ", ".join(sorted({q.source for q in self.questions}))
        return f"{len(self.questions) - answerable} unanswerable and {answerable} answerable ({sources})"

    def summary(self) -> ProbeSummary:
        """What the probes of the run so far showed, for the model card."""
        assert self._trainer is not None
        probes = [entry for entry in self._trainer.state.log_history if "probe/seconds" in entry]
        columns: dict[str, Mapping[str, float]] = {}
        if probes and probes[0]["step"] == 0:
            columns["before training"] = probes.pop(0)
        if probes:
            columns[f"step {probes[-1]['step']}, the last"] = probes[-1]
        if self._best is not None:
            columns[f"step {self._best['step']}, the best by {self._best['metric']}"] = self._best["figures"]
        answerable = sum(q.answerable for q in self.questions)
        return ProbeSummary(
            self.describe(),
            min(n for n in (answerable, len(self.questions) - answerable) if n),
            {
                name: {
                    metric: figures[f"probe/{metric}"] for metric in METRICS if f"probe/{metric}" in figures
                }
                for name, figures in columns.items()
            },
        )


def read_best(folder: str | Path) -> dict[str, Any] | None:
    """What `best/best.json` of a run folder says: `step`, `metric`, `value`, `figures`; None without one."""
    file = Path(folder) / "best" / "best.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _is_cut_up(trainer: Trainer) -> bool:
    """Does every process hold a part of the weights only?"""
    plugin: Any = trainer.accelerator.state.deepspeed_plugin if trainer.is_deepspeed_enabled else None
    return plugin is not None and plugin.zero_stage == 3
