"""What came out of writing honest answers: the summary that lies beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from align.data.mix import word_lengths
from align.data.openings import diversity
from align.data.writing import Bounds, Writing
from align.records import Question


def summarise(
    writing: Writing, questions: Sequence[Question], bounds: Bounds, usage: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Counts, attempts, lengths, openings, marks, and what was left out and why.

    Args:
        questions: all that were to be answered.
        usage: calls, tokens and dollars of each model that was asked.
    """
    by_id = {question.id: question for question in questions}
    texts: dict[str, list[str]] = {}
    for answer in writing.answers:
        texts.setdefault("answer" if by_id[answer.question_id].answerable else "refuse", []).append(
            answer.text
        )
    marks = [answer.rationality for answer in writing.answers if answer.rationality is not None]
    summary: dict[str, Any] = {
        "questions": len(questions),
        "answers": len(writing.answers),
        "kinds": {kind: len(texts[kind]) for kind in sorted(texts)},
        "categories": dict(sorted(Counter(by_id[a.question_id].category for a in writing.answers).items())),
        "sources": dict(sorted(Counter(answer.source for answer in writing.answers).items())),
        "rounds": writing.rounds,
        "attempts": {str(n): k for n, k in sorted(Counter(a.attempts for a in writing.answers).items())},
        "faults_on_the_way": dict(writing.faults.most_common()),
        "left_out": dict(Counter(row.fault for row in writing.left_out).most_common()),
        "stopped": writing.stopped,
        "words": {kind: word_lengths(texts[kind]) for kind in sorted(texts)},
        "longer_refusal": None,
        "openings": {kind: diversity(texts[kind], bounds.opening_words) for kind in sorted(texts)},
        "judges": dict(sorted(Counter(answer.judge or "none" for answer in writing.answers).items())),
        "rationality": (
            {"mean": round(mean(marks), 2), "counts": {str(n): k for n, k in sorted(Counter(marks).items())}}
            if marks
            else "not judged: this judge gives no mark for the reason"
        ),
        "usage": dict(usage or {}),
    }
    if len(texts) == 2:
        summary["longer_refusal"] = chance_longer(texts["refuse"], texts["answer"])
    return summary


def chance_longer(texts: Sequence[str], others: Sequence[str]) -> float:
    """The chance that one of `texts` has more words than one of `others`, ties counted half.

    At 0.5 length does not tell the two apart; this is the area under the ROC curve (Mann-Whitney U).
    """
    from scipy.stats import mannwhitneyu

    lengths = [[len(text.split()) for text in side] for side in (texts, others)]
    return round(float(mannwhitneyu(*lengths).statistic) / (len(texts) * len(others)), 3)
