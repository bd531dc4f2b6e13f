"""The audit of rows with their model: what breaks training is found before it, and named."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from peft import get_peft_model
from PIL import Image

from align.data.audit import HeldOut, read_held_out
from align.models.adapters import count_parameters, lora_config
from align.models.families import family_of
from align.models.loading import LoadedModel, load_model
from align.records import Pair, Problem, Question, SFTRow, read_records, write_records
from align.training import audit as audit_module
from align.training.audit import Audit, Planned, audit_rows
from align.training.data import longest_context, measure_rows
from align.training.estimate import StepPlan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return load_model("tiny_vlm", device="cpu")


@pytest.fixture(scope="module")
def planned(tiny: LoadedModel) -> Planned:
    loaded = load_model("tiny_vlm", device="cpu")
    family = family_of(loaded.model)
    model = get_peft_model(loaded.model, lora_config(loaded.model, family, {"r": 4}))
    return Planned(model, family, StepPlan(batch=4, activation_bytes=4), flop_rate=1e9)


@pytest.fixture(scope="module")
def pairs(rows_root: Path) -> list[Pair]:
    return read_records(rows_root / "pairs.jsonl", Pair)


def run_audit(rows: Any, root: Path, tiny: LoadedModel, **more: Any) -> Audit:
    common = {"file": "rows.jsonl", "data_root": root, "processor": tiny.processor, "max_tokens": 512}
    return audit_rows(rows, **common | more)


def found(audit: Audit) -> dict[str, list[str | None]]:
    """Check -> rows that it names, for the checks that found something."""
    return {f.check: [p.row_id for p in f.problems] for f in audit.findings if f.problems}


def test_good_rows_pass_and_are_counted(
    pairs: list[Pair], rows_root: Path, tiny: LoadedModel, planned: Planned
) -> None:
    audit = run_audit(pairs, rows_root, tiny, planned=planned)
    assert (found(audit), audit.exit_status, audit.problems()) == ({}, 0, [])
    report = json.loads(json.dumps(audit.report()))
    assert (report["rows"], report["kinds"], report["pictures"]) == (16, {"answer": 8, "refuse": 8}, 16)
    assert (report["image_shapes"], report["image_shapes_checked"]) == (1, 1)
    lengths = measure_rows(pairs, rows_root, tiny.processor)
    assert report["tokens"]["image"] == {"least": 9, "middle": 9, "p95": 9, "most": 9, "together": 144}
    assert report["tokens"]["row"]["most"] == max(lengths.tokens)
    assert report["tokens"]["text"]["together"] == sum(lengths.tokens) - 144
    assert report["parameters"] == count_parameters(planned.model, planned.family)
    assert report["parameters"]["language_model"]["trainable"] > 0
    assert report["parameters"]["vision_tower"]["trainable"] == 0
    assert report["memory_bytes"]["vision"] > 0, "the patches of the longest row were not counted"
    assert report["memory_bytes"]["total"] > report["memory_bytes"]["weights"] > 0
    assert report["time"]["steps"] == 4
    assert report["time"]["epoch_seconds"] == pytest.approx(report["time"]["flops"] / 1e9 / 0.5)


def test_what_was_not_checked_is_said(pairs: list[Pair], rows_root: Path, tiny: LoadedModel) -> None:
    audit = run_audit(pairs, rows_root, tiny)
    assert {f.check for f in audit.findings if f.not_checked} == {
        "placeholders unlike image features",
        "images of the test in training",
        "images that look like one of the test",
    }
    assert "parameters" not in audit.report()
    elsewhere = HeldOut("questions.jsonl", {}, [Problem(file="questions.jsonl", message="image not found")])
    audit = run_audit(pairs, rows_root, tiny, held_out=[elsewhere])
    assert "no image of the evaluation was found" in {f.not_checked for f in audit.findings}
    assert audit.exit_status == 0


def test_estimate_counts_both_sides_of_a_pair_and_one_of_a_supervised_row(
    pairs: list[Pair], rows_root: Path, tiny: LoadedModel, planned: Planned
) -> None:
    lengths = measure_rows(pairs, rows_root, tiny.processor)
    tokens = audit_module.row_tokens(pairs, lengths, tiny.processor, 1.0)[0]
    sides = [
        len(tiny.processor.tokenizer(side)["input_ids"]) for side in (pairs[0].chosen, pairs[0].rejected)
    ]
    assert tokens.total == pytest.approx(lengths.tokens[0] + min(sides), abs=2)
    rows = read_records(rows_root / "sft.jsonl", SFTRow)
    lengths = measure_rows(rows, rows_root, tiny.processor)
    assert audit_module.row_tokens(rows, lengths, tiny.processor, 1.0)[0].total == lengths.tokens[0]


def test_each_thing_that_breaks_training_is_named(
    pairs: list[Pair], rows_root: Path, tiny: LoadedModel, tmp_path: Path
) -> None:
    for image in rows_root.glob("images/*.png"):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / image.name).write_bytes(image.read_bytes())
    (tmp_path / "images" / "1.png").write_bytes(b"no image")
    rows = list(pairs)
    rows[3] = rows[3].model_copy(update={"chosen": "The circle is red. " * 200})
    question = Question(
        id="t", image="images/5.png", question="What?", category="Answerable", source="t", split="test"
    )
    write_records(tmp_path / "questions.jsonl", [question])
    held_out = [read_held_out(tmp_path / "questions.jsonl", tmp_path)]

    audit = run_audit(rows, tmp_path, tiny, held_out=held_out)
    assert found(audit) == {
        "unreadable images": ["q1"],
        "rows over the token budget": ["q3"],
        "images of the test in training": ["q5"],
    }
    assert (audit.exit_status, audit.rows) == (1, 14)
    assert [problem.row_id for problem in audit.problems()] == ["q1", "q3", "q5"]
    assert "and 512 is the limit" in audit.problems()[1].message
    assert rows[3].chosen.count("circle") == 200, "a row is never cut"


def test_long_rows_that_will_be_skipped_are_a_warning_unless_nothing_is_left(
    pairs: list[Pair], rows_root: Path, tiny: LoadedModel
) -> None:
    rows = [*pairs[:3], pairs[3].model_copy(update={"chosen": "The circle is red. " * 200})]
    skipped = run_audit(rows, rows_root, tiny, skip_too_long=True)
    assert (found(skipped), skipped.exit_status) == ({"rows over the token budget": ["q3"]}, 0)
    assert max(skipped.lengths.tokens) <= 512
    assert run_audit(rows, rows_root, tiny, skip_too_long=True, max_tokens=5).exit_status == 1


def test_duplicates_are_warnings(pairs: list[Pair], rows_root: Path, tiny: LoadedModel) -> None:
    again = pairs[0].model_copy(update={"question_id": "again"})
    other = pairs[1].model_copy(update={"question_id": "other", "rejected": "I can't say."})
    audit = run_audit([*pairs, again, other], rows_root, tiny)
    assert found(audit) == {"repeated rows": ["again"], "repeated questions": ["other"]}
    assert audit.exit_status == 0


def test_a_processor_that_disagrees_with_the_model_is_found(
    pairs: list[Pair], rows_root: Path, tiny: LoadedModel, planned: Planned
) -> None:
    processor: Any = deepcopy(tiny.processor)
    processor.patch_size *= 2
    audit = run_audit(pairs, rows_root, tiny, processor=processor, planned=planned)
    assert found(audit) == {"placeholders unlike image features": ["q0"]}
    message = audit.problems()[0].message
    assert "yields 9 features" in message
    assert "row q0 and 15 others with images of 96 x 96" in message
    assert audit.exit_status == 1
    unchecked = run_audit(pairs, rows_root, tiny, processor=processor, planned=planned, shapes=0)
    assert (found(unchecked), unchecked.shapes_checked) == ({}, 0)


def test_one_row_of_every_image_shape_goes_through_the_vision_side(
    pairs: list[Pair], tiny: LoadedModel, planned: Planned, tmp_path: Path
) -> None:
    sizes = ((96, 96), (40, 80), (96, 96), (200, 30))
    rows = []
    for number, size in enumerate(sizes):
        Image.new("RGB", size, (number, 0, 0)).save(tmp_path / f"{number}.png")
        rows.append(pairs[number].model_copy(update={"images": (f"{number}.png",)}))
    rows.append(pairs[4].model_copy(update={"images": ()}))
    rows.append(pairs[5].model_copy(update={"images": ("0.png", "1.png")}))
    assert run_audit(rows, tmp_path, tiny, planned=planned).shapes_checked == 4
    assert run_audit(rows, tmp_path, tiny, planned=planned, shapes=2).shapes_checked == 2


class Picky:
    """A processor that refuses narrow images, as some families do."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, *, images: Any = None, **more: Any) -> Any:
        for picture in (images or [[]])[0]:
            if picture.width > 5 * picture.height:
                raise ValueError("aspect ratio must be smaller")
        return self.inner(images=images, **more)


def test_rows_that_the_processor_refuses_are_named_and_the_others_measured(
    pairs: list[Pair], rows_root: Path, tiny: LoadedModel, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    for number in range(16):
        size = (96, 8) if number in (2, 9) else (96, 96)
        Image.new("RGB", size, (number, 9, 9)).save(tmp_path / "images" / f"{number}.png")
    audit = run_audit(pairs, tmp_path, tiny, processor=Picky(tiny.processor))
    assert found(audit) == {"rows that the processor refuses": ["q2", "q9"]}
    assert "aspect ratio" in audit.problems()[0].message
    assert (audit.rows, len(audit.lengths.tokens), audit.exit_status) == (14, 14, 1)


def test_rows_that_were_measured_are_not_decoded_again(
    pairs: list[Pair], rows_root: Path, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = measure_rows(pairs, rows_root, tiny.processor)
    whole = run_audit(pairs, rows_root, tiny).report()

    def opened(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", opened)
    assert run_audit(pairs, rows_root, tiny, lengths=lengths).report() == whole


def test_the_limit_is_the_models_own(tiny: LoadedModel) -> None:
    assert longest_context(tiny.model) == 512


# --- The program ------------------------------------------------------------------------------------------


def run_program(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "data_prep" / "audit.py"), "data=files", *overrides],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.program
def test_the_program_audits_rows_and_says_so_by_its_exit_status(rows_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "good"
    rows = f"data.sft={rows_root / 'sft.jsonl'}"
    full = ("rows=sft", "trainer=tiny_sft", "lora=full")
    done = run_program(tmp_path, rows, f"data.root={rows_root}", *full, f"out={out}")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((out / "audit.json").read_text())
    assert (report["rows"], report["breaks_training"], report["image_shapes_checked"]) == (16, False, 1)
    assert report["time"]["reference_seconds"] == 0
    assert json.loads((out / "run.json").read_text())["inputs"]["sft"]["path"].endswith("sft.jsonl")
    assert (
        report["parameters"]["language_model"]["trainable"] == report["parameters"]["language_model"]["total"]
    )
    assert "peak memory" in done.stdout
    assert "no questions or pairs of the evaluation" in done.stdout

    bad = tmp_path / "bad"
    bad.mkdir()
    lines = (rows_root / "pairs.jsonl").read_text().splitlines()
    (bad / "pairs.jsonl").write_text("\n".join([*lines, "{"]) + "\n")
    question = Question(
        id="t", image="images/5.png", question="What?", category="Answerable", source="t", split="test"
    )
    write_records(bad / "questions.jsonl", [question])  # beside the rows: taken without being asked for
    done = run_program(tmp_path, f"data.pairs={bad / 'pairs.jsonl'}", f"data.root={rows_root}", f"out={bad}")
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((bad / "audit.json").read_text())
    counts = {finding["check"]: finding["count"] for finding in report["findings"] if finding["count"]}
    assert counts == {"malformed rows": 1, "images of the test in training": 1}
    assert "pairs.jsonl:17: not a line of UTF-8 JSON" in done.stdout
    assert "row q5 trains on 'images/5.png'" in done.stdout
    assert report["time"]["reference_seconds"] > 0
