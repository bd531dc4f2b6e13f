"""Data sets from a public home, from the hub, from mirrors; the manifest is written last."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from file_server import FileServer, Served

import align
from align.data.download import MANIFEST, download, unpack
from align.data.origins import Hub, hub_files, parse_origin
from align.records import DataError

ROOT = Path(align.__file__).parent.parent
PICTURES = {"tables": ["q.csv"], "name": "image_name", "url": "url"}
FETCHING: dict[str, Any] = {"timeout": 2.0, "attempts": 2, "wait": 0.01}


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return buffer.getvalue()


def entry(server: FileServer, **fields: Any) -> dict[str, Any]:
    return {
        "title": "a test",
        "license": "CC0",
        "files": [
            {"url": f"{server.url}/q.csv", "path": "q.csv"},
            {"url": f"{server.url}/i.zip", "path": "i.zip", "unpack": "pictures"},
        ],
    } | fields


@pytest.fixture
def home(server: FileServer) -> FileServer:
    server.files["/q.csv"] = Served(f"image_name,url\na.jpg,{server.url}/a\nb.jpg,{server.url}/b\n".encode())
    server.files["/i.zip"] = Served(zipped({"all/1.jpg": b"one", "all/deep/2.jpg": b"two"}))
    server.files["/a"] = Served(b"picture a")
    return server


def test_the_manifest_says_what_came_and_nothing_is_fetched_again(home: FileServer, tmp_path: Path) -> None:
    origin = parse_origin("things", entry(home))
    first = download(origin, tmp_path, **FETCHING)
    assert first.complete
    assert not first.reused
    folder = tmp_path / "things"
    assert (folder / "pictures/1.jpg").read_bytes() == b"one"  # the one folder around all is taken off
    assert (folder / "pictures/deep/2.jpg").read_bytes() == b"two"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert [file["path"] for file in manifest["files"]] == ["q.csv", "i.zip"]
    for file in manifest["files"]:
        body = (folder / file["path"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert manifest["license"] == "CC0"
    before = len(home.requests)
    assert download(origin, tmp_path, **FETCHING).reused
    assert len(home.requests) == before
    (folder / "q.csv").write_bytes((folder / "q.csv").read_bytes()[::-1])  # as long as before
    assert download(origin, tmp_path, **FETCHING).reused
    assert not download(origin, tmp_path, verify=True, **FETCHING).reused


def test_no_manifest_where_a_file_did_not_come(home: FileServer, tmp_path: Path) -> None:
    del home.files["/i.zip"]
    result = download(parse_origin("things", entry(home)), tmp_path, **FETCHING)
    assert not result.complete
    assert "404" in result.problems[0].message
    assert not (tmp_path / "things" / MANIFEST).exists()


def test_images_of_a_table_and_those_that_are_gone(home: FileServer, tmp_path: Path) -> None:
    origin = parse_origin("things", entry(home, images=PICTURES))
    result = download(origin, tmp_path, **FETCHING)
    assert result.complete
    assert (tmp_path / "things/images/a.jpg").read_bytes() == b"picture a"
    missing = json.loads((tmp_path / "things" / MANIFEST).read_text())["missing"]
    assert [row["path"] for row in missing] == ["images/b.jpg"]
    home.files["/b"] = Served(b"picture b")
    assert download(origin, tmp_path, **FETCHING).problems == []
    assert (tmp_path / "things/images/b.jpg").exists()


def test_a_table_with_a_bad_row_is_an_error_with_its_line(home: FileServer, tmp_path: Path) -> None:
    home.files["/q.csv"] = Served(b"image_name,url\n../a.jpg,http://x/a\nb.jpg,\n")
    origin = parse_origin("things", entry(home, images=PICTURES))
    with pytest.raises(DataError) as error:
        download(origin, tmp_path, **FETCHING)
    assert [problem.line for problem in error.value.problems] == [2, 3]


def test_a_subset_of_vqa_keeps_questions_and_annotations_together(home: FileServer, tmp_path: Path) -> None:
    rows = [{"image_id": i // 3, "question_id": i, "question": "?"} for i in range(30)]
    home.add_json("/vq.json", {"info": {"version": "2"}, "questions": rows})
    home.add_json("/va.json", {"info": {}, "annotations": [{**row, "answers": []} for row in rows]})
    for image in range(10):
        home.files[f"/COCO_{image:012d}.jpg"] = Served(b"x%d" % image)
    origin = parse_origin(
        "vqa",
        {
            "title": "t",
            "license": "l",
            "files": [
                {"url": f"{home.url}/vq.json", "path": "vq.json"},
                {"url": f"{home.url}/va.json", "path": "va.json"},
            ],
            "subset": {"questions": "vq.json", "annotations": "va.json", "images": 4},
            "images": {
                "tables": ["lite_questions.json"],
                "name": "image_id",
                "file": "COCO_{name:0>12}.jpg",
                "url": home.url + "/COCO_{name:0>12}.jpg",
            },
        },
    )
    assert download(origin, tmp_path, **FETCHING).complete
    lite = json.loads((tmp_path / "vqa/lite_questions.json").read_text())
    notes = json.loads((tmp_path / "vqa/lite_annotations.json").read_text())["annotations"]
    assert lite["info"] == {"version": "2"}
    assert [row["question_id"] for row in lite["questions"]] == [row["question_id"] for row in notes]
    images = {row["image_id"] for row in notes}
    assert len(images) == 4
    assert len(notes) == 12
    assert {p.name for p in (tmp_path / "vqa/images").iterdir()} == {f"COCO_{i:012d}.jpg" for i in images}


def test_files_of_the_hub_have_their_sizes_digests_and_commit(server: FileServer, tmp_path: Path) -> None:
    body = b"rows" * 100
    server.add_json(
        "/api/datasets/some/set/revision/main?blobs=true",
        {
            "id": "some/set",
            "sha": "c0ffee",
            "siblings": [
                {"rfilename": "README.md", "size": 3},
                {
                    "rfilename": "data/x.parquet",
                    "size": len(body),
                    "lfs": {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 1},
                },
            ],
        },
    )
    files, commit = hub_files(Hub("some/set", ("data/*.parquet",)), endpoint=server.url)
    assert commit == "c0ffee"
    assert [(f.path, f.size, f.sha256) for f in files] == [
        ("data/x.parquet", 400, hashlib.sha256(body).hexdigest())
    ]
    assert files[0].url == f"{server.url}/datasets/some/set/resolve/c0ffee/data/x.parquet"
    with pytest.raises(DataError, match=r"no file is named \*\.csv; it has README.md, data/x.parquet"):
        hub_files(Hub("some/set", ("*.csv",)), endpoint=server.url)
    with pytest.raises(DataError, match="datasets/no/such"):
        hub_files(Hub("no/such", ("*",)), endpoint=server.url)
    with pytest.raises(ConnectionError, match="give mirror=FOLDER"):
        hub_files(Hub("some/set", ("*",)), endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize("by", ["folder", "url"])
def test_a_mirror_takes_the_place_of_the_home(by: str, server: FileServer, tmp_path: Path) -> None:
    body = {"q.csv": b"a,b\n", "i.zip": zipped({"x.jpg": b"x"}), "data/part-1.parquet": b"p"}
    for path, content in body.items():
        place = tmp_path / "mirror/things" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        server.files[f"/mirror/things/{path}"] = Served(content)
    names = ["data/part-1.parquet"] if by == "url" else ["data/*.parquet"]
    origin = parse_origin("things", entry(server, hub={"repo": "no/where", "files": names}))
    mirror = f"{server.url}/mirror/" if by == "url" else str(tmp_path / "mirror")
    assert download(origin, tmp_path / "out", mirror=mirror, **FETCHING).complete
    for path, content in body.items():
        assert (tmp_path / "out/things" / path).read_bytes() == content
    if by == "url":
        searched = parse_origin("things", entry(server, hub={"repo": "no/where", "files": ["*.parquet"]}))
        with pytest.raises(DataError, match="give exact names"):
            download(searched, tmp_path / "other", mirror=mirror, **FETCHING)


@pytest.mark.parametrize("name", ["../out.txt", "/abs.txt"])
def test_an_archive_that_leaves_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"fine.txt": b"1", name: b"2"}))
    with pytest.raises(DataError, match="leaves the folder"):
        unpack(tmp_path / "a.zip", tmp_path / "inside")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_an_archive_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"fine.txt": b"1" * 1000})[:-40])
    with pytest.raises(DataError, match="not a whole zip archive"):
        unpack(tmp_path / "a.zip", tmp_path / "inside")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": "x"}, "no field licence"),
        ({"license": ""}, "license is missing"),
        ({"files": [{"url": "x"}]}, r"files\[0\] needs `url` and `path`"),
        ({"files": []}, "nothing to fetch"),
        ({"images": {"tables": ["x"], "column": "y"}}, "column"),
    ],
)
def test_a_wrong_entry_is_named(change: dict, message: str, server: FileServer) -> None:
    with pytest.raises(ValueError, match=message):
        parse_origin("things", entry(server, **change))


def test_the_origins_that_ship_are_well_formed() -> None:
    origins = yaml.safe_load((ROOT / "configs/download.yaml").read_text())["origins"]
    parsed = {name: parse_origin(name, fields) for name, fields in origins.items()}
    assert set(parsed) == {"mohobench", "haloquest", "rlhf_v", "mm_upd", "pope", "vqav2_lite"}
    assert parsed["rlhf_v"].restricted
    for origin in parsed.values():
        assert all(fetch.url.startswith("http") for fetch in origin.files)


@pytest.mark.program
def test_the_program_shows_licences_and_ends_with_the_state(home: FileServer, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "data_prep/download.py",
        "get=[rlhf_v,things]",
        f"out={tmp_path}",
        f"mirror={tmp_path / 'mirror'}",
        "wait=0",
        "attempts=1",
        f"hydra.run.dir={tmp_path}/run",
        "+origins.things={title: a thing, license: CC0, files: [{url: 'http://x/y', path: q.csv}]}",
    ]
    place = tmp_path / "mirror/things/q.csv"
    place.parent.mkdir(parents=True)
    place.write_text("a\n")
    first = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert first.returncode == 1, first.stderr
    assert "WARNING: not for commercial use" in first.stdout
    assert "rlhf_v: not complete" in first.stdout or "NOT complete" in first.stdout
    assert (tmp_path / "things" / MANIFEST).is_file()
    other = tmp_path / "mirror/rlhf_v/RLHF-V-Dataset.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"PAR1")
    second = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "things: was there already" in second.stdout
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert set(run["inputs"]) == {"rlhf_v", "things"}
