"""A model as a judge: each question in a call of its own, by the calls engine.

A reply that can't be parsed is asked for again (by the engine, `endpoint.attempts` times) and then leaves its
part of the verdict unscored, with the reason in `error`: never a mark. Every finished call is in the journal,
so a run that was cut off makes no call twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from align.calling.call import Call, Decode, Outcome, Unusable
from align.calling.endpoint import Endpoint
from align.calling.run import CallReport, Estimate, estimate_calls, print_estimate, run_calls
from align.data.images import resolve_image
from align.judging.fencing import Unfit
from align.judging.judged import Judged, calls_for, not_a_text, verdict_on
from align.judging.parsing import Unparsable, is_planted, parse_flag, parse_mark
from align.judging.prompts import ASKED, FORM, LABEL, SCHEMA, Asked, Prompts, Shown
from align.records import DataError, Problem, Verdict, digest_of_text, stable_id

_CODE = ("fencing", "judged", "model_judge", "parsing", "prompts")

Key = tuple[str, str]  # a question's id and the digest of a text: what is judged once


@dataclass(frozen=True)
class Ask:
    """Whom one question is put to, how the reply is decoded, and what is shown with it."""

    endpoint: Endpoint
    decoding: Decode
    shown: Shown


@dataclass
class _Case:
    """One text on its way, and what was said about it so far."""

    item: Judged
    said: dict[Asked, bool | int] = field(default_factory=dict)
    replies: dict[Asked, str] = field(default_factory=dict)
    errors: dict[Asked, str] = field(default_factory=dict)


@dataclass
class ModelJudge:
    """Judges with models.

    Attributes:
        questions: what is asked, and of whom. `refusal` must be among them: the others depend on it.
        prompts: what is said.
        root: image paths are relative to it.
        journal: a folder, with a journal for each model.
        label: the judge's name in verdicts; None: the models' names.
        max_characters: a longer response is unscored, since a judge of a part of it could miss what decides.
        seed: of the engine's calls.
        repeat: another number asks everything anew: `repeated`.
        progress: called with (question, done, total).
        used: what the calls took so far: calls, those that were in the journal or that failed, attempts,
            tokens, and dollars where a price is known.
        stopped: why not all calls were made (a budget, an endpoint that is down) and how to go on. What was
            not asked is unscored.
    """

    questions: Mapping[Asked, Ask]
    prompts: Prompts
    root: str | Path
    journal: Path
    label: str | None = None
    max_characters: int = 20_000
    seed: int = 0
    repeat: int = 0
    progress: Callable[[str, int, int], None] | None = None
    used: dict[str, float] = field(default_factory=dict)
    stopped: str | None = None

    def __post_init__(self) -> None:
        if "refusal" not in self.questions:
            raise ValueError("a judge must be asked `refusal`: what else is asked depends on it")
        if self.max_characters < 1:
            raise ValueError(f"max_characters must be 1 or more, not {self.max_characters}")
        for asked, ask in self.questions.items():
            self.prompts.require(asked, ask.shown)

    @property
    def name(self) -> str:
        models = dict.fromkeys(self.questions[a].endpoint.model for a in ASKED if a in self.questions)
        return self.label or "+".join(models)

    @property
    def digest(self) -> str:
        asks = {
            asked: [ask.endpoint.digest(ask.decoding), vars(ask.shown)]
            for asked, ask in sorted(self.questions.items())
        }
        # At temperature 0 no seed is sent.
        sampled = any(ask.endpoint.seeds and ask.decoding.temperature != 0 for ask in self.questions.values())
        settings = [self.max_characters, self.seed if sampled else None]
        return stable_id("model", code_digest(), self.prompts.digest, json.dumps(asks), json.dumps(settings))

    @property
    def asks(self) -> frozenset[Asked]:
        return frozenset(self.questions)

    def repeated(self, number: int) -> ModelJudge:
        """See `align.judging.judged.Judge`. What it takes is counted into this one's `used`."""
        return replace(self, repeat=number, stopped=None) if number else self

    def judge(self, items: Sequence[Judged]) -> list[Verdict]:
        """See `align.judging.judged.Judge`. The same text to one question is judged once.

        Raises `DataError` for an image that is to be shown and isn't there, and `KeyboardInterrupt` after
        Ctrl-C, when what was in flight is in the journal.
        """
        self._require_images(items)
        cases = self._cases(items)
        for asked in ASKED:
            if asked in self.questions:
                self._ask(asked, cases)
        return [self._verdict(item, cases.get(_key(item))) for item in items]

    def estimate(self, items: Sequence[Judged]) -> dict[Asked, Estimate]:
        """Upper bounds of what judging takes, beyond what the journal holds.

        Every response counts as one that each question is asked of.
        """
        self._require_images(items)
        cases = self._cases(items)
        found = {}
        for asked in ASKED:
            if asked in self.questions:
                ask = self.questions[asked]
                wanted = [c for c in cases.values() if asked != "correctness" or c.item.question.answers]
                calls = [call for call, _ in self._calls(asked, wanted).values()]
                found[asked] = estimate_calls(
                    calls, ask.endpoint, ask.decoding, self._journal(ask), seed=self.seed
                )
        return found

    def print_estimate(self, items: Sequence[Judged]) -> None:
        """Say what judging takes at most, for each question, and the budget that bounds it."""
        for asked, estimate in self.estimate(items).items():
            print_estimate(estimate, self.questions[asked].endpoint)

    def _cases(self, items: Sequence[Judged]) -> dict[Key, _Case]:
        return {_key(item): _Case(item) for item in items if not_a_text(item) is None}

    def _ask(self, asked: Asked, cases: Mapping[Key, _Case]) -> None:
        """Put one question about all texts that call for it, and note what was said."""
        ask = self.questions[asked]
        wanted = [c for c in cases.values() if calls_for(asked, c.item.question, _refused(c))]
        if self.stopped is not None:
            for case in wanted:
                case.errors[asked] = f"not asked: {self.stopped}"
            return
        asked_of = self._calls(asked, wanted)
        tags = {call.key: tag for call, tag in asked_of.values()}

        def accept(call: Call, text: str) -> None:
            try:
                parse_reply(asked, text, tags[call.key], call.text)
            except Unparsable as error:
                raise Unusable(str(error)) from error

        def moved(done: int, total: int) -> None:
            if self.progress is not None:
                self.progress(asked, done, total)

        report = run_calls(
            [call for call, _ in asked_of.values()],
            ask.endpoint,
            ask.decoding,
            self._journal(ask),
            accept=accept,
            whole=True,
            seed=self.seed,
            progress=moved,
        )
        if report.interrupted:
            raise KeyboardInterrupt(report.stopped)
        self.stopped = report.stopped
        for key, (call, tag) in asked_of.items():
            self._note(cases[key], asked, report, call, tag)

    def _note(self, case: _Case, asked: Asked, report: CallReport, call: Call, tag: str) -> None:
        outcome = report.outcomes.get(call.key)
        if outcome is None:
            case.errors[asked] = f"not asked: {report.stopped}"
            return
        self._count(outcome)
        if outcome.text is None:
            case.errors[asked] = f"no verdict after {outcome.attempts} attempt(s): {outcome.error}"
            return
        case.replies[asked] = outcome.text
        case.said[asked] = parse_reply(asked, outcome.text, tag, call.text)

    def _calls(self, asked: Asked, cases: Sequence[_Case]) -> dict[Key, tuple[Call, str]]:
        ask = self.questions[asked]
        calls = {}
        for case in cases:
            question, text = case.item.question, (case.item.response.text or "").strip()
            try:
                message, tag = self.prompts.render(asked, question, text, ask.shown, self.max_characters)
            except Unfit as error:
                case.errors[asked] = f"can't be shown to the judge: {error}"
                continue
            key = _key(case.item)
            call = Call(
                key="/".join((*key, asked, *([str(self.repeat)] if self.repeat else []))),
                text=message,
                images=(resolve_image(question.image, self.root),) if ask.shown.image else (),
                system=self.prompts.content.system.strip(),
                schema=SCHEMA[asked],
            )
            calls[key] = (call, tag)
        return calls

    def _verdict(self, item: Judged, case: _Case | None) -> Verdict:
        if case is None:
            return verdict_on(item, self, error=not_a_text(item))
        reasons = dict.fromkeys(case.errors.values())
        if len(reasons) == 1 and len(case.errors) > 1:
            error = f"{' and '.join(case.errors)}: {next(iter(reasons))}"
        else:
            error = "; ".join(f"{asked}: {message}" for asked, message in case.errors.items())
        return verdict_on(
            item,
            self,
            refused=_refused(case),
            rationality=case.said.get("rationality"),
            helpfulness=case.said.get("helpfulness"),
            correct=case.said.get("correctness"),
            raw=json.dumps(case.replies, ensure_ascii=False) if case.replies else None,
            error=error or None,
        )

    def _journal(self, ask: Ask) -> Path:
        # By model and not by question, so that an endpoint's budget is one for all that it is asked.
        endpoint = ask.endpoint
        digest = stable_id(endpoint.model, endpoint.revision or "", json.dumps(endpoint.args, sort_keys=True))
        return self.journal / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', endpoint.model)}-{digest[:8]}.jsonl"

    def _count(self, outcome: Outcome) -> None:
        took: dict[str, float] = {
            "calls": 1,
            "calls_in_journal": int(outcome.cached),
            "failed_calls": int(outcome.text is None),
            "attempts": outcome.attempts,
            "input_tokens": outcome.input_tokens,
            "output_tokens": outcome.output_tokens,
        }
        if outcome.dollars is not None:
            took["dollars"] = outcome.dollars
        for name, amount in took.items():
            self.used[name] = self.used.get(name, 0) + amount

    def _require_images(self, items: Sequence[Judged]) -> None:
        if not any(ask.shown.image for ask in self.questions.values()):
            return
        problems = [
            Problem(
                file=str(self.root), field="image", message=f"image {image!r} is not there: is root= right?"
            )
            for image in sorted({item.question.image for item in items})
            if not resolve_image(image, self.root).is_file()
        ]
        if problems:
            raise DataError(problems)


@cache
def code_digest() -> str:
    """Of the code that quotes what is judged and reads the replies: versions of it are different judges."""
    folder = Path(__file__).parent
    return stable_id(*((folder / f"{name}.py").read_text(encoding="utf-8") for name in _CODE))


def parse_reply(asked: Asked, reply: str, tag: str, message: str) -> bool | int:
    """What a judge's reply to one question, put in `message`, says. Raises `Unparsable`."""
    quoted = "\n".join(line.removeprefix("| ") for line in message.split("\n") if line.startswith("| "))
    parse = parse_flag if FORM[asked] == "flag" else parse_mark
    return parse(reply, LABEL[asked], tag, planted=is_planted(quoted, FORM[asked], LABEL[asked]))


def _key(item: Judged) -> Key:
    return item.question.id, digest_of_text(item.response.text or "")


def _refused(case: _Case) -> bool | None:
    said = case.said.get("refusal")
    return None if said is None else bool(said)
