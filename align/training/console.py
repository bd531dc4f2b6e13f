"""What a training run says on the terminal, and what it keeps to itself."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

import datasets
import huggingface_hub
import transformers
from tqdm.auto import tqdm
from transformers import ProgressCallback, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from align.training.pace import Pace, peak_memory_mib

_SHOWN = {  # the trainer's name -> ours, in the order of the line
    "loss": "loss",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
    "mean_token_accuracy": "token accuracy",
    "logps/token": "log-prob a token",
    "learning_rate": "lr",
    "eval_loss": "eval loss",
    "eval_rewards/accuracies": "eval accuracy",
}
_PROBED = {
    "probe/refusal_rate": "refusal",
    "probe/over_refusal_rate": "over-refusal",
    "probe/answer_accuracy": "answers right",
    "probe/honesty": "honesty",
}
_ON_THE_BAR = ("loss", "accuracy", "margin", "token accuracy")


def say(text: str) -> None:
    """Print on the main process of a launch only."""
    if os.environ.get("RANK", "0") == "0":
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()


def keep_quiet() -> None:
    """Leave the terminal to this program's own lines: errors of the libraries still come through.

    Also stops the libraries from reporting usage over the network, which would delay a run on a machine
    without one.
    """
    if "HF_HUB_DISABLE_TELEMETRY" not in os.environ:
        # The variable is read when the library is imported, which has happened by now.
        huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    # TRL and transformers warn about each other's renamed settings, which no user of this program can change.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\b")
    for name in ("trl", "accelerate", "peft", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


class ConsoleProgress(TrainerCallback):
    """A progress bar on a terminal, and a line of the figures that matter each time the trainer logs.

    The figures: loss, accuracy and margin, the honesty probe's rates, rows a second (without the time that
    probes took) and the memory at its highest. On a terminal the bar carries the latest of them.
    """

    def __init__(self, rows_name: str) -> None:
        self.rows_name = rows_name
        self.bar: tqdm | None = None
        self._pace = Pace()
        self._latest: dict[str, str] = {}

    def attach(self, trainer: Trainer) -> None:
        """Take the place of the trainer's own progress and print-out."""
        trainer.remove_callback(ProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(self)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._pace.start(state)
        self._latest = {}
        if state.is_world_process_zero:
            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                unit="step",
                dynamic_ncols=True,
                disable=not sys.stderr.isatty(),
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        figures = {ours: _short(float(logs[key])) for key, ours in _SHOWN.items() if key in logs}
        probed = {ours: f"{float(logs[key]):.2f}" for key, ours in _PROBED.items() if key in logs}
        if pace := self._pace.measure(args, state, logs):
            figures[f"{self.rows_name}/s"] = _short(pace["rows_per_second"])
            figures["memory"] = f"{pace['memory_gib']:.2f} GiB"
        words = [_named(name, value) for name, value in figures.items()]
        if probed:
            words.append("probe: " + "  ".join(_named(name, value) for name, value in probed.items()))
        if not words:
            return
        say(f"step {state.global_step:>5}/{state.max_steps}  " + "  ".join(words))
        self._show_on_bar(figures, probed)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _show_on_bar(self, figures: dict[str, str], probed: dict[str, str]) -> None:
        kept = (*_ON_THE_BAR, f"{self.rows_name}/s", "memory")
        self._latest |= {name: figures[name] for name in kept if name in figures}
        self._latest |= {name: probed[name] for name in ("refusal", "over-refusal") if name in probed}
        if self.bar is not None:
            self.bar.set_postfix_str("  ".join(_named(name, value) for name, value in self._latest.items()))


def training_figures(trainer: Trainer) -> dict[str, float]:
    """The last value of every figure that the trainer logged, and the memory at its highest.

    For the run's record and the model card.
    """
    figures: dict[str, float] = {}
    for entry in trainer.state.log_history:
        figures.update({key: value for key, value in entry.items() if isinstance(value, int | float)})
    figures.pop("total_flos", None)
    figures["peak_memory_mib"] = round(peak_memory_mib(trainer.args.device), 1)
    return figures


def _named(name: str, value: str) -> str:
    return f"{value} {name}" if name.endswith("/s") else f"{name} {value}"


def _short(value: float) -> str:
    return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"
