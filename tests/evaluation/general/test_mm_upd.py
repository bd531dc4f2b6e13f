"""MM-UPD: pairs, settings, dual accuracy and the official rule, with numbers known by hand."""

import shutil
from pathlib import Path

import pytest
from choice_runs import FIXTURES, respond, states, values

from align.evaluation.general.mm_upd import mm_upd, official_letter


@pytest.fixture
def sources(tmp_path):
    return [
        str(shutil.copy(FIXTURES / name, tmp_path / name)) for name in ("mmaad_base.tsv", "mmivqd_base.tsv")
    ]


RIGHT = {
    "aad-1-standard": "A", "aad-1000001-standard": "B. a cup",
    "aad-1-upd": "None of the options is right.", "aad-1000001-upd": "I cannot answer this question.",
    "aad-2-standard": "B", "aad-2-upd": "None of the above",
    "ivqd-1-standard": "B", "ivqd-1-upd": "The image and the question are unrelated.",
    "ivqd-3-standard": "B",
}  # fmt: skip


def test_pairs_with_their_forms(sources):
    made = mm_upd(sources)
    items = {item.id: item for item in made.items}
    assert set(items) == set(RIGHT)
    assert (
        items["aad-1-upd"].prompt == "What is on the saucer?\nThere are several options:\nA. a hat\nB. a shoe"
    )
    assert items["aad-1-upd"].should_abstain
    assert items["aad-1-upd"].gold == ()
    assert items["aad-1-standard"].gold == ("A",)
    assert {item.group for item in made.items if item.part == "aad"} == {"aad-1", "aad-2"}
    assert items["ivqd-1-upd"].image != items["ivqd-1-standard"].image
    assert [(p.row_id, p.message) for p in made.problems] == [
        (
            None,
            "1 form(s) have fewer rotations than others with as many options, and count with those that they "
            "have, so more easily as right: aad-2-upd with 1 of 2",
        ),
        ("ivqd-3-standard", "has no upd form: it is in no dual figure"),
    ]
    assert {i.id for i in mm_upd(sources, circular=False).items} == {k for k in RIGHT if "1000001" not in k}


def test_all_right(sources):
    made = mm_upd(sources)
    rows = respond(made, RIGHT)
    got = values(made, rows)
    for name in (
        "standard_accuracy",
        "upd_accuracy",
        "dual_accuracy",
        "official",
        "accuracy",
        "upd_abstain_rate",
    ):
        assert got[name] == 1.0
    assert got["standard_abstain_rate"] == 0.0
    assert made.benchmark.headline == "dual_accuracy"


def test_dual_needs_both_forms_in_all_rotations(sources):
    made = mm_upd(sources)
    rows = respond(
        made,
        RIGHT
        | {
            "aad-1000001-upd": "B",  # fooled in one rotation of two
            "aad-2-standard": "I cannot tell.",  # declines what can be solved
            "ivqd-3-standard": "A",
        },
    )
    got = values(made, rows)
    assert got["standard_accuracy"] == 2 / 4
    assert got["upd_accuracy"] == 2 / 3
    assert got["dual_accuracy"] == 1 / 3
    assert got["accuracy"] == 6 / 9
    assert got["standard_abstain_rate"] == 1 / 4
    assert got["upd_abstain_rate"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert values(made, rows, "aad")["dual_accuracy"] == 0.0
    assert values(made, rows, "ivqd")["dual_accuracy"] == 1.0
    # What failed makes nothing right or wrong.
    rows = respond(made, RIGHT | {"aad-1-upd": None})
    assert values(made, rows)["dual_accuracy"] == 1.0
    assert values(made, rows)["standard_accuracy"] == 1.0


def test_option_setting_offers_a_way_out(sources):
    made = mm_upd(sources, setting="option")
    items = {item.id: item for item in made.items}
    assert items["aad-1-upd"].options == {"A": "a hat", "B": "a shoe", "C": "None of the above"}
    assert items["ivqd-1-upd"].options["C"] == "The image and question are irrelevant."
    assert items["aad-1-standard"].prompt.endswith(
        "D. None of the above\nAnswer with the option's letter from the given choices directly."
    )
    rows = respond(
        made, RIGHT | {"aad-1-upd": "C", "aad-1000001-upd": "C.", "aad-2-upd": "C", "aad-2-standard": "C"}
    )
    assert states(rows)["aad-1-upd"] == states(rows)["aad-2-standard"] == "abstain"
    got = values(made, rows, "aad")
    assert (got["upd_accuracy"], got["standard_accuracy"], got["dual_accuracy"]) == (1.0, 0.5, 0.5)
    assert (got["official_upd"], got["official_standard"], got["official"]) == (1.0, 0.5, 0.5)


def test_option_files_are_used_as_they_are(sources, tmp_path):
    text = (tmp_path / "mmaad_base.tsv").read_text(encoding="utf-8")
    lines = text.splitlines()
    columns = lines[0].split("\t")
    rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in lines[1:]]
    for row in rows:
        row["D"] = "None of the above"
        row["answer"] = "D" if row["type"] == "upd" else row["answer"]
    (tmp_path / "mmaad_option.tsv").write_text(
        "\n".join(["\t".join(columns), *("\t".join(row[c] for c in columns) for row in rows)]) + "\n"
    )
    items = {i.id: i for i in mm_upd(str(tmp_path / "mmaad_option.tsv"), setting="option").items}
    assert items["aad-2-upd"].options == {"A": "dog", "B": "horse", "D": "None of the above"}
    assert items["aad-2-upd"].gold == ("D",)


def test_instruction_setting_gives_f_a_meaning(sources):
    made = mm_upd(sources, setting="instruction")
    items = {item.id: item for item in made.items}
    assert items["aad-2-upd"].prompt.endswith(
        'If all the options are incorrect, answer "F. None of the above".'
    )
    assert "irrelevant to the question" in items["ivqd-1-upd"].prompt
    rows = respond(
        made, RIGHT | {"aad-1-upd": "F", "aad-2-upd": "F. None of the above", "aad-2-standard": "F"}
    )
    assert (
        states(rows)["aad-1-upd"] == states(rows)["aad-2-upd"] == states(rows)["aad-2-standard"] == "abstain"
    )
    got = values(made, rows, "aad")
    assert (got["upd_accuracy"], got["standard_accuracy"], got["official_upd"]) == (1.0, 0.5, 1.0)
    # Without the instruction F is no option at all.
    assert states(respond(mm_upd(sources), RIGHT | {"aad-1-upd": "F"}))["aad-1-upd"] == "unparsed"


def test_the_masked_answer_is_right_for_the_official_rule_only(sources):
    made = mm_upd(sources)
    rows = respond(made, RIGHT | {"aad-2-upd": "It is a cat."})
    row = next(row for row in rows if row.sample_id == "aad-2-upd")
    assert (row.state, row.score, row.official) == ("unparsed", 0.0, 1.0)


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("A", "A"), (" B. a hat", "B"), ("(C)", "C"), ("A) or B)", None), ("The answer is B", None),
        ("b", None), ("B", "B"), ("A, because B. is wrong", None), ("A hat", None), ("E", None),
    ],
)  # fmt: skip
def test_official_letters(response, letter):
    assert official_letter(response, "ABC") == letter


def test_settings_that_cannot_be_are_refused(sources, tmp_path):
    with pytest.raises(ValueError, match="choose from base, option, instruction"):
        mm_upd(sources, setting="cot")
    with pytest.raises(ValueError, match="set kind"):
        mm_upd(str(shutil.copy(sources[0], tmp_path / "rows.tsv")))
    assert {i.part for i in mm_upd(str(tmp_path / "rows.tsv"), kind="iasd").items} == {"iasd"}


def test_a_form_of_which_a_rotation_cannot_be_read_is_left_out(sources):
    file = Path(sources[0])
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[1] = lines[1].replace("\tA\t\tstandard", "\tG\t\tstandard")  # the first of two rotations
    file.write_text("".join(lines), encoding="utf-8")
    made = mm_upd(sources)
    assert {item.id for item in made.items} == {
        id for id in RIGHT if id not in ("aad-1-standard", "aad-1000001-standard")
    }
    assert "rotation 0 is not there" in " ".join(p.message for p in made.problems)
    assert "has no standard form" in " ".join(p.message for p in made.problems)


@pytest.mark.parametrize("broken", ["its answer", "its picture", "its base64"])
def test_a_form_of_which_the_last_rotation_cannot_be_read_is_left_out(sources, broken):
    file = Path(sources[0])
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    assert lines[2].startswith("1000001\t")  # the last of two rotations
    if broken == "its answer":
        lines[2] = lines[2].replace("\tB\t\tstandard", "\tG\t\tstandard")
    else:
        row, _, picture = lines[2].rpartition("\t")
        half = picture[: len(picture) // 8 * 4]
        lines[2] = f"{row}\t{half if broken == 'its picture' else '#' * 400}\n"
    file.write_text("".join(lines), encoding="utf-8")
    made = mm_upd(sources)
    assert {item.id for item in made.items} == {
        id for id in RIGHT if id not in ("aad-1-standard", "aad-1000001-standard")
    }
    assert "left out with its other rotations: rotation 1 is not there" in " ".join(
        p.message for p in made.problems
    )
    assert "aad-1-standard" in {i.id for i in mm_upd(sources, circular=False).items}, "it is whole by itself"


def test_a_limit_of_less_than_a_pair_is_refused(sources):
    assert len(mm_upd(sources, limit=4).items) in (1, 2, 3, 4)
    with pytest.raises(ValueError, match="count together"):
        mm_upd(sources[:1], limit=1)
