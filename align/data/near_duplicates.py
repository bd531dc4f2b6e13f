"""Pictures that are the same to the eye although their files differ: scaled, compressed, cropped, mirrored.

A picture's `Fingerprint` is a perceptual hash (`imagehash.phash`, 16 x 16 = 256 bits: the signs, about their
median, of the lowest frequencies of the gray picture), the same of its mirror image, and its colors on a grid
of 8 x 8. Two pictures are near-duplicates when the hash of one is within `MAX_BITS` of the other's or of its
mirror image's, and no cell of the grid differs in color by more than `MAX_COLOR`.

Why this hash and these limits. Measured on fourteen photographs (samples/photos), each against copies of
itself, and all of them with their quarters against those of the other photographs (2,275 pairs):

    copy                                  found of 14   bits apart, at most
    scaled to a half, or by 1.5                14              4
    scaled to 224 x 224                        14              4
    JPEG quality 90, 60, 30                    14              8
    brightness 0.8, 1.2; contrast 1.3          14             26
    made gray                                  14              2
    mirrored; mirrored, halved, JPEG 60        14             12
    cropped to 98 % of each side               14             34
    cropped to 95 %                            12             94
    cropped to 90 %                             1            120
    another photograph, or a part of it    0 of 2,275         98, at least

A crop that takes away a tenth is more than a hash of the whole picture can recognise; anything less is
found, with room between the limit (64) and the nearest pair of different pictures (98). The hash of 64 bits
has no such room: crops to 95 % are up to 22 bits apart, and different pictures from 18 on. The hashes from
differences of neighbours and from averages (`dhash`, `average_hash`) bring different pictures nearer than
such crops, too. tests/data/test_near_duplicates.py holds these figures.

Colors are compared because a hash of gray values cannot tell a red square from a blue one that is as bright.
Of 244,650 pairs of scenes of the miniature world, which all look alike, 188 are within 64 bits; with colors
two are left. A picture without color is compared by its hash alone, so that a copy made gray is found.

Candidates come from bit sampling (Indyk and Motwani 1998): two pictures are compared in full only if they
agree in one of `TABLES` fixed samples of `SAMPLED` of the 64 lowest-frequency bits. Of n pictures whose bits
are independent that is about n**2 / 256 comparisons, in place of n**2 / 2. None of the copies above is lost
by it; of pairs made harder than copies are, with up to 60 bits changed at random places, 95 % are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image, ImageOps

HASH_SIDE = 16
MAX_BITS = 64
MAX_COLOR = 24
"""In steps of the 256 of Cb and Cr. Changes of brightness and contrast by up to 30 % make up to 21."""

TABLES = 256
SAMPLED = 16
_GRID = 8
_REDUCED = 64  # what `imagehash.phash` of this size scales to
_FLAT = 2.0  # standard deviation in gray levels below which a hash is noise
_COLORLESS = 6.0


@dataclass(frozen=True)
class Fingerprint:
    """What is compared of a picture: hashes of 32 bytes, and Cb and Cr of 8 x 8 cells.

    A picture with hardly any contrast, such as an empty page, has `flat`: its hash would be noise.
    """

    bits: bytes
    mirrored: bytes
    colors: bytes
    flat: bool = False


@dataclass(frozen=True)
class Near:
    """Two pictures that are near-duplicates, and how many of the 256 bits of their hashes differ."""

    first: str
    second: str
    bits: int


def fingerprint(image: Image.Image) -> Fingerprint:
    """The fingerprint of a decoded image, as it stands in its file (no EXIF rotation)."""
    if image.mode in ("P", "PA", "RGBA", "LA", "La", "RGBa"):
        # What lies under transparency is not to be seen; white is what it is shown on.
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    small = image.convert("RGB").resize((_REDUCED, _REDUCED), Image.Resampling.LANCZOS, reducing_gap=2.0)
    gray = small.convert("L")
    cells = small.resize((_GRID, _GRID), Image.Resampling.BOX).convert("YCbCr")
    return Fingerprint(
        bits=_hash(gray),
        mirrored=_hash(ImageOps.mirror(gray)),
        colors=np.asarray(cells)[..., 1:].tobytes(),
        flat=float(np.asarray(gray, dtype=np.float32).std()) < _FLAT,
    )


def near_duplicates(fingerprints: Mapping[str, Fingerprint]) -> list[Near]:
    """All pairs of near-duplicates among pictures, by their names; in the order of the names.

    Pictures that are linked through a third one only are not a pair: `groups_of` joins them.
    """
    names = sorted(name for name, mark in fingerprints.items() if not mark.flat)
    marks = [fingerprints[name] for name in names]
    # A mirror image may be within the limit seen from one side, and just beyond it from the other.
    found: dict[tuple[int, int], int] = {}
    for i, j, bits in _matches(marks, marks):
        if i != j:
            pair = (min(i, j), max(i, j))
            found[pair] = min(bits, found.get(pair, bits))
    return [Near(names[i], names[j], bits) for (i, j), bits in sorted(found.items())]


def near_of(
    fingerprints: Mapping[str, Fingerprint], others: Mapping[str, Fingerprint]
) -> dict[str, list[Near]]:
    """The near-duplicates that each picture has among other ones, nearest first; `first` is the picture."""
    names = sorted(name for name, mark in fingerprints.items() if not mark.flat)
    other_names = sorted(name for name, mark in others.items() if not mark.flat)
    found: dict[str, list[Near]] = {}
    marks, other_marks = [fingerprints[n] for n in names], [others[n] for n in other_names]
    for i, j, bits in _matches(marks, other_marks):
        found.setdefault(names[i], []).append(Near(names[i], other_names[j], bits))
    return {name: sorted(near, key=lambda n: (n.bits, n.second)) for name, near in sorted(found.items())}


def groups_of(pairs: Sequence[Near] | Sequence[tuple[str, str]]) -> list[list[str]]:
    """Pictures that hang together through near-duplicates: sorted groups of two or more, sorted."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for pair in pairs:
        first, second = (pair.first, pair.second) if isinstance(pair, Near) else pair
        parent[find(second)] = find(first)
    members: dict[str, list[str]] = {}
    for name in sorted(parent):
        members.setdefault(find(name), []).append(name)
    return sorted(members.values())


def distance(one: Fingerprint, two: Fingerprint) -> int | None:
    """Bits apart if the two are near-duplicates, else None."""
    found = list(_verified([one], [two], np.zeros(1, np.int64), np.zeros(1, np.int64)))
    return found[0][2] if found and not (one.flat or two.flat) else None


def _hash(gray: Image.Image) -> bytes:
    return np.packbits(imagehash.phash(gray, hash_size=HASH_SIDE).hash).tobytes()


def _matches(left: Sequence[Fingerprint], right: Sequence[Fingerprint]) -> Iterator[tuple[int, int, int]]:
    """(index in left, index in right, bits) of near-duplicates, each pair once, in order."""
    if not left or not right:
        return
    bits = _low_bits([mark.bits for mark in left])
    targets = np.hstack([_low_bits([m.bits for m in right]), _low_bits([m.mirrored for m in right])])
    rng = np.random.default_rng(0)  # which bits are sampled is a constant of the method
    met: list[np.ndarray] = []
    held = 0
    for _ in range(TABLES):
        sample = rng.choice(64, SAMPLED, replace=False)
        met.append(_met(_keys(bits, sample), _keys(targets, sample), len(right)))
        held += len(met[-1])
        if held > 4_000_000:  # bounds memory where many pictures are alike
            met = [np.unique(np.concatenate(met))]
            held = 0
    pairs = np.unique(np.concatenate(met))
    yield from _verified(left, right, pairs // len(right), pairs % len(right))


def _low_bits(hashes: Sequence[bytes]) -> np.ndarray:
    """The 8 x 8 lowest frequencies of each hash, a bit each: [64, n]."""
    bits = np.unpackbits(np.frombuffer(b"".join(hashes), np.uint8)).reshape(-1, HASH_SIDE, HASH_SIDE)
    return np.ascontiguousarray(bits[:, :8, :8].reshape(len(hashes), 64).T)


def _keys(bits: np.ndarray, sample: np.ndarray) -> np.ndarray:
    high, low = np.packbits(bits[sample], axis=0).astype(np.uint16)
    return (high << np.uint16(8)) | low


def _met(left: np.ndarray, right: np.ndarray, n_right: int) -> np.ndarray:
    """Pairs with equal keys, each as (index in left) * `n_right` + index in right.

    `right` holds the keys of the pictures and then those of their mirror images.
    """
    order = np.argsort(right, kind="stable")  # of 16-bit keys: a radix sort
    stop = np.cumsum(np.bincount(right, minlength=2**16))
    counts = np.bincount(right, minlength=2**16)[left]
    rows = np.repeat(np.arange(len(left)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = order[np.repeat(stop[left] - counts, counts) + within] % n_right
    return rows * n_right + columns


def _verified(
    left: Sequence[Fingerprint], right: Sequence[Fingerprint], rows: np.ndarray, columns: np.ndarray
) -> Iterator[tuple[int, int, int]]:
    def words(hashes: list[bytes]) -> np.ndarray:
        return np.frombuffer(b"".join(hashes), np.uint64).reshape(len(hashes), -1)

    one, two = words([m.bits for m in left]), words([m.bits for m in right])
    mirrored = words([m.mirrored for m in right])
    for start in range(0, len(rows), 500_000):
        i, j = rows[start : start + 500_000], columns[start : start + 500_000]
        plain = np.bitwise_count(one[i] ^ two[j]).sum(axis=1, dtype=np.int64)
        flipped = np.bitwise_count(one[i] ^ mirrored[j]).sum(axis=1, dtype=np.int64)
        bits = np.minimum(plain, flipped)
        for k in np.flatnonzero(bits <= MAX_BITS):
            a, b = int(i[k]), int(j[k])
            if _same_colors(left[a].colors, right[b].colors, mirrored=bool(flipped[k] < plain[k])):
                yield a, b, int(bits[k])


def _same_colors(one: bytes, two: bytes, mirrored: bool) -> bool:
    first, second = (
        np.frombuffer(colors, np.uint8).reshape(_GRID, _GRID, 2).astype(np.int16) for colors in (one, two)
    )
    if min(np.abs(first - 128).max(), np.abs(second - 128).max()) <= _COLORLESS:
        return True
    return bool(np.abs(first - (second[:, ::-1] if mirrored else second)).max() <= MAX_COLOR)
