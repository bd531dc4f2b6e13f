"""The written examples are good examples, and users' own files are checked."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from align.construction.drafts import Draft, Rules, alike, check_draft
from align.construction.examples import DEFAULT, SHOWN, load_guides
from align.records import UNANSWERABLE, DataError

ROOT = Path(__file__).parents[2]
GUIDES = load_guides()
EXAMPLES = [(category, example) for category, guide in GUIDES.items() for example in guide.examples]


def test_every_category_has_ten_examples_or_more_and_none_is_given_twice():
    assert tuple(GUIDES) == UNANSWERABLE
    assert all(len(guide.examples) >= 10 for guide in GUIDES.values())
    for field in ("id", "image", "caption", "question", "reason", "twin_question"):
        values = Counter(getattr(example, field) for _, example in EXAMPLES)
        assert max(values.values()) == 1, (field, values.most_common(1))


@pytest.mark.parametrize("example", [e for _, e in EXAMPLES], ids=lambda e: e.id)
def test_an_example_keeps_the_rules_that_drafts_are_held_to(example):
    draft = Draft(
        **example.model_dump(exclude={"id", "image"}) | {"twin_answers": list(example.twin_answers)}
    )
    others = [other for _, other in EXAMPLES if other.id != example.id]
    check_draft(draft, others, Rules())
    assert len(example.question.split()) <= 2 * len(example.twin_question.split())
    assert len(example.twin_question.split()) <= 2 * len(example.question.split())


def test_no_example_is_about_a_sample_photograph():
    rows = [json.loads(line) for line in (ROOT / "samples/photos/mohobench.json").read_text().splitlines()]
    for _, example in EXAMPLES:
        for text in (example.question, example.twin_question):
            nearest = max(rows, key=lambda row: alike(text, row["question"]))
            assert alike(text, nearest["question"]) < 0.3, (text, nearest["question"])


def test_openings_are_varied_and_do_not_tell_questions_from_twins():
    for side in ("question", "twin_question"):
        firsts = Counter(getattr(example, side).split()[0] for _, example in EXAMPLES)
        assert len(firsts) >= 8
        assert max(firsts.values()) <= len(EXAMPLES) * 0.4, firsts
    same = sum(e.question.split()[0] == e.twin_question.split()[0] for _, e in EXAMPLES)
    assert same >= len(EXAMPLES) / 2


def test_what_is_drawn_depends_on_seed_image_category_and_generator_only():
    guide = GUIDES["False_Premises"]
    drawn = guide.drawn(0, "a.jpg", "False_Premises", "gpt")
    assert drawn == guide.drawn(0, "a.jpg", "False_Premises", "gpt")
    assert len({example.id for example in drawn}) == SHOWN
    images = [tuple(e.id for e in guide.drawn(0, f"{n}.jpg", "False_Premises", "gpt")) for n in range(200)]
    assert len(set(images)) > 100
    assert {id for ids in images for id in ids} == {example.id for example in guide.examples}
    assert drawn != guide.drawn(0, "a.jpg", "False_Premises", "qwen")
    assert drawn != guide.drawn(1, "a.jpg", "False_Premises", "gpt")


def own_file(tmp_path, change):
    content = yaml.safe_load(DEFAULT.read_text())
    change(content)
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_users_file_is_read(tmp_path):
    path = own_file(tmp_path, lambda c: c["Vague_Description"].update(definition="Mine."))
    assert load_guides(path)["Vague_Description"].definition == "Mine."


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        (lambda c: c.pop("Vague_Description"), "Vague_Description", "missing"),
        (lambda c: c.update(Riddle=c["False_Premises"]), "Riddle", "no such category"),
        (
            lambda c: c["False_Premises"]["examples"][1].pop("reason"),
            "False_Premises.examples.1.reason",
            "required",
        ),
        (
            lambda c: c["False_Premises"].update(examples=c["False_Premises"]["examples"][:2]),
            "examples",
            "at least 3",
        ),
        (
            lambda c: c["False_Premises"]["examples"].append(c["False_Premises"]["examples"][0]),
            "",
            "given twice",
        ),
    ],
)
def test_what_is_wrong_with_a_users_file_is_named(tmp_path, change, field, says):
    path = own_file(tmp_path, change)
    with pytest.raises(DataError) as raised:
        load_guides(path)
    (problem,) = raised.value.problems
    assert problem.file == str(path)
    assert field in (problem.field or "")
    assert says in problem.message
