"""Images inside a page: re-encoded, small, as data URIs."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

SIDE = 480  # pixels: sharp at the 240 CSS pixels of the page on a dense screen
LOSSLESS = 160  # pixels: drawings up to this size stay exact


class ImageError(Exception):
    """An image that can't be shown, and why."""


def data_uri(root: Path, image: str) -> str:
    """The image at `root / image` as `data:image/...;base64,...`, at most `SIDE` pixels a side.

    Re-encoding keeps whatever else a file carries (scripts in SVG, metadata) out of the page.
    Raises `ImageError` for a path outside the root, a missing file, or one that does not decode.
    """
    path = (root / image).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ImageError(f"{image} leaves the data root {root}")
    if not path.is_file():
        raise ImageError(f"{path} does not exist: is `data_root` in results.json right?")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise ImageError(f"{path} does not decode: {error}") from error
    picture.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    if max(picture.size) <= LOSSLESS:
        picture.save(stream, "PNG", optimize=True)
        kind = "png"
    else:
        picture.save(stream, "JPEG", quality=84, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
