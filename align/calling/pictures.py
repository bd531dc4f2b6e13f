"""Pictures as they go into a call."""

from __future__ import annotations

import base64
import hashlib
import io
from functools import cache
from pathlib import Path

from PIL import Image, ImageOps

_SENT_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_QUALITY = 95
_ORIENTATION = 0x0112


def data_uri(path: Path) -> str:
    """The picture as a `data:` address: its file's own bytes where an endpoint reads them as training does.

    A file that is turned by its EXIF orientation, which endpoints do not all heed, or is of a format that
    they do not all read, is sent upright, as JPEG where it was one, else as PNG. Raises `OSError` for a file
    that is no picture.
    """
    raw = path.read_bytes()
    with Image.open(io.BytesIO(raw)) as image:
        mime = _SENT_AS_THEY_ARE.get(image.format or "")
        if mime is None or image.getexif().get(_ORIENTATION, 1) != 1:
            upright = (ImageOps.exif_transpose(image) or image).convert("RGB")
            buffer = io.BytesIO()
            if image.format == "JPEG":
                upright.save(buffer, "JPEG", quality=_QUALITY)
            else:
                mime = "image/png"
                upright.save(buffer, "PNG")
            raw = buffer.getvalue()
    return f"data:{mime};base64,{base64.b64encode(raw).decode()}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; read once for as long as the file stays as it is."""
    facts = path.stat()
    return _digest(path, facts.st_size, facts.st_mtime_ns)


def size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the file's header."""
    facts = path.stat()
    return _size(path, facts.st_size, facts.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _size(path: Path, size: int, changed: int) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
