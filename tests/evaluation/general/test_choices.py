"""Reading lettered answers, on labelled responses of many styles."""

import json
import time
from pathlib import Path

import pytest

from align.evaluation.general.choices import read_choice

GRADING = Path(__file__).parents[2] / "fixtures" / "grading"


def wrong_of(name):
    rows = [json.loads(line) for line in (GRADING / name).read_text(encoding="utf-8").splitlines()]
    wrong = []
    for row in rows:
        choice = read_choice(row["response"], row["options"], row["question"])
        if (choice.state, choice.letter) != (row["state"], row.get("letter")):
            wrong.append((row["response"], row["state"], row.get("letter"), choice.state, choice.letter))
    return len(rows), wrong


def test_the_labelled_responses_it_was_developed_on():
    """The last 45 were unseen once, when 39 of them were read as labelled, and one as a wrong letter."""
    n, wrong = wrong_of("choices_developed.jsonl")
    print(f"accuracy {1 - len(wrong) / n:.3f} of {n}")
    assert n == 169
    assert len(wrong) <= 1, wrong
    assert [entry for entry in wrong if entry[3] == "answer"] == []


def test_the_responses_that_were_held_out():
    """64 of 67 when they were first read; two of the three faults have been corrected since."""
    n, wrong = wrong_of("choices_held_out.jsonl")
    print(f"accuracy {1 - len(wrong) / n:.3f} of {n}")
    assert n == 67
    assert len(wrong) <= 1, wrong
    # Above all, no letter is taken out of a response that chooses none, and none is mistaken for another.
    assert [entry for entry in wrong if entry[3] == "answer"] == []


@pytest.mark.parametrize(
    ("response", "letter"),
    [("I cannot determine the answer.", None), ("B", "A"), ("A cat.", "B")],
)
def test_what_it_reads_depends_on_the_options(response, letter):
    options = {"A": "dog", "B": "cat"} if letter != "A" else {"B": "dog", "A": "B"}
    assert read_choice(response, options).letter == letter


def test_an_option_that_says_none_is_chosen_in_words():
    options = {"A": "dog", "B": "cat", "C": "None of the above"}
    assert read_choice("None of these is right.", options).letter == "C"
    assert read_choice("None of these is right.", {"A": "dog", "B": "cat"}).state == "abstain"


@pytest.mark.parametrize("text", ["the correct " * 4000, "a " * 8000, "((((" * 4000, "B or " * 4000])
def test_a_response_that_loops_is_read_in_time(text):
    start = time.perf_counter()
    assert read_choice(text, {"A": "dog", "B": "cat"}, "Which animal?").state != "answer"
    assert time.perf_counter() - start < 20
