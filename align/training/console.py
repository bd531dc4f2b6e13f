"""What a training run says on the terminal, and what it keeps to itself."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from typing import Any

import datasets
import huggingface_hub
import transformers
from tqdm.auto import tqdm
from transformers import ProgressCallback, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

_SHOWN = {  # TRL's name -> ours, in the order of the line
    "loss": "loss",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
    "mean_token_accuracy": "token accuracy",
    "learning_rate": "lr",
    "eval_loss": "eval loss",
    "eval_rewards/accuracies": "eval accuracy",
}


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
    """A progress bar on a terminal, and a line of the figures that matter each time the trainer logs."""

    def __init__(self, rows_name: str) -> None:
        self.rows_name = rows_name
        self.bar: tqdm | None = None
        self._since = (0.0, 0)  # (time, step) of the last line

    def attach(self, trainer: Trainer) -> None:
        """Take the place of the trainer's own progress and print-out."""
        trainer.remove_callback(ProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(self)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._since = (time.monotonic(), state.global_step)
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
        figures = [f"{ours} {_short(float(logs[key]))}" for key, ours in _SHOWN.items() if key in logs]
        if not figures:
            return
        now, (then, step) = time.monotonic(), self._since
        if "loss" in logs and state.global_step > step:
            rows = (state.global_step - step) * args.train_batch_size * args.gradient_accumulation_steps
            figures.append(f"{_short(rows * args.world_size / (now - then))} {self.rows_name}/s")
            self._since = (now, state.global_step)
        say(f"step {state.global_step:>5}/{state.max_steps}  " + "  ".join(figures))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def training_figures(trainer: Trainer) -> dict[str, float]:
    """The last value of every figure that the trainer logged, for the run's record and the model card."""
    figures: dict[str, float] = {}
    for entry in trainer.state.log_history:
        figures.update({key: value for key, value in entry.items() if isinstance(value, int | float)})
    figures.pop("total_flos", None)
    return figures


def _short(value: float) -> str:
    return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"
