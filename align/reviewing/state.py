"""A review as it stands: the log replayed, and the rules for what may be added to it."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from align.records import DataError, Problem
from align.reviewing.assignment import fixed_shares, own_order, second_pass
from align.reviewing.events import Event, checked_name
from align.reviewing.items import Item
from align.reviewing.log import EventLog
from align.reviewing.scales import SCALES, Mode, NotAllowed, check_fields, complete, fold
from align.reviewing.settling import NotKept, Opinion, settle_question


class Conflict(NotAllowed):
    """An event that contradicts the log: its id is taken, or what it undoes is undone already."""


@dataclass(frozen=True)
class Plan:
    """Who rates how much.

    Attributes:
        annotators: their names; None lets everybody in who gives a name.
        overlap: annotators an item; None: all of them. Without names, an item leaves the queues of the
            others when so many have begun it.
        second_pass: share of an annotator's own items that are rated again, blind, when all are done.
        adjudicator: somebody else, who decides on the questions that annotators dispute, and sees what they
            said.
        seed: of orders, shares and the second pass.
    """

    annotators: tuple[str, ...] | None = None
    overlap: int | None = None
    second_pass: float = 0.1
    adjudicator: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.adjudicator is not None and checked_name(self.adjudicator) != self.adjudicator:
            raise ValueError(f"adjudicator: write it as {checked_name(self.adjudicator)!r}")
        if self.annotators and self.adjudicator in self.annotators:
            raise ValueError(f"{self.adjudicator!r} can't be an annotator and settle the disputes too")
        if not 0 <= self.second_pass <= 1:
            raise ValueError(f"second_pass is a share from 0 to 1, not {self.second_pass}")
        if self.overlap is not None and self.overlap < 1:
            raise ValueError(f"overlap is 1 or more, or null for all annotators, not {self.overlap}")
        for name in self.annotators or ():
            if checked_name(name) != name:
                raise ValueError(f"annotators: write {name!r} as {checked_name(name)!r}")


Place = tuple[str, int, str]
"""Annotator, pass and item: where a decision belongs."""


class Review:
    """All decisions on some items. Its methods may be called from several threads.

    Raises `DataError` when the log speaks of items that are not there, or were other items when it did.
    """

    def __init__(self, items: Mapping[str, Item], log: EventLog, plan: Plan) -> None:
        self.items, self.log, self.plan = dict(items), log, plan
        self.mode: Mode = log.header.mode
        self._lock = threading.RLock()
        self._events: dict[str, Event] = {}
        self._undone: dict[str, str] = {}
        self._at: defaultdict[Place, list[str]] = defaultdict(list)
        self._trail: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        self._counting: Counter[str] = Counter()  # decisions that still count, by annotator
        self._draws: dict[str, tuple[str, ...]] = {}
        expected = (*(plan.annotators or ()), *([plan.adjudicator] if plan.adjudicator else ()))
        self._names: dict[str, str] = {name.casefold(): name for name in expected}
        if plan.adjudicator and self.mode != "questions":
            raise ValueError("an adjudicator settles disputes about questions; responses have none")
        self._shares = (
            fixed_shares(self.items, plan.annotators, plan.overlap or len(plan.annotators), plan.seed)
            if plan.annotators
            else None
        )
        problems = [message for event in log.events for message in self._strange(event)]
        if problems:
            raise DataError([Problem(file=str(log.path), message=message) for message in problems])
        for event in log.events:
            self._take(event)

    # --- who -----------------------------------------------------------------------------------------

    def name_of(self, name: str) -> str:
        """An annotator's name as it is spelled here. Raises `NotAllowed` for somebody who is not expected."""
        try:
            name = checked_name(name)
        except ValueError as error:
            raise NotAllowed(str(error)) from error
        with self._lock:
            known = self._names.get(name.casefold())
        if known is None and self.plan.annotators is not None:
            raise NotAllowed(f"{name!r} is not among the annotators: {', '.join(self.plan.annotators)}")
        return known or name

    @property
    def annotators(self) -> list[str]:
        """Everybody who decided something that still counts, by name; the adjudicator is none of them."""
        with self._lock:
            return sorted(who for who, n in self._counting.items() if n and who != self.plan.adjudicator)

    # --- what is there -------------------------------------------------------------------------------

    def state(self, annotator: str, round: int, key: str) -> dict[str, Any]:
        """What an annotator decided about an item in a pass, undone decisions left out."""
        with self._lock:
            return self._folded((annotator, round, key))

    def done(self, annotator: str, round: int, key: str) -> bool:
        return complete(self.mode, self.state(annotator, round, key))

    def opinions(self, key: str) -> list[Opinion]:
        """The finished judgments of a question in the first pass; the second only shows self-agreement."""
        names = [*self.annotators, *([self.plan.adjudicator] if self.plan.adjudicator else ())]
        opinions = []
        for annotator in names:
            state = self.state(annotator, 1, key)
            if complete(self.mode, state):
                ratings = {s.name: state[s.name] for s in SCALES[self.mode] if s.name in state}
                told = {name: state[name] for name in ("decision", "note", "fix") if name in state}
                opinions.append(Opinion(annotator=annotator, ratings=ratings, **told))
        return opinions

    def disputed(self, key: str) -> bool:
        """Whether the annotators, the adjudicator left aside, are at odds about a question."""
        opinions = [o for o in self.opinions(key) if o.annotator != self.plan.adjudicator]
        if not opinions:
            return False
        result = settle_question(self.items[key].question, opinions)
        return isinstance(result, NotKept) and result.fate == "disputed"

    def queue(self, annotator: str, round: int = 1) -> list[str]:
        """The items of an annotator in a pass, in their own order."""
        with self._lock:
            if round == 2:
                return list(self._draws.get(annotator, ()))
            mine = {key for who, number, key in self._at if who == annotator and number == 1}
            if annotator == self.plan.adjudicator:
                at_odds = {key for key in self.items if self.disputed(key)}
                return own_order(at_odds | mine, annotator, self.plan.seed)
            keys = self.items if self._shares is None else self._shares[annotator]
            open_ = [key for key in keys if key in mine or self.open_for(annotator, key)]
            # Begun under another plan: still theirs.
            return own_order({*open_, *mine}, annotator, self.plan.seed)

    def open_for(self, annotator: str, key: str) -> bool:
        """Whether an item still wants this annotator's decision."""
        with self._lock:
            if annotator == self.plan.adjudicator:
                return self.disputed(key)
            if self._shares is not None:
                return key in self._shares[annotator]
            if self.plan.overlap is None:
                return True
            others = sum(
                bool(self._live(self._at.get((who, 1, key), ())))
                for who in self._names.values()
                if who not in (annotator, self.plan.adjudicator)
            )
            return others < self.plan.overlap

    def trail(self, annotator: str, round: int, most: int = 500) -> list[tuple[str, str, dict[str, Any]]]:
        """An annotator's decisions that can be undone, the oldest first: `(event, item, state before it)`.

        The state is the item's by the decisions before this one: the page need not ask for it.
        """
        with self._lock:
            states: defaultdict[str, dict[str, Any]] = defaultdict(dict)
            trail = []
            for id in self._live(self._trail[annotator, round]):
                event = self._events[id]
                key = event.item or ""
                trail.append((id, key, states[key]))
                states[key] = fold(self.mode, states[key], event.fields or {})
            return trail[-most:]

    def item_of(self, event: Event) -> str:
        """The item that an event decides about, or whose decision it takes back."""
        return event.item or self._events[event.undoes or ""].item or ""

    def second_pass_left(self, annotator: str) -> dict[str, Any]:
        """The state of an annotator's second pass: whether it is drawn, can be, and how far it is."""
        with self._lock:
            drawn = self._draws.get(annotator, ())
            finished = sum(self.done(annotator, 2, key) for key in drawn)
            first = self.queue(annotator)
            ready = bool(first) and all(self.done(annotator, 1, key) for key in first)
            wanted = self.plan.second_pass > 0 and annotator != self.plan.adjudicator
            return {
                "wanted": wanted,
                "ready": ready and wanted,
                "drawn": len(drawn),
                "done": finished,
            }

    # --- what is added -------------------------------------------------------------------------------

    def add(self, event: Event) -> Event:
        """Add an event from a browser: on the disk when this returns. Adding the same twice adds it once.

        Returns the event as logged. Raises `NotAllowed` or `Conflict` for what may not be added, `LogError`
        for what could not be written.
        """
        if event.kind == "draw":
            raise NotAllowed("what is rated again is drawn here, not in the browser")
        with self._lock:
            return self._add(event.model_copy(update={"annotator": self.name_of(event.annotator)}))

    def draw(self, annotator: str) -> tuple[str, ...]:
        """Draw the second pass of an annotator, once. Raises `NotAllowed` before the first is finished."""
        with self._lock:
            annotator = self.name_of(annotator)
            if annotator not in self._draws:
                if not self.second_pass_left(annotator)["ready"]:
                    raise NotAllowed(
                        "the second pass begins when the first is finished, if there is to be one"
                    )
                items = second_pass(self.queue(annotator), annotator, self.plan.second_pass, self.plan.seed)
                now = _now()
                id = uuid.uuid4().hex
                self._add(
                    Event(
                        kind="draw", id=id, annotator=annotator, round=2, items=items, made=now, received=None
                    )
                )
            return self._draws[annotator]

    def _add(self, event: Event) -> Event:
        known = self._events.get(event.id)
        if known is not None:
            if not known.same_as(event):
                raise Conflict(f"event {event.id} is in the log with another content")
            return known
        self._check(event)
        event = event.model_copy(update={"received": _now()})
        self.log.append(event)
        self._take(event)
        return event

    def _check(self, event: Event) -> None:
        if strange := self._strange(event):
            raise Conflict(strange[0])
        if event.kind == "undo":
            target = self._events.get(event.undoes or "")
            if target is None or target.kind != "set":
                raise Conflict("there is no such decision to take back")
            if (target.annotator, target.round) != (event.annotator, event.round):
                raise NotAllowed("one can only take back one's own decisions, in the pass they were made in")
            if target.id in self._undone:
                raise Conflict("that decision was taken back already")
        elif event.kind == "set":
            assert event.item is not None
            assert event.fields is not None
            if event.round == 2 and event.item not in self._draws.get(event.annotator, ()):
                raise NotAllowed("this item is not among those to be rated again")
            shares = self._shares if event.annotator != self.plan.adjudicator else None
            if event.round == 1 and shares and event.item not in shares[event.annotator]:
                raise NotAllowed("this item was given to other annotators")
            check_fields(self.mode, event.fields, self.items[event.item].question)

    def _strange(self, event: Event) -> list[str]:
        """What in an event does not fit the items of this review."""
        keys = [event.item] if event.item is not None else list(event.items or ())
        messages = []
        for key in keys:
            item = self.items.get(key)
            if item is None:
                messages.append(
                    f"event {event.id} of {event.annotator} is about item {key}, which is not in "
                    "this review: give the files and filters that it was begun with, or another `out`"
                )
            elif event.digest is not None and event.digest != item.digest:
                messages.append(
                    f"event {event.id} of {event.annotator}: {item.question.id} was changed since it "
                    "was shown; give the file that it was, or another `out`"
                )
        return messages

    def _take(self, event: Event) -> None:
        self._events[event.id] = event
        self._names.setdefault(event.annotator.casefold(), event.annotator)
        if event.kind == "undo":
            self._undone[event.undoes or ""] = event.id
            self._counting[event.annotator] -= 1
        elif event.kind == "draw":
            self._draws[event.annotator] = event.items or ()
        else:
            self._at[event.annotator, event.round, event.item or ""].append(event.id)
            self._trail[event.annotator, event.round].append(event.id)
            self._counting[event.annotator] += 1

    def _live(self, ids: Sequence[str]) -> list[str]:
        return [id for id in ids if id not in self._undone]

    def _folded(self, place: Place) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for id in self._live(self._at.get(place, ())):
            state = fold(self.mode, state, self._events[id].fields or {})
        return state


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
