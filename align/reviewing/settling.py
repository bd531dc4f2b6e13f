"""What becomes of a question on which one or more annotators have an opinion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Literal

from align.records import Question, Record, stable_id
from align.reviewing.scales import Decision, fixed_question


class Opinion(Record):
    """What one annotator said about a question, in a finished judgment."""

    annotator: str
    decision: Decision
    note: str | None = None
    fix: dict[str, Any] | None = None
    ratings: dict[str, int]


class NotKept(Record):
    """A question that is not among the reviewed ones, and why."""

    question: Question
    fate: Literal["rejected", "disputed"]
    why: str
    opinions: tuple[Opinion, ...]


def settle_question(
    question: Question, opinions: Sequence[Opinion], adjudicator: str | None = None
) -> Question | NotKept:
    """One fate for a question: kept, as it is or mended, or not.

    More accept or fix it than reject it: kept. More reject it: rejected. As many: disputed, and so is a
    question that was mended in two ways, or mended by no more than those who would have it as it is. An
    adjudicator's opinion, where there is one, is the only one that counts.

    A question in other words is another question: it gets a new id, so that no response to the old one is
    taken for an answer to it. `metadata["review"]` says who decided, how it was rated, and what it was.
    """
    voices = [opinion for opinion in opinions if opinion.annotator == adjudicator] or list(opinions)
    keep = [opinion for opinion in voices if opinion.decision != "reject"]
    against = [opinion for opinion in voices if opinion.decision == "reject"]
    fixes = [(fixed_question(question, o.fix), o) for o in keep if o.fix is not None]
    versions = {fixed.model_dump_json() for fixed, _ in fixes}
    as_it_is = len(keep) - len(fixes)

    def left_out(fate: Literal["rejected", "disputed"], why: str) -> NotKept:
        return NotKept(question=question, fate=fate, why=why, opinions=tuple(opinions))

    if len(keep) < len(against):
        return left_out("rejected", "; ".join(dict.fromkeys(o.note or "" for o in against)))
    if len(keep) == len(against):
        return left_out("disputed", f"{len(keep)} would keep it, {len(against)} would not")
    if len(versions) > 1:
        return left_out("disputed", f"mended in {len(versions)} ways")
    if fixes and len(fixes) <= as_it_is:
        return left_out("disputed", f"{len(fixes)} would mend it, {as_it_is} would leave it as it is")
    return _kept(question, fixes[0][0] if fixes else question, opinions)


def mean_ratings(opinions: Sequence[Opinion]) -> dict[str, float]:
    """The mean of each scale over those who rated it."""
    values: defaultdict[str, list[int]] = defaultdict(list)
    for opinion in opinions:
        for name, rating in opinion.ratings.items():
            values[name].append(rating)
    return {name: round(fmean(found), 3) for name, found in values.items()}


def _kept(before: Question, after: Question, opinions: Sequence[Opinion]) -> Question:
    note: dict[str, Any] = {
        "decision": "accept" if after == before else "fix",
        "annotators": [opinion.annotator for opinion in opinions],
        "ratings": mean_ratings(opinions),
    }
    if after != before:
        note["before"] = {
            name: getattr(before, name)
            for name in ("question", "category", "reason", "answers")
            if getattr(before, name) != getattr(after, name)
        }
    if after.question != before.question:
        note["before"]["id"] = before.id
        after = after.model_copy(update={"id": stable_id("reviewed", before.id, after.image, after.question)})
    return after.model_copy(update={"metadata": before.metadata | {"review": note}})
