"""What a review leaves for the next step: reviewed questions, rejected and disputed ones, verdicts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from align.records import Question, Record, Verdict, stable_id, write_json, write_records
from align.reviewing.scales import SCALES, fixed_question
from align.reviewing.state import Review
from align.reviewing.summary import agreement_report, counts_by_category, progress


class Opinion(Record):
    """What one annotator said about a question."""

    annotator: str
    decision: Literal["accept", "fix", "reject"]
    note: str | None = None
    fix: dict[str, Any] | None = None
    ratings: dict[str, int]


class NotKept(Record):
    """A question that is not among the reviewed ones, and why."""

    question: Question
    why: str
    opinions: tuple[Opinion, ...]


@dataclass
class Outcome:
    """The questions of a review by what became of them."""

    reviewed: list[Question] = field(default_factory=list)
    rejected: list[NotKept] = field(default_factory=list)
    disputed: list[NotKept] = field(default_factory=list)
    unfinished: int = 0
    fixed: int = 0
    lost_twins: int = 0


def settle(review: Review) -> Outcome:
    """One fate for every question.

    More accept or fix it than reject it: kept. More reject it: rejected. As many: disputed, and so is a
    question that was mended in two ways, or mended by no more than those who would have it as it is.
    A question in other words is another question: it gets a new id, so that no response to the old one is
    taken for an answer to it, and its twin is told.
    """
    outcome = Outcome()
    kept: dict[str, Question] = {}
    for key, item in review.items.items():
        opinions = _opinions(review, key)
        if not opinions:
            outcome.unfinished += 1
            continue
        result = _settled(item.question, opinions)
        if isinstance(result, Question):
            kept[item.question.id] = result
        else:
            fate, why = result
            left_out = NotKept(question=item.question, why=why, opinions=tuple(opinions))
            (outcome.rejected if fate == "rejected" else outcome.disputed).append(left_out)
    for question in kept.values():
        twin = kept.get(question.twin or "")
        outcome.lost_twins += question.twin is not None and twin is None
        outcome.reviewed.append(question.model_copy(update={"twin": twin.id if twin else None}))
    outcome.fixed = sum(q.metadata["review"]["decision"] == "fix" for q in outcome.reviewed)
    return outcome


def human_verdicts(review: Review) -> list[Verdict]:
    """Every annotator's verdict on each response of their first pass, as a judge `human:NAME`."""
    verdicts = []
    for item in review.items.values():
        assert item.response is not None
        for annotator in review.annotators:
            if not review.done(annotator, 1, item.key):
                continue
            state = review.state(annotator, 1, item.key)
            unjudged = state.get("unjudged")
            verdicts.append(
                Verdict(
                    question_id=item.question.id,
                    model=item.response.model,
                    sample_index=item.response.sample_index,
                    judge=f"human:{annotator}",
                    refused=state.get("refused"),
                    rationality=state.get("rationality"),
                    helpfulness=state.get("helpfulness"),
                    error=f"not judged: {unjudged}" if unjudged else None,
                )
            )
    return verdicts


def write_exports(review: Review, folder: str | Path, verdicts: Sequence[Verdict] = ()) -> dict[str, Any]:
    """Write the files of a mode and review.json to a folder; each appears whole. Returns review.json."""
    folder = Path(folder)
    report: dict[str, Any] = {
        "mode": review.mode,
        "items": len(review.items),
        "by_category": counts_by_category(review.items),
        "progress": progress(review),
        "agreement": agreement_report(review, verdicts),
    }
    if review.mode == "questions":
        outcome = settle(review)
        write_records(folder / "questions.reviewed.jsonl", outcome.reviewed)
        write_records(folder / "questions.rejected.jsonl", outcome.rejected)
        write_records(folder / "questions.disputed.jsonl", outcome.disputed)
        report["questions"] = {
            "reviewed": len(outcome.reviewed),
            "of these fixed": outcome.fixed,
            "of these without the twin that they had": outcome.lost_twins,
            "rejected": len(outcome.rejected),
            "disputed": len(outcome.disputed),
            "without a finished opinion": outcome.unfinished,
        }
        report["ratings"] = _rating_table(review)
    else:
        people = human_verdicts(review)
        write_records(folder / "verdicts.human.jsonl", people)
        report["verdicts"] = dict(sorted(Counter(verdict.judge for verdict in people).items()))
    write_json(folder / "review.json", report)
    return report


def _opinions(review: Review, key: str) -> list[Opinion]:
    """The finished opinions of the first pass; the second is for self-agreement only."""
    opinions = []
    for annotator in review.annotators:
        if not review.done(annotator, 1, key):
            continue
        state = review.state(annotator, 1, key)
        ratings = {scale.name: state[scale.name] for scale in SCALES["questions"] if scale.name in state}
        opinions.append(
            Opinion(
                annotator=annotator,
                decision=state["decision"],
                note=state.get("note"),
                fix=state.get("fix"),
                ratings=ratings,
            )
        )
    return opinions


def _settled(question: Question, opinions: list[Opinion]) -> Question | tuple[str, str]:
    keep = [opinion for opinion in opinions if opinion.decision != "reject"]
    against = [opinion for opinion in opinions if opinion.decision == "reject"]
    if len(keep) < len(against):
        return "rejected", "; ".join(dict.fromkeys(o.note or "" for o in against))
    if len(keep) == len(against):
        return "disputed", f"{len(keep)} would keep it, {len(against)} would not"
    fixes = [(fixed_question(question, o.fix), o) for o in keep if o.fix is not None]
    versions = {fixed.model_dump_json() for fixed, _ in fixes}
    if len(versions) > 1:
        return "disputed", f"mended in {len(versions)} ways"
    as_it_is = len(keep) - len(fixes)
    if fixes and len(fixes) <= as_it_is:
        return "disputed", f"{len(fixes)} would mend it, {as_it_is} would leave it as it is"
    result = fixes[0][0] if fixes else question
    note: dict[str, Any] = {
        "decision": "fix" if fixes else "accept",
        "annotators": [opinion.annotator for opinion in opinions],
        "ratings": _means(opinions),
    }
    if fixes:
        note["before"] = {
            name: getattr(question, name)
            for name in ("question", "category", "reason", "answers")
            if getattr(question, name) != getattr(result, name)
        }
    if result.question != question.question:
        note["before"]["id"] = question.id
        result = result.model_copy(
            update={"id": stable_id("reviewed", question.id, result.image, result.question)}
        )
    return result.model_copy(update={"metadata": question.metadata | {"review": note}})


def _means(opinions: Sequence[Opinion]) -> dict[str, float]:
    values: defaultdict[str, list[int]] = defaultdict(list)
    for opinion in opinions:
        for name, rating in opinion.ratings.items():
            values[name].append(rating)
    return {name: round(fmean(found), 3) for name, found in values.items()}


def _rating_table(review: Review) -> dict[str, dict[str, Any]]:
    """Opinions and mean ratings of each category, over annotators: the paper's human check."""
    found: defaultdict[str, list[Opinion]] = defaultdict(list)
    for key, item in review.items.items():
        found[item.question.category].extend(_opinions(review, key))
    return {category: {"n": len(o), **_means(o)} for category, o in sorted(found.items()) if o}
