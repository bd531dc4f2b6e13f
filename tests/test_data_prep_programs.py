"""The data programs as a user runs them: upstream files to questions, responses, rows and pairs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from align.records import Pair, Question, Response, SFTRow, read_records, write_records

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[1]
UPSTREAM = ROOT / "tests" / "fixtures" / "upstream"
IMAGES = UPSTREAM / "images"


def run(program, *overrides, folder):
    """Run in `folder`, so that nothing lands in the checkout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, str(ROOT / "data_prep" / program), *map(str, overrides)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


def ingest(tmp_path, file, *overrides):
    out = tmp_path / "out"
    result = run(
        "ingest.py",
        f"input={file}",
        f"images={IMAGES}",
        f"out={out}",
        "split={train: 0.75, validation: 0, test: 0.25}",
        *overrides,
        folder=tmp_path,
    )
    return result, out


def test_upstream_files_become_questions_and_rows(tmp_path):
    result, out = ingest(tmp_path, UPSTREAM / "mohobench.json", f"preferences={UPSTREAM / 'vqa_train.json'}")
    assert result.returncode == 0, result.stdout + result.stderr
    questions = read_records(out / "questions.jsonl", Question)
    assert len(questions) == 16
    test_images = {q.image for q in questions if q.split == "test"}
    assert len(test_images) == 1
    train_images = {q.image for q in questions if q.split == "train"}
    assert train_images == {path.name for path in IMAGES.iterdir()} - test_images
    report = json.loads((out / "report.json").read_text())
    assert (report["rows"], report["rows_not_used"], report["problems"]) == (16, 0, [])
    assert report["caption_fields"] == {"image_caption": 16}
    assert report["splits"]["test"]["False_Premises"] == 1
    pairs = read_records(out / "upstream_pairs.jsonl", Pair)
    assert len(pairs) + len(report["preferences"]["held_out"]) == 5
    assert not test_images & {image for pair in pairs for image in pair.images}
    run_json = json.loads((out / "run.json").read_text())
    assert set(run_json["inputs"]) == {"input", "preferences"}
    assert "False_Premises" in result.stdout


@pytest.fixture
def broken(tmp_path):
    """Upstream's rows with one of each fault among them; the good rows are the first 16."""
    images = tmp_path / "images"
    shutil.copytree(IMAGES, images)
    (images / "cut.jpg").write_bytes((IMAGES / "coffee.jpg").read_bytes()[:-500])
    lines = (UPSTREAM / "mohobench.json").read_text().splitlines()
    one = json.loads(lines[0])
    faults = [
        json.dumps(one | {"image_path": "cut.jpg"}),
        json.dumps(one | {"image_path": "nowhere.jpg"}),
        lines[0][:-9],
        json.dumps(one | {"question": "Is it?", "category": "Riddle"}),
        json.dumps(one | {"question": "Is it so?", "id": "same"}),
        json.dumps(one | {"question": "Is it not?", "id": "same"}),
    ]
    path = tmp_path / "broken.json"
    path.write_text("\n".join(lines + faults) + "\n")
    return path, images


FAULTS = [
    (17, "image_path", "corrupt image 'cut.jpg'"),
    (18, "image_path", "missing image: 'nowhere.jpg'"),
    (19, None, "not a line of UTF-8 JSON"),
    (20, "category", "unknown category 'Riddle'"),
    (22, "id", "duplicate id 'same': line 21 has it too"),
]


@pytest.mark.parametrize("choice", ["error", "skip"])
def test_bad_rows_are_named_and_stop_the_program_unless_they_may_be_skipped(tmp_path, broken, choice):
    path, images = broken
    result, out = ingest(tmp_path, path, f"images={images}", f"on_bad_row={choice}")
    report = json.loads((out / "report.json").read_text())
    found = [(p["line"], p.get("field"), p["message"]) for p in report["problems"]]
    assert [entry[:2] for entry in found] == [fault[:2] for fault in FAULTS]
    for (_, _, message), (line, _, says) in zip(found, FAULTS, strict=True):
        assert says in message
        assert says.split(":")[0][:30] in result.stdout, f"line {line} is not on the terminal"
    assert all(p["file"] == str(path) for p in report["problems"])
    assert (report["rows"], report["rows_not_used"], report["questions"]) == (22, 5, 17)
    if choice == "error":
        assert result.returncode == 1
        assert "on_bad_row=skip" in result.stdout
        assert not (out / "questions.jsonl").exists()
        assert not (out / "run.json").exists()
    else:
        assert result.returncode == 0, result.stdout + result.stderr
        assert len(read_records(out / "questions.jsonl", Question)) == 17


def test_a_file_that_breaks_off_cannot_be_skipped_over(tmp_path):
    path = tmp_path / "cut.json"
    path.write_text((UPSTREAM / "mohobench_array.json").read_text()[:-400])
    result, out = ingest(tmp_path, path, "on_bad_row=skip")
    assert result.returncode == 1
    assert "could not be read at all" in result.stdout
    assert "NOT read" in (out / "report.json").read_text()
    assert not (out / "questions.jsonl").exists()


def test_rows_and_pairs_from_questions_and_responses(tmp_path):
    data = tmp_path / "data"
    photos = ROOT / "samples" / "photos"
    result = run(
        "ingest.py",
        f"input={photos / 'mohobench.json'}",
        f"images={photos / 'images'}",
        f"out={data}",
        folder=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    questions = read_records(data / "questions.jsonl", Question)
    responses = [
        Response(question_id=q.id, model="m", text=text, sample_index=k)
        for q in questions
        for k, text in enumerate(("It happened on a Sunday in May.", "I can't tell that from the picture."))
    ]
    write_records(data / "responses.jsonl", responses)

    result = run("build_sft.py", f"folder={data}", f"out={tmp_path / 'sft'}", "mix.total=80", folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = read_records(data / "sft.jsonl", SFTRow)
    assert len(rows) == 80
    assert sum(row.kind == "refuse" for row in rows) == 40
    assert "both_twins" in result.stdout

    settings = ["mix.ratio.answer=0.5", "mix.categories.Context_Dependent=0"]
    result = run("build_pairs.py", f"folder={data}", f"out={tmp_path / 'pairs'}", *settings, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    pairs = read_records(data / "pairs.jsonl", Pair)
    summary = json.loads((data / "pairs.summary.json").read_text())
    kinds = summary["kinds"]
    assert kinds["refuse"] == 2 * kinds["answer"]
    assert "Context_Dependent" not in summary["categories"]
    assert {p.rejected for p in pairs if p.kind == "refuse"} == {"It happened on a Sunday in May."}
    assert {p.rejected for p in pairs if p.kind == "answer"} == {"I can't tell that from the picture."}
    train = {q.id for q in questions if q.split == "train"}
    assert {p.question_id for p in pairs} <= train
    assert json.loads((tmp_path / "pairs" / "run.json").read_text())["inputs"]["pairs"]["path"].endswith(
        "pairs.jsonl"
    )
    first = (data / "pairs.jsonl").read_bytes()
    run("build_pairs.py", f"folder={data}", f"out={tmp_path / 'again'}", *settings, folder=tmp_path)
    assert (data / "pairs.jsonl").read_bytes() == first

    result = run("build_pairs.py", f"folder={data}", "split=test", folder=tmp_path)
    assert result.returncode != 0
    assert "never built from the test split" in result.stderr
    result = run("build_pairs.py", f"folder={data}", "own_wrong=0.5", folder=tmp_path)
    assert result.returncode != 0
    assert "set own_wrong=0" in result.stderr
    (data / "responses.jsonl").unlink()
    result = run("build_pairs.py", f"folder={data}", folder=tmp_path)
    assert result.returncode != 0
    assert "run data_prep/sample_responses.py first" in result.stderr


def test_responses_are_sampled_and_a_cut_off_run_is_continued(tmp_path):
    data = tmp_path / "data"
    result, _ = ingest(tmp_path, UPSTREAM / "with_twins.json", f"out={data}", "split.train=1", "split.test=0")
    assert result.returncode == 0, result.stdout + result.stderr
    command = [
        "sample_responses.py",
        f"folder={data}",
        f"root={IMAGES}",
        "sampling.samples=2",
        "sampling.max_new_tokens=8",
    ]
    result = run(*command, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    whole = (data / "responses.jsonl").read_bytes()
    rows = read_records(data / "responses.jsonl", Response)
    assert {(r.question_id, r.sample_index) for r in rows} == {
        (q, k) for q in ("cookie", "spoon", "7") for k in (0, 1)
    }
    assert all(r.model_digest and r.text is not None for r in rows)
    (data / "responses.jsonl").write_bytes(whole[: len(whole) * 2 // 3])
    result = run(*command, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (data / "responses.jsonl").read_bytes() == whole
