"""Sampled responses by what they are: what a model made up, where it declined, where it was wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from align.data.compose import world_of
from align.data.ledger import Ledger
from align.data.policies import Policy, by_turns, hardness, owner_of
from align.records import DataError, Problem, Question, Response, Verdict

Judge = Callable[[Question, str], bool | None]
"""Something said about a response to a question: True, False, or None when it can't be told."""

JudgeResponse = Callable[[Question, Response], bool | None]


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
    models: Counter[str] = field(default_factory=Counter)


def sort_responses(
    questions: Mapping[str, Question],
    responses: Sequence[Response],
    *,
    refused: JudgeResponse,
    correct: Judge | None,
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
    refused: JudgeResponse,
    correct: Judge | None,
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
    declined = refused(question, response)
    if declined is None:
        result.counts["undecided"] += 1
        return "undecided whether it is a refusal"
    result.counts["refusals" if declined else "answers"] += 1
    text = response.text.strip()
    wrong = not declined and question.answerable and correct is not None and correct(question, text) is False
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
    result.models[response.model] += 1
    shelf = result.wrong if wrong else result.refusals if declined else result.inventions
    said = Said(text, f"{'own' if own else 'other'}:{response.model}", key)
    return None if shelf.add(question.id, said, own) else "the same text as another response to the question"


def hardness_of(
    questions: Sequence[Question],
    responses: Sequence[Response],
    *,
    refused: Judge,
    verdicts: Sequence[Verdict] | None = None,
    judge: str | None = None,
) -> dict[str, float]:
    """How hard each question is (`align.data.policies.hardness`), by verdicts where they are given."""
    decide = judge_by_text(refused) if verdicts is None else judge_by_verdicts(verdicts, judge)
    by_id = {question.id: question for question in questions}
    counts: dict[str, tuple[int, int]] = {}
    for response in responses:
        question = by_id.get(response.question_id)
        if question is None or not (response.text or "").strip():
            continue
        declined = decide(question, response)
        if declined is not None:
            bad, total = counts.get(question.id, (0, 0))
            counts[question.id] = (bad + (declined == question.answerable), total + 1)
    return hardness(counts)


def judge_by_text(refused: Judge) -> JudgeResponse:
    """A judge that looks at question and text (rules, or the miniature world's grader)."""

    def judge(question: Question, response: Response) -> bool | None:
        return refused(question, (response.text or "").strip())

    return judge


def judge_by_verdicts(verdicts: Sequence[Verdict], judge: str | None = None) -> JudgeResponse:
    """A judge that looks a response up among verdicts. None where there is no verdict, or the judge failed.

    Args:
        verdicts: of one judge, or of several if `judge` names the one that counts.

    Raises:
        ValueError: several judges, and `judge` names none of them.
        DataError: two verdicts of the judge on one response that differ.
    """
    judges = sorted({verdict.judge for verdict in verdicts})
    if judge is None and len(judges) > 1:
        raise ValueError(
            f"the verdicts are of {len(judges)} judges ({', '.join(judges)}): name one with judge=..."
        )
    if judge is not None and judge not in judges:
        raise ValueError(f"no verdict of judge={judge}: there are of {', '.join(judges) or 'none'}")
    known: dict[tuple[str, str, int], bool | None] = {}
    problems = []
    for verdict in verdicts:
        if judge is not None and verdict.judge != judge:
            continue
        key = (verdict.question_id, verdict.model, verdict.sample_index)
        if known.setdefault(key, verdict.refused) != verdict.refused:
            message = (
                f"two verdicts of {verdict.judge} on sample {verdict.sample_index} of {verdict.model}, "
                "and they differ"
            )
            problems.append(
                Problem(file="verdicts", field="refused", row_id=verdict.question_id, message=message)
            )
    if problems:
        raise DataError(problems)

    def look_up(question: Question, response: Response) -> bool | None:
        return known.get((response.question_id, response.model, response.sample_index))

    return look_up


def account_for_verdicts(
    verdicts: Sequence[Verdict], responses: Sequence[Response], ledger: Ledger, judge: str | None = None
) -> None:
    """Write into the ledger which verdicts were looked up, and why the others were not."""
    there = {(r.question_id, r.model, r.sample_index) for r in responses}
    keys = ledger.open(
        "verdicts", (f"{v.question_id}/{v.model}/{v.sample_index}/{v.judge}" for v in verdicts)
    )
    used = []
    for verdict, key in zip(verdicts, keys, strict=True):
        if judge is not None and verdict.judge != judge:
            ledger.leave_out("verdicts", key, f"of another judge than judge={judge}")
        elif (verdict.question_id, verdict.model, verdict.sample_index) not in there:
            ledger.leave_out("verdicts", key, "no such response")
        else:
            used.append(key)
    ledger.settle("verdicts", used)


def judge_name(
    questions: Sequence[Question], verdicts: Sequence[Verdict] | None, judge: str | None = None
) -> str:
    """Who says which responses are refusals, for the data card."""
    if verdicts is not None:
        return judge or next((verdict.judge for verdict in verdicts), "a file without verdicts")
    if questions and all(world_of(question) is not None for question in questions):
        return "the miniature world's grader, which knows the scenes"
    return "rules (align.judging.rules)"
