"""What a review leaves for the next step: reviewed questions, rejected and disputed ones, verdicts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.records import Question, Verdict, digest_of_text, write_json, write_records
from align.reviewing.settling import NotKept, Opinion, mean_ratings, settle_question
from align.reviewing.state import Review
from align.reviewing.summary import agreement_report, counts_by_category, progress


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
    """The fate of every question, and twins that know each other's new ids."""
    outcome = Outcome()
    kept: dict[str, Question] = {}
    for key, item in review.items.items():
        opinions = review.opinions(key)
        if not opinions:
            outcome.unfinished += 1
            continue
        result = settle_question(item.question, opinions, review.plan.adjudicator)
        if isinstance(result, Question):
            kept[item.question.id] = result
        else:
            (outcome.rejected if result.fate == "rejected" else outcome.disputed).append(result)
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
                    model_digest=item.response.model_digest,
                    sample_index=item.response.sample_index,
                    text_digest=digest_of_text(item.response.text or ""),
                    judge=f"human:{annotator}",
                    refused=state.get("refused"),
                    rationality=state.get("rationality"),
                    helpfulness=state.get("helpfulness"),
                    correct=None,
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


def _rating_table(review: Review) -> dict[str, dict[str, Any]]:
    """Opinions and mean ratings of each category, over annotators: the paper's human check."""
    found: defaultdict[str, list[Opinion]] = defaultdict(list)
    for key, item in review.items.items():
        found[item.question.category].extend(review.opinions(key))
    return {category: {"n": len(o), **mean_ratings(o)} for category, o in sorted(found.items()) if o}
