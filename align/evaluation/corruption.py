"""Images made hard to see: noise, contrast, a blank; each by a stated amount and always the same.

The kinds and their five severities are those of ImageNet-C (Hendrycks and Dietterich 2019), which the
MoHoBench paper cites. With x a channel's value in 0-1:

- `gaussian`: x + N(0, sigma^2), sigma .08 .12 .18 .26 .38.
- `shot`: Poisson(c x) / c, c 60 25 12 5 3: photons counted, so that bright places are noisier.
- `contrast`: m + f (x - m), f .4 .3 .2 .1 .05, m the mean of the channel over the image.
- `blank`: mid-gray everywhere. No severity.

The result is clipped to 0-1 and rounded to 8 bits (ImageNet-C's own script cuts the fraction off, which
darkens by half a level). The image keeps its size: a model that shrinks it averages part of the noise away.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SEVERITIES: dict[str, tuple[float, ...]] = {
    "gaussian": (0.08, 0.12, 0.18, 0.26, 0.38),
    "shot": (60, 25, 12, 5, 3),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
}
"""What each kind is set to at severity 1 to 5."""

RAW, BLANK, NO_IMAGE = "raw", "blank", "no-image"

BLANK_GRAY = 128
"""Of all images the same, so that nothing about the image is left. The image's own mean color would still say
"a snow scene". Mid-gray is near 0 for a vision tower that normalizes by the mean of its training images."""

_STRIP = 1 << 20
"""Values that are worked on at once: memory stays near that of the image, at any size."""

Pixels = NDArray[np.uint8]


class CorruptionError(ValueError):
    """A corruption, or a setting of the benchmark, that there is not; the message says what there is."""


class UnreadableImage(ValueError):
    """Bytes that are no whole image."""


@dataclass(frozen=True)
class Condition:
    """What is done to an image: a kind, with a severity of 1 to 5 for those in `SEVERITIES`."""

    kind: str
    severity: int | None = None

    def __post_init__(self) -> None:
        if self.kind in SEVERITIES:
            if self.severity not in range(1, 6):
                raise CorruptionError(
                    f"severity of {self.kind} is {self.severity}: it must be 1, 2, 3, 4 or 5"
                )
        elif self.kind not in (RAW, BLANK, NO_IMAGE):
            known = ", ".join([*SEVERITIES, RAW, BLANK, NO_IMAGE])
            raise CorruptionError(f"there is no corruption {self.kind!r}: choose from {known}")
        elif self.severity is not None:
            raise CorruptionError(f"{self.kind} has no severity, yet it is {self.severity}: leave it out")

    @property
    def name(self) -> str:
        """`gaussian-3`, `blank`: as it stands in records."""
        return self.kind if self.severity is None else f"{self.kind}-{self.severity}"

    @classmethod
    def parse(cls, name: str) -> Condition:
        """The condition of that name. Raises `CorruptionError`."""
        kind, dash, severity = name.rpartition("-")
        if dash and severity.isdecimal():
            return cls(kind, int(severity))
        return cls(name)


def make_conditions(
    kinds: Sequence[str], severities: Sequence[int], *, blank: bool, no_image: bool
) -> list[Condition]:
    """`raw`, every kind at every severity, then `blank` and `no-image` where asked for.

    Raises `CorruptionError` for a kind or severity that there is not, and for one given twice.
    """
    for what, given in (("kinds", kinds), ("severities", severities)):
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise CorruptionError(f"{what} is {given!r}: give a list, [{given}]")
        if len(set(given)) < len(given):
            raise CorruptionError(f"{what} is {list(given)}: give each once")
    misplaced = [kind for kind in kinds if kind not in SEVERITIES]
    if misplaced:
        raise CorruptionError(
            f"kinds holds {', '.join(map(repr, misplaced))}: choose from {', '.join(SEVERITIES)} "
            "(`blank` and `no_image` are settings of their own)"
        )
    if bool(kinds) != bool(severities):
        raise CorruptionError(
            f"kinds is {list(kinds)} and severities is {list(severities)}: give both or neither"
        )
    conditions = [Condition(RAW)]
    conditions += [Condition(kind, severity) for kind in kinds for severity in sorted(severities)]
    conditions += [Condition(BLANK)] * blank + [Condition(NO_IMAGE)] * no_image
    if len(conditions) == 1:
        raise CorruptionError("no corruption is chosen: set kinds and severities, blank or no_image")
    return conditions


def corrupt(image: Image.Image | bytes, condition: Condition) -> bytes:
    """The image under a condition, as a PNG file of the image's own size.

    The image is taken as models see it: upright after its EXIF orientation, in RGB. Noise is drawn from a
    seed that hangs on the condition and the pixels alone.

    PNG, because JPEG at quality 95 moves a noisy pixel by 4 levels (root mean square), saves less than half
    of the bytes of noise, and takes detail from the lowest contrast, which has little left.

    Raises `UnreadableImage`, and `ValueError` for `raw` and `no-image`, which make no image.
    """
    if condition.kind in (RAW, NO_IMAGE):
        raise ValueError(f"{condition.kind} makes no image")
    pixels = _pixels(image)
    stream = io.BytesIO()
    # Noise does not compress: more effort than the least only takes time.
    Image.fromarray(corrupt_pixels(pixels, condition)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def corrupt_pixels(pixels: Pixels, condition: Condition) -> Pixels:
    """RGB values `[H, W, 3]` (0-255) under a condition."""
    if condition.kind == BLANK:
        return np.full_like(pixels, BLANK_GRAY)
    assert condition.severity is not None  # of the other kinds, by `Condition`
    amount = SEVERITIES[condition.kind][condition.severity - 1]
    flat, result = pixels.reshape(-1, 3), np.empty((pixels.shape[0] * pixels.shape[1], 3), np.uint8)
    means = flat.mean(axis=0, dtype=np.float64) / 255
    random = _random(condition, pixels)
    for start in range(0, len(flat), _STRIP // 3):
        strip = flat[start : start + _STRIP // 3] / 255.0
        if condition.kind == "gaussian":
            strip += amount * random.standard_normal(strip.shape)
        elif condition.kind == "shot":
            strip = random.poisson(strip * amount) / amount
        else:
            strip = means + amount * (strip - means)
        result[start : start + len(strip)] = np.rint(np.clip(strip, 0, 1) * 255)
    return result.reshape(pixels.shape)


def _random(condition: Condition, pixels: Pixels) -> np.random.RandomState:
    """A random stream for this image under this condition.

    `RandomState`, because numpy promises that its streams never change; those of `Generator` may.
    """
    digest = hashlib.sha256(f"{condition.name} {pixels.shape[1]}x{pixels.shape[0]}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return np.random.RandomState(np.frombuffer(digest.digest(), "<u4"))


def _pixels(image: Image.Image | bytes) -> Pixels:
    try:
        with Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image.copy() as opened:
            opened.load()
            return np.asarray((ImageOps.exif_transpose(opened) or opened).convert("RGB"))
    except Exception as error:  # a decoder raises whatever its parsing of a corrupt file trips over
        raise UnreadableImage(f"cannot be decoded ({type(error).__name__}: {error})") from error
