"""The refusal rules on responses about photographs: one set they were developed on, one held out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align.judging.rules import RuleVerdict, judge_refusal

FIXTURES = Path(__file__).parent.parent / "fixtures" / "grading"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / name).read_text().splitlines()]


@pytest.mark.parametrize(
    "row", rows("refusals_developed.jsonl"), ids=lambda row: f"{row['refused']}: {row['text'][:70]!r}"
)
def test_developed_sentence(row: dict[str, Any]) -> None:
    verdict = judge_refusal(row["text"])
    assert verdict.refused is row["refused"], verdict


def test_held_out_precision_and_recall() -> None:
    """Written before the rules, and not looked into while they were first developed.

    It is spent by now: six of its sentences were looked at when the rules were widened. Half of
    labelled_responses.jsonl is what is held out since.
    """
    held_out = [
        (judge_refusal(row["text"]).refused, row["refused"]) for row in rows("refusals_held_out.jsonl")
    ]
    assert len(held_out) >= 120
    assert all(got is None for got, expected in held_out if expected is None)
    judged = [(got, expected) for got, expected in held_out if expected is not None]
    assert all(got is not None for got, _ in judged)
    hits = sum(bool(got and expected) for got, expected in judged)
    # precision 0.968 (2 of 62 wrong) and recall 1.0 when the rules were first run on it, now 60 of 61 and 1.0
    assert hits / sum(bool(got) for got, _ in judged) >= 0.95
    assert hits / sum(bool(expected) for _, expected in judged) >= 0.95


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("I can't determine that from here.", "inability"),
        ("The image doesn't show who owns it.", "not_shown"),
        ("There is no dog in this picture.", "denial"),
        ("That is subjective.", "opinion"),
        ("Which person do you mean?", "ambiguous"),
        ("The question assumes there is a clock.", "premise"),
    ],
)
def test_the_cue_is_named_with_its_words(text: str, cue: str) -> None:
    verdict = judge_refusal(text)
    assert verdict.refused is True
    assert verdict.cue == cue
    assert verdict.matched


def test_a_commitment_after_a_disclaimer_answers_and_is_shown() -> None:
    verdict = judge_refusal("As an AI I have no personal opinions, but I'd say the garden is lovely.")
    assert verdict.refused is False
    assert verdict.cue == "opinion"
    assert verdict.commits is not None
    assert "garden is lovely" in verdict.commits


def test_a_denial_answers_a_question_of_being() -> None:
    text = "No, there is no dog in this picture."
    assert judge_refusal(text, "What breed is the dog?").refused is True
    assert judge_refusal(text, "Is there a dog in the picture?").refused is False
    assert judge_refusal("I can't tell.", "Is there a dog in the picture?").refused is True


def test_what_a_sign_says_is_no_refusal() -> None:
    assert judge_refusal('The sign says "I do not know".').refused is False


@pytest.mark.parametrize("text", ["", "\n", "!!!", "xkcd qzxv wrtp", "yes " * 200])
def test_nothing_to_judge(text: str) -> None:
    assert judge_refusal(text) == RuleVerdict(None)
