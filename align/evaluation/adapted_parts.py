"""Which parts of a model an adapter's files have weights for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from safetensors import safe_open

from align.models.families import FAMILIES, Family, Part
from align.models.loading import adapter_folder

_PREFIX = "base_model.model."


def adapted_parts(adapter: str | Path, family: Family | None = None) -> dict[Part, int]:
    """Part -> how many of its modules the adapter changes, read from the names of its tensors.

    Without a family, a name counts for the part that any known family has it in.
    """
    with safe_open(adapter_folder(adapter) / "adapter_model.safetensors", framework="pt") as file:
        modules = {_module(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    families = [family] if family is not None else list(FAMILIES.values())
    counts: Counter[Part] = Counter(_part(module, families) for module in modules)
    return dict(sorted(counts.items()))


def _module(tensor: str) -> str:
    name = tensor.removeprefix(_PREFIX)
    for mark in (".lora_", ".base_layer", ".modules_to_save", ".ia3_", ".oft_", ".boft_", ".vera_"):
        name = name.partition(mark)[0]
    return name.removesuffix(".weight").removesuffix(".bias")


def _part(module: str, families: list[Family]) -> Part:
    found: list[Part] = [family.part_of(module) for family in families]
    return next((part for part in found if part not in ("other", "head")), found[0])
