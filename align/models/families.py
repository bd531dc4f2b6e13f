"""Where each family of vision-language models keeps its parts.

One row a family. Names are module paths in a `transformers` model (`model.named_modules()`), without the
prefix that PEFT adds. A part may lie inside another, as Qwen's projector lies inside its vision tower:
the longest path decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from align.extensions import load_extensions

Part = Literal["vision_tower", "projector", "language_model", "head", "other"]
PARTS: tuple[Part, ...] = get_args(Part)

_PEFT_PREFIX = "base_model.model."
_EXAMPLE = "'+model.parts={vision_tower:[model.x],projector:[model.y],language_model:[model.z]}'"


@dataclass(frozen=True)
class Family:
    """Module paths of a family's parts. `name` is `config.model_type`."""

    name: str
    vision_tower: tuple[str, ...]
    projector: tuple[str, ...]
    language_model: tuple[str, ...]
    head: tuple[str, ...] = ("lm_head",)

    def paths(self) -> list[tuple[str, Part]]:
        """(module path, part), longest path first."""
        rows = [(path, f.name) for f in fields(self) if f.name != "name" for path in getattr(self, f.name)]
        return sorted(rows, key=lambda row: -len(row[0]))  # type: ignore[arg-type]

    def part_of(self, name: str) -> Part:
        """The part that a module or parameter belongs to; `other` for what lies in none of them."""
        name = name.removeprefix(_PEFT_PREFIX)
        for path, part in self.paths():
            if name == path or name.startswith(f"{path}."):
                return part
        return "other"


_LLAVA = {
    "vision_tower": ("model.vision_tower",),
    "projector": ("model.multi_modal_projector",),
    "language_model": ("model.language_model",),
}
_LLAVA_NEWLINE = _LLAVA | {"projector": ("model.multi_modal_projector", "model.image_newline")}
_QWEN = {
    "vision_tower": ("model.visual",),
    "projector": ("model.visual.merger",),
    "language_model": ("model.language_model",),
}
_IDEFICS = {
    "vision_tower": ("model.vision_model",),
    "projector": ("model.connector",),
    "language_model": ("model.text_model",),
}

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("llava", **_LLAVA),
        Family("llava_next", **_LLAVA_NEWLINE),
        Family("llava_onevision", **_LLAVA_NEWLINE),
        Family("qwen2_vl", **_QWEN),
        Family("qwen2_5_vl", **_QWEN),
        Family(
            "qwen3_vl", **_QWEN | {"projector": ("model.visual.merger", "model.visual.deepstack_merger_list")}
        ),
        Family("qwen3_5", **_QWEN),
        Family("internvl", **_LLAVA),
        Family("idefics3", **_IDEFICS),
        Family("smolvlm", **_IDEFICS),
        Family("gemma3", **_LLAVA),
        Family("paligemma", **_LLAVA),
        Family("mllama", **_LLAVA | {"vision_tower": ("model.vision_model",)}),
    )
}


def known_family(model_type: str) -> Family | None:
    """The family from the table, to which modules of a user's own may add (align/extensions.py), or None."""
    if model_type not in FAMILIES:
        load_extensions()
    return FAMILIES.get(model_type)


def family_named(
    model_type: str, paths: Mapping[str, Sequence[str]] | None = None, *, how: str = ""
) -> Family:
    """A family from `paths` if given, else from the table.

    Raises `ValueError` for a family that is not in the table, and for paths of unknown or missing parts.
    `how` ends the message: it says how to name the parts.
    """
    how = how or f"Name its parts with {_EXAMPLE}"
    if paths is not None:
        known = {f.name for f in fields(Family)} - {"name"}
        if unknown := sorted(set(paths) - known):
            raise ValueError(
                f"model.parts: unknown part(s) {', '.join(unknown)}; choose from {sorted(known)}"
            )
        if missing := sorted(known - {"head"} - set(paths)):
            raise ValueError(f"model.parts: {', '.join(missing)} not named. {how}")
        return Family(model_type, **{part: tuple(names) for part, names in paths.items()})
    family = known_family(model_type)
    if family is None:
        raise ValueError(f"model family {model_type!r} is not in the table ({', '.join(FAMILIES)}). {how}")
    return family


def family_of(model: PreTrainedModel | PeftModel, paths: Mapping[str, Sequence[str]] | None = None) -> Family:
    """The family of a model, from `paths` if given, else from the table by `model.config.model_type`.

    Raises `ValueError` when the family is not in the table, or when a path names nothing in the model;
    the message lists the model's own modules and says how to name the parts.
    """
    family = family_named(str(model.config.model_type), paths, how=_how_to_name(model))
    names = {name.removeprefix(_PEFT_PREFIX) for name, _ in model.named_modules()}
    names |= {name.removeprefix(_PEFT_PREFIX) for name, _ in model.named_parameters()}
    # A family's optional parts, such as a row separator that only some of its models learn, may be absent.
    for part in ("vision_tower", "projector", "language_model"):
        expected = getattr(family, part)
        if not any(path in names for path in expected):
            raise ValueError(
                f"family {family.name!r}: no module {' or '.join(expected)} (its {part}) in this "
                f"{type(model).__name__}. {_how_to_name(model)}"
            )
    return family


def _how_to_name(model: nn.Module) -> str:
    inner = getattr(model, "model", model)
    prefix = "model." if inner is not model else ""
    children = [f"{prefix}{name}" for name, _ in inner.named_children()]
    return f"This model has {', '.join(children)}. Name its parts with {_EXAMPLE}"
