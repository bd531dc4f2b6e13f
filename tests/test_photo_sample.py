"""The sample of photographs: what its file promises, and the whole path on it as a user runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from align.data.mohobench import read_mohobench
from align.judging.matching import matches
from align.records import (
    ANSWERABLE,
    UNANSWERABLE,
    Category,
    Graded,
    Pair,
    Question,
    Response,
    SFTRow,
    read_records,
)

SAMPLE = Path(__file__).parents[1] / "samples" / "photos"
FILE = SAMPLE / "mohobench.json"
IMAGES = SAMPLE / "images"

UPSTREAM_FIELDS = {"question", "category", "image", "caption"}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in rows}


def attributed() -> dict[str, str]:
    """File in the sample -> file in the package, as the table in ATTRIBUTION.md says."""
    text = (SAMPLE / "ATTRIBUTION.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+\.jpg)` \| `([\w/.]+)` \|", text, re.MULTILINE))


def test_every_photograph_has_every_category_equally(rows: list[dict[str, Any]]) -> None:
    counts = Counter((row["image"], row["category"]) for row in rows)
    images = {image for image, _ in counts}
    assert len(images) == 14
    for image in images:
        per_category = {category: counts[(image, category)] for category in get_args(Category)}
        assert per_category == {category: 6 if category == ANSWERABLE else 2 for category in per_category}
    assert {category for _, category in counts} == set(get_args(Category)), (
        "labels must be upstream's, exactly"
    )


def test_rows_have_upstream_fields_and_the_gold_that_their_category_needs(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row.keys() >= UPSTREAM_FIELDS, row["id"]
        texts = {name: value for name, value in row.items() if name != "answers"}
        assert all(isinstance(value, str) and value == value.strip() != "" for value in texts.values()), row[
            "id"
        ]
        if row["category"] == ANSWERABLE:
            assert row["answers"], row["id"]
            assert len({answer.casefold() for answer in row["answers"]}) == len(row["answers"]), row["id"]
            assert "reason" not in row, row["id"]
        else:
            assert "answers" not in row, row["id"]
            assert row["reason"].endswith("."), row["id"]
            assert len(row["reason"].split()) >= 8, f"{row['id']}: the reason must be specific"


def test_questions_have_upstreams_length_and_differ(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert 5 <= len(row["question"].split()) <= 45, row["id"]
        assert row["question"].endswith("?"), row["id"]
    for name in ("question", "reason"):
        texts = Counter(" ".join(row[name].casefold().split()) for row in rows if name in row)
        assert [text for text, n in texts.items() if n > 1] == []


def test_ids_are_unique_and_name_image_and_category(rows: list[dict[str, Any]]) -> None:
    assert len({row["id"] for row in rows}) == len(rows)
    short = {"cd": "Context_Dependent", "fp": "False_Premises"} | {
        "sp": "Subjective_or_Philosophical",
        "vd": "Vague_Description",
    }
    for row in rows:
        name, category, number, *twin = row["id"].split("-")
        assert row["image"] == f"{name}.jpg"
        assert number in ("1", "2")
        assert twin == (["twin"] if row["category"] == ANSWERABLE else [])
        if not twin:
            assert row["category"] == short[category]


def test_twins_are_mutual_opposite_and_about_one_image(by_id: dict[str, dict[str, Any]]) -> None:
    for row in by_id.values():
        if "twin" in row:
            twin = by_id[row["twin"]]
            assert twin["twin"] == row["id"]
            assert twin["image"] == row["image"]
            assert (twin["category"] == ANSWERABLE) != (row["category"] == ANSWERABLE)
    twinned = Counter(row["category"] for row in by_id.values() if "twin" in row)
    assert twinned == {ANSWERABLE: 84} | dict(zip(UNANSWERABLE, (14, 28, 14, 28), strict=True))


def test_one_caption_and_one_license_for_each_image(rows: list[dict[str, Any]]) -> None:
    said = {(row["image"], row["caption"], row["license"]) for row in rows}
    assert len(said) == 14


def test_images_decode_are_small_and_are_all_used_and_attributed(rows: list[dict[str, Any]]) -> None:
    files = sorted(IMAGES.iterdir())
    for path in files:
        with Image.open(path) as image:
            image.load()
            assert max(image.size) <= 512
            assert min(image.size) >= 200
    assert sum(path.stat().st_size for path in files) < 1_500_000
    names = {path.name for path in files}
    assert names == {row["image"] for row in rows}
    assert names == attributed().keys()


@pytest.mark.parametrize("package", ["skimage", "sklearn"])
def test_images_are_the_ones_that_the_attribution_names(package: str) -> None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    folder = Path(spec.origin).parents[1]
    sources = {file: source for file, source in attributed().items() if source.startswith(f"{package}/")}
    assert sources
    for file, source in sources.items():
        with Image.open(folder / source) as original, Image.open(IMAGES / file) as copy:
            expected = original.convert("RGB").resize(copy.size, Image.Resampling.LANCZOS)
            difference = np.abs(np.asarray(expected, float) - np.asarray(copy.convert("RGB"), float)).mean()
        assert difference < 6, f"{file} differs from {source} by {difference:.1f} gray levels"


def test_the_reader_takes_every_row_without_a_remark() -> None:
    reading = read_mohobench(FILE, IMAGES)
    assert reading.problems == []
    assert len(reading.questions) == 196
    assert reading.unknown_fields == {}
    assert all(question.caption and question.license for question in reading.questions)
    assert sum(question.twin is not None for question in reading.questions) == 168


# --- The whole path, program after program ----------------------------------------------------------------

ROOT = SAMPLE.parents[1]
MODEL = ["model=tiny_vlm"]


def run(home: Path, *words: str) -> str:
    """Run a program as a user without any account or configuration does, and return what it prints."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "ACCELERATE_", "HF_", "INSPECT_"))
    }
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=kept | {"HOME": str(home), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all programs of the path have run, the commands being those of the README."""
    work = tmp_path_factory.mktemp("photos")
    data = f"{work}/data"
    launch = ("-m", "accelerate.commands.launch")
    sampling = "+sample_responses.sampling.max_new_tokens=16"
    made = run(
        work, "data_prep/prepare.py", *MODEL, f"input={FILE}", f"images={IMAGES}", f"out={data}", sampling
    )
    assert "Nothing here would break training" in made
    rows = ("data=files", f"data.root={IMAGES}", f"data.pairs={data}/pairs.jsonl")
    steps = ("trainer.max_steps=3", "trainer.per_device_train_batch_size=8", "tracking=none")
    run(work, *launch, "recipes/dpo.py", *MODEL, *rows, *steps, f"out={work}/dpo")
    task = ("task=mohobench", f"task.mohobench.questions={data}/questions.jsonl")
    task += (f"task.mohobench.root={IMAGES}", "task.mohobench.split=test", "decoding.max_new_tokens=16")
    adapters = f"adapters={{dpo: {work}/dpo/adapter}}"
    run(
        work,
        "evaluate/measure.py",
        *MODEL,
        *task,
        adapters,
        f"out={work}/measured",
        "+compare.title=Photographs",
    )
    return work


@pytest.fixture(scope="module")
def questions(work: Path) -> dict[str, Question]:
    return {question.id: question for question in read_records(work / "data" / "questions.jsonl", Question)}


@pytest.mark.program
def test_ingest_splits_by_photograph_and_keeps_twins_together(
    work: Path, questions: dict[str, Question], rows: list[dict[str, Any]]
) -> None:
    report = json.loads((work / "data" / "report.json").read_text())
    assert (report["rows"], report["rows_not_used"], report["problems"]) == (196, 0, [])
    assert questions.keys() == {row["id"] for row in rows}
    images = {s: {q.image for q in questions.values() if q.split == s} for s in ("train", "test")}
    assert images["train"] | images["test"] == {row["image"] for row in rows}
    assert images["train"].isdisjoint(images["test"])
    assert len(images["test"]) == 3
    for split in images:
        assert {q.category for q in questions.values() if q.split == split} == set(get_args(Category))
    assert all(questions[q.twin].split == q.split for q in questions.values() if q.twin)


@pytest.mark.program
def test_each_training_question_is_answered_by_the_model_once(
    work: Path, questions: dict[str, Question]
) -> None:
    responses = read_records(work / "data" / "responses.jsonl", Response)
    assert sorted(r.question_id for r in responses) == sorted(
        q.id for q in questions.values() if q.split == "train"
    )
    assert [r.error for r in responses if r.error] == []
    assert len({r.model_digest for r in responses} - {None}) == 1


@pytest.mark.program
def test_pairs_prefer_the_known_reason_and_the_gold_answer(
    work: Path, questions: dict[str, Question]
) -> None:
    own = {r.question_id: r.text for r in read_records(work / "data" / "responses.jsonl", Response)}
    pairs = read_records(work / "data" / "pairs.jsonl", Pair)
    kinds = Counter(pair.kind for pair in pairs)
    assert kinds["refuse"] == kinds["answer"] > 20
    for pair in pairs:
        question = questions[pair.question_id]
        assert question.split == "train"
        assert (pair.prompt, pair.images) == (question.question, (question.image,))
        if pair.kind == "refuse":
            assert question.reason
            assert question.reason in pair.chosen
            assert pair.rejected == (own[question.id] or "").strip()
        else:
            assert matches(pair.chosen, question.answers)
            assert question.answerable


@pytest.mark.program
def test_sft_rows_teach_both_directions(work: Path, questions: dict[str, Question]) -> None:
    rows = read_records(work / "data" / "sft.jsonl", SFTRow)
    kinds = Counter(row.kind for row in rows)
    assert kinds["refuse"] == kinds["answer"] > 20
    for row in rows:
        question = questions[row.question_id]
        assert question.split == "train"
        told = (
            matches(row.completion, question.answers)
            if question.answerable
            else question.reason in row.completion
        )
        assert told, row.question_id


@pytest.mark.program
def test_dpo_trains_an_adapter_on_the_pairs(work: Path) -> None:
    weights = load_file(work / "dpo" / "adapter" / "adapter_model.safetensors")
    ups = [tensor for name, tensor in weights.items() if "lora_B" in name]
    assert ups
    assert all(tensor.abs().max() > 0 for tensor in ups), "lora_B starts at zero, so each must have moved"
    record = json.loads((work / "dpo" / "run.json").read_text())
    assert record["config"]["trainer"]["max_steps"] == 3
    assert record["inputs"]["pairs"]["path"] == str(work / "data" / "pairs.jsonl")
    assert record["results"]["train_loss"] > 0


@pytest.mark.program
def test_benchmark_scores_every_test_question(work: Path, questions: dict[str, Question]) -> None:
    graded = read_records(work / "measured/dpo/mohobench/samples.jsonl", Graded)
    test = {q.id: q for q in questions.values() if q.split == "test"}
    assert sorted(row.question_id for row in graded) == sorted(test)
    assert {row.question_id: row.category for row in graded} == {q.id: q.category for q in test.values()}
    assert all(row.response is not None and row.error is None for row in graded)

    results = json.loads((work / "measured/dpo/mohobench/results.json").read_text())
    unanswerable = [row for row in graded if not row.answerable]
    answerable = [row for row in graded if row.answerable]
    assert (results["n"], results["n_failed"]) == (42, 0)
    assert (results["n_unanswerable"], results["n_answerable"], results["n_twins"]) == (24, 18, 18)
    assert results["refusal_rate"] == pytest.approx(sum(r.state == "abstain" for r in unanswerable) / 24)
    assert results["over_refusal_rate"] == pytest.approx(sum(r.state == "abstain" for r in answerable) / 18)
    assert results["answer_accuracy"] == pytest.approx(sum(r.correct is True for r in answerable) / 18)
    assert {c: results["by_category"][c]["n_unanswerable"] for c in UNANSWERABLE} == dict.fromkeys(
        UNANSWERABLE, 6
    )
    assert results["model"]["adapter"] == str(work / "dpo" / "adapter")
    assert list((work / "measured/dpo/mohobench/logs").glob("*.eval"))


@pytest.mark.program
def test_the_report_sets_the_base_beside_the_adapter(work: Path) -> None:
    comparison = json.loads((work / "measured/report/comparison.json").read_text())
    assert list(comparison["models"]) == ["base", "dpo"]
    assert "<title>Photographs</title>" in (work / "measured/report/report.html").read_text()
