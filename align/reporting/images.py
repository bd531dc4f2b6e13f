"""Images inside a page: re-encoded, small, as data URIs."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

SIDE = 480  # pixels: sharp at the 240 CSS pixels of the page on a dense screen
THUMBNAIL = 256  # pixels: a photograph is 6 KB on average
LOSSLESS = 160  # pixels: drawings up to this size stay exact


class ImageError(Exception):
    """An image that can't be shown, and why."""


def data_uri(root: Path, image: str) -> str:
    """The image at `root / image` as `data:image/...;base64,...`, at most `SIDE` pixels a side.

    Re-encoding keeps whatever else a file carries (scripts in SVG, metadata) out of the page.
    Raises `ImageError` for a path outside the root, a missing file, or one that does not decode.
    """
    picture = _small(root, image, SIDE)
    kind, content = (
        _encoded(picture, "PNG", optimize=True)
        if max(picture.size) <= LOSSLESS
        else _encoded(picture, "JPEG", quality=84, optimize=True)
    )
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def thumbnail(root: Path, image: str) -> tuple[str, bytes]:
    """The image at most `THUMBNAIL` pixels a side: its kind (`webp` or `png`) and its bytes.

    Raises `ImageError` as `data_uri` does.
    """
    picture = _small(root, image, THUMBNAIL)
    if max(picture.size) <= LOSSLESS:
        return _encoded(picture, "PNG", optimize=True)
    return _encoded(picture, "WEBP", quality=60, method=2)


def path_of(root: Path, image: str) -> Path:
    """Where the image is. Raises `ImageError` for a path outside the root, and for a missing file."""
    path = (root / image).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ImageError(f"{image} leaves the data root {root}")
    if not path.is_file():
        raise ImageError(f"{path} does not exist: is `data_root` in results.json right?")
    return path


def _small(root: Path, image: str, side: int) -> Image.Image:
    path = path_of(root, image)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                opened.draft("RGB", (side, side))  # JPEG only: decodes to the next larger size, at less cost
                picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise ImageError(f"{path} does not decode: {error}") from error
    picture.thumbnail((side, side))
    return picture


def _encoded(picture: Image.Image, form: str, **how: Any) -> tuple[str, bytes]:
    stream = io.BytesIO()
    picture.save(stream, form, **how)
    return form.lower(), stream.getvalue()
