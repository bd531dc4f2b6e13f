"""Prompts: what is shown is by choice, and a user's file is checked."""

import pytest
import yaml

from align.judging.prompts import ASKED, DEFAULT, SCHEMA, Shown, load_prompts
from align.records import DataError, Question

QUESTION = Question(
    id="q",
    image="a.jpg",
    question="Why is the man crying?",
    category="Context_Dependent",
    caption="A man at a table.",
    source="test",
)


def render(prompts=None, asked="refusal", image=False, category=True, caption=False):
    prompts = prompts or load_prompts()
    return prompts.render(asked, QUESTION, "I can't tell.", Shown(image, category, caption), 1000)[0]


def test_the_definition_is_included_or_blind():
    definition = load_prompts().content.definitions["Context_Dependent"].strip()
    assert definition in render(category=True)
    blind = render(category=False)
    assert definition not in blind
    assert "of this kind" not in blind
    assert "\n\n\n" not in blind


def test_the_caption_is_shown_by_choice():
    assert "| A man at a table." in render(caption=True)
    assert "A man at a table" not in render(caption=False)


def test_the_judge_is_told_whether_it_sees_the_image():
    content = load_prompts().content
    assert content.image.shown.strip() in render(image=True)
    assert content.image.hidden.strip() in render(image=False)


@pytest.mark.parametrize("asked", ASKED)
def test_every_question_has_its_texts_and_asks_for_its_form(asked):
    message = render(asked=asked)
    assert "| Why is the man crying?" in message
    assert "| I can't tell." in message
    for name in SCHEMA[asked].model_fields:
        assert f'"{name}":' in message.splitlines()[-1]
    assert "{" not in message.rpartition("\n")[0]


def test_the_bands_of_the_papers_scales_are_told():
    for asked, bands in (
        ("rationality", ("1 to 3", "4 to 6", "7 to 10")),
        ("helpfulness", ("1 to 3", "4 to 6", "7 to 8", "9 to 10")),
    ):
        assert all(band in render(asked=asked) for band in bands)


def test_a_users_file_goes_over_ours(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "refusal: 'Declines? {category}\n\n  {question}\n\n  {response}'\nimage: {shown: Look.}\n"
    )
    prompts = load_prompts(file)
    message = render(prompts, image=True)
    assert message.startswith("Declines?")
    assert "| I can't tell." in message
    assert '"refused": <true or false>' in message
    assert render(prompts, asked="helpfulness", image=True) == render(
        asked="helpfulness", image=True
    ).replace(load_prompts().content.image.shown.strip(), "Look.")
    assert prompts.digest != load_prompts().digest


def test_the_digest_is_of_what_is_said_not_of_the_file(tmp_path):
    copy = tmp_path / "copy.yaml"
    copy.write_text(DEFAULT.read_text())
    assert load_prompts(copy).digest == load_prompts().digest


def test_a_file_that_lacks_placeholders_is_refused_with_their_names(tmp_path):
    file = tmp_path / "mine.yaml"
    content = {
        "refusal": "Is it refused? {question}",
        "rationality": "{question} {response} {reason}",
        "category": "its kind",
        "correctness": "{question} {response}",
        "grammar": "Is it grammatical?",
        "definitions": {"Riddle": "a riddle"},
    }
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(DataError) as caught:
        load_prompts(file)
    said = {(p.field or "").split(".")[0]: p.message for p in caught.value.problems}
    assert "lacks the placeholder {response}" in said["refusal"]
    assert "{reason}, which nobody fills in" in said["rationality"]
    assert "lacks the placeholder {definition}" in said["category"]
    assert "lacks the placeholder {answers}" in said["correctness"]
    assert {"grammar", "definitions"} <= set(said)
    assert all(p.file == str(file) for p in caught.value.problems)


def test_what_has_no_place_in_a_prompt_cannot_be_shown(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("refusal: '{question} {response} {caption}'\n")
    prompts = load_prompts(file)
    prompts.require("refusal", Shown(image=True, category=False, caption=True))
    with pytest.raises(DataError, match=r"refusal.*lacks the placeholder \{category\}.*category=false"):
        prompts.require("refusal", Shown(category=True))


@pytest.mark.parametrize("content", ["- a\n- b\n", "{", "refusal: 7\n", "image: text\n"])
def test_a_file_of_another_form_is_refused(tmp_path, content):
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(DataError, match=r"mine\.yaml"):
        load_prompts(file)
