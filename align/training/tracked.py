"""What a training run tells its trackers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from align.models.loading import reference_digest, weights_digest
from align.tracking.artifacts import DATASET, MODEL, Artifact, of_model, of_path
from align.tracking.tracking import Tracking
from align.training.pace import Pace

_OF_THE_RUN = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss")


class TrackedTraining(TrainerCallback):
    """Passes on every figure that the trainer logs, with rows a second and memory beside them.

    Training figures stand under `train/`, those of held-out rows under `eval/`, the honesty probe's under
    `probe/`; what holds for the whole run is its summary.
    """

    def __init__(self, tracking: Tracking) -> None:
        self._tracking, self._pace = tracking, Pace()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._pace.start(state)
        with self._tracking.guarded("config"):
            self._tracking.config({"arguments": args.to_sanitized_dict(), "steps": state.max_steps})

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        if not logs:
            return
        pace = self._pace.measure(args, state, logs)
        figures = {
            _named(name): value
            for name, value in {**logs, **pace}.items()
            if isinstance(value, int | float) and name not in (*_OF_THE_RUN, "total_flos")
        }
        if "train_runtime" not in logs:  # the trainer's last word is about the run, not about a step
            self._tracking.figures(figures, state.global_step)
        self._tracking.summary({name: logs[name] for name in _OF_THE_RUN if name in logs})


def _named(name: str) -> str:
    if name.startswith("eval_"):
        return f"eval/{name.removeprefix('eval_')}"
    return name if name.startswith("probe/") else f"train/{name}"


def inputs_of_training(rows: Path, held_out: str | None, model: Mapping[str, Any]) -> list[Artifact]:
    """What a training run reads: its rows, the base, and the adapter that it goes on from."""
    name, adapter = str(model["name"]), model.get("adapter")
    inputs = [of_path(rows, DATASET), of_model(name, reference_digest(name, revision=model.get("revision")))]
    if held_out:
        inputs.append(of_path(held_out, DATASET))
    if adapter and Path(adapter).is_dir():
        inputs.append(of_path(adapter, MODEL))
    return inputs


def trained(folder: Path, *, base: str, base_digest: str, method: str) -> Artifact:
    """The adapter that a run made, or of a model that was trained in full its digest; with the model card."""
    adapter = (folder / "adapter_config.json").is_file()
    made = of_path(folder, MODEL) if adapter else of_model(folder, weights_digest(folder))
    card = folder / "README.md"
    return made.told(
        card.read_text(encoding="utf-8") if card.is_file() else None,
        {"base": base, "base_digest": base_digest, "method": method},
    )
