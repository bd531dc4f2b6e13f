"""How many pixels of an image a model looks at: one number, as each family's processor puts it.

Image tokens are most of a row, and what decides memory and time. Families say how many there may be in their
own ways: a number of pixels, a longest edge, a list of grids, a number of tiles. The budget counts all that
the vision tower is given of an image, the overview beside the tiles included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt
from typing import Any

from transformers import PreTrainedConfig
from transformers.image_utils import SizeDict

Settings = Mapping[str, Any]
"""An image processor's settings: its `to_dict()`, and what preprocessor_config.json holds."""

Rule = Callable[[Settings, int], dict[str, Any]]
"""From settings and a budget to the settings that change. Raises `ValueError` for what cannot be."""


def set_pixel_budget(processor: Any, config: PreTrainedConfig, max_pixels: int) -> dict[str, Any]:
    """Let a processor make at most `max_pixels` pixels of an image. Returns the settings that it changed.

    `config` is the model's: families with lists of grids look these up in it again, so it is changed as well.
    An image far longer than it is wide may get more in Qwen's families, whose shortest side is one patch.

    Raises `ValueError` where the family has one fixed size, or nothing as small as the budget.
    """
    image_processor = processor.image_processor
    changes = pixel_settings(str(config.model_type), image_processor.to_dict(), max_pixels)
    for name, value in changes.items():
        sized = isinstance(getattr(image_processor, name, None), SizeDict)
        setattr(image_processor, name, SizeDict(**value) if sized else value)
    defaults = getattr(processor, "images_kwargs", {})
    if clashing := changes.keys() & defaults.keys():
        # A processor's own defaults win over the settings of its image processor.
        processor.images_kwargs = defaults | {name: changes[name] for name in clashing}
    if "image_grid_pinpoints" in changes:
        config.image_grid_pinpoints = changes["image_grid_pinpoints"]
    return changes


def pixel_settings(model_type: str, settings: Settings, max_pixels: int) -> dict[str, Any]:
    """The settings of a family's image processor that change for a budget of `max_pixels` an image."""
    if model_type not in _RULES:
        raise ValueError(
            f"model.max_pixels={max_pixels}: not known for family {model_type!r}, only for "
            f"{', '.join(sorted(_RULES))}. Leave it null, and set the size in preprocessor_config.json"
        )
    try:
        return _RULES[model_type](settings, max_pixels)
    except _Impossible as error:
        raise ValueError(f"model.max_pixels={max_pixels}: {model_type} {error}") from None


class _Impossible(Exception):
    """What a family does that a budget doesn't go with."""


def _too_small(smallest: int) -> _Impossible:
    return _Impossible(f"cannot look at less than {smallest} pixels of an image: give at least that, or null")


def _qwen(settings: Settings, budget: int) -> dict[str, Any]:
    """Any size in steps of a merged patch; the "edges" are numbers of pixels."""
    side = settings["patch_size"] * settings["merge_size"]
    if budget < side**2:
        raise _too_small(side**2)
    smallest = min(settings["size"]["shortest_edge"], budget)
    return {"size": {"shortest_edge": smallest, "longest_edge": budget}}


def _grids(settings: Settings, budget: int) -> dict[str, Any]:
    """The best of a list of grids (height, width), and an overview of one tile."""
    tile = _height_and_width(settings.get("crop_size") or settings["size"])
    overview = tile[0] * tile[1]
    grids = settings["image_grid_pinpoints"]
    kept = [list(grid) for grid in grids if grid[0] * grid[1] + overview <= budget]
    if not kept:
        raise _too_small(min(height * width for height, width in grids) + overview)
    return {"image_grid_pinpoints": kept}


def _tiles(settings: Settings, budget: int) -> dict[str, Any]:
    """So many tiles, and an overview if there is more than one."""
    height, width = _height_and_width(settings["size"])
    tiles = budget // (height * width)
    if tiles < 1:
        raise _too_small(height * width)
    most = max(1, tiles - 1)
    return {"max_patches": most, "min_patches": min(settings.get("min_patches") or 1, most)}


def _longest_edge(settings: Settings, budget: int) -> dict[str, Any]:
    """Every image gets one longest edge and is cut into tiles, with an overview if there are several."""
    side = settings["max_image_size"]["longest_edge"]
    if not settings.get("do_image_splitting"):
        raise _fixed(side, side, "since its processor has do_image_splitting off")
    tiles = budget // side**2
    if tiles < 1:
        raise _too_small(side**2)
    # A square image has the most tiles.
    return {"size": {"longest_edge": max(1, isqrt(tiles - 1)) * side}}


def _pan_and_scan(settings: Settings, budget: int) -> dict[str, Any]:
    """One view of the whole, and crops of images that are not square: two or more, or none."""
    height, width = _height_and_width(settings["size"])
    views = budget // (height * width)
    if views < 1:
        raise _too_small(height * width)
    if views < 3:
        return {"do_pan_and_scan": False}
    return {"do_pan_and_scan": True, "pan_and_scan_max_num_crops": views - 1}


def _one_size(settings: Settings, budget: int) -> dict[str, Any]:
    crop = settings.get("crop_size") if settings.get("do_center_crop") else None
    raise _fixed(*_height_and_width(crop or settings["size"]), "the size of its tower's position embeddings")


def _numbered_tiles(settings: Settings, budget: int) -> dict[str, Any]:
    height, width = _height_and_width(settings["size"])
    raise _Impossible(
        f"has a learnt embedding for each arrangement of up to {settings['max_image_tiles']} tiles of "
        f"{height}x{width}, numbered for that number of tiles: another would give wrong ones. Leave it null"
    )


def _fixed(height: int, width: int, reason: str) -> _Impossible:
    return _Impossible(
        f"makes {height}x{width} pixels of every image ({height * width}), {reason}. Leave it null"
    )


def _height_and_width(size: Settings) -> tuple[int, int]:
    if size.get("height") and size.get("width"):
        return size["height"], size["width"]
    return size["shortest_edge"], size["shortest_edge"]


_RULES: dict[str, Rule] = {
    "llava": _one_size,
    "paligemma": _one_size,
    "llava_next": _grids,
    "llava_onevision": _grids,
    "qwen2_vl": _qwen,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
    "qwen3_5": _qwen,
    "internvl": _tiles,
    "idefics3": _longest_edge,
    "smolvlm": _longest_edge,
    "gemma3": _pan_and_scan,
    "mllama": _numbered_tiles,
}
