"""Who said what of which response: people and judges alike, brought together by response."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from align.judging.labels import Place, place_of
from align.records import DataError, Problem, Verdict

FIELDS = ("refused", "rationality", "helpfulness", "correct")
Value = bool | int | float
CONSENSUS = "people"


@dataclass(frozen=True)
class Said:
    """What one rater said of one response; None: nothing. `asked` is false where its verdict made a question
    moot (a reason is rated of refusals only)."""

    refused: Value | None = None
    rationality: Value | None = None
    helpfulness: Value | None = None
    correct: Value | None = None
    text_digest: str | None = None
    model_digest: str | None = None

    def asked(self, name: str) -> bool:
        if name == "rationality":
            return self.refused is not False
        return self.refused is not True if name == "correct" else True


@dataclass
class Rater:
    """One judge, or one person. `source` is the file, or None for a judge that was run now."""

    name: str
    said: dict[Place, Said] = field(default_factory=dict)
    digest: str | None = None
    source: str | None = None


def raters_in(verdicts: Iterable[Verdict], source: str, name: str | None = None) -> list[Rater]:
    """The raters of a file, in the order in which they occur.

    `name` is the rater's where the file holds one, and stands before the judges' names where it holds
    several. Raises `DataError` for two verdicts of one judge on one response, or two judges of one name.
    """
    found: dict[str, Rater] = {}
    problems: list[Problem] = []
    for verdict in verdicts:
        first = verdict.judge not in found
        rater = found.setdefault(
            verdict.judge, Rater(verdict.judge, digest=verdict.judge_digest, source=source)
        )
        if not first and rater.digest != verdict.judge_digest:
            text = (
                f"verdicts of {verdict.judge} by different models or prompts ({rater.digest} and "
                f"{verdict.judge_digest}): two judges need two names"
            )
            raise DataError([Problem(file=source, field="judge_digest", message=text)])
        place = place_of(verdict)
        if place in rater.said:
            text = f"{verdict.judge} has two verdicts on sample {place[2]} of {place[1]}: remove one"
            problems.append(Problem(file=source, row_id=verdict.question_id, message=text))
        rater.said[place] = Said(
            **{each: getattr(verdict, each) for each in FIELDS},
            text_digest=verdict.text_digest,
            model_digest=verdict.model_digest,
        )
    if problems:
        raise DataError(problems)
    raters = list(found.values())
    if name is not None:
        for rater in raters:
            rater.name = name if len(raters) == 1 else f"{name}/{rater.name}"
    return raters


def require_unique(raters: Sequence[Rater]) -> None:
    """Raise `ValueError` if two raters have one name."""
    twice = [name for name, count in Counter(rater.name for rater in raters).items() if count > 1]
    if twice:
        sources = [rater.source or "the judge that is run" for rater in raters if rater.name == twice[0]]
        raise ValueError(
            f"{twice[0]!r} is the name of several judges ({', '.join(sources)}): name the files, "
            "verdicts='{old: FILE, new: FILE}'"
        )


def consensus(people: Sequence[Rater]) -> Rater:
    """Several people as one: the majority of those who judged a response, and the median of their marks.

    Without a majority (a tie) there is no label; a mark is of those who agree with the majority. People who
    labelled different texts in one place have no consensus there.
    """
    joined = Rater(CONSENSUS, source=", ".join(dict.fromkeys(p.source or "" for p in people)))
    for place in dict.fromkeys(place for person in people for place in person.said):
        there = [person.said[place] for person in people if place in person.said]
        if len({said.text_digest for said in there if said.text_digest}) > 1:
            continue
        refused = _majority([said.refused for said in there])
        agreed = [said for said in there if said.refused == refused and refused is not None]
        joined.said[place] = Said(
            refused=refused,
            rationality=_median(said.rationality for said in agreed),
            helpfulness=_median(said.helpfulness for said in there),
            correct=_majority([said.correct for said in agreed]),
            text_digest=next((said.text_digest for said in there if said.text_digest), None),
            model_digest=next((said.model_digest for said in there if said.model_digest), None),
        )
    return joined


def same_response(a: Said, b: Said) -> bool:
    """Not so where both name a text, or both name weights, that differ: it was sampled anew in between."""
    return all(
        x is None or y is None or x == y
        for x, y in ((a.text_digest, b.text_digest), (a.model_digest, b.model_digest))
    )


def _majority(values: Sequence[Value | None]) -> Value | None:
    given = Counter(value for value in values if value is not None)
    ranked = given.most_common(2)
    return ranked[0][0] if ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1]) else None


def _median(values: Iterable[Value | None]) -> float | None:
    given = [value for value in values if value is not None]
    return median(given) if given else None
