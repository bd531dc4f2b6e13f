"""Who says what a response is, for the builders: functions of its text, or the verdicts of a judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from align.data.compose import world_of
from align.data.ledger import Ledger
from align.records import DataError, Problem, Question, Response, Verdict, digest_of_text

Judge = Callable[[Question, str], bool | None]
"""Something said about a response to a question: True, False, or None when it can't be told."""


class ResponseJudge(Protocol):
    """Says of a response whether it is a refusal, and whether it is a right answer. None: can't be told."""

    tells_correct: bool

    def refused(self, question: Question, response: Response) -> bool | None: ...
    def correct(self, question: Question, response: Response) -> bool | None: ...


class ByText:
    """Judges by functions of question and text: rules, or the miniature world's grader."""

    def __init__(self, refused: Judge, correct: Judge | None = None) -> None:
        self._refused, self._correct = refused, correct
        self.tells_correct = correct is not None

    def refused(self, question: Question, response: Response) -> bool | None:
        return self._refused(question, (response.text or "").strip())

    def correct(self, question: Question, response: Response) -> bool | None:
        return None if self._correct is None else self._correct(question, (response.text or "").strip())


class ByVerdicts:
    """Looks responses up among verdicts. None where there is no verdict on this text, or the judge failed.

    Args:
        verdicts: of one judge, or of several if `judge` names the one that counts.
        judge: its name, or its digest where one name stands for several.

    Raises:
        ValueError: it isn't clear whose verdicts count.
        DataError: two verdicts of the judge on one response that differ.
    """

    def __init__(self, verdicts: Sequence[Verdict], judge: str | None = None) -> None:
        self._all = verdicts
        self._counting = _of_judge(verdicts, judge)
        self._wanted = judge
        self.name = self._counting[0].judge if self._counting else "a file without verdicts"
        self.tells_correct = any(verdict.correct is not None for verdict in self._counting)
        self._by_response: dict[tuple[str, str, int], list[Verdict]] = defaultdict(list)
        for verdict in self._counting:
            self._by_response[verdict.question_id, verdict.model, verdict.sample_index].append(verdict)

    def refused(self, question: Question, response: Response) -> bool | None:
        verdict = self._find(response)
        return None if verdict is None else verdict.refused

    def correct(self, question: Question, response: Response) -> bool | None:
        verdict = self._find(response)
        return None if verdict is None else verdict.correct

    def account(self, responses: Sequence[Response], ledger: Ledger) -> None:
        """Write into the ledger which verdicts were looked up, and why the others were not."""
        there = {(r.question_id, r.model, r.sample_index) for r in responses}
        used_ones = {id(v) for response in responses for v in self._on(response)}
        counting = set(map(id, self._counting))
        names = (f"{v.question_id}/{v.model}/{v.sample_index}/{v.judge}" for v in self._all)
        used = []
        for verdict, key in zip(self._all, ledger.open("verdicts", names), strict=True):
            if id(verdict) in used_ones:
                used.append(key)
            elif id(verdict) not in counting:
                ledger.leave_out("verdicts", key, f"of another judge than judge={self._wanted}")
            elif (verdict.question_id, verdict.model, verdict.sample_index) in there:
                ledger.leave_out("verdicts", key, "on another text or model than the response's")
            else:
                ledger.leave_out("verdicts", key, "no such response")
        ledger.settle("verdicts", used)

    def _on(self, response: Response) -> list[Verdict]:
        """The verdicts on exactly this response: a response that was sampled anew is another one."""
        digest = digest_of_text(response.text or "")
        return [
            verdict
            for verdict in self._by_response.get(
                (response.question_id, response.model, response.sample_index), ()
            )
            if verdict.text_digest in (None, digest)
            and (
                None in (verdict.model_digest, response.model_digest)
                or verdict.model_digest == response.model_digest
            )
        ]

    def _find(self, response: Response) -> Verdict | None:
        found = self._on(response)
        if len({(verdict.refused, verdict.correct) for verdict in found}) > 1:
            message = (
                f"verdicts of {self.name} on sample {response.sample_index} of {response.model} that differ"
            )
            problem = Problem(file="verdicts", field="refused", row_id=response.question_id, message=message)
            raise DataError([problem])
        return found[0] if found else None


def judge_name(questions: Sequence[Question], verdicts: ByVerdicts | None) -> str:
    """Who says which responses are refusals, for the data card."""
    if verdicts is not None:
        return verdicts.name
    if questions and all(world_of(question) is not None for question in questions):
        return "the miniature world's grader, which knows the scenes"
    return "rules (align.judging.rules)"


def _of_judge(verdicts: Sequence[Verdict], judge: str | None) -> list[Verdict]:
    known = sorted({(verdict.judge, verdict.judge_digest or "") for verdict in verdicts})
    listed = ", ".join(f"{name} ({digest})" if digest else name for name, digest in known) or "none"
    wanted = [(name, digest) for name, digest in known if judge in (None, name, digest)]
    if judge is not None and not wanted:
        raise ValueError(f"no verdict of judge={judge}: there are of {listed}")
    if len(wanted) > 1:
        raise ValueError(
            f"the verdicts are of {len(wanted)} judges: {listed}. Name one with judge=..., by its digest "
            "where the name stands for several"
        )
    return [verdict for verdict in verdicts if (verdict.judge, verdict.judge_digest or "") in wanted]
