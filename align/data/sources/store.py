"""A folder of pictures named by their content: where pictures that came inside rows are kept."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from pathlib import Path

from PIL import Image

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


class BadBytes(Exception):
    """Bytes that are not a picture; the message says why."""


class ImageStore:
    """Writes pictures as `<digest>.<format>`, each once, whole or not at all.

    The name is the first 32 hex digits of the SHA-256 of the bytes, so the same data gives the same names in
    every run and on every machine. `written` counts the different pictures that this store was given.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._names: dict[str, str] = {}

    @property
    def written(self) -> int:
        return len(self._names)

    def put(self, data: bytes) -> str:
        """Keep a picture and return its name. Only its header is looked at. Raises `BadBytes`."""
        digest = hashlib.sha256(data).hexdigest()[:32]
        if digest in self._names:
            return self._names[digest]
        if not data:
            raise BadBytes("the picture has 0 bytes")
        try:
            with Image.open(io.BytesIO(data)) as image:
                suffix = _SUFFIXES.get(image.format or "")
        except Exception as error:  # a decoder raises whatever its parsing of a corrupt file trips over
            raise BadBytes(f"no picture in {len(data):,} bytes: {type(error).__name__}: {error}") from error
        if suffix is None:
            raise BadBytes(f"a picture of format {image.format}: expected one of {', '.join(_SUFFIXES)}")
        name = digest + suffix
        path = self.folder / name
        if not (path.is_file() and path.stat().st_size == len(data)):
            self._write(path, data)
        self._names[digest] = name
        return name

    def _write(self, path: Path, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
