"""No training row shows an image of another split, under whatever name."""

import pytest
from PIL import Image

from align.data.held_out import OtherSplits, training_questions
from align.data.ledger import Ledger
from align.data.retain import as_pairs, as_sft, read_retain, usable_retain
from align.records import DataError, Pair, Question, SFTRow, write_records


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate(("train.png", "test.png", "validation.png", "general.png")):
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(tmp_path / name)
    (tmp_path / "copy_of_test.png").write_bytes((tmp_path / "test.png").read_bytes())
    return tmp_path


def question(name, split, image, **changes):
    return Question(
        id=name,
        image=image,
        question=f"{name}?",
        category="Context_Dependent",
        source="s",
        split=split,
        **changes,
    )


def all_splits():
    return [question(split, split, f"{split}.png") for split in ("train", "test", "validation")]


def general(name, *images, **changes):
    fields = {"prompt": f"{name}?", "chosen": "good", "rejected": "bad", "kind": "retain"}
    sources = {"chosen_source": "RLHF-V", "rejected_source": "RLHF-V"}
    return Pair(**(fields | sources | {"question_id": name, "images": images or ("general.png",)} | changes))


def test_only_the_split_is_built_from(root):
    ledger = Ledger()
    questions = all_splits()
    chosen = training_questions(questions, "train", OtherSplits(questions, "train", root), ledger)
    assert [q.id for q in chosen] == ["train"]
    assert ledger.reasons("questions") == {
        "test": "of the test split",
        "validation": "of the validation split",
    }


@pytest.mark.parametrize("with_files", [True, False])
def test_a_copy_of_a_test_image_under_another_name(root, with_files):
    questions = [*all_splits(), question("copy", "train", "copy_of_test.png")]
    others = OtherSplits(questions, "train", root if with_files else None)
    if with_files:
        with pytest.raises(DataError, match=r"bytes of one in the test split \(copy_of_test.png\)") as caught:
            training_questions(questions, "train", others, Ledger())
        assert [problem.row_id for problem in caught.value.problems] == ["copy"]
    else:
        assert len(training_questions(questions, "train", others, Ledger())) == 2
        assert others.not_compared(["copy_of_test.png"]) == 3
    there = OtherSplits(questions, "train", root)
    there.learn(["train.png", "nowhere.png"])
    assert there.not_compared(["train.png", "nowhere.png"]) == 1


def test_near_duplicates_of_a_test_image_by_their_group(root):
    questions = [
        question("a", "train", "train.png", metadata={"group": "g1"}),
        question("b", "test", "test.png", metadata={"group": "g1"}),
    ]
    with pytest.raises(DataError, match="its image nearly equals one in the test split"):
        training_questions(questions, "train", OtherSplits(questions, "train", root), Ledger())
    questions[1] = question("b", "test", "test.png", metadata={"group": "g2"})
    assert training_questions(questions, "train", OtherSplits(questions, "train", root), Ledger())


def test_equal_ids_are_an_error(root):
    questions = [*all_splits(), question("train", "test", "test.png")]
    with pytest.raises(DataError, match="another question has the id too"):
        training_questions(questions, "train", OtherSplits(questions, "train", root), Ledger())


def test_general_rows_on_held_out_images_are_refused(root):
    questions = all_splits()
    others = OtherSplits(questions, "train", root)
    rows = [
        general("fine"),
        general("on a training image", "train.png"),
        general("test", "test.png"),
        general("second image", "general.png", "validation.png"),
        general("copy", "copy_of_test.png"),
        general("fine", chosen="other", rejected="words"),
        general("kind", kind="refuse"),
        general("twice"),
        general("twice"),
    ]
    ledger = Ledger()
    usable = usable_retain(rows, others, 1, ledger)
    assert list(usable) == ["fine", "on a training image", "twice"]
    assert ledger.reasons("retain") == {
        "test": "its image is in the test split",
        "second image": "its image is in the validation split",
        "copy": "its image has the bytes of one in the test split",
        "fine#2": "its question has enough rows (per_question)",
        "kind": "of kind refuse, not retain",
        "twice#2": "the same row as another one",
    }
    assert list(usable_retain(rows[:6], others, 2, Ledger())) == ["fine", "on a training image", "fine#2"]


def test_pairs_and_supervised_rows_are_told_apart(tmp_path):
    pair = general("a")
    row = SFTRow(
        question_id="a",
        prompt="a?",
        completion="good",
        images=("general.png",),
        kind="retain",
        completion_source="RLHF-V",
    )
    write_records(tmp_path / "pairs.jsonl", [pair])
    write_records(tmp_path / "sft.jsonl", [row])
    (tmp_path / "empty.jsonl").write_text("\n")
    pairs, rows = read_retain(tmp_path / "pairs.jsonl"), read_retain(tmp_path / "sft.jsonl")
    assert (pairs, rows) == ([pair], [row])
    assert as_pairs(pairs, "f") == [pair]
    assert as_sft(pairs) == as_sft(rows) == [row]
    with pytest.raises(DataError, match="supervised rows have no rejected side"):
        as_pairs(rows, "f")
    with pytest.raises(DataError, match="no rows"):
        read_retain(tmp_path / "empty.jsonl")
