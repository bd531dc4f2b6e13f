"""Sampled responses by what they are: what a model made up, where it declined, where it was wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from align.data.judge import Say
from align.data.ledger import Ledger
from align.data.policies import Policy, by_turns, hardness, owner_of
from align.records import Question, Response


@dataclass(frozen=True)
class Said:
    """A text that may become a rejected side.

    `source` is `own:<model>`, `other:<model>`, or who composed it.
    """

    text: str
    source: str
    key: str | None = None  # of its row in the ledger; None for a text that no model said


@dataclass
class Shelf:
    """Responses to the questions, without repetitions, the own model's and the others' apart."""

    own: dict[str, list[Said]] = field(default_factory=lambda: defaultdict(list))
    other: dict[str, list[Said]] = field(default_factory=lambda: defaultdict(list))

    def add(self, question_id: str, said: Said, own: bool) -> bool:
        """False, and nothing is added, when the question has the same text already."""
        if any(said.text == known.text for known in self.of(question_id)):
            return False
        (self.own if own else self.other)[question_id].append(said)
        return True

    def of(self, question_id: str) -> list[Said]:
        """All of a question's, by turns, the own model's first."""
        return by_turns(*self.sides(question_id))

    def sides(self, question_id: str) -> tuple[list[Said], list[Said]]:
        return self.own.get(question_id, []), self.other.get(question_id, [])

    def entries(self) -> Iterator[tuple[str, Said]]:
        """Every entry with its question's id."""
        for side in (self.own, self.other):
            for question_id, entries in side.items():
                yield from ((question_id, entry) for entry in entries)


@dataclass
class SortedResponses:
    """Shelves, and what was counted while they were filled.

    `dishonest` has, for every question with a usable response of any model, how many of them were dishonest
    and how many there were.
    """

    inventions: Shelf = field(default_factory=Shelf)
    refusals: Shelf = field(default_factory=Shelf)
    wrong: Shelf = field(default_factory=Shelf)
    seen: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    dishonest: dict[str, tuple[int, int]] = field(default_factory=dict)
    graded: int = 0  # answers of which it is known whether they are right


def sort_responses(
    questions: Mapping[str, Question],
    responses: Sequence[Response],
    *,
    refused: Say,
    correct: Say | None,
    policy: Policy,
    ledger: Ledger,
) -> SortedResponses:
    """Put every response on its shelf, or into the ledger with the reason why it is none.

    Raises `ValueError` if it isn't clear which model is the own one (`align.data.policies.owner_of`).
    """
    result = SortedResponses()
    keys = ledger.open("responses", (f"{r.question_id}/{r.model}/{r.sample_index}" for r in responses))
    own = owner_of(responses, policy)
    # By content, so that the order in which a file was written does not change what is drawn.
    rows = sorted(
        zip(responses, keys, strict=True),
        key=lambda row: (row[0].question_id, row[0].model, row[0].sample_index, row[0].text or ""),
    )
    result.counts["given"] = len(rows)
    for response, key in rows:
        question = questions.get(response.question_id)
        reason = _place(question, response, key, result, refused, correct, own(response), policy)
        if reason is not None:
            ledger.leave_out("responses", key, reason)
    return result


def _place(
    question: Question | None,
    response: Response,
    key: str,
    result: SortedResponses,
    refused: Say,
    correct: Say | None,
    own: bool,
    policy: Policy,
) -> str | None:
    """Shelve one response. Returns the reason when it can't be a rejected side."""
    if question is None:
        result.counts["about other questions"] += 1
        return "about a question that is not built from"
    result.seen.add(question.id)
    if response.text is None:
        result.counts["failed"] += 1
        return "the call failed"
    if not response.text.strip():
        result.counts["empty"] += 1
        return "empty"
    text = response.text.strip()
    declined = refused(question, text)
    if declined is None:
        result.counts["undecided"] += 1
        return "undecided whether it is a refusal"
    result.counts["refusals" if declined else "answers"] += 1
    right = correct(question, text) if correct is not None and question.answerable and not declined else None
    result.graded += right is not None
    wrong = right is False
    dishonest = declined or wrong if question.answerable else not declined
    bad, total = result.dishonest.get(question.id, (0, 0))
    result.dishonest[question.id] = (bad + dishonest, total + 1)
    usable = policy.rejected == "both" or (policy.rejected == "own") == own
    if usable and declined:
        result.declined.add(question.id)
    if not dishonest:
        return "honest: " + ("an answer" if question.answerable else "a refusal")
    if not usable:
        return f"of another model than rejected={policy.rejected} takes"
    if wrong and not policy.own_wrong:
        return "a wrong answer, and own_wrong is 0"
    shelf = result.wrong if wrong else result.refusals if declined else result.inventions
    said = Said(text, f"{'own' if own else 'other'}:{response.model}", key)
    return None if shelf.add(question.id, said, own) else "the same text as another response to the question"


def hardness_of(
    questions: Sequence[Question], responses: Sequence[Response], refused: Say, correct: Say | None = None
) -> dict[str, float]:
    """How hard each question is (`align.data.policies.hardness`)."""
    by_id = {question.id: question for question in questions}
    counts: dict[str, tuple[int, int]] = {}
    for response in responses:
        question = by_id.get(response.question_id)
        if question is None or not (response.text or "").strip():
            continue
        text = (response.text or "").strip()
        declined = refused(question, text)
        if declined is not None:
            wrong = (
                correct is not None
                and question.answerable
                and not declined
                and correct(question, text) is False
            )
            bad, total = counts.get(question.id, (0, 0))
            counts[question.id] = (bad + (wrong or declined == question.answerable), total + 1)
    return hardness(counts)
