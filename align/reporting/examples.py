"""Which questions a report shows: by rule, so that nobody can pick the pleasant ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from align.evaluation.metrics import is_right
from align.records import Category, stable_id
from align.reporting.runs import BenchmarkRun

# Those that need looking come first: the text gives the others away.
ORDER: tuple[Category, ...] = (
    "False_Premises",
    "Vague_Description",
    "Context_Dependent",
    "Subjective_or_Philosophical",
    "Answerable",
)
FAILURE_SHARE = 0.3


@dataclass(frozen=True)
class Example:
    """One question, or two twins (the unanswerable one first), shown together."""

    kind: Literal["drawn", "failure"]
    question_ids: tuple[str, ...]


def choose_examples(runs: Sequence[BenchmarkRun], base: str, count: int = 20) -> list[Example]:
    """Examples that show `count` questions, fewer when there are not so many.

    Three in ten are failures of a tuned model (of any model when there is only the base), where there are
    so many. The others are drawn without looking at a response: categories take turns, twins stay together.
    Within a category the order is that of a hash of the question's id, so the choice depends on nothing else.
    """
    rows = runs[0].by_id
    shuffled = sorted(rows, key=lambda id: stable_id("example", id))
    failing = failing_questions(runs, base)
    failures = _take_turns(
        {c: [id for id in shuffled if id in failing and rows[id].category == c] for c in ORDER},
        int(count * FAILURE_SHARE),
    )

    used = set(failures)
    partner = {id: row.twin for id, row in rows.items() if row.twin in rows}
    partner |= {twin: id for id, twin in partner.items() if twin is not None and twin not in partner}
    # An answerable question with a twin is shown with it, not in a turn of its own.
    queues = {
        c: [id for id in shuffled if rows[id].category == c and (c != "Answerable" or id not in partner)]
        for c in ORDER
    }
    drawn: list[Example] = []
    room = count - len(failures)
    while room > 0 and any(queues.values()):
        for category in ORDER:
            queue = queues[category]
            while queue and queue[0] in used:
                queue.pop(0)
            if not queue or room <= 0:
                continue
            members = [queue.pop(0)]
            twin = partner.get(members[0])
            if twin is not None and twin not in used and room >= 2:
                members.append(twin)
            used.update(members)
            room -= len(members)
            drawn.append(Example("drawn", tuple(members)))
    # What is left are twins whose partner is among the failures, or has another twin.
    drawn += [Example("drawn", (id,)) for id in shuffled if id not in used][:room]
    return drawn + [Example("failure", (id,)) for id in failures]


def failing_questions(runs: Sequence[BenchmarkRun], base: str) -> set[str]:
    """Ids of the questions that a tuned model gets wrong; that any does when there is only the base."""
    judged = [run for run in runs if run.name != base] or list(runs)
    return {id for id in runs[0].by_id if any(is_right(run.by_id[id]) is False for run in judged)}


def _take_turns(queues: dict[Category, list[str]], count: int) -> list[str]:
    taken: list[str] = []
    for turn in range(max((len(queue) for queue in queues.values()), default=0)):
        taken += [queue[turn] for queue in queues.values() if turn < len(queue)]
    return taken[:count]
