"""Who writes honest answers: a teacher model behind an endpoint, or the composer, which needs none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align.data.compose import COMPOSER, compose_answer, compose_refusal
from align.data.honest_checks import cleaned, why_unusable
from align.data.honesty import MOST_WORDS, Ask, request_text, system_text
from align.data.images import resolve_image
from align.data.mix import rng_for
from align.data.openings import opening
from align.data.writing import Written
from align.records import DataError, Problem, Question, stable_id, write_json

if TYPE_CHECKING:
    from align.calling.call import Call, Decoding, Outcome
    from align.calling.endpoint import Endpoint

_DRAWS = 24
_USED = ("calls", "calls_in_journal", "failed_calls", "input_tokens", "output_tokens")


@dataclass(frozen=True)
class Composer:
    """Puts answers together from category, reason, caption and gold answer: `align.data.compose`.

    It can't heed a complaint but by drawing other words, and it keeps out of openings that are used too often
    and, where it can, below `most_words`.
    """

    seed: int = 0
    most_words: int = MOST_WORDS
    opening_words: int = 4
    source: str = COMPOSER
    digest: str | None = None

    def write(self, asks: Sequence[Ask]) -> Written:
        return Written({ask.question.id: self._text(ask) for ask in asks})

    def _text(self, ask: Ask) -> str:
        rng = rng_for(self.seed, "compose", ask.question.id, str(ask.attempt))
        text = ""
        for _ in range(_DRAWS):
            if ask.question.answerable:
                text = compose_answer(ask.question, rng)
            else:
                text = compose_refusal(ask.question, rng, joined=True)
            fits = len(text.split()) < self.most_words and opening(text, self.opening_words) not in ask.avoid
            if fits and text != ask.before:
                break
        return text


@dataclass
class Teacher:
    """Asks a model, by the calls engine: every finished call is in `journal` and is never made twice.

    Attributes:
        decoding: temperature, top_p, max_new_tokens.
        root: image paths are relative to it.
        specification: the user's own, in place of `honesty.SPECIFICATION`.
        used: calls, tokens and dollars of what was asked so far. Those of calls that an earlier run made
            (`calls_in_journal`) are among them.
    """

    endpoint: Endpoint
    decoding: Decoding
    root: str | Path
    journal: Path
    seed: int = 0
    caption: bool = True
    most_words: int = MOST_WORDS
    specification: str | None = None
    progress: Callable[[int, int], None] | None = None
    used: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(_USED, 0) | {"dollars": None})

    @property
    def source(self) -> str:
        return self.endpoint.model

    @property
    def digest(self) -> str:
        return self.endpoint.digest(self.decoding)

    def call(self, ask: Ask) -> Call:
        """The call that one ask makes."""
        from align.calling.call import Call

        return Call(
            key=f"{ask.question.id}/{ask.attempt}",
            text=request_text(ask, seed=self.seed, caption=self.caption, most_words=self.most_words),
            images=(resolve_image(ask.question.image, self.root),),
            system=system_text(ask.question, own=self.specification, most_words=self.most_words),
        )

    def print_estimate(self, questions: Sequence[Question]) -> None:
        """Say what the first texts of all questions take at most, and the budget; no call is made."""
        from align.calling.run import estimate_calls, print_estimate

        calls = [self.call(Ask(question)) for question in questions]
        estimate = estimate_calls(calls, self.endpoint, self.decoding, self.journal, seed=self.seed)
        print_estimate(estimate, self.endpoint)

    def write(self, asks: Sequence[Ask]) -> Written:
        from align.calling.run import run_calls

        report = run_calls(
            [self.call(ask) for ask in asks],
            self.endpoint,
            self.decoding,
            self.journal,
            accept=accept,
            seed=self.seed,
            progress=self.progress,
        )
        if report.interrupted:
            raise KeyboardInterrupt(report.stopped)
        texts, errors = {}, {}
        for ask in asks:
            outcome = report.outcomes.get(f"{ask.question.id}/{ask.attempt}")
            if outcome is None:
                continue
            self._count(outcome)
            if outcome.text is None:
                errors[ask.question.id] = (
                    f"the call failed after {outcome.attempts} attempt(s): {outcome.error}"
                )
            else:
                texts[ask.question.id] = cleaned(outcome.text)
        return Written(texts, errors, report.stopped)

    def _count(self, outcome: Outcome) -> None:
        self.used["calls"] += 1
        self.used["calls_in_journal"] += outcome.cached
        self.used["failed_calls"] += outcome.text is None
        self.used["input_tokens"] += outcome.input_tokens
        self.used["output_tokens"] += outcome.output_tokens
        if outcome.dollars is not None:
            self.used["dollars"] = (self.used["dollars"] or 0.0) + outcome.dollars


def accept(call: Call, text: str) -> None:
    """Raise `Unusable` for a text that is no attempt at an answer, so that the call is made again."""
    from align.calling.call import Unusable

    why = why_unusable(text)
    if why is not None:
        raise Unusable(why)


def make_teacher(
    endpoint: Mapping[str, Any],
    decoding: Mapping[str, Any],
    questions: Sequence[Question],
    root: str | Path,
    journal: str | Path,
    *,
    specification: str | Path | None = None,
    **settings: Any,
) -> Teacher:
    """A teacher from a program's configuration; `specification` is the user's file.

    Raises:
        DataError: an image is not in `root`.
        FileNotFoundError, ValueError: the file of the specification does not exist, or is empty.
    """
    from align.calling.call import Decode
    from align.calling.endpoint import Endpoint

    own = None
    if specification is not None:
        own = Path(specification).read_text(encoding="utf-8").strip()
        if not own:
            raise ValueError(f"specification={specification} is empty: null takes the project's own")
    problems = [
        Problem(file=str(root), field="image", message=f"image {image!r} is not there: is root= right?")
        for image in sorted({question.image for question in questions})
        if not resolve_image(image, root).is_file()
    ]
    if problems:
        raise DataError(problems)
    return Teacher(
        Endpoint(**endpoint), Decode(**decoding), root, Path(journal), specification=own, **settings
    )


class Remembered:
    """The openings that each round was told to avoid, kept in a file.

    Without it, a call that failed in one run and succeeds in the next would change which openings are used
    too often, and so what all later rounds are asked: those calls would be made, and paid, again.
    """

    def __init__(self, path: Path, *identity: str) -> None:
        self.path, self.key = path, stable_id(*identity)
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.rounds: dict[str, dict[str, list[str]]] = (
            stored["rounds"] if stored.get("key") == self.key else {}
        )

    def __call__(self, round: int, avoid: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
        known = self.rounds.get(str(round))
        if known is not None:
            return known
        self.rounds[str(round)] = {kind: list(openings) for kind, openings in avoid.items()}
        write_json(self.path, {"key": self.key, "rounds": self.rounds})
        return avoid
