"""Corrupted images: the amounts by hand, and the same everywhere."""

import hashlib
import io
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from align.evaluation import corruption
from align.evaluation.corruption import (
    BLANK_GRAY,
    SEVERITIES,
    Condition,
    CorruptionError,
    UnreadableImage,
    corrupt,
    corrupt_pixels,
    make_conditions,
)

PHOTOS = Path(__file__).parents[2] / "samples/photos/images"
EVERY = [Condition(kind, severity) for kind in SEVERITIES for severity in range(1, 6)]


def flat(value: int, side: int = 256) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def scene() -> np.ndarray:
    """A small picture with every value in it, drawn by arithmetic: no decoder has a say."""
    row, column = np.mgrid[0:48, 0:64]
    return np.stack([(5 * row + column) % 256, 4 * column, (3 * row * column) % 256], axis=2).astype(np.uint8)


def opened(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image)


def saved(image: Image.Image, form: str, **how: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **how)
    return stream.getvalue()


# --- Amounts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.08), (2, 0.12), (3, 0.18), (4, 0.26), (5, 0.38)])
def test_gaussian_noise_has_its_standard_deviation_and_is_clipped(severity: int, sigma: float) -> None:
    noisy = corrupt_pixels(flat(128), Condition("gaussian", severity)) / 255
    n, x = noisy.size, 128 / 255
    low, high = (0 - x) / sigma, (1 - x) / sigma
    assert (noisy == 0).mean() == pytest.approx(norm.cdf(low), abs=4e-3)
    assert (noisy == 1).mean() == pytest.approx(norm.sf(high), abs=4e-3)
    # The middle half is clipped at no severity; its spread is the normal's.
    quarter = np.percentile(noisy, 75) - np.percentile(noisy, 25)
    assert quarter == pytest.approx(2 * 0.6745 * sigma, rel=0.02, abs=1 / 255)
    assert noisy.mean() == pytest.approx(x, abs=5 * sigma / np.sqrt(n) + 0.5 / 255 * (severity > 3))
    if severity <= 2:
        assert noisy.std() == pytest.approx(sigma, rel=0.01)


def test_noise_is_drawn_for_each_channel_and_pixel_apart() -> None:
    noise = corrupt_pixels(flat(128), Condition("gaussian", 1)) - 128.0
    for one, other in (
        (noise[:, :, 0], noise[:, :, 1]),
        (noise[:, :, 1], noise[:, :, 2]),
        (noise[:-1], noise[1:]),
        (noise[:, :-1], noise[:, 1:]),
    ):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(("severity", "photons"), [(1, 60), (2, 25), (3, 12), (4, 5), (5, 3)])
def test_shot_noise_counts_photons(severity: int, photons: int) -> None:
    x = 51 / 255
    noisy = corrupt_pixels(flat(51), Condition("shot", severity)) / 255
    counts = noisy * photons
    assert np.abs(counts - np.rint(counts)).max() < photons / 255  # whole photons, but for 8 bits
    assert noisy.mean() == pytest.approx(x, abs=0.004)
    # Poisson: the variance of c x photons is c x, so that of x is x / c. Clipped at 1 only at the far end.
    assert noisy.var() == pytest.approx(x / photons, rel=0.05)
    brighter = corrupt_pixels(flat(102), Condition("shot", severity)) / 255
    assert severity > 3 or brighter.var() == pytest.approx(2 * x / photons, rel=0.05)
    assert not corrupt_pixels(flat(0), Condition("shot", severity)).any()  # no light, no noise


def test_contrast_shrinks_every_channel_about_its_own_mean() -> None:
    pixels = np.array([[[0, 100, 7], [200, 100, 7]], [[40, 50, 7], [160, 150, 7]]], np.uint8)
    # Means: red 400 / 4 = 100, green 400 / 4 = 100, blue 7.
    for severity, expected_red, expected_green in (
        (1, [60, 140, 76, 124], [100, 100, 80, 120]),  # factor 0.4
        (4, [90, 110, 94, 106], [100, 100, 95, 105]),  # factor 0.1
        (5, [95, 105, 97, 103], [100, 100, 98, 102]),  # factor 0.05: 97.5 and 102.5 to the even one
    ):
        made = corrupt_pixels(pixels, Condition("contrast", severity)).reshape(4, 3)
        assert made[:, 0].tolist() == expected_red
        assert made[:, 2].tolist() == [7, 7, 7, 7]
        assert np.abs(made[:, 1] - np.asarray(expected_green, float)).max() <= 1e-9


def test_a_blank_says_nothing_of_its_image_but_the_size() -> None:
    made = opened(corrupt(Image.fromarray(scene()), Condition("blank")))
    assert made.shape == (48, 64, 3)
    assert np.unique(made).tolist() == [BLANK_GRAY]
    other = opened(corrupt(Image.fromarray(255 - scene()), Condition("blank")))
    assert (made == other).all()


def test_every_severity_leaves_less_than_the_one_before() -> None:
    photo = np.asarray(Image.open(PHOTOS / "astronaut.jpg").convert("RGB")) / 255.0
    for kind in SEVERITIES:
        away = [
            np.sqrt(((opened(corrupt((PHOTOS / "astronaut.jpg").read_bytes(), c)) / 255 - photo) ** 2).mean())
            for c in EVERY
            if c.kind == kind
        ]
        assert away == sorted(away)
        assert away[0] > 0.05


# --- The same everywhere -----------------------------------------------------------------------------------

DIGESTS = {
    "gaussian-3": "8bdcfa2b125acc46",
    "shot-1": "186148e440e1a892",
    "shot-5": "67497885c71d1352",
    "contrast-4": "738b9ed343f5babf",
}


def test_the_same_image_is_the_same_corrupted_image_on_every_machine() -> None:
    found = {
        name: hashlib.sha256(corrupt_pixels(scene(), Condition.parse(name)).tobytes()).hexdigest()[:16]
        for name in DIGESTS
    }
    assert found == DIGESTS


def test_neither_process_nor_path_nor_order_matters(tmp_path: Path) -> None:
    source = (PHOTOS / "coffee.jpg").read_bytes()
    names = ["gaussian-2", "shot-4", "contrast-1", "blank"]
    here = [hashlib.sha256(corrupt(source, Condition.parse(name))).hexdigest() for name in names]
    copy = tmp_path / "another name.jpg"
    copy.write_bytes(source)
    program = (
        "import sys, hashlib, numpy, random\n"
        "from align.evaluation.corruption import Condition, corrupt\n"
        "numpy.random.seed(7), random.seed(7)\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "for name in sys.argv[2:]:\n"
        "    print(hashlib.sha256(corrupt(data, Condition.parse(name))).hexdigest())\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, str(copy), *reversed(names)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "5"},
    ).stdout.split()
    assert there[::-1] == here


def test_noise_hangs_on_kind_severity_and_pixels() -> None:
    def noise(pixels: np.ndarray, condition: Condition) -> np.ndarray:
        # Severities 1 and 2 of one draw would be the same noise, scaled.
        made = corrupt_pixels(pixels, condition) - pixels.astype(float)
        return (made - made.mean()).ravel() / made.std()

    pixels = flat(128, 64)
    other = pixels.copy()
    other[5, 5, 0] += 1
    one = noise(pixels, Condition("gaussian", 1))
    assert (one == noise(pixels.copy(), Condition("gaussian", 1))).all()
    for different in (
        noise(pixels, Condition("gaussian", 2)),
        noise(other, Condition("gaussian", 1)),
        noise(pixels.reshape(32, 128, 3), Condition("gaussian", 1)),
    ):
        assert abs(np.corrcoef(one, different)[0, 1]) < 0.05


@pytest.mark.parametrize("name", ["gaussian-5", "shot-2", "contrast-3"])
def test_the_strips_that_bound_memory_do_not_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = corrupt_pixels(scene(), Condition.parse(name))
    monkeypatch.setattr(corruption, "_STRIP", 300)
    assert (corrupt_pixels(scene(), Condition.parse(name)) == whole).all()


def test_memory_stays_near_that_of_the_image() -> None:
    pixels = np.zeros((1500, 2000, 3), np.uint8)  # 9 MB; as 64-bit floats it would be 72
    tracemalloc.start()
    corrupt_pixels(pixels, Condition("shot", 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 9e6 + 5 * 8 * corruption._STRIP


# --- Formats -----------------------------------------------------------------------------------------------


def forms() -> dict[str, tuple[bytes, np.ndarray]]:
    """Files in several forms, each with the RGB pixels that models see."""
    rgb = Image.fromarray(scene())
    palette = rgb.quantize(16)
    gray = rgb.convert("L")
    clear = rgb.convert("RGBA")
    clear.putalpha(Image.fromarray(scene()[:, :, 0]))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    turned = Image.open(io.BytesIO(saved(rgb, "PNG", exif=exif)))
    jpeg = saved(rgb, "JPEG", quality=90)
    return {
        "rgb": (saved(rgb, "PNG"), scene()),
        "palette": (saved(palette, "PNG"), np.asarray(palette.convert("RGB"))),
        "gray": (saved(gray, "PNG"), np.repeat(np.asarray(gray)[:, :, None], 3, axis=2)),
        "rgba": (saved(clear, "PNG"), scene()),
        "exif": (saved(turned, "PNG", exif=exif), np.rot90(scene(), -1)),
        "jpeg": (jpeg, np.asarray(Image.open(io.BytesIO(jpeg)))),
    }


@pytest.mark.parametrize("form", ["rgb", "palette", "gray", "rgba", "exif", "jpeg"])
@pytest.mark.parametrize("name", ["gaussian-1", "contrast-5", "blank"])
def test_every_form_is_taken_as_models_see_it(form: str, name: str) -> None:
    data, pixels = forms()[form]
    condition = Condition.parse(name)
    made = opened(corrupt(data, condition))
    assert (made == corrupt_pixels(np.ascontiguousarray(pixels), condition)).all()
    assert (made == opened(corrupt(Image.open(io.BytesIO(data)), condition))).all()


@pytest.mark.parametrize("data", [b"", b"no picture", (PHOTOS / "coffee.jpg").read_bytes()[:9000]])
def test_what_is_no_whole_image_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match="cannot be decoded"):
        corrupt(data, Condition("gaussian", 1))


# --- Conditions --------------------------------------------------------------------------------------------


def test_conditions_come_in_order_with_raw_first() -> None:
    conditions = make_conditions(["shot", "contrast"], [3, 1], blank=True, no_image=True)
    names = [condition.name for condition in conditions]
    assert names == ["raw", "shot-1", "shot-3", "contrast-1", "contrast-3", "blank", "no-image"]
    assert [Condition.parse(name) for name in names] == conditions


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ["fog"]}, "kinds holds 'fog': choose from gaussian, shot, contrast"),
        ({"kinds": ["blank"]}, "settings of their own"),
        ({"kinds": ["shot", "shot"]}, "give each once"),
        ({"kinds": "shot"}, r"kinds is 'shot': give a list, \[shot\]"),
        ({"severities": 3}, r"severities is 3: give a list, \[3\]"),
        ({"severities": [0]}, "severity of shot is 0: it must be 1, 2, 3, 4 or 5"),
        ({"severities": [6]}, "severity of shot is 6"),
        ({"severities": [2, 2]}, "give each once"),
        ({"severities": []}, "give both or neither"),
        ({"kinds": [], "severities": [], "blank": False, "no_image": False}, "no corruption is chosen"),
    ],
)
def test_settings_that_there_are_not_are_named(settings: dict, message: str) -> None:
    given = {"kinds": ["shot"], "severities": [1], "blank": True, "no_image": True, **settings}
    kinds, severities = given.pop("kinds"), given.pop("severities")
    with pytest.raises(CorruptionError, match=message):
        make_conditions(kinds, severities, **given)


@pytest.mark.parametrize("name", ["gaussian", "gaussian-0", "blank-2", "fog-1", "no-image-1", ""])
def test_a_name_that_is_no_condition_is_refused(name: str) -> None:
    with pytest.raises(CorruptionError):
        Condition.parse(name)


@pytest.mark.parametrize("name", ["raw", "no-image"])
def test_what_makes_no_image_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="makes no image"):
        corrupt(Image.fromarray(scene()), Condition.parse(name))
