"""Records as the data sets that TRL's trainers read, with images decoded only when a row is read.

TRL's `DPOTrainer` and `SFTTrainer` take vision rows as they are: no tokenisation ahead of time, no
`map`. Their collators want, for each row, messages whose content is a plain string and a list of PIL
images, and put the images before the first user text themselves. So a row here looks like

    {"prompt": [{"role": "user", "content": "What color is the star?"}],
     "chosen": [{"role": "assistant", "content": "There is no star here."}],
     "rejected": [{"role": "assistant", "content": "The star is red."}],
     "images": [<PIL.Image.Image mode=RGB size=96x96>]}

and an SFT row has `completion` in place of the two sides. Content is a string, not a list of parts,
because arrow fills the parts with nulls (`{"type": "image", "text": None}`), which some chat templates
print.

The arrow table holds image *paths* (`datasets.Image`, `bytes` null), so it is small, and every
DataLoader worker opens the files of its own rows. Anything that runs `.map` over such a data set and
returns the images would bake pixels into arrow files: use `.select` and `.remove_columns` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, List, Value

from align.data.images import resolve_image
from align.records import DataError, Pair, Problem, SFTRow

_MESSAGES = List({"role": Value("string"), "content": Value("string")})
# RGB for every file, whatever its own mode (gray, palette, CMYK): an image processor that normalises three
# channels fails on the others in the middle of an epoch.
_IMAGES = List(Image(mode="RGB"))


def preference_dataset(pairs: Sequence[Pair], data_root: str | Path) -> Dataset:
    """Preference pairs in TRL's conversational form for `DPOTrainer` on a vision model.

    Columns: `prompt`, `chosen`, `rejected` (lists of messages), `images` (decoded at access, RGB,
    upright after EXIF), and `question_id`, `kind`, `category`, which the trainer drops. Rows keep their
    order.

    Raises:
        DataError: there are no pairs, or an image file of a row does not exist under `data_root`.
    """
    columns = _common_columns(pairs, data_root, "pairs")
    columns["chosen"] = [_turn("assistant", pair.chosen) for pair in pairs]
    columns["rejected"] = [_turn("assistant", pair.rejected) for pair in pairs]
    return _dataset(columns, ("prompt", "chosen", "rejected"))


def sft_dataset(rows: Sequence[SFTRow], data_root: str | Path) -> Dataset:
    """Supervised rows in TRL's prompt-completion form for `SFTTrainer` on a vision model.

    Columns: `prompt`, `completion` (lists of messages), `images`, `question_id`, `kind`, `category`.
    `completion_only_loss` then puts the loss on the completion alone; a `messages` column would train
    on the user's words and on the image placeholders as well.

    Raises:
        DataError: there are no rows, or an image file of a row does not exist under `data_root`.
    """
    columns = _common_columns(rows, data_root, "SFT rows")
    columns["completion"] = [_turn("assistant", row.completion) for row in rows]
    return _dataset(columns, ("prompt", "completion"))


def _turn(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def _common_columns(
    rows: Sequence[Pair] | Sequence[SFTRow], data_root: str | Path, what: str
) -> dict[str, list[Any]]:
    if not rows:
        # A data set without rows has no types that a trainer could read, and nothing to train on.
        raise DataError([Problem(file=str(data_root), message=f"no {what}: there is nothing to train on")])
    problems: list[Problem] = []
    known: dict[str, str] = {}
    images: list[list[str]] = []
    for row in rows:
        paths = []
        for image in row.images:
            if image not in known:
                try:
                    path = resolve_image(image, data_root)
                    message = None if path.is_file() else f"image {image!r} is not there: looked for {path}"
                except ValueError as error:
                    message = str(error)
                if message is not None:
                    problems.append(
                        Problem(file=str(data_root), field="images", row_id=row.question_id, message=message)
                    )
                    continue
                known[image] = str(path)
            paths.append(known[image])
        images.append(paths)
    if problems:
        raise DataError(problems)
    return {
        "prompt": [_turn("user", row.prompt) for row in rows],
        "images": images,
        "question_id": [row.question_id for row in rows],
        "kind": [row.kind for row in rows],
        "category": [row.category for row in rows],
    }


def _dataset(columns: dict[str, list[Any]], message_columns: tuple[str, ...]) -> Dataset:
    texts = ("question_id", "kind", "category")
    features = Features(
        dict.fromkeys(message_columns, _MESSAGES)
        | {"images": _IMAGES}
        | dict.fromkeys(texts, Value("string"))
    )
    return Dataset.from_dict({name: columns[name] for name in features}, features=features)
