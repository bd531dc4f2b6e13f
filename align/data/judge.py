"""What a response is, for building pairs: exact in the miniature world, by rules for photographs."""

from __future__ import annotations

from align.data.compose import world_of
from align.judging.rules import judge_refusal
from align.miniworld.grader import grade
from align.records import Question


def refused(question: Question, text: str) -> bool | None:
    """Does the response decline to answer? None when neither is clear."""
    world = world_of(question)
    if world is None:
        return judge_refusal(text, question.question).refused
    return {"abstain": True, "answer": False}.get(grade(text, *world).state)


def correct(question: Question, text: str) -> bool | None:
    """Is the response a right answer? None when it is no answer, or can't be read.

    Raises `ValueError` for a question about a photograph: without a judge, a right answer in other words
    than the gold answer's would be taken for a wrong one, and be trained against.
    """
    world = world_of(question)
    if world is None:
        raise ValueError(
            f"question {question.id}: rules can't tell whether a free-form answer about a photograph is "
            "wrong; set own_wrong=0"
        )
    return grade(text, *world).correct
