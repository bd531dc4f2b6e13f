"""Where an honesty probe's samples go: `probe.jsonl` in the run folder, and a table in Weights & Biases."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from align.data.images import open_image, resolve_image
from align.records import Graded, Problem, iter_jsonl, write_records

_SHOWN_PIXELS = 256  # the longer side of an image in the table: enough to see what was asked about


class ProbeSample(Graded):
    """One probe question with the response at one step of training, graded."""

    step: int


def append_samples(path: str | Path, samples: Sequence[ProbeSample]) -> None:
    """Add samples to the end of a file."""
    text = "".join(sample.model_dump_json(exclude_none=True) + "\n" for sample in samples)
    with Path(path).open("a", encoding="utf-8") as stream:
        stream.write(text)


def forget_later_samples(path: str | Path, step: int) -> None:
    """Drop what a run that was stopped wrote after the checkpoint of `step`, which will be written again.

    A last line that was cut off belongs to that. Step 0 is a run from its beginning, which keeps nothing.
    """
    path = Path(path)
    if not path.exists():
        return
    rows = [row for _, row in iter_jsonl(path) if not isinstance(row, Problem)]
    write_records(
        path, [ProbeSample.model_validate(row) for row in rows if 0 <= row["step"] <= step and step]
    )


class WandbTable:
    """The samples as a W&B table with images, one table a probe, if a W&B run is open (offline will do)."""

    def __init__(self, root: str | Path) -> None:
        self._root = root
        self._images: dict[str, Image.Image] = {}

    def log(self, samples: Sequence[ProbeSample]) -> bool:
        """Log one probe's samples. Returns whether a run was open to log to."""
        wandb: Any = sys.modules.get("wandb")
        if wandb is None or wandb.run is None:
            return False
        columns = ["step", "category", "question", "image", "response", "state", "correct", "reason", "gold"]
        table = wandb.Table(columns=columns)
        for sample in samples:
            table.add_data(
                sample.step,
                sample.category,
                sample.question,
                wandb.Image(self._image(sample.image)),
                sample.response,
                sample.state,
                sample.correct,
                sample.reason,
                ", ".join(sample.answers) or sample.known_reason,
            )
        # The trainer's figures have this for their axis.
        wandb.run.log({"probe/samples": table, "train/global_step": samples[0].step})
        return True

    def _image(self, name: str) -> Image.Image:
        if name not in self._images:
            image = open_image(resolve_image(name, self._root))
            image.thumbnail((_SHOWN_PIXELS, _SHOWN_PIXELS))
            self._images[name] = image
        return self._images[name]
