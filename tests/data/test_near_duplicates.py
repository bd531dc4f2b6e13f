"""Near-duplicates: copies of real photographs are found, other pictures are not, and few are compared."""

import io
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from align.data import near_duplicates as module
from align.data.near_duplicates import (
    MAX_BITS,
    Fingerprint,
    Near,
    distance,
    fingerprint,
    groups_of,
    near_duplicates,
    near_of,
)

PHOTOS = sorted((Path(__file__).parents[2] / "samples" / "photos" / "images").glob("*.jpg"))


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue()))


def crop(image, share):
    x, y = int(image.width * share / 2), int(image.height * share / 2)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES = {
    "half": lambda i: i.resize((i.width // 2, i.height // 2)),
    "1.5 times": lambda i: i.resize((i.width * 3 // 2, i.height * 3 // 2), Image.Resampling.BICUBIC),
    "224 x 224": lambda i: i.resize((224, 224)),
    "JPEG 90": lambda i: jpeg(i, 90),
    "JPEG 60": lambda i: jpeg(i, 60),
    "JPEG 30": lambda i: jpeg(i, 30),
    "darker": lambda i: ImageEnhance.Brightness(i).enhance(0.8),
    "brighter": lambda i: ImageEnhance.Brightness(i).enhance(1.2),
    "contrast": lambda i: ImageEnhance.Contrast(i).enhance(1.3),
    "gray": lambda i: i.convert("L"),
    "mirrored": ImageOps.mirror,
    "mirrored, half, JPEG 60": lambda i: jpeg(ImageOps.mirror(i).resize((i.width // 2, i.height // 2)), 60),
    "crop to 98 %": lambda i: crop(i, 0.02),
    "crop to 95 %": lambda i: crop(i, 0.05),
    "crop to 90 %": lambda i: crop(i, 0.10),
    "as a PNG with a palette": lambda i: i.quantize(128, method=Image.Quantize.FASTOCTREE),
}
FOUND = dict.fromkeys(COPIES, 14) | {"crop to 95 %": 12, "crop to 90 %": 1}


@pytest.fixture(scope="module")
def photos():
    return {path.stem: Image.open(path).convert("RGB") for path in PHOTOS}


@pytest.fixture(scope="module")
def marks(photos):
    return {name: fingerprint(image) for name, image in photos.items()}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_of_photographs_are_found_as_the_docstring_says(photos, marks, copy):
    copies = {f"copy of {name}": fingerprint(COPIES[copy](image)) for name, image in photos.items()}
    found = near_of(copies, marks)
    right = [name for name in copies if [n.second for n in found.get(name, ())] == [name[8:]]]
    wrong = {n.second for name, near in found.items() for n in near} - {name[8:] for name in found}
    assert not wrong
    all_right = [name for name in copies if distance(copies[name], marks[name[8:]]) is not None]
    assert right == all_right, "none is lost by comparing few"
    assert (
        FOUND[copy] - 1 <= len(right) <= FOUND[copy] + 1
    )  # libraries of other versions scale a little otherwise


def test_no_photograph_nor_a_part_of_one_is_taken_for_another(photos):
    marks = {}
    for name, image in photos.items():
        w, h = image.width // 2, image.height // 2
        marks[name, "whole"] = fingerprint(image)
        for x, y in itertools.product((0, 1), repeat=2):
            marks[name, f"{x}{y}"] = fingerprint(image.crop((x * w, y * h, (x + 1) * w, (y + 1) * h)))
    bits = [
        min(_apart(one.bits, two.bits), _apart(one.bits, two.mirrored))
        for (a, one), (b, two) in itertools.combinations(marks.items(), 2)
        if a[0] != b[0]
    ]
    assert len(bits) == 2275
    assert min(bits) > MAX_BITS + 20
    near = near_duplicates({" ".join(key): mark for key, mark in marks.items()})
    assert [pair for pair in near if pair.first.split()[0] != pair.second.split()[0]] == []


def _apart(one, two):
    return sum((a ^ b).bit_count() for a, b in zip(one, two, strict=True))


def test_colors_tell_pictures_of_the_same_gray_apart():
    def square(color):
        image = Image.new("RGB", (96, 96), "white")
        image.paste(color, (10, 20, 60, 70))
        return fingerprint(image)

    red, blue = square((200, 30, 30)), square((40, 60, 255))
    assert _apart(red.bits, blue.bits) <= MAX_BITS
    assert distance(red, blue) is None
    assert distance(red, square((200, 40, 40))) is not None


def test_pictures_without_contrast_have_no_near_duplicates():
    flat = {color: fingerprint(Image.new("RGB", (50, 50), color)) for color in ("white", "black")}
    assert all(mark.flat for mark in flat.values())
    assert near_duplicates(flat) == []
    assert distance(*flat.values()) is None


def test_what_is_transparent_is_white():
    image = Image.open(PHOTOS[0]).convert("RGBA")
    image.putalpha(0)
    assert fingerprint(image).flat


def random_marks(n, seed=0):
    rng = np.random.default_rng(seed)
    parts = (rng.integers(0, 256, (n, width), np.uint8) for width in (32, 32, 128))
    return [Fingerprint(*(row.tobytes() for row in rows)) for rows in zip(*parts, strict=True)]


def test_pairs_are_those_of_comparing_all():
    """Hashes with up to 60 bits changed in places drawn at random, which is harder than real copies are."""
    rng = np.random.default_rng(1)
    marks = {}
    for number, mark in enumerate(random_marks(150)):
        marks[f"{number:03d}"] = mark
        bits = np.unpackbits(np.frombuffer(mark.bits if number % 2 else mark.mirrored, np.uint8))
        bits[rng.choice(256, rng.integers(0, 60), replace=False)] ^= 1
        colors = mark.colors if number % 2 else _mirrored_colors(mark.colors)
        marks[f"{number:03d} copy"] = Fingerprint(
            np.packbits(bits).tobytes(), random_marks(1, number)[0].bits, colors
        )
    names = sorted(marks)
    bits = np.array([np.frombuffer(marks[name].bits, np.uint64) for name in names])
    mirrored = np.array([np.frombuffer(marks[name].mirrored, np.uint64) for name in names])
    near = [np.bitwise_count(bits[:, None] ^ other).sum(axis=2) <= MAX_BITS for other in (bits, mirrored)]
    near_either = near[0] | near[1] | near[1].T
    all_pairs = {(names[i], names[j]) for i, j in zip(*np.nonzero(near_either), strict=True) if i < j}
    found = {(pair.first, pair.second) for pair in near_duplicates(marks)}
    assert len(all_pairs) >= 140
    assert found <= all_pairs
    assert len(found) >= 0.93 * len(all_pairs)


def _mirrored_colors(colors):
    return np.frombuffer(colors, np.uint8).reshape(8, 8, 2)[:, ::-1].tobytes()


def test_few_of_all_pairs_are_compared(monkeypatch):
    compared = []
    verify = module._verified
    monkeypatch.setattr(module, "_verified", lambda *a: compared.append(len(a[2])) or verify(*a))
    marks = random_marks(4000)
    start = time.process_time()
    assert near_duplicates({str(n): mark for n, mark in enumerate(marks)}) == []
    assert compared[0] < 4000 * 4000 / 100
    assert time.process_time() - start < 10


def test_groups_hang_together_through_others():
    pairs = [Near("a", "b", 3), Near("d", "e", 0), Near("b", "c", 60), Near("a", "f", 9)]
    assert groups_of(pairs) == [["a", "b", "c", "f"], ["d", "e"]]
    assert groups_of([]) == []


def test_one_picture_has_no_pairs(marks):
    assert near_duplicates(dict(list(marks.items())[:1])) == []
    assert near_of({}, marks) == {}
    assert near_of(marks, {}) == {}
