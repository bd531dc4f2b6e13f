"""Data sets for TRL: what a row looks like, and that pixels stay out of them."""

import pickle

import numpy as np
import pytest
from PIL import Image

from align.data.images import BadImage, inspect_image, open_image
from align.data.loading import preference_dataset, sft_dataset
from align.records import DataError, Pair, SFTRow


@pytest.fixture
def root(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.new("L", (8, 4), 200).save(tmp_path / "gray.png")
    Image.new("RGBA", (8, 4), (255, 0, 0, 255)).save(tmp_path / "alpha.png")
    turned = Image.new("RGB", (8, 4))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    return tmp_path


def pair(*images, **changes):
    settings = {"question_id": "q", "kind": "refuse", "chosen_source": "a", "rejected_source": "b"}
    texts = {"prompt": "What color is it?", "chosen": "I can't tell.", "rejected": "It is red."}
    return Pair(**(settings | texts | {"images": images or ("noise.png",)} | changes))


def test_preference_rows(root):
    dataset = preference_dataset([pair(), pair("gray.png", question_id="r", category="False_Premises")], root)
    assert dataset["question_id"] == ["q", "r"]
    first = dataset[0]
    assert first["prompt"] == [{"role": "user", "content": "What color is it?"}]
    assert first["chosen"] == [{"role": "assistant", "content": "I can't tell."}]
    assert first["rejected"] == [{"role": "assistant", "content": "It is red."}]
    assert (first["kind"], first["category"]) == ("refuse", None)
    (image,) = first["images"]
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(root / "noise.png")))
    assert dataset[1]["category"] == "False_Premises"


def test_sft_rows(root):
    row = SFTRow(
        question_id="q",
        prompt="What?",
        completion="A dog.",
        images=("gray.png",),
        kind="answer",
        completion_source="gold",
    )
    found = sft_dataset([row], root)[0]
    assert found["prompt"] == [{"role": "user", "content": "What?"}]
    assert found["completion"] == [{"role": "assistant", "content": "A dog."}]
    assert "messages" not in found
    assert found["images"][0].mode == "RGB"


@pytest.mark.parametrize("name", ["noise.png", "gray.png", "alpha.png", "turned.jpg"])
def test_training_sees_what_open_image_gives(root, name):
    seen = preference_dataset([pair(name)], root)[0]["images"][0]
    assert seen.mode == "RGB"
    assert np.array_equal(np.asarray(seen), np.asarray(open_image(root / name)))
    if name == "turned.jpg":
        assert seen.size == (4, 8)


def test_the_table_holds_paths_and_no_pixels(root):
    dataset = preference_dataset([pair()] * 100, root)
    assert dataset.data.nbytes < 100 * 1000  # the image alone is over 9000 bytes
    stored = dataset.with_format("arrow")[0]["images"].to_pylist()[0][0]
    assert stored == {"bytes": None, "path": str(root / "noise.png")}


def test_images_are_read_at_access(root):
    dataset = pickle.loads(pickle.dumps(preference_dataset([pair()], root)))  # as a spawned worker gets it
    Image.new("RGB", (5, 5)).save(root / "noise.png")
    assert dataset[0]["images"][0].size == (5, 5)
    assert dataset.remove_columns(["kind"])[0]["images"][0].size == (5, 5)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (("nowhere.png",), "is not there"),
        (("../x.png",), "leaves the data root"),
        (("/etc/x",), "leaves the data root"),
    ],
)
def test_images_that_cannot_be_used_are_named_before_training(root, images, says):
    with pytest.raises(DataError, match=says) as caught:
        preference_dataset([pair(), pair(*images, question_id="bad")], root)
    assert [p.row_id for p in caught.value.problems] == ["bad"]


def test_no_rows(root):
    with pytest.raises(DataError, match="nothing to train on"):
        preference_dataset([], root)
    with pytest.raises(DataError, match="nothing to train on"):
        sft_dataset([], root)


def test_open_image_says_what_is_wrong(root):
    (root / "bad.png").write_bytes((root / "noise.png").read_bytes()[:-100])
    with pytest.raises(BadImage, match="cannot be decoded"):
        open_image(root / "bad.png")
    with pytest.raises(BadImage, match="no such file"):
        open_image(root / "nowhere.png")
    with pytest.raises(BadImage, match="corrupt image"):
        inspect_image("bad.png", root)
    facts = inspect_image("noise.png", root)
    assert (facts.width, facts.height, len(facts.digest)) == (48, 64, 64)
