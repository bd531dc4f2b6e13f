"""RLHF-V (Yu et al. 2024): answers of models and what people corrected in them, as preference pairs.

Parquet or JSON rows with `ds_name, image, text, origin_dataset, origin_split, idx, image_path`; `text` is
an object, or JSON text of one, with `question, chosen, rejected`. The image is in the row as bytes, or a
file at `image_path`.

Each row becomes a pair of kind `retain`: general preference data against forgetting how to answer, which the
MoHoBench paper mixes 1:1 with its own pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from align.data.sources.base import Draft, Source
from align.data.sources.cells import Cells


@dataclass(frozen=True)
class RLHFV(Source):
    name: str = "rlhf-v"
    license: str | None = "CC BY-NC 4.0"

    warning: ClassVar[str | None] = (
        "RLHF-V is licensed CC BY-NC 4.0: what is trained on it may not be used commercially"
    )

    def drafts(self, cells: Cells) -> Sequence[Draft]:
        text = cells.object("text")
        image = cells.image("image", "image_path")
        sides: dict[str, str] = {}
        for name in ("question", "chosen", "rejected") if text is not None else ():
            value = (text or {}).get(name)
            if isinstance(value, str) and value.strip():
                sides[name] = value.strip()
            else:
                cells.bad(f"text.{name}", "is missing or empty" if not value else "expected a text")
        if cells.good and sides["chosen"] == sides["rejected"]:
            cells.bad("text", "`chosen` and `rejected` are the same text: there is nothing to prefer")
        origin = cells.optional("ds_name") or "unknown model"
        if not cells.good or image is None:
            return []
        fields = {
            "prompt": sides["question"].replace("<image>", "").strip(),
            "chosen": sides["chosen"],
            "rejected": sides["rejected"],
            "kind": "retain",
            "chosen_source": f"{self.name} (corrected by people)",
            "rejected_source": f"{self.name} ({origin})",
        }
        return [Draft(fields, image, "image", is_pair=True)]
