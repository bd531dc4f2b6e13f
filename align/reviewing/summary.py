"""Progress and agreement of a review, as the page shows them and review.json keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from align.records import ANSWERABLE, Verdict, digest_of_text
from align.reviewing.agreement import Metric, Ratings, agreement, between
from align.reviewing.items import Item
from align.reviewing.scales import SCALES, Mode, complete
from align.reviewing.state import Review

Reader = Callable[[Mapping[str, Any]], Hashable | None]


def measures(mode: Mode) -> dict[str, tuple[Metric, Reader]]:
    """What agreement is computed of: name, metric, and how to read it from a state (None: not rated)."""
    found: dict[str, tuple[Metric, Reader]] = {}
    if mode == "questions":
        found["decision"] = ("nominal", _value_of("decision"))
        found["kept"] = ("nominal", _kept)
    else:
        found["refused"] = ("nominal", _value_of("refused"))
    for scale in SCALES[mode]:
        found[scale.name] = ("ordinal", _value_of(scale.name))
    return found


def _value_of(name: str) -> Reader:
    return lambda state: state.get(name)


def _kept(state: Mapping[str, Any]) -> bool | None:
    return state["decision"] != "reject" if "decision" in state else None


def progress(review: Review) -> dict[str, dict[str, int]]:
    """For each annotator: items of the queue, and how many of them are done."""
    found = {}
    names = (*(review.plan.annotators or ()), *review.annotators, *filter(None, [review.plan.adjudicator]))
    for name in dict.fromkeys(names):
        queue = review.queue(name)
        done = sum(review.done(name, 1, key) for key in queue)
        found[name] = {"items": len(queue), "done": done}
    return found


def agreement_report(
    review: Review, verdicts: Sequence[Verdict] = (), *, unfinished_second_passes: bool = True
) -> dict[str, Any]:
    """Agreement between annotators, of each with themselves, and of judges with each of them.

    Only finished items count. `unfinished_second_passes=False` leaves those out whose figures would tell an
    annotator, in the middle of the pass, what they had said at first.
    """
    between_people: dict[str, Any] = {}
    with_self: dict[str, dict[str, Any]] = {}
    with_judges: list[dict[str, Any]] = []
    first_pass = {who: _finished(review, who, 1) for who in review.annotators}
    second_pass = {who: _finished(review, who, 2) for who in review.annotators}
    for name, (metric, read) in measures(review.mode).items():
        people = {who: _ratings(states, read) for who, states in first_pass.items()}
        between_people[name] = {"metric": metric} | asdict(agreement(people, metric))
        for who, first in people.items():
            done, drawn = len(second_pass[who]), len(review.queue(who, 2))
            if not done or (done < drawn and not unfinished_second_passes):
                continue
            again = _ratings(second_pass[who], read)
            with_self.setdefault(who, {})[name] = asdict(between("first", first, "second", again, metric))
        for judge, ratings in _judged(review.items, verdicts, read).items():
            for who, own in people.items():
                pair = asdict(between(judge, ratings, who, own, metric))
                with_judges.append({"measure": name, "judge": judge, "annotator": who} | pair)
    return {"annotators": between_people, "self": with_self, "judges": with_judges}


def _finished(review: Review, annotator: str, round: int) -> dict[str, dict[str, Any]]:
    """What an annotator decided in a pass about each item that is done, by the item's key."""
    states = {key: review.state(annotator, round, key) for key in review.queue(annotator, round)}
    return {key: state for key, state in states.items() if complete(review.mode, state)}


def _ratings(states: Mapping[str, Mapping[str, Any]], read: Reader) -> Ratings:
    return {key: value for key, state in states.items() if (value := read(state)) is not None}


def _judged(
    items: Mapping[str, Item], verdicts: Sequence[Verdict], read: Reader
) -> dict[str, dict[str, Hashable]]:
    """The judges' ratings by item. A judge that failed has none there, nor one that judged another text."""
    found: dict[str, dict[str, Hashable]] = {}
    by_response = {
        (item.question.id, item.response.model, item.response.sample_index): key
        for key, item in items.items()
        if item.response is not None
    }
    for verdict in verdicts:
        key = by_response.get((verdict.question_id, verdict.model, verdict.sample_index))
        value = read(verdict.model_dump(include={"refused", "rationality", "helpfulness"}))
        if key is None or value is None or not _same_text(verdict, items[key]):
            continue
        found.setdefault(verdict.judge, {})[key] = value
    return found


def _same_text(verdict: Verdict, item: Item) -> bool:
    """Whether a verdict is on the response that people saw, and not on one that was sampled before it."""
    assert item.response is not None
    text = digest_of_text(item.response.text or "")
    return verdict.text_digest is None or verdict.text_digest == text


def counts_by_category(items: Mapping[str, Item]) -> dict[str, int]:
    counts = Counter(item.question.category for item in items.values())
    return {category: counts[category] for category in sorted(counts, key=lambda c: (c == ANSWERABLE, c))}
