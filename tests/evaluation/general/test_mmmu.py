"""MMMU: its files, inspect_evals' prompts, and the official rules with the random option, known by hand."""

import asyncio
import shutil
from pathlib import Path

import pytest
from choice_runs import FIXTURES, respond, states, values

from align.evaluation.general import mmmu as module
from align.evaluation.general.mmmu import inspect_letter, mmmu
from align.evaluation.general.mmmu_rules import open_is_right, parse_choice
from align.records import DataError

SOURCE = str(FIXTURES / "mmmu")


@pytest.fixture
def made(tmp_path):
    return mmmu(SOURCE, str(tmp_path / "pictures"))


def test_questions_with_several_images_are_left_out_and_counted(made, tmp_path):
    assert [i.id for i in made.items] == [
        "validation_Art_1", "validation_Art_2", "validation_Art_4", "validation_Math_1", "validation_Math_2",
    ]  # fmt: skip
    assert {i.id: i.gold for i in made.items}["validation_Math_2"] == ("ten past ten", "10:10")
    said = [p.message for p in made.problems]
    assert "1 of 6 questions show several images and are left out (validation_Art_3)" in said[-1]
    assert "has no validation file of Accounting" in said[0]
    rows = respond(made, dict.fromkeys((i.id for i in made.items), "B"))
    assert values(made, rows)["asked_rate"] == 5 / 6
    assert values(made, rows, "Art")["asked_rate"] == 3 / 4
    assert values(made, rows, "Math")["asked_rate"] == 1.0
    asked = mmmu(SOURCE, str(tmp_path / "pictures"), several_images="ask")
    assert len(asked.items) == 6
    [sample] = [sample for sample in asked.task.dataset if sample.id == "validation_Art_3"]
    assert [part.type for part in sample.input[0].content] == ["text", "image", "image"]


RESPONSES = {
    "validation_Art_1": "ANSWER: B",
    "validation_Art_2": "I cannot determine the answer.",
    "validation_Art_4": "A closer look shows a bird.",
    "validation_Math_1": "I count 24 coins, so the answer is 24.",
    "validation_Math_2": "I cannot read the time; it is not 10:10.",
}


def test_numbers_known_by_hand(made):
    rows = respond(made, RESPONSES)
    assert states(rows) == {
        "validation_Art_1": "answer", "validation_Art_2": "abstain", "validation_Art_4": "answer",
        "validation_Math_1": "answer", "validation_Math_2": "abstain",
    }  # fmt: skip
    got = values(made, rows)
    assert got["accuracy"] == 2 / 5
    # Official: 1 is a B. 2 draws a random option. 4 is an A by its article, and right. Both open ones are
    # right, the second because it holds the gold answer.
    drawn = parse_choice(RESPONSES["validation_Art_2"], dict.fromkeys("ABCD", "x"), sample="validation_Art_2")
    assert drawn.random
    assert got["official"] == (4 + (drawn.letter == "B")) / 5
    assert got["official_without_random"] == 4 / 5
    assert got["official_random_rate"] == 1 / 3
    assert got["inspect_choice"] == 1 / 3
    assert values(made, respond(made, RESPONSES | {"validation_Art_2": None}))["official_random_rate"] == 0.0


def test_the_random_option_depends_on_seed_and_sample_only():
    options = dict.fromkeys("ABCD", "x")
    drawn = {
        seed: [parse_choice("?", options, seed=seed, sample=str(n)).letter for n in range(400)]
        for seed in (0, 1)
    }
    assert drawn[0] != drawn[1]
    assert drawn[0] == [parse_choice("?", options, seed=0, sample=str(n)).letter for n in range(400)]
    assert all(70 < drawn[0].count(letter) < 130 for letter in "ABCD")
    assert not parse_choice("(B)", options).random


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"), ("(A) or (C)", "C"), ("A. No, B is it", "B"), ("It is a cat", None), ("B.", "B"),
        ("the animal there is a big cat", "B"), ("The dog is not there but the cat is", "B"),
        ("Answer:B", None), ("I see A dog", "A"), ("", None),
    ],
)  # fmt: skip
def test_official_choice(response, letter):
    parsed = parse_choice(response, {"A": "dog", "B": "cat", "C": "horse"})
    assert (None if parsed.random else parsed.letter) == letter


@pytest.mark.parametrize(
    ("response", "gold", "right"),
    [
        ("The answer is 1,200.", ["1200"], True),
        ("x = 3.141", ["3.14"], True),  # equal after rounding
        ("3.15", ["3.14"], False),
        ("It is a red car", ["red"], True),
        ("It is reddish", ["red"], True),  # the gold is part of it
        ("I cannot say whether it is red", ["red"], True),
        ("It is 7. The rest is unknown", ["7"], False),  # lower case before the sentences are split
        ("It is 7\nThe rest follows", ["7"], True),
        ("b", ["b"], True),
        ("cab", ["b"], False),  # single letters need a space beside them
    ],
)
def test_official_open(response, gold, right):
    assert open_is_right(response, gold) is right


def test_inspects_own_reading():
    assert inspect_letter("ANSWER: B", ["dog", "cat"]) == "B"
    assert inspect_letter("The cat. Answer: (B)", ["dog", "cat"]) in ("B", None)
    assert inspect_letter("B", ["dog", "cat"]) is None
    assert inspect_letter("ANSWER: C", ["dog", "cat"]) is None


async def message(solver, sample):
    """The content of the user message that a solver puts to the model."""
    from inspect_ai.model import ModelName, ModelOutput
    from inspect_ai.solver import TaskState

    async def generate(state, **_):
        state.output = ModelOutput.from_content("none", "ANSWER: A")
        return state

    state = TaskState(
        model=ModelName("none/none"),
        sample_id=sample.id,
        epoch=1,
        input=sample.input,
        messages=list(sample.input),
        choices=sample.choices or [],
        metadata=sample.metadata or {},
    )
    return (await solver(state, generate)).messages[0].content


def test_messages_are_those_of_inspect_evals(made, tmp_path, monkeypatch):
    """Its tasks are run on the same rows, and the messages that reach the model compared."""
    from datasets import concatenate_datasets, load_dataset
    from inspect_evals.mmmu import mmmu as theirs
    from inspect_evals.mmmu import utils

    monkeypatch.setattr(utils, "INSPECT_EVALS_CACHE_PATH", tmp_path)
    files = [f"{SOURCE}/{subject}/validation-00000-of-00001.parquet" for subject in ("Art", "Math")]
    rows = concatenate_datasets(
        [load_dataset("parquet", data_files=f, split="train", cache_dir=str(tmp_path / "hf")) for f in files]
    )
    tasks = [theirs.mmmu_task_multiple_choice(rows), theirs.mmmu_task_open(rows), made.task]
    asked = [
        {sample.id: asyncio.run(message(task.solver, sample)) for sample in task.dataset} for task in tasks
    ]
    theirs_by_id = asked[0] | asked[1]
    assert len(asked[2]) == 5
    for id, content in asked[2].items():
        assert content[0].text == theirs_by_id[id][0].text
        assert [part.type for part in content] == [part.type for part in theirs_by_id[id]]


def test_the_hub_is_asked_for_each_subject_at_a_fixed_revision(tmp_path, monkeypatch):
    calls = []

    def of_hub(name, *, subset, split, revision):
        calls.append((name, subset, split, len(revision)))
        return module.iter_parquet(f"{SOURCE}/{subset}/{split}-00000-of-00001.parquet")

    monkeypatch.setattr(module, "iter_dataset", of_hub)
    made = mmmu(images=str(tmp_path), subjects=["Art", "Math"])
    assert calls == [("MMMU/MMMU", "Art", "validation", 40), ("MMMU/MMMU", "Math", "validation", 40)]
    assert len(made.items) == 5

    def unreachable(*_, **__):
        raise ConnectionError("Couldn't reach 'MMMU/MMMU' on the Hub")
        yield

    monkeypatch.setattr(module, "iter_dataset", unreachable)
    with pytest.raises(DataError, match="MMMU/MMMU/Art: cannot be read: Couldn't reach"):
        mmmu(images=str(tmp_path), subjects=["Art"])


def test_what_cannot_be_is_said(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"has no dev file of Art: expected SUBJECT/dev-\*.parquet"):
        mmmu(SOURCE, str(tmp_path), split="dev", subjects=["Art"])
    with pytest.raises(ValueError, match="subjects=Arts: choose from Accounting"):
        mmmu(SOURCE, str(tmp_path), subjects="Arts")
    with pytest.raises(ValueError, match="choose from leave_out, ask"):
        mmmu(SOURCE, str(tmp_path), several_images="first")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        mmmu("no_such_folder", str(tmp_path))
    broken = shutil.copytree(SOURCE, tmp_path / "broken")
    file = Path(broken) / "Math" / "validation-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    made = mmmu(str(broken))
    assert {i.part for i in made.items} == {"Art"}
    assert any("cannot be read on as parquet" in p.message for p in made.problems)
    monkeypatch.setitem(__import__("sys").modules, "inspect_evals.mmmu", None)
    with pytest.raises(DataError, match="pip install inspect-evals"):
        mmmu(SOURCE, str(tmp_path))
