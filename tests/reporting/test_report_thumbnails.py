import base64
import io

import pytest
from PIL import Image

from align.records import DataError
from align.reporting.images import LOSSLESS, THUMBNAIL
from align.reporting.thumbnails import make_thumbnails, megabytes


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    for i in range(6):
        Image.effect_noise((640, 480), 20 + i).convert("RGB").save(root / f"{i}.jpg")
    Image.effect_noise((96, 96), 50).convert("RGB").save(root / "drawing.png")
    (root / "broken.jpg").write_bytes(b"not an image")
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    return root


def decode(made, picture):
    kind, start, length = made.at[picture]
    image = Image.open(io.BytesIO(base64.b64decode(made.text[start : start + length])))
    assert image.format.lower() == kind
    return image


def test_each_picture_is_found_again_small(root):
    names = ["0.jpg", "drawing.png", "1.jpg", "0.jpg"]
    made = make_thumbnails([(root, name) for name in names], 10**6)
    assert made.wanted == len(made.at) == 3
    assert decode(made, (root, "0.jpg")).size == (THUMBNAIL, THUMBNAIL * 3 // 4)
    drawing = decode(made, (root, "drawing.png"))
    assert max(drawing.size) <= LOSSLESS
    assert drawing.tobytes() == Image.open(root / "drawing.png").tobytes()
    assert sum(length for _, _, length in made.at.values()) == len(made.text)


def test_the_budget_is_kept_in_the_given_order(root):
    order = [(root, f"{i}.jpg") for i in (3, 1, 0, 5, 2, 4)]
    everything = make_thumbnails(order, 10**6)
    room = sum(everything.at[picture][2] for picture in order[:3])
    made = make_thumbnails(order, room)
    assert list(made.at) == order[:3]
    assert len(made.text) == room
    assert list(make_thumbnails(order, room - 1).at) == order[:2]
    nothing = make_thumbnails(order, 0)
    assert (nothing.text, nothing.at, nothing.wanted, nothing.unreadable) == ("", {}, 6, {})


def test_what_cannot_be_shown_takes_no_place_and_says_why(root):
    names = ["broken.jpg", "absent.jpg", "../outside.png", "0.jpg"]
    made = make_thumbnails([(root, name) for name in names], 10**6)
    assert list(made.at) == [(root, "0.jpg")]
    assert "does not decode" in made.unreadable[root, "broken.jpg"]
    assert "does not exist" in made.unreadable[root, "absent.jpg"]
    assert "leaves the data root" in made.unreadable[root, "../outside.png"]
    # Beyond the budget a path that leaves the root is no less refused.
    unseen = make_thumbnails([(root, name) for name in names], 0)
    assert set(unseen.unreadable) == {(root, "absent.jpg"), (root, "../outside.png")}


@pytest.mark.parametrize(
    ("given", "bytes_"), [("20MB", 20_000_000), ("1.5 mb", 1_500_000), (0, 0), (2, 2_000_000), ("0", 0)]
)
def test_sizes(given, bytes_):
    assert megabytes(given) == bytes_


@pytest.mark.parametrize("given", ["20GB", "", "-1", "MB", None])
def test_a_size_that_is_none_is_named(given):
    with pytest.raises(DataError, match="is no size: give megabytes"):
        megabytes(given)
