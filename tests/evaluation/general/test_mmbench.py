"""MMBench: its table, rotations, circular evaluation and the official rule, with numbers known by hand."""

import dataclasses
import shutil

import pytest
from choice_runs import FIXTURES, respond, states, values

from align.data.images import inspect_image
from align.evaluation.general.base import Item, fixed_subset
from align.evaluation.general.mmbench import mmbench, official_letter
from align.records import DataError


@pytest.fixture
def source(tmp_path):
    return shutil.copy(FIXTURES / "mmbench_dev.tsv", tmp_path / "mmbench_dev.tsv")


RIGHT = {
    "241": "B", "1000241": "C. coffee", "2000241": "The answer is D", "3000241": "A",
    "242": "B", "1000242": "A",
    "243": "B", "1000243": "C", "2000243": "A",
    "244": "A", "1000244": "B",
}  # fmt: skip


def test_rows_become_groups_with_all_their_rotations(source, tmp_path):
    made = mmbench(str(source))
    items = {item.id: item for item in made.items}
    assert set(items) == set(RIGHT)
    assert items["241"].prompt == (
        "Hint: The photo was taken in a café.\nQuestion: What is in the cup?\nOptions:\nA. tea\nB. coffee\n"
        "C. milk\nD. water\nPlease select the correct answer from the options above."
    )
    # 243 is in the table once: what was at B is at C, then at A, as in the tables that have rotations.
    assert [items[i].gold for i in ("243", "1000243", "2000243")] == [("B",), ("C",), ("A",)]
    assert items["1000243"].options == {"A": "fifty", "B": "ten", "C": "twenty-four"}
    assert "A. fifty\nB. ten\nC. twenty-four" in items["1000243"].prompt
    assert {items[i].group for i in ("241", "1000241", "3000241")} == {"241"}
    assert (items["1000241"].variant, items["241"].part) == ("rotation-1", "object")
    # 1000241 names the row that has its picture, and so does 244.
    assert items["1000241"].image == items["241"].image
    assert items["244"].image == items["242"].image
    assert made.root == str(tmp_path / "mmbench_dev-images")
    assert inspect_image(items["241"].image, made.root).width == 48


def test_what_cannot_be_used_is_a_problem(source):
    problems = {p.row_id or p.line: (p.field, p.message) for p in mmbench(str(source)).problems}
    assert problems.keys() == {"245", 11}
    assert problems["245"][0] == "image"
    assert "corrupt" in problems["245"][1]
    assert problems[11] == (
        "answer",
        "there is none, as in the test split, which only MMBench's own server grades",
    )


def test_a_rotation_that_is_missing_leaves_the_question_out(source):
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    source.write_text("".join(line for line in lines if not line.startswith("2000241")), encoding="utf-8")
    made = mmbench(str(source))
    assert not any(item.group == "241" for item in made.items)
    assert "rotation-2" in next(p.message for p in made.problems if p.row_id == "241")


def test_circular_counts_groups_and_the_official_rule_stands_beside(source):
    made = mmbench(str(source))
    responses = RIGHT | {
        "1000242": "B",  # the same letter again: the cat is at A now
        "243": "I cannot determine the answer.",
        "244": "I cannot see A clearly.",  # an A for the official rule
    }
    rows = respond(made, responses)
    got = values(made, rows)
    assert states(rows)["244"] == states(rows)["243"] == "abstain"
    assert (got["vanilla_accuracy"], got["circular_accuracy"]) == (2 / 4, 1 / 4)
    assert (got["official_vanilla"], got["official"]) == (3 / 4, 2 / 4)
    assert got["accuracy"] == 8 / 11
    assert values(made, rows, "animal")["circular_accuracy"] == 0.0
    # A failed rotation takes its question out of the circular figures, and says nothing about the others.
    rows = respond(made, responses | {"1000242": None})
    assert values(made, rows)["circular_accuracy"] == 1 / 3
    assert values(made, rows)["vanilla_accuracy"] == 2 / 4


def test_groups_are_resampled_as_wholes(source):
    from align.evaluation.general.base import summarize_general

    made = mmbench(str(source))
    figures = summarize_general(made.benchmark, respond(made, RIGHT | {"1000242": "B"}))["figures"]
    assert (figures["circular_accuracy"]["n"], figures["accuracy"]["n"]) == (4, 11)
    low, high = figures["circular_accuracy"]["interval"]
    assert low < 3 / 4 < high
    # One wrong response of eleven, but one wrong question of four: the second is known far less well.
    narrow = figures["accuracy"]["interval"]
    assert high - low > narrow[1] - narrow[0]


def test_vanilla_asks_once(source):
    made = mmbench(str(source), circular=False)
    assert {item.id for item in made.items} == {"241", "242", "243", "244"}
    got = values(made, respond(made, {"241": "B", "242": "A", "243": "B", "244": "A cat"}))
    assert (got["accuracy"], got["official"], got["vanilla_accuracy"]) == (3 / 4, 3 / 4, 3 / 4)
    assert "circular_accuracy" not in got
    assert made.benchmark.headline == "accuracy"


def test_limit_keeps_groups_whole(source):
    made = mmbench(str(source), limit=6)
    counts = {
        group: sum(item.group == group for item in made.items) for group in ("241", "242", "243", "244")
    }
    assert 0 < len(made.items) <= 6
    assert all(counts[g] in (0, full) for g, full in (("241", 4), ("242", 2), ("243", 3), ("244", 2)))


def test_settings_that_cannot_be_are_refused(source, tmp_path):
    with pytest.raises(DataError, match=r"no row is train; found: dev"):
        mmbench(str(source), split="train")
    with pytest.raises(ValueError, match="choose category or l2-category"):
        mmbench(str(source), part="leaf")
    with pytest.raises(FileNotFoundError):
        mmbench(str(tmp_path / "gone.tsv"))
    assert {i.part for i in mmbench(str(source), part="l2-category").items} == {"perception"}


OPTIONS = {"A": "dog", "B": "cat", "C": "cat food"}


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"),
        ("(B).", "B"),
        ("The answer is B, a cat", "B"),
        ("A cat sits there", "A"),  # the article
        ("I cannot see A", "A"),
        ("A or B", None),
        ("dog", "A"),
        ("hotdogs", "A"),  # an option's text within a word
        ("cat", "B"),
        ("cat food", None),  # holds the text of B and of C
        ("Cannot determine the answer, but B", "Z"),
        ("Z", "Z"),
        ("I cannot determine the answer", None),
        ("", None),
    ],
)
def test_official_rule_of_vlmevalkit(response, letter):
    assert official_letter(response, OPTIONS) == letter


def test_a_limit_of_less_than_all_rotations_of_a_question_is_refused():
    item = Item(id="1", image="a.png", prompt="p", group="1")
    rotations = [dataclasses.replace(item, id=str(place)) for place in range(4)]
    assert fixed_subset(rotations, 4, by="group") == rotations
    with pytest.raises(ValueError, match="limit is 3, and 4 samples count together"):
        fixed_subset(rotations, 3, by="group")
