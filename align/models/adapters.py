"""LoRA on chosen parts of a vision-language model, and a count of what it makes trainable."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from peft import LoraConfig
from torch import nn

from align.models.families import PARTS, Family, Part
from align.models.quantization import true_size

ADAPTABLE: tuple[Part, ...] = ("language_model", "projector", "vision_tower")

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


def linear_modules(model: nn.Module, family: Family, parts: tuple[str, ...]) -> list[str]:
    """Names of the linear layers in the given parts, in the order of the model."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and family.part_of(name) in parts
    ]


def lora_config(
    model: nn.Module, family: Family, settings: Mapping[str, Any], *, for_preference: bool = False
) -> LoraConfig:
    """Build a `LoraConfig` that lands on the linear layers of the chosen parts and nowhere else.

    `settings` are `LoraConfig` arguments, and `parts` (default: the language model only). If
    `target_modules` is a list of layer names, as in `[q_proj, v_proj]`, only those are taken, within the
    parts; if it is a string, it is a regular expression on whole module names, as PEFT reads it.
    `for_preference` says that the reference model is this model with its adapter switched off.

    Names such as `q_proj` match the vision tower of most families too, so the result names modules by
    their whole path. Raises `ValueError` for what cannot work, saying why.
    """
    refuse_lora_settings(settings, for_preference=for_preference)
    settings = dict(settings)
    parts = tuple(settings.pop("parts", None) or ("language_model",))

    every = [name for name, _ in model.named_modules()]
    available = linear_modules(model, family, parts)
    wanted = settings.pop("target_modules", None)
    if wanted is None or wanted == "all-linear":
        names = available
    elif isinstance(wanted, str):
        names = [name for name in every if re.fullmatch(wanted, name)]
        if outside := [name for name in names if family.part_of(name) not in parts]:
            raise ValueError(
                f"lora.target_modules={wanted!r} matches {outside[0]} and {len(outside) - 1} other modules "
                f"outside lora.parts={list(parts)}: add {sorted({family.part_of(n) for n in outside})} to "
                "lora.parts if you mean it, or narrow the expression"
            )
    else:
        names = [name for name in available if any(name == w or name.endswith(f".{w}") for w in wanted)]
        missing = [w for w in wanted if not any(n == w or n.endswith(f".{w}") for n in names)]
        if missing:
            leaves = sorted({name.rpartition(".")[2] for name in available})
            raise ValueError(
                f"lora.target_modules: no linear layer {', '.join(missing)} in {', '.join(parts)}; "
                f"there are {', '.join(leaves)}"
            )
    if not names:
        raise ValueError(
            f"no linear layer to adapt in lora.parts={list(parts)} of family {family.name!r}: choose others"
        )
    # PEFT refuses `layers_to_transform` beside an expression, and writes a list in no fixed order.
    target = sorted(names) if settings.get("layers_to_transform") is not None else _expression(names, every)
    return LoraConfig(target_modules=target, **{"task_type": "CAUSAL_LM", **settings})


def refuse_lora_settings(settings: Mapping[str, Any], *, for_preference: bool = False) -> None:
    """Raise `ValueError` for settings that cannot work with any model, saying why."""
    if unknown := [part for part in settings.get("parts") or () if part not in ADAPTABLE]:
        raise ValueError(f"lora.parts: cannot adapt {', '.join(unknown)}; choose from {', '.join(ADAPTABLE)}")
    start = settings.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise ValueError(
            f"lora.init_lora_weights={start!r} changes the base model's weights: the saved adapter would fit "
            "no stored model, and with the adapter off the model would not be the reference. Use true, "
            "gaussian or orthogonal"
        )
    if start == "eva":
        raise ValueError(
            "lora.init_lora_weights='eva' needs a pass over data that is not made here, and would start like "
            "true without it. Use true, gaussian or orthogonal"
        )
    if settings.get("layer_replication"):
        raise ValueError(
            "lora.layer_replication makes another base model, which neither the reference nor the saved "
            "adapter's user would have. Remove it"
        )
    if for_preference and settings.get("bias", "none") != "none":
        raise ValueError(
            f"lora.bias={settings['bias']!r}: the reference model is this one with its adapter switched off, "
            "which leaves trained biases switched on. Use lora.bias=none"
        )
    if settings.get("target_parameters"):
        raise ValueError(
            "lora.target_parameters is not supported: it matches parameters by suffix in every part of the "
            "model, the vision tower included. Adapt linear layers with lora.target_modules and lora.parts"
        )


def _expression(names: list[str], all_names: Sequence[str]) -> str:
    """A regular expression that matches, of `all_names`, exactly `names`.

    Layers' numbers are folded where all of them are meant, since `adapter_config.json` should be readable.
    """
    chosen = set(names)
    spelt = {name: re.escape(name) for name in names}
    folded = {name: re.sub(r"\.\d+(?=\\\.|$)", r".\\d+", text) for name, text in spelt.items()}
    exact = {
        pattern: all(other in chosen for other in all_names if re.fullmatch(pattern, other))
        for pattern in set(folded.values())
    }
    alternatives = {folded[name] if exact[folded[name]] else spelt[name] for name in names}
    return "|".join(sorted(alternatives))


def count_parameters(model: nn.Module, family: Family) -> dict[Part, dict[str, int]]:
    """Trainable and total parameters of each part that has any."""
    counts: dict[Part, dict[str, int]] = {part: {"trainable": 0, "total": 0} for part in PARTS}
    for name, parameter in model.named_parameters():
        size = true_size(parameter)
        row = counts[family.part_of(name)]
        row["total"] += size
        row["trainable"] += size if parameter.requires_grad else 0
    return {part: row for part, row in counts.items() if row["total"]}


def format_parameters(counts: Mapping[Part, Mapping[str, int]]) -> str:
    """The counts as lines for the terminal, with their sum."""
    total = sum(row["total"] for row in counts.values())
    trainable = sum(row["trainable"] for row in counts.values())
    rows = [(str(part), row["trainable"], row["total"]) for part, row in counts.items()]
    lines = [f"{'parameters':<16}{'trainable':>14}{'all':>16}"]
    lines += [f"  {name:<14}{some:>14,}{all_:>16,}" for name, some, all_ in rows]
    lines.append(f"  {'together':<14}{trainable:>14,}{total:>16,}  ({trainable / total:.2%} trainable)")
    return "\n".join(lines)
