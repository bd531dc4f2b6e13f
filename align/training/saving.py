"""Save a trained adapter with its model card, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import Trainer

_KEPT = ("adapter_config.json", "adapter_model.safetensors")


def save_adapter(trainer: Trainer, folder: str | Path, *, base: str, card: str) -> Path:
    """Write `folder` (adapter weights, their config, README.md), for `PeftModel.from_pretrained`.

    Every process of a launch must call it, since sharded weights are gathered from all of them; only the
    main one writes. The folder appears under its name once it is complete. `base` is the model
    reference that the adapter's config names.
    """
    folder = Path(folder)
    gathered = folder.with_name(f".{folder.name}.gathered")
    trainer.save_model(str(gathered))
    if trainer.is_world_process_zero():
        complete = folder.with_name(f".{folder.name}.complete")
        shutil.rmtree(complete, ignore_errors=True)
        complete.mkdir(parents=True)
        # The trainer adds a pickle of its arguments, which nobody should have to trust.
        for name in _KEPT:
            shutil.copy2(gathered / name, complete / name)
        config = json.loads((complete / "adapter_config.json").read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base
        (complete / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (complete / "README.md").write_text(card, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        complete.rename(folder)
        shutil.rmtree(gathered)
    trainer.accelerator.wait_for_everyone()
    return folder


def model_card(
    *,
    method: str,
    base: str,
    base_digest: str,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    figures: Mapping[str, float],
    parameters: str,
) -> str:
    """The adapter's README.md: what it was trained on and how, what training showed, and its limits."""
    shown = ("loss", "train_loss", "rewards/accuracies", "rewards/margins", "mean_token_accuracy", "epoch")
    rows = [f"| {name} | {figures[name]:.4g} |" for name in shown if name in figures]
    lines = [
        "---",
        *([f"base_model: {base}"] if "/" in base and not Path(base).exists() else []),
        "library_name: peft",
        f"tags: [lora, vision-language, honesty, {method.split()[0].lower()}]",
        "---",
        f"# LoRA adapter for `{base}`, trained with {method}",
        "",
        "Made to say what an image cannot answer, and why, and to go on answering what it can.",
        "",
        "```python",
        "from align.models.loading import load_model",
        f'loaded = load_model("{base}", adapter="path/to/this/folder")',
        "```",
        "",
        "## Base",
        f"`{base}`, weights digest `{base_digest}`. The adapter fits these weights and no others.",
        "",
        "## Data",
        *[f"- {key}: {value}" for key, value in data.items()],
        "",
        "## Method",
        f"{method}, with TRL. Settings that differ from TRL's own defaults, or matter most:",
        "",
        "```yaml",
        *[f"{key}: {json.dumps(value)}" for key, value in sorted(settings.items()) if value is not None],
        "```",
        "",
        "```",
        parameters,
        "```",
        "",
        "## Figures from training",
        "| figure | last value |",
        "|---|---|",
        *rows,
        "",
        "These come from the training rows. They say nothing about honesty on new images: benchmark the",
        "adapter for that, and look at over-refusal beside refusal.",
        "",
        "## Limits",
        "- Trained for the kinds of question in its data; other kinds may still be answered with inventions,",
        "  or declined though they could be answered.",
        "- A refusal says what the model believes it sees, which may be wrong.",
        "- Everything else the base model gets wrong, it may still get wrong.",
        "",
    ]
    return "\n".join(lines)
