"""Images that another data set holds out: whoever trains on these, must not show them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from align.data.audit import read_held_out
from align.data.images import ImageFacts
from align.data.near_duplicates import near_of
from align.records import DataError


def held_out_images(file: str | Path, root: str | Path, images: Mapping[str, ImageFacts]) -> dict[str, str]:
    """Which of `images` are held out by `file`, under whatever name or as a near-duplicate: why, by image.

    Args:
        file: questions (their test and validation splits count, or all if they are not split), or pairs or
            SFT rows of an evaluation.
        root: the folder that the image names in `file` are relative to.
        images: facts of the images that are asked about; without fingerprints only equal files are found.

    Raises `DataError` if an image of `file` cannot be compared, `FileNotFoundError`.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"held_out: no such file: {file}")
    with_marks = any(facts.fingerprint is not None for facts in images.values())
    held = read_held_out(file, root, fingerprints=with_marks)
    if held.missing:
        raise DataError(held.missing)
    reasons = {
        name: f"its image {name!r} is held out ({held.pictures[facts.digest]})"
        for name, facts in images.items()
        if facts.digest in held.pictures
    }
    marks = {name: f.fingerprint for name, f in images.items() if f.fingerprint is not None}
    for name, near in near_of(marks, held.fingerprints).items():
        reasons.setdefault(
            name, f"its image {name!r} is a near-duplicate of a held-out one ({near[0].second})"
        )
    return reasons
