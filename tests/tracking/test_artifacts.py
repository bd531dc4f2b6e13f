"""Whoever wrote a file and whoever reads it find the same name and digest, without having met."""

import hashlib
from pathlib import Path

import pytest

from align.run import content_digest
from align.tracking.artifacts import DATASET, MODEL, name_of, of_files, of_model, of_path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def write(path: str, text: str = "x") -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return Path(path)


def test_a_name_comes_from_the_place() -> None:
    pairs = write("data/mini world/pairs.jsonl")
    assert name_of("data/mini world/pairs.jsonl") == "data-mini-world-pairs"
    assert name_of(pairs.resolve()) == name_of("data/../data/mini world/pairs.jsonl") == name_of(pairs)
    assert name_of("runs/dpo/2026-01-01/10-00-00/adapter") == "runs-dpo-2026-01-01-10-00-00-adapter"
    assert name_of("/a/b/c/d/e") == "c-d-e"
    assert len(name_of("/".join(["long"] * 60))) <= 120


def test_the_digest_is_that_of_run_json_and_the_alias_begins_it() -> None:
    pairs = write("data/pairs.jsonl", "rows")
    found = of_path(pairs, DATASET)
    assert found.digest == content_digest(pairs) == hashlib.sha256(b"rows").hexdigest()
    assert found.alias == f"sha256-{found.digest[:12]}"
    assert found.files == {"pairs.jsonl": pairs}
    write("run/adapter/weights", "w")
    write("run/adapter/sub/config", "c")
    adapter = of_path("run/adapter", MODEL)
    assert adapter.digest == content_digest("run/adapter")
    assert set(adapter.files) == {"weights", "sub/config"}


def test_some_files_of_a_folder() -> None:
    files = [write("run/a/samples"), write("run/results"), write("run/a/other")]
    found = of_files("run", files[:2], DATASET)
    assert (found.name, set(found.files)) == ("run", {"a/samples", "results"})
    assert of_files("run", files[1::-1], DATASET).digest == found.digest
    write("run/results", "changed")
    assert of_files("run", files[:2], DATASET).digest != found.digest


def test_a_base_model_is_named_by_its_digest() -> None:
    write("runs/sft/model/weights")
    made = of_model("runs/sft/model", "0123")
    assert (made.name, made.alias, made.files) == ("runs-sft-model", "sha256-0123", {})
    hub = of_model("Qwen/Qwen2.5-VL-7B-Instruct", "0123")
    assert hub.name == "Qwen-Qwen2.5-VL-7B-Instruct"
    assert hub.stated == made.stated == {"model.json": '{"digest": "0123"}'}


def test_a_folder_of_very_many_files_is_a_digest() -> None:
    for i in range(1001):
        write(f"images/{i}")
    found = of_path("images", DATASET)
    assert (found.files, found.digest) == ({}, content_digest("images"))
    assert found.digest in found.stated["content.json"]
