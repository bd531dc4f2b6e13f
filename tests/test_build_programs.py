"""build_pairs.py and build_sft.py as a user runs them, with every input and export."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from align.data.judge import refused
from align.data.mix import Mix
from align.data.pairs import build_pairs
from align.data.preferences import read_preferences
from align.data.sft import build_sft
from align.miniworld.dataset import build_questions
from align.records import (
    HonestAnswer,
    Pair,
    Question,
    Response,
    SFTRow,
    Verdict,
    read_records,
    write_records,
)

ROOT = Path(__file__).parents[1]
# Digests of a small miniature world's rows, from before policies could be chosen. The README's figures were
# measured on rows that the same code made: if these change, the figures have to be measured again.
PAIRS = "74f75d25e28129eca43b8040a332fc7ebf8d612506d92cb5bf1c33f680640fcd"
SFT = "af4ae30005552ef968c59e11684549a491cfb8b5ef2435c904bbb35a80498de4"


def run(program, *overrides, folder, fails=False):
    """Run in `folder`, so that nothing lands in the checkout. Returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    result = subprocess.run(
        [sys.executable, str(ROOT / "data_prep" / program), *map(str, overrides)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert (result.returncode != 0) == fails, result.stdout + result.stderr
    return result.stderr if fails else result.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small miniature world, with responses that no model is needed for."""
    root = tmp_path_factory.mktemp("world") / "data" / "miniworld"
    questions = build_questions(root, train=60, test=24)
    asked = [question for question in questions if question.split == "train"]
    responses = [
        Response(
            question_id=question.id,
            model="tiny_vlm",
            text="I cannot tell."
            if i % 7 == 0
            else f"The {('star', 'ring', 'circle')[i % 3]} is {('red', 'blue')[i % 2]}.",
        )
        for i, question in enumerate(asked)
        if not question.answerable
    ]
    write_records(root / "responses.jsonl", responses)
    return root


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_miniature_worlds_rows_are_what_they_were(world, tmp_path):
    questions = [q for q in read_records(world / "questions.jsonl", Question) if q.split == "train"]
    responses = read_records(world / "responses.jsonl", Response)
    pairs, _ = build_pairs(questions, responses, refused=refused, mix=Mix())
    rows, _ = build_sft(questions, mix=Mix())
    write_records(tmp_path / "pairs.jsonl", pairs)
    write_records(tmp_path / "sft.jsonl", rows)
    assert (digest(tmp_path / "pairs.jsonl"), digest(tmp_path / "sft.jsonl")) == (PAIRS, SFT)


@pytest.mark.program
def test_the_programs_defaults_give_the_same_rows(world):
    """In a folder that is not the miniature world's own place, so that no model is asked."""
    folder = world.parent.parent
    run("build_pairs.py", f"folder={world}", "out=pairs_run", folder=folder)
    run("build_sft.py", f"folder={world}", "out=sft_run", folder=folder)
    assert (digest(world / "pairs.jsonl"), digest(world / "sft.jsonl")) == (PAIRS, SFT)
    card = (world / "DATA_CARD.md").read_text()
    assert "## pairs.jsonl" in card
    assert "## sft.jsonl" in card
    assert "| miniworld | Apache-2.0 | 102 |" in card
    left_out = [json.loads(line) for line in (world / "pairs.left_out.jsonl").read_text().splitlines()]
    assert {row["input"] for row in left_out} == {"questions", "responses"}
    summary = json.loads((world / "pairs.summary.json").read_text())
    assert len(left_out) == sum(c["given"] - c["used"] for c in summary["inputs"].values())
    assert not list(world.glob("pairs.*.*.jsonl"))


@pytest.fixture
def photos(tmp_path):
    """Photographs' questions in three splits, with every other input that the builders take."""
    images = tmp_path / "images"
    images.mkdir()
    questions = []
    for number in range(24):
        Image.new("RGB", (48, 48), (10 * number, 99, 0)).save(images / f"{number}.png")
        split = ("train", "train", "train", "test")[number % 4]
        for category in ("False_Premises", "Vague_Description", "Answerable"):
            gold = {"answers": ("a dog",)} if category == "Answerable" else {"reason": "it is not shown"}
            questions.append(
                Question(
                    id=f"{number}-{category}",
                    image=f"{number}.png",
                    question=f"What is {category} {number}?",
                    category=category,
                    source="photos",
                    license="CC BY 4.0",
                    split=split,
                    **gold,
                )
            )
    (images / "copy.png").write_bytes((images / "3.png").read_bytes())
    train = [q for q in questions if q.split == "train"]
    responses = [
        Response(question_id=q.id, model=m, text=f"It is {m}'s thing number {k}.", sample_index=k)
        for q in train
        for m in ("mine", "theirs")
        for k in range(2)
    ]
    verdicts = [
        Verdict(
            question_id=r.question_id,
            model=r.model,
            sample_index=r.sample_index,
            judge="openai/judge",
            # An answerable question's are refusals for half of the questions.
            refused=r.question_id.endswith("Answerable") and int(r.question_id.split("-")[0]) % 2 == 0,
        )
        for r in responses
    ]
    answers = [
        HonestAnswer(
            question_id=q.id,
            text=f"That is not shown in {q.image}, since {q.id}.",
            source="openai/teacher",
            judge="openai/judge",
            rationality=8,
        )
        for q in train
        if not q.answerable
    ][:-2]
    retain = [
        Pair(
            question_id=f"r{i}",
            prompt="Describe it.",
            chosen=f"A dog runs, {i}.",
            rejected=f"A cat sits, {i}.",
            images=("copy.png" if i == 0 else "3.png" if i == 1 else f"{i}.png",),
            kind="retain",
            chosen_source="RLHF-V",
            rejected_source="RLHF-V",
        )
        for i in range(24)
        if i % 4 != 3
    ]
    for name, rows in (
        ("questions", questions),
        ("responses", responses),
        ("verdicts", verdicts),
        ("honest_answers", answers),
        ("retain", retain),
    ):
        write_records(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


@pytest.mark.program
def test_the_papers_mix_from_every_input_and_every_export(photos):
    printed = run(
        "build_pairs.py",
        f"folder={photos}",
        f"root={photos / 'images'}",
        f"out={photos / 'run'}",
        "mix=paper",
        "mix.per_question=2",
        "mix.ratio.refuse=4",
        "own_model=mine",
        "rejected=both",
        "order=hardest_first",
        "length=closest",
        "max_length_auc=0.9",
        f"answers={photos / 'honest_answers.jsonl'}",
        f"verdicts={photos / 'verdicts.jsonl'}",
        f"retain={photos / 'retain.jsonl'}",
        "export=[datasets,llama_factory,ms_swift]",
        folder=photos,
    )
    pairs = read_records(photos / "pairs.jsonl", Pair)
    summary = json.loads((photos / "pairs.summary.json").read_text())
    assert summary["kinds"] == {"refuse": 64, "retain": 16}
    assert {p.chosen_source for p in pairs} == {"openai/teacher", "RLHF-V"}
    assert {p.rejected_source for p in pairs} == {"own:mine", "other:theirs", "RLHF-V"}
    shown = {image for pair in pairs for image in pair.images}
    assert not shown & {"copy.png", *(f"{n}.png" for n in range(3, 24, 4))}
    inputs = summary["inputs"]
    assert inputs["retain"]["its image has the bytes of one in the test split"] == 1
    assert inputs["retain"]["its image is in the test split"] == 1
    assert inputs["questions"]["no honest answer in answers"] == 2
    assert inputs["questions"]["of the test split"] == 18
    assert inputs["verdicts"] == {"given": 216, "used": 216}
    left_out = [json.loads(line) for line in (photos / "pairs.left_out.jsonl").read_text().splitlines()]
    assert {
        "input": "retain",
        "row": "r0",
        "reason": "its image has the bytes of one in the test split",
    } in left_out
    assert len(left_out) == sum(c["given"] - c["used"] for c in inputs.values())

    card = (photos / "DATA_CARD.md").read_text()
    assert "**Restricted: 16 rows are from RLHF-V under CC BY-NC 4.0." in card
    assert "Which responses are refusals: openai/judge." in card
    assert "Honest answers given, by the judge that checked them: openai/judge (34)." in card
    assert "mix=paper" in card
    assert "had no file to look at" not in card
    section = json.loads((photos / "data_card.json").read_text())["files"]["pairs.jsonl"]
    assert set(section["inputs"]) == {"answers", "questions", "responses", "retain", "verdicts"}

    from datasets import load_from_disk

    assert load_from_disk(str(photos / "pairs.datasets"))["question_id"] == [p.question_id for p in pairs]
    reading = read_preferences(photos / "pairs.llama_factory" / "pairs.json", photos / "images")
    assert [(p.prompt, p.chosen, p.rejected) for p in reading.pairs] == [
        (p.prompt, p.chosen, p.rejected) for p in pairs
    ]
    swift = [json.loads(line) for line in (photos / "pairs.ms_swift.jsonl").read_text().splitlines()]
    assert [row["rejected_response"] for row in swift] == [p.rejected for p in pairs]
    assert all(f"written: {photos / name}" in printed for name in ("DATA_CARD.md", "pairs.datasets"))
    record = json.loads((photos / "run" / "run.json").read_text())
    assert {"pairs", "datasets", "ms_swift", "verdicts"} <= set(record["inputs"])


@pytest.mark.program
def test_supervised_rows_from_every_input(photos):
    run(
        "build_sft.py",
        f"folder={photos}",
        f"root={photos / 'images'}",
        f"out={photos / 'run'}",
        "mix.ratio={refuse: 2, answer: 1, retain: 1}",
        "order=hardest_first",
        f"responses={photos / 'responses.jsonl'}",
        f"verdicts={photos / 'verdicts.jsonl'}",
        f"answers={photos / 'honest_answers.jsonl'}",
        f"retain={photos / 'retain.jsonl'}",
        "export=[llama_factory]",
        "list_left_out=false",
        folder=photos,
    )
    rows = read_records(photos / "sft.jsonl", SFTRow)
    summary = json.loads((photos / "sft.summary.json").read_text())
    assert summary["kinds"] == {"answer": 16, "refuse": 32, "retain": 16}
    # The questions whose responses declined are the harder ones: they are all taken.
    answered = {row.question_id for row in rows if row.kind == "answer"}
    assert {f"{n}-Answerable" for n in range(0, 24, 2) if n % 4 != 3} <= answered
    assert {row.completion for row in rows if row.kind == "retain"} <= {
        f"A dog runs, {i}." for i in range(24)
    }
    assert not (photos / "sft.left_out.jsonl").exists()
    reading = read_preferences(photos / "sft.llama_factory" / "sft.json", photos / "images")
    assert [row.completion for row in reading.sft] == [row.completion for row in rows]


@pytest.mark.program
@pytest.mark.parametrize(
    ("program", "settings", "says"),
    [
        ("build_pairs.py", [], "Name it with own_model="),
        ("build_pairs.py", ["verdicts_of=j"], "give verdicts=FILE too"),
        ("build_sft.py", ["order=hardest_first"], "need each other"),
    ],
)
def test_settings_that_contradict_each_other(photos, program, settings, says):
    stderr = run(program, f"folder={photos}", f"out={photos / 'run'}", *settings, folder=photos, fails=True)
    assert says in stderr
    assert not (photos / "pairs.jsonl").exists()
