"""Verdicts as an input of the builders: which of them were looked up, and who judged, for the data card.

What a response is, is said by `align.data.judge`.
"""

from __future__ import annotations

from collections.abc import Sequence

from align.data.compose import world_of
from align.data.judge import FromVerdicts, is_of
from align.data.ledger import Ledger
from align.records import Question, Response, Verdict


def the_judge(verdicts: Sequence[Verdict], wanted: str | None) -> str:
    """The name of the judge whose verdicts count: `wanted`, or the only one.

    Raises `ValueError` if it isn't clear which, or has given none.
    """
    names = sorted({verdict.judge for verdict in verdicts})
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None or wanted not in names:
        raise ValueError(
            f"verdicts_of={wanted or 'null'}, and the verdicts are of {', '.join(names) or 'nobody'}: "
            "name one with verdicts_of=..."
        )
    return wanted


def account_for_verdicts(
    verdicts: Sequence[Verdict], responses: Sequence[Response], judge: str, ledger: Ledger
) -> None:
    """Write into the ledger which verdicts are on a response that was given, and why the others are not."""
    there: dict[tuple[str, str, int], list[Response]] = {}
    for response in responses:
        there.setdefault((response.question_id, response.model, response.sample_index), []).append(response)
    keys = ledger.open(
        "verdicts", (f"{v.question_id}/{v.model}/{v.sample_index}/{v.judge}" for v in verdicts)
    )
    used = []
    for verdict, key in zip(verdicts, keys, strict=True):
        at_place = there.get((verdict.question_id, verdict.model, verdict.sample_index), [])
        if verdict.judge != judge:
            ledger.leave_out("verdicts", key, f"of another judge than {judge}")
        elif not at_place:
            ledger.leave_out("verdicts", key, "no such response")
        elif not any(is_of(verdict, response) for response in at_place):
            ledger.leave_out("verdicts", key, "on another text or other weights than the response's")
        else:
            used.append(key)
    ledger.settle("verdicts", used)


def judge_name(questions: Sequence[Question], verdicts: FromVerdicts | None) -> str:
    """Who says which responses are refusals, for the data card."""
    if verdicts is not None:
        return verdicts.judge
    if questions and all(world_of(question) is not None for question in questions):
        return "the miniature world's grader, which knows the scenes"
    return "rules (align.judging.rules)"
