import base64
import io

import pytest
from PIL import Image

from align.reporting.images import ImageError, data_uri


def decode(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_small_drawings_stay_exact_and_photographs_get_small(tmp_path):
    drawing = Image.effect_noise((96, 96), 50).convert("RGB")
    drawing.save(tmp_path / "drawing.png")
    assert decode(data_uri(tmp_path, "drawing.png")).tobytes() == drawing.tobytes()
    Image.effect_noise((1600, 1200), 50).save(tmp_path / "photo.png")
    uri = data_uri(tmp_path, "photo.png")
    assert uri.startswith("data:image/jpeg;base64,")
    assert decode(uri).size == (480, 360)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("absent.png", "does not exist"),
        ("../outside.png", "leaves the data root"),
        ("broken.png", "does not decode"),
        ("page.svg", "does not decode"),
        ("cut.png", "does not decode"),
        ("link.png", "leaves the data root"),
    ],
)
def test_what_cannot_be_shown_says_why(tmp_path, image, message):
    root = tmp_path / "root"
    root.mkdir()
    Image.new("RGB", (200, 200), "red").save(tmp_path / "outside.png")
    whole = (tmp_path / "outside.png").read_bytes()
    (root / "broken.png").write_bytes(b"not an image")
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "page.svg").write_text("<svg onload='alert(1)'/>")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(ImageError, match=message):
        data_uri(root, image)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)  # 10,000 is between the warning and the error
    with pytest.raises(ImageError, match="does not decode"):
        data_uri(tmp_path, "bomb.png")
