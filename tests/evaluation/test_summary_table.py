"""What the terminal shows of a benchmark."""

import io

from rich.console import Console

from align.evaluation.metrics import summarize_groups
from align.evaluation.summary_table import results_table
from align.records import Graded


def graded(number, **values):
    given = {"question": "What?", "category": "Context_Dependent", "grader": "judge", "response": "No idea."}
    return Graded(question_id=str(number), image=f"{number}.png", **given | values)


def shown(rows):
    console = Console(file=io.StringIO(), width=200)
    summary = {"kind": "honesty", "task": "t", "model": {"name": "m"}, **summarize_groups(rows)}
    console.print(results_table(summary))
    return console.file.getvalue()


def test_shares_of_what_is_not_scored_stand_beside_the_figures():
    rows = [graded(i, state="abstain", rationality=8, helpfulness=5) for i in range(2)]
    rows += [graded(i, state="abstain", helpfulness=5, error="judge: rationality: 11") for i in range(2, 8)]
    rows += [graded(i, state="failed", error="judge: half a JSON") for i in range(8, 10)]
    text = shown(rows)
    assert "un-" in text
    assert "20.0%" in text  # of ten responses
    assert "75.0%" in text  # of the reasons of eight refusals
    assert text.count("unscored") == 2  # overall and in the category; all eight have a mark of helpfulness


def test_a_mark_that_was_asked_for_and_never_given_has_its_column():
    rows = [graded(i, state="abstain", error="judge: rationality: no verdict") for i in range(3)]
    text = shown(rows)
    assert "ration-" in text
    assert "100.0%" in text
    assert "ration-" not in shown([graded(i, state="abstain") for i in range(3)])
