"""Digests of image files: each read once, and every one that is not there named."""

import hashlib

import pytest

from align.data import images
from align.data.images import image_digests
from align.records import DataError


def test_each_file_is_read_once(tmp_path, monkeypatch):
    read = []
    digest = images.content_digest
    monkeypatch.setattr(images, "content_digest", lambda path: read.append(path.name) or digest(path))
    for name in "ab":
        (tmp_path / name).write_text(name)
    digests = image_digests(["a", "b"] * 25, tmp_path)
    assert digests == {name: hashlib.sha256(name.encode()).hexdigest() for name in "ab"}
    assert sorted(read) == ["a", "b"]


def test_every_file_that_cannot_be_read_is_reported(tmp_path):
    (tmp_path / "there.png").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError) as caught:
        image_digests(["there.png", "gone.png", "folder", "../out.png"], tmp_path)
    text = str(caught.value)
    assert text.startswith("3 problem(s)")
    for said in ("'gone.png' is not there", "'folder' is not there", "'../out.png' leaves the data root"):
        assert said in text
