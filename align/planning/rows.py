"""Row lengths to plan with: typical ones, or those of the user's own rows, measured without a model's
weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from align import miniworld
from align.models.hub import fetch
from align.models.loading import TINY, model_folder
from align.models.pixels import set_pixel_budget
from align.models.stored import read_config, read_processor
from align.planning.models import MetaModel
from align.records import DataError, Pair, SFTRow, read_records
from align.training.audit import Planned, audit_rows
from align.training.data import find_rows, longest_context
from align.training.estimate import RowTokens, StepPlan

PATCHES_A_TOKEN = 4
"""Patches that the tower takes for an image token, in Qwen2-VL, Qwen2.5-VL and InternVL: 2 x 2 are merged."""

_DESCRIPTION = ["*.json", "*.model", "*.txt", "*.jinja"]


def typical_rows(
    settings: Mapping[str, Any], image_tokens: tuple[int, int], *, supervised: bool
) -> list[RowTokens]:
    """`settings.count` rows of usual length, the last of them as long as rows get.

    `settings.usual` and `settings.longest` give the tokens of `text` (the prompt without its image), `chosen`
    and `rejected`; `image_tokens` are those of a usual and of the largest picture. Raises `ValueError` for a
    count below 1.
    """
    count = int(settings["count"])
    if count < 1:
        raise ValueError(f"typical.count={count}: plan for at least one row")

    def row(lengths: Mapping[str, int], image: int) -> RowTokens:
        sides = (lengths["chosen"],) if supervised else (lengths["chosen"], lengths["rejected"])
        return RowTokens(lengths["text"] + image, sides, image * PATCHES_A_TOKEN)

    usual, longest = row(settings["usual"], image_tokens[0]), row(settings["longest"], image_tokens[1])
    return [usual] * (count - 1) + [longest]


def description_folder(name: str, revision: str | None = None) -> Path:
    """A model's folder with its configuration and processor; of a hub model nothing else is downloaded.

    Raises `ValueError` where no model was named, and `HubError`.
    """
    if name == "???":
        return model_folder(name)  # which says what to give
    if name == TINY:
        return Path(miniworld.TINY_VLM)
    if Path(name).is_dir():
        return Path(name)
    return fetch(name, "model", patterns=_DESCRIPTION, revision=revision)


def measured_rows(
    model: Mapping[str, Any], data: Mapping[str, Any], which: str, meta: MetaModel, folder: Path
) -> list[RowTokens]:
    """The lengths of the rows that `data` names, as training would have them. `which`: pairs or sft.

    Raises `FileNotFoundError` for a missing file, and `DataError` for rows that training would refuse.
    """
    file = find_rows(data, which)
    config = read_config(folder, model["name"], trust_remote_code=model["trust_remote_code"])
    processor = read_processor(folder, model["name"], config, trust_remote_code=model["trust_remote_code"])
    if model["max_pixels"] is not None:
        set_pixel_budget(processor, config, model["max_pixels"])
    kind: Any = SFTRow if which == "sft" else Pair
    audit = audit_rows(
        read_records(file, kind),
        file=file,
        data_root=data["root"],
        processor=processor,
        max_tokens=data["max_tokens"] or longest_context(meta.network),
        skip_too_long=data["skip_too_long"],
        # Only the rows' tokens are taken from it: the rate does not matter, and measuring one would take a
        # model.
        planned=Planned(meta.network, meta.family, StepPlan(1, 2), flop_rate=1.0),
        shapes=0,
    )
    if audit.breaks_training:
        raise DataError(audit.problems())
    return audit.row_tokens


def spread(rows: list[RowTokens]) -> dict[str, int]:
    """Tokens of the middle row, of the longest, and of all."""
    totals = sorted(row.total for row in rows)
    middle = totals[len(totals) // 2]
    return {"rows": len(rows), "middle": middle, "most": totals[-1], "together": sum(totals)}
