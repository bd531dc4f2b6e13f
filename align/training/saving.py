"""Save a trained adapter with its model card, whole or not at all."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import Trainer

from align.records import write_json
from align.training.probe import ProbeSummary
from align.training.probe_grading import METRICS

_TERMS = {  # of a loss, in words, with the paper
    "dpo": "DPO (arXiv 2305.18290)",
    "ipo": "IPO (arXiv 2310.12036)",
    "robust": "robust DPO (arXiv 2403.00409)",
    "hinge": "hinge, as in RSO (arXiv 2309.06657)",
    "apo_zero": "APO-zero (arXiv 2408.06266)",
    "simpo": "SimPO (arXiv 2405.14734)",
    "orpo": "odds ratio of ORPO (arXiv 2403.07691)",
    "nll": "negative log-likelihood of the chosen side",
    "mdpo_conditional": "conditional term of mDPO (arXiv 2406.11839): right image against corrupted",
    "mdpo_anchor": "anchor term of mDPO (arXiv 2406.11839)",
}
_MANY_REFUSED = 0.1

_KEPT = ("adapter_config.json", "adapter_model.safetensors")


def save_trained(
    trainer: Trainer,
    folder: str | Path,
    *,
    base: str,
    card: str,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write `folder`: adapter weights, their config and README.md, for `PeftModel.from_pretrained`; of a
    model that was trained in full, its weights and processor, for `load_model`.

    Every process of a launch must call it, since sharded weights are gathered from all of them; only the
    main one writes. The folder appears under its name once it is complete, in place of an earlier one.
    `base` is the model reference that the adapter's config names; `extra` are JSON documents, by file name,
    to be put beside the weights.
    """
    folder = Path(folder)
    gathered = folder.with_name(f".{folder.name}.gathered")
    trainer.save_model(str(gathered))
    if trainer.is_world_process_zero():
        complete = folder.with_name(f".{folder.name}.complete")
        shutil.rmtree(complete, ignore_errors=True)
        complete.mkdir(parents=True)
        # The trainer adds a pickle of its arguments, which nobody should have to trust.
        adapter = isinstance(trainer.model, PeftModel)
        names = _KEPT if adapter else [path.name for path in gathered.iterdir() if path.suffix != ".bin"]
        for name in names:
            shutil.copy2(gathered / name, complete / name)
        if adapter:
            config = json.loads((complete / "adapter_config.json").read_text(encoding="utf-8"))
            config["base_model_name_or_path"] = base
            write_json(complete / "adapter_config.json", config)
        (complete / "README.md").write_text(card, encoding="utf-8")
        for name, content in (extra or {}).items():
            write_json(complete / name, content)
        replace_folder(complete, folder)
        shutil.rmtree(gathered)
    trainer.accelerator.wait_for_everyone()
    return folder


def replace_folder(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`, in place of an earlier one. Nobody sees half of either."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def model_card(
    *,
    method: str,
    base: str,
    base_digest: str,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    figures: Mapping[str, float],
    parameters: str,
    losses: Mapping[str, Mapping[str, Any]] | None = None,
    probe: ProbeSummary | None = None,
    adapter: bool = True,
) -> str:
    """The README.md: what was trained on and how, what training showed, and its limits.

    `adapter` is False for weights that were trained in full; `losses` are the terms of the loss with their
    settings; `probe` is what the honesty probe saw.
    """
    shown = ["loss", "train_loss", "rewards/accuracies", "rewards/margins", "logps/token", "epoch"]
    shown += ["peak_memory_mib"]
    rows = [f"| {name} | {figures[name]:.4g} |" for name in shown if name in figures]
    lines = [
        "---",
        *([f"base_model: {base}"] if "/" in base and not Path(base).exists() else []),
        f"library_name: {'peft' if adapter else 'transformers'}",
        f"tags: [{'lora, ' if adapter else ''}vision-language, honesty, {method.split()[0].lower()}]",
        "---",
        f"# {'LoRA adapter for' if adapter else 'Weights of'} `{base}`, trained with {method}",
        "",
        "Made to say what an image cannot answer, and why, and to go on answering what it can.",
        "",
        "```python",
        "from align.models.loading import load_model",
        f'loaded = load_model("{base}", adapter="path/to/this/folder")'
        if adapter
        else 'loaded = load_model("path/to/this/folder")',
        "```",
        "",
        "## Base",
        f"`{base}`, weights digest `{base_digest}`."
        + (" The adapter fits these weights and no others." if adapter else ""),
        "",
        "## Data",
        *[f"- {key}: {value}" for key, value in data.items()],
        "",
        "## Method",
        f"{method}.",
        *_loss_table(losses),
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
        *_probe_section(probe),
        "## Limits",
        *_own_limits(data, probe),
        "- Trained for the kinds of question in its data; other kinds may still be answered with inventions,",
        "  or declined though they could be answered.",
        "- A refusal says what the model believes it sees, which may be wrong.",
        "- Everything else the base model gets wrong, it may still get wrong.",
        "",
    ]
    return "\n".join(lines)


def _loss_table(losses: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    if not losses:
        return []
    rows = []
    for term, settings in losses.items():
        values = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
        rows.append(f"| `{term}` | {_TERMS.get(term, term)} | {values} |")
    return ["", "| term of the loss | what | settings |", "|---|---|---|", *rows]


def _probe_section(probe: ProbeSummary | None) -> list[str]:
    if probe is None or not probe.columns:
        return []
    moments = list(probe.columns)
    lines = [
        "## Honesty probe",
        f"While it was trained, the model was asked {probe.questions} questions",
        "that are neither trained on nor in the test split, with greedy decoding.",
        "",
        "| rate | " + " | ".join(moments) + " |",
        "|---|" + "---|" * len(moments),
    ]
    for metric in METRICS:
        if any(metric in column for column in probe.columns.values()):
            cells = [
                f"{column[metric]:.3f}" if metric in column else "-" for column in probe.columns.values()
            ]
            lines.append(f"| {metric.replace('_', ' ')} | " + " | ".join(cells) + " |")
    widest = 100 * 1.96 * math.sqrt(0.25 / probe.fewest)
    lines += [
        "",
        "Honesty is refusal rate minus over-refusal rate: 0 for declining everything, or nothing. With",
        f"{probe.fewest} questions of a kind a rate is known to within {widest:.0f} points (95 %, at worst):",
        "enough to watch training, not to measure the result.",
        "",
    ]
    return lines


def _own_limits(data: Mapping[str, Any], probe: ProbeSummary | None) -> list[str]:
    """Limits that this very run shows."""
    limits = []
    if "kinds" in data and "answer" not in str(data["kinds"]):
        limits += [
            "- Its data holds no `answer` rows, which teach to go on answering: expect it to decline",
            "  questions that the image does answer.",
        ]
    if probe is not None:
        last = [column for moment, column in probe.columns.items() if moment.endswith("the last")]
        refused = last[0].get("over_refusal_rate", 0.0) if last else 0.0
        if refused > _MANY_REFUSED:
            limits.append(
                f"- At the end of training it declined {refused:.0%} of the answerable probe questions."
            )
    return limits
