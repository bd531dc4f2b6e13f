"""Which responses are judged, and verdicts in a file that other judges write to as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from align.judging.judged import Judge, Judged
from align.records import DataError, Problem, Question, Response, Verdict, read_records, write_records
from align.run import content_digest

OTHERS = (
    "Give the question file that these responses are of; or, if questions were taken out since, as by a "
    "review, leave_out_others=true leaves out the responses to them (judge_responses.py, review_questions.py)"
)


def to_these(responses: Sequence[Response], questions: Sequence[Question]) -> list[Response]:
    """The responses to one of the questions: what is left where questions were taken out, as by a review."""
    ids = {question.id for question in questions}
    return [response for response in responses if response.question_id in ids]


def items_to_judge(
    questions: Sequence[Question],
    responses: Sequence[Response],
    *,
    split: str | None = None,
    model: str | None = None,
    limit: int | None = None,
) -> list[Judged]:
    """Responses with their questions, in the responses' order.

    Args:
        split, model: only responses to questions of this split, and only of this model.
        limit: the first so many of them.

    Raises:
        DataError: a response to a question that isn't there, or no response is left.
    """
    by_id = {question.id: question for question in questions}
    problems = [
        Problem(
            file="responses",
            field="question_id",
            row_id=r.question_id,
            message=f"no such question: {r.question_id}. {OTHERS}",
        )
        for r in responses
        if r.question_id not in by_id
    ]
    if problems:
        raise DataError(problems)
    items = [
        Judged(by_id[response.question_id], response)
        for response in responses
        if (split is None or by_id[response.question_id].split == split)
        and (model is None or response.model == model)
    ][:limit]
    if not items:
        models = ", ".join(sorted({response.model for response in responses})) or "none"
        message = (
            f"no response to judge for split={split}, model={model}: there are {len(responses)}, of {models}"
        )
        raise DataError([Problem(file="responses", message=message)])
    return items


def judging_facts(config: Mapping[str, Any], judge: Judge) -> dict[str, Any]:
    """What decides the verdicts that configs/judge_responses.yaml asks for: shards must agree on it."""
    names = ("split", "model", "limit", "leave_out_others", "passes", "seed")
    return {
        "questions": content_digest(config["questions"]),
        "responses": content_digest(config["responses"]),
        "judge": judge.digest,
        **{name: config[name] for name in names},
    }


def write_verdicts(path: str | Path, verdicts: Sequence[Verdict], judge: Judge) -> dict[str, int]:
    """Write a judge's verdicts to a file, beside those of other judges and those on other responses.

    What the judge of this name said with other models or prompts goes (one name is one judge), and so does
    what it said of another text in the same place. A judgment that failed takes no other's place.

    Returns `written`, `kept` (rows of the file that stay) and `outdated` (rows that went).
    """
    kept, outdated = [], 0
    unique = {_place(verdict, with_text=True): verdict for verdict in verdicts}
    places = {_place(verdict) for verdict in verdicts}
    if Path(path).exists():
        for verdict in read_records(path, Verdict):
            if verdict.judge == judge.name and verdict.judge_digest != judge.digest:
                outdated += 1
            elif _place(verdict) not in places:
                kept.append(verdict)
            elif (new := unique.get(exact := _place(verdict, with_text=True))) is None:
                outdated += 1
            elif new.error is not None and verdict.error is None:
                unique[exact] = verdict  # asked again, and the judge failed: what it said before holds
    write_records(path, [*kept, *unique.values()])
    return {"written": len(unique), "kept": len(kept), "outdated": outdated}


def _place(verdict: Verdict, with_text: bool = False) -> tuple[object, ...]:
    place = (verdict.judge, verdict.question_id, verdict.model, verdict.model_digest, verdict.sample_index)
    return (*place, verdict.text_digest) if with_text else place
