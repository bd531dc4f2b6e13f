"""The chosen side of a question: from a file of honest answers where there is one, else composed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from align.data.compose import honest_answer
from align.data.ledger import Ledger
from align.data.policies import MissingAnswers
from align.records import DataError, HonestAnswer, Problem, Question

ENOUGH = "its question has enough rows (per_question)"


@dataclass(frozen=True)
class Chosen:
    """One text to prefer. `key` is its row in the ledger, None for a text that was composed here."""

    text: str
    source: str
    key: str | None = None


class ChosenSides:
    """What a model should say to each question.

    Args:
        questions: those that are built from, by id.
        answers: the rows of a file of honest answers, several for a question by choice; None composes all.
        missing: for unanswerable questions that `answers` lacks. An answerable one that it lacks is always
            given its gold answer, since a file of honest answers may hold refusals alone.
        ledger: is told which answers can't be used.

    Raises:
        DataError: an answer is only white space.
        ValueError: `missing` without `answers`.
    """

    def __init__(
        self,
        questions: Mapping[str, Question],
        answers: Sequence[HonestAnswer] | None,
        missing: MissingAnswers,
        ledger: Ledger,
    ) -> None:
        if answers is None and missing != "leave_out":
            raise ValueError(
                f"missing_answers={missing} is for questions that answers=FILE lacks: give the file"
            )
        self._missing = missing
        self._given = answers is not None
        self._answers: dict[str, list[Chosen]] = defaultdict(list)
        rows = answers or ()
        keys = ledger.open("answers", (row.question_id for row in rows)) if self._given else []
        # By content, so that the order of the file does not change what is drawn.
        for row, key in sorted(zip(rows, keys, strict=True), key=lambda row: _content(row[0])):
            if row.question_id not in questions:
                ledger.leave_out("answers", key, "about a question that is not built from")
                continue
            of_question, text = self._answers[row.question_id], row.text.strip()
            if not text:
                raise DataError(
                    [
                        Problem(
                            file="answers",
                            field="text",
                            row_id=row.question_id,
                            message="is only white space",
                        )
                    ]
                )
            if any(text == known.text for known in of_question):
                ledger.leave_out("answers", key, "the same text as another answer to the question")
                continue
            of_question.append(Chosen(text, row.source, key))

    def missing(self, question: Question) -> bool:
        """True for a question that must be left out, because it has no answer and none is to be composed."""
        return (
            self._given
            and not question.answerable
            and self._missing == "leave_out"
            and question.id not in self._answers
        )

    def write(self, question: Question, rng: random.Random, index: int = 0) -> Chosen:
        """The text for the question's pair number `index`; several given answers are used in turn.

        Raises `ValueError` for an answerable question with neither a given nor a gold answer.
        """
        given = self._answers.get(question.id)
        if given:
            return given[index % len(given)]
        return Chosen(*honest_answer(question, rng))

    def available(self, question: Question) -> int:
        """How many different answers were given to the question."""
        return len(self._answers.get(question.id, ()))

    def explain_unused(self, used: Iterable[str], reasons: Mapping[str, str], ledger: Ledger) -> None:
        """Give every answer that the output does not hold a reason; `reasons` are by question id."""
        taken = set(used)
        for question_id, entries in self._answers.items():
            for entry in entries:
                if entry.key is not None and entry.key not in taken:
                    ledger.leave_out("answers", entry.key, reasons.get(question_id, ENOUGH))


def _content(row: HonestAnswer) -> tuple[str, str, str]:
    return row.question_id, row.text.strip(), row.source
