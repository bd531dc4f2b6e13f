"""The data card: its figures are those of the rows, and its limits follow from them."""

import json
import re
import threading

import pytest

from align.data.card import Origin, card_section, restricted, write_card
from align.data.ledger import Ledger
from align.data.lengths import length_bias
from align.data.mix import summary_of
from align.records import HonestAnswer, Pair, Question, SFTRow, write_records
from align.run import content_digest


def question(name, category="Context_Dependent", **changes):
    fields = {"image": f"{name}.jpg", "question": f"{name}?", "source": "mohobench", "split": "train"}
    return Question(**(fields | {"id": name, "category": category} | changes))


def pair(name, kind="refuse", category="Context_Dependent", **changes):
    return Pair(
        **{
            "question_id": name,
            "prompt": f"{name}?",
            "chosen": "I can't tell that from here, sorry to say.",
            "rejected": f"It is {name}.",
            "images": (f"{name}.jpg",),
            "kind": kind,
            "category": category,
            "chosen_source": "composer",
            "rejected_source": "own:mine",
        }
        | changes
    )


def section_of(rows, **origin):
    sides = {"chosen": "chosen_source", "rejected": "rejected_source"}
    if isinstance(rows[0], SFTRow):
        sides = {"completion": "completion_source"}
    summary = summary_of(rows, sides, {}, ["a note"]) | {"inputs": Ledger().counts()}
    if "chosen" in sides:
        summary["length"] = {"all": length_bias(rows).as_dict()}
    questions = {row.question_id: question(row.question_id) for row in rows if row.kind != "retain"}
    return card_section(rows, summary, Origin(**({"questions": questions} | origin)))


def limit(section, start):
    return [text for text in section["limits"] if start in text]


def test_sources_and_licences():
    rows = [pair("a"), pair("b"), pair("r", "retain", None, chosen_source="rlhf_v:gpt", rejected_source="x")]
    questions = {"a": question("a", license="CC BY 4.0"), "b": question("b", license="CC BY 4.0")}
    section = section_of(rows, questions=questions, licenses={"RLHF-V": "CC BY-NC 4.0"})
    assert section["sources"] == [
        {"source": "mohobench", "license": "CC BY 4.0", "rows": 2, "restricted": False},
        {"source": "rlhf_v:gpt", "license": "CC BY-NC 4.0", "rows": 1, "restricted": True},
    ]
    assert not limit(section, "No licence is stated")
    section = section_of(rows)
    assert [s["license"] for s in section["sources"]] == ["not stated", "not stated"]
    assert limit(section, "No licence is stated for 3 rows (mohobench, rlhf_v:gpt)")


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("CC BY-NC 4.0", True),
        ("cc-by-nc-sa-4.0", True),
        ("CC BY-ND 4.0", True),
        ("for non-commercial use", True),
        ("Research only", True),
        ("CC BY 4.0", False),
        ("Apache-2.0", False),
        ("MIT, vincent", False),
    ],
)
def test_what_is_restricted(text, yes):
    assert restricted(text) is yes


def test_figures():
    rows = [pair("a"), pair("b", chosen="word " * 200), pair("c", "answer", "Answerable", chosen="A dog.")]
    section = section_of(rows)
    assert (section["rows"], section["images"], section["questions"]) == (3, 3, 3)
    assert section["kinds"] == {"answer": 1, "refuse": 2}
    bins = {entry["from"]: entry["texts"] for entry in section["lengths"]["chosen"]}
    assert {low: n for low, n in bins.items() if n} == {0: 1, 5: 1, 120: 1}
    assert section["openings"]["chosen"]["distinct"] == 3
    assert section["written_by"]["rejected"] == {"own:mine": 3}
    assert section["length_bias"]["all"]["pairs"] == 3


def test_limits_follow_from_the_figures():
    few = section_of([pair("a"), pair("b")], judge="rules (align.judging.rules)", not_compared=7)
    assert limit(few, "100% of the chosen texts (2) were put together by rules")
    assert limit(few, "All dishonest responses are of one model (mine)")
    assert limit(few, "No row teaches to answer")
    assert limit(few, "False_Premises, Subjective_or_Philosophical, Vague_Description")
    assert limit(few, "AUC of 1.00")
    assert limit(few, "100% of the chosen texts begin with “i can't tell that”")
    assert limit(few, "decided by rules that read English")
    assert limit(few, "7 images had no file to look at")

    categories = ("Context_Dependent", "False_Premises", "Subjective_or_Philosophical", "Vague_Description")
    good = []
    for number in range(40):
        sides = [f"{number} {side} words that differ from all the others." for side in ("good", "bad")]
        who = {"chosen_source": "person", "rejected_source": f"other:m{number % 2}"}
        kind, category = ("answer", "Answerable") if number % 2 else ("refuse", categories[number // 2 % 4])
        good.append(pair(f"q{number}", kind, category, chosen=sides[0], rejected=sides[1], **who))
    licensed = {row.question_id: question(row.question_id, license="MIT") for row in good}
    assert section_of(good, questions=licensed, judge="openai/judge")["limits"] == []


def test_limits_of_given_answers():
    rows = [pair("a", chosen_source="openai/teacher")]
    answers = [
        HonestAnswer(question_id="a", text="x", source="openai/teacher"),
        HonestAnswer(question_id="b", text="x", source="openai/teacher", judge="j", rationality=8),
    ]
    section = section_of(rows, answers=answers)
    assert section["answer_judges"] == {"none": 1, "j": 1}
    assert limit(section, "1 of 2 honest answers were not checked")
    assert limit(section, "Texts by openai/teacher: the provider's terms")
    retained = section_of([pair("a"), pair("r", "retain", None, chosen_source="s")])
    assert limit(retained, "No row teaches to answer what the image does answer, but for the general ones")


def test_the_card_has_a_section_for_each_file(tmp_path):
    rows = [pair("a|b", chosen="<b>bold</b> is | not"), pair("r", "retain", None, chosen_source="RLHF-V")]
    row = SFTRow(
        question_id="a",
        prompt="a?",
        completion="No.",
        images=("a.jpg",),
        kind="refuse",
        completion_source="composer",
    )
    source = tmp_path / "questions.jsonl"
    source.write_text("{}\n")
    write_records(tmp_path / "pairs.jsonl", rows)
    section = section_of(
        rows,
        licenses={"RLHF-V": "CC BY-NC 4.0"},
        inputs={"questions": source},
        command="python build_pairs.py mix=paper",
    )
    path = write_card(tmp_path / "pairs.jsonl", section)
    assert path.name == "DATA_CARD.md"
    write_records(tmp_path / "sft.jsonl", [row])
    write_card(tmp_path / "sft.jsonl", section_of([row]))
    text = path.read_text()
    assert text.index("## pairs.jsonl") < text.index("## sft.jsonl")
    assert "**Restricted: 1 rows are from RLHF-V under CC BY-NC 4.0." in text
    assert content_digest(source) in text
    assert "python build_pairs.py mix=paper" in text
    assert "a note" in text
    assert "<b>" not in text
    assert re.search(r"^ +0-4 +█+ +\d", text, re.M)
    assert "was changed" not in text
    for line in text.splitlines():  # every table is one
        if line.startswith("|"):
            assert line.endswith("|")
    card = json.loads((tmp_path / "data_card.json").read_text())["files"]
    assert card["pairs.jsonl"]["sources"] == section["sources"]
    assert card["pairs.jsonl"]["sha256"] == content_digest(tmp_path / "pairs.jsonl")

    # A file that changed says so; one that is gone has no section.
    write_records(tmp_path / "pairs.jsonl", rows[:1])
    write_card(tmp_path / "sft.jsonl", section_of([row]))
    assert path.read_text().count("was changed after this section was written") == 1
    (tmp_path / "pairs.jsonl").unlink()
    write_card(tmp_path / "sft.jsonl", section_of([row]))
    assert "## pairs.jsonl" not in path.read_text()


def test_builders_that_finish_together_lose_no_section(tmp_path):
    section = section_of([pair("a")])
    names = [f"pairs_{number}.jsonl" for number in range(8)]
    for name in names:
        write_records(tmp_path / name, [pair("a")])
    threads = [threading.Thread(target=write_card, args=(tmp_path / name, section)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(json.loads((tmp_path / "data_card.json").read_text())["files"]) == names
