"""data_prep/ingest.py as a user runs it: sources, tables, near-duplicates, held-out images, bad input."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from align.records import Pair, Question, read_records

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "samples" / "photos"


def ingest(folder, *overrides):
    """Run in `folder`, so that nothing lands in the checkout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, str(ROOT / "data_prep" / "ingest.py"), *map(str, overrides)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The sample, ingested, with copies of two of its photographs and questions about them."""
    folder = tmp_path_factory.mktemp("photos")
    images = folder / "images"
    shutil.copytree(PHOTOS / "images", images)
    coffee = Image.open(images / "coffee.jpg")
    ImageOps.mirror(coffee).resize((300, 200)).save(images / "coffee_mirrored.jpg", quality=60)
    coffee.save(images / "coffee_again.jpg", quality=50)
    shutil.copy(images / "rocket.jpg", images / "rocket_again.jpg")
    lines = (PHOTOS / "mohobench.json").read_text().splitlines()
    row = {"question": "Who ordered it?", "category": "Context_Dependent", "reason": "It is not shown."}
    copies = [f"{n}.jpg" for n in ("coffee_mirrored", "coffee_again", "rocket_again")]
    (folder / "all.json").write_text("\n".join([*lines, *(json.dumps(row | {"image": n}) for n in copies)]))
    result = ingest(folder, f"input={folder / 'all.json'}", f"images={images}", f"out={folder / 'data'}")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result


def test_near_duplicates_are_listed_and_stay_in_one_split(photos):
    folder, result = photos
    questions = read_records(folder / "data" / "questions.jsonl", Question)
    report = json.loads((folder / "data" / "report.json").read_text())
    coffee = ["coffee.jpg", "coffee_again.jpg", "coffee_mirrored.jpg"]
    assert report["near_duplicates"] == [coffee]
    assert all(bits <= 20 for _, _, bits in report["near_duplicate_pairs"])
    assert report["same_picture_under_several_names"] == [["rocket.jpg", "rocket_again.jpg"]]
    assert "coffee.jpg, coffee_again.jpg, coffee_mirrored.jpg" in result.stdout
    for names in (coffee, ["rocket.jpg", "rocket_again.jpg"]):
        own = [q for q in questions if q.image in names]
        assert {q.image for q in own} == set(names)
        assert len({q.split for q in own}) == 1
        assert len({q.metadata["group"] for q in own}) == 1
    assert len({q.metadata["group"] for q in questions if "group" in q.metadata}) == 2
    page = (folder / "data" / "summary.html").read_text()
    assert "coffee_mirrored.jpg" in page


def test_what_shows_a_held_out_image_is_kept_out(photos, tmp_path):
    folder, _ = photos
    held = tmp_path / "test.jsonl"
    questions = read_records(folder / "data" / "questions.jsonl", Question)
    test = next(q for q in questions if q.image == "coffee.jpg").model_copy(
        update={"split": "test", "twin": None}
    )
    held.write_text(test.model_dump_json() + "\n")
    text = {"question": "What is on the saucer?", "chosen": "A spoon.", "rejected": "A cookie."}
    names = ("coffee_mirrored.jpg", "coins.jpg", "coffee.jpg")
    rows = [{"text": json.dumps(text), "image_path": name, "idx": n} for n, name in enumerate(names)]
    (tmp_path / "rlhf.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    result = ingest(
        tmp_path,
        "source=rlhf_v",
        "input=rlhf.jsonl",
        f"images={folder / 'images'}",
        f"held_out={held}",
        f"out={out}",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "CC BY-NC 4.0" in result.stdout
    (pair,) = read_records(out / "retain_pairs.jsonl", Pair)
    assert (pair.images, pair.kind) == (("coins.jpg",), "retain")
    assert not (out / "questions.jsonl").exists()
    report = json.loads((out / "report.json").read_text())
    assert [entry["line"] for entry in report["held_out"]] == [1, 3]
    assert "near-duplicate of a held-out one" in report["held_out"][0]["message"]
    assert "is held out" in report["held_out"][1]["message"]
    assert set(json.loads((out / "run.json").read_text())["inputs"]) == {"input", "held_out"}


HALOQUEST = """,image_name,url,image type,hallucination type,question,groundtruth responses,split
0,coffee.jpg,u,real,false premises,Who drinks the tea?,There is no tea,train
1,coffee_again.jpg,u,real,insufficient context,Who ordered it?,The guest is not shown,eval
2,coins.jpg,u,real,visual challenge,What are they?,Coins; old coins,train
"""


def test_a_given_split_that_is_cut_through_one_picture_is_a_problem(photos, tmp_path):
    folder, _ = photos
    (tmp_path / "hq.csv").write_text(HALOQUEST)
    common = ["source=haloquest", "input='*.csv'", f"images={folder / 'images'}", f"out={tmp_path / 'out'}"]
    result = ingest(tmp_path, *common, "on_bad_row=skip")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (problem,) = report["problems"]
    assert (problem["line"], problem["field"]) == (2, "split")
    assert "nearly the same picture as 'coffee_again.jpg', is in the test split as well" in problem["message"]
    questions = read_records(tmp_path / "out" / "questions.jsonl", Question)
    assert {q.image: q.split for q in questions} == {"coffee_again.jpg": "test", "coins.jpg": "train"}


def test_a_table_with_pictures_in_base64(tmp_path):
    picture = base64.b64encode((PHOTOS / "images" / "coins.jpg").read_bytes()).decode()
    rows = [
        {"q": "Whose are they?", "kind": "cd", "pic": picture},
        {"q": "What?", "kind": "zz", "pic": picture},
    ]
    (tmp_path / "my.tsv").write_text(
        "q\tkind\tpic\n" + "".join("\t".join(row.values()) + "\n" for row in rows)
    )
    command = [
        "source=table",
        "source.name=mine",
        "input=my.tsv",
        "out=out",
        "source.categories={cd: Context_Dependent}",
        "split={train: 1, validation: 0, test: 0}",
        "on_bad_row=skip",
    ]
    result = ingest(tmp_path, *command, "source.map={image: pic, question: q, category: kind}")
    assert result.returncode == 0, result.stdout + result.stderr
    (question,) = read_records(tmp_path / "out" / "questions.jsonl", Question)
    assert (question.source, question.category, question.split) == ("mine", "Context_Dependent", "train")
    assert (tmp_path / "out" / "images" / question.image).is_file()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["images_folder"] == str(tmp_path / "out" / "images")
    assert "unknown category 'zz'" in report["problems"][0]["message"]


def bomb():
    """A PNG that says it has 900 million pixels."""

    def chunk(name, data):
        body = name + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = (30_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def test_every_kind_of_bad_input_is_a_line_in_the_report(tmp_path):
    images = tmp_path / "images"
    shutil.copytree(PHOTOS / "images", images)
    (images / "cut.jpg").write_bytes((images / "coins.jpg").read_bytes()[:-900])
    (images / "empty.jpg").write_bytes(b"")
    (images / "bomb.png").write_bytes(bomb())
    (images / "out.jpg").symlink_to(ROOT / "pyproject.toml")
    good = {
        "image": "coffee.jpg",
        "question": "Who?",
        "category": "Context_Dependent",
        "reason": "Not shown.",
    }

    def row(**changes):
        return json.dumps(good | {"question": f"Who is {len(lines)}?"} | changes).encode()

    lines: list[bytes] = []
    faults = [
        ("cut.jpg", "corrupt image"),
        ("empty.jpg", "empty file (0 bytes)"),
        ("bomb.png", "too large to decode safely"),
        ("out.jpg", "link that leaves the data root"),
        ("../pyproject.toml", "leaves the data root"),
        ("gone.jpg", "missing image"),
    ]
    lines += [row(image=image) for image, _ in faults]
    says = [message for _, message in faults]
    for line, message in (
        (row(category="Riddle"), "unknown category 'Riddle'"),
        (
            row(question="caf\u00e9").replace(b"caf\\u00e9", "caf\u00e9".encode("latin-1")),
            "not a line of UTF-8",
        ),
        (b'{"question": "' + b"x" * 6000 + b'"}', "more than the 5,000 bytes"),
        (row(id="same"), None),
        (row(id="same"), "duplicate id 'same'"),
        (b"not json", "not a line of UTF-8 JSON"),
        (row(question="Who?"), None),
    ):
        lines.append(line)
        says.append(message)
    (tmp_path / "bad.json").write_bytes(b"\n".join(lines) + b"\n")
    result = ingest(
        tmp_path,
        "input=bad.json",
        f"images={images}",
        "out=out",
        "max_row=5000",
        "on_bad_row=skip",
        "split={train: 1, validation: 0, test: 0}",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    found = {problem["line"]: problem["message"] for problem in report["problems"]}
    expected = {line: message for line, message in enumerate(says, start=1) if message}
    assert found.keys() == expected.keys()
    for line, message in expected.items():
        assert message in found[line]
    assert (report["rows"], report["rows_not_used"], report["questions"]) == (13, 11, 2)
    assert len(read_records(tmp_path / "out" / "questions.jsonl", Question)) == 2


def test_what_is_wrong_with_many_rows_alike_is_said_once(tmp_path):
    rows = [("fine" if number % 2 else "no", f"Who is {number}?") for number in range(60)]
    lines = ["image,question,kind", *(f"coffee.jpg,{question},{kind}" for kind, question in rows)]
    (tmp_path / "my.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = ingest(
        tmp_path,
        "source=table",
        "input=my.csv",
        f"images={PHOTOS / 'images'}",
        "source.map={image: image, question: question, category: kind}",
        "out=out",
    )
    assert result.returncode == 1, result.stdout + result.stderr
    said = " ".join(re.sub(r"[^\x20-\x7e\n]", "", result.stdout).split())
    assert "60 problem(s) in" in said
    assert said.count("unknown category 'no'") == said.count("unknown category 'fine'") == 1
    assert "29 more like it: lines 4, 6, 8, ..." in said
