"""Where an honesty probe's samples go: `probe.jsonl` in the run folder, and a table for trackers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from align.records import Graded, Problem, iter_jsonl, write_records
from align.tracking.pictures import shown_image
from align.tracking.tracker import Table


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


class SampleTable:
    """Samples as a table with images, for a tracker."""

    def __init__(self, root: str | Path) -> None:
        self._root = root
        self._images: dict[str, Image.Image | None] = {}

    def of(self, samples: Sequence[ProbeSample]) -> Table:
        """The table of one probe's samples."""
        columns = ["step", "category", "question", "image", "response", "state", "correct", "reason", "gold"]
        rows = [
            [
                sample.step,
                sample.category,
                sample.question,
                self._image(sample.image),
                sample.response,
                sample.state,
                sample.correct,
                sample.reason,
                ", ".join(sample.answers) or sample.known_reason,
            ]
            for sample in samples
        ]
        return Table(columns, rows)

    def _image(self, name: str) -> Image.Image | None:
        if name not in self._images:
            self._images[name] = shown_image(self._root, name)
        return self._images[name]
