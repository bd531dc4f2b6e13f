"""Image files: are they all there and whole, and which are the same picture under two names.

Every image is decoded in full before anything is built on it. A file that is cut off in the middle opens
well, shows its size, and fails in the middle of an epoch.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from align.data.near_duplicates import Fingerprint, fingerprint
from align.records import DataError, Problem
from align.run import content_digest

MAX_PIXELS = 89_478_485
"""Pillow's own limit (a quarter of a gigabyte of pixels): above twice this it refuses to open a file, so
no reader further down the line could be told otherwise."""


@dataclass(frozen=True)
class ImageFacts:
    """What is known of a whole image: a digest of the file's bytes, and its pixels before EXIF rotation.

    `fingerprint` is there where it was asked for: what near-duplicates are recognised by.
    """

    digest: str
    width: int
    height: int
    fingerprint: Fingerprint | None = None


class BadImage(Exception):
    """An image file that cannot be used; the message says why and what to change."""


def resolve_image(image: str, data_root: str | Path) -> Path:
    """The absolute path of a record's image.

    Raises `ValueError` when the path leaves the data root.
    """
    relative = Path(image)
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"image {image!r} leaves the data root: give a path relative to it, without '..'")
    # `absolute`, not `resolve`: a data root that is a link farm into a cache keeps its readable names.
    return Path(data_root).absolute() / relative


def open_image(path: str | Path) -> Image.Image:
    """The decoded image as training sees it: RGB, and upright after its EXIF orientation.

    Raises `BadImage`.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return (ImageOps.exif_transpose(image) or image).convert("RGB")
    except FileNotFoundError as error:
        raise BadImage(f"no such file: {path}") from error
    except Exception as error:  # a decoder raises whatever its parsing of a corrupt file trips over
        raise BadImage(f"cannot be decoded ({type(error).__name__}: {error}): {path}") from error


def inspect_image(
    image: str,
    root: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    fingerprints: bool = False,
) -> ImageFacts:
    """Check one image by decoding all of it.

    Args:
        image: path relative to `root`.
        max_pixels: a file that says it is larger is refused before it is decoded.
        follow_links: let a symbolic link lead out of `root`, as those of a hub cache do.
        fingerprints: also compute what near-duplicates are recognised by, from the pixels that were decoded
            for the check.

    Raises:
        BadImage: the path leaves the root; the file is missing, empty, no image, corrupt or cut off, or
            too large.
    """
    try:
        path = resolve_image(image, root)
    except ValueError as error:
        raise BadImage(str(error)) from error
    if not path.exists():
        raise BadImage(f"missing image: {image!r} is not in {root}")
    if not path.is_file():
        raise BadImage(f"image {image!r} is not a file")
    if not follow_links and not path.resolve().is_relative_to(Path(root).resolve()):
        raise BadImage(
            f"image {image!r} is a link that leaves the data root, to {path.resolve()}: copy the file, "
            "or set follow_links=true if the link is meant"
        )
    data = path.read_bytes()
    if not data:
        raise BadImage(f"image {image!r} is an empty file (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            width, height = opened.size
            if width * height > max_pixels:
                raise _too_large(image, f"{width} x {height} pixels", max_pixels)
            # Not `draft`: a JPEG that is decoded at a fraction of its size is not checked as a whole.
            opened.load()
            mark = fingerprint(opened) if fingerprints else None
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(image, str(error), max_pixels) from error
    except Exception as error:  # a decoder raises whatever its parsing of a corrupt file trips over
        raise BadImage(f"corrupt image {image!r}: {type(error).__name__}: {error}") from error
    return ImageFacts(hashlib.sha256(data).hexdigest(), width, height, mark)


def _too_large(image: str, what: str, max_pixels: int) -> BadImage:
    return BadImage(f"image {image!r} is too large to decode safely: {what} (limit {max_pixels} pixels)")


def inspect_images(
    images: Iterable[str],
    root: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    fingerprints: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, ImageFacts | str]:
    """Check many images at once, each name once. Returns the facts, or what is wrong, for each name.

    Pillow releases the GIL while it decodes, so threads use all cores. `progress(done, total)` is called
    after each image.
    """
    if not 0 < max_pixels <= MAX_PIXELS:
        raise ValueError(
            f"max_pixels must be between 1 and {MAX_PIXELS} (Pillow's own limit), not {max_pixels}"
        )
    names = sorted(set(images))

    def check(name: str) -> ImageFacts | str:
        try:
            return inspect_image(
                name, root, max_pixels=max_pixels, follow_links=follow_links, fingerprints=fingerprints
            )
        except BadImage as error:
            return str(error)

    results: dict[str, ImageFacts | str] = {}
    with ThreadPoolExecutor(max_workers=workers or min(32, 2 * (os.cpu_count() or 1))) as pool:
        for done, (name, result) in enumerate(zip(names, pool.map(check, names), strict=True), start=1):
            results[name] = result
            if progress is not None:
                progress(done, len(names))
    return results


def image_digests(images: Iterable[str], data_root: str | Path) -> dict[str, str]:
    """SHA-256 of each image file's bytes (as `ImageFacts.digest`), by its path relative to `data_root`.

    Each file is read once, however often it is named. Raises `DataError` with every file that cannot be read.
    """
    names = sorted(set(images))
    problems: list[Problem] = []

    def digest(name: str) -> str:
        try:
            path = resolve_image(name, data_root)
            if not path.is_file():
                raise FileNotFoundError(f"image {name!r} is not there: looked for {path}")
            return content_digest(path)
        except (OSError, ValueError) as error:
            problems.append(Problem(file=str(data_root), field="images", message=str(error)))
            return ""

    with ThreadPoolExecutor(max_workers=min(32, 2 * (os.cpu_count() or 1))) as pool:
        digests = dict(zip(names, pool.map(digest, names), strict=True))
    if problems:
        raise DataError(sorted(problems, key=str))
    return digests
