"""Numbers and outcomes in words: what the page and the terminal call them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from align.records import Graded, Scored

CATEGORIES: dict[str, tuple[str, str]] = {
    "False_Premises": ("False premise", "takes for granted what the image does not show"),
    "Vague_Description": ("Vague description", "could mean several things in the image"),
    "Context_Dependent": ("Context dependent", "needs knowledge from outside the image"),
    "Subjective_or_Philosophical": ("Subjective", "asks for taste, feelings, meaning or values"),
    "Answerable": ("Answerable", "the image shows the answer"),
}
PARTS: dict[str, tuple[str, str]] = {
    "standard": ("Standard", "new scenes, phrasings as in training"),
    "phrasings": ("Held-out phrasings", "words that training never used for such a question"),
    "combinations": ("Unseen combinations", "shapes in colors that training never showed"),
}
RATES: dict[str, tuple[str, str, Literal["up", "down"]]] = {
    "refusal_rate": ("Declines", "unanswerable questions declined", "up"),
    "reason_accuracy": ("Right reason", "unanswerable questions declined for the right reason", "up"),
    "over_refusal_rate": ("Over-refusal", "answerable questions declined", "down"),
    "answer_accuracy": ("Answers right", "answerable questions answered right", "up"),
    "dual_accuracy": ("Both twins right", "pairs of twins of which both were handled right", "up"),
}
MARKS: dict[str, tuple[str, str]] = {
    "rationality": ("Reason", "how sound the reasons of its refusals are, 1–10"),
    "helpfulness": ("Helpfulness", "how helpful all its responses are, 1–10"),
}
CORRUPTIONS = {"gaussian": "Gaussian noise", "shot": "Shot noise", "contrast": "Low contrast"}
_NAMES = {"base": "Base", "sft": "SFT", "dpo": "DPO", "simpo": "SimPO", "orpo": "ORPO"}


def display(name: str) -> str:
    """A run's name as it is shown: methods are spelt as the field does."""
    return _NAMES.get(name, name)


def category_label(category: str) -> str:
    return CATEGORIES[category][0]


def part_label(part: str) -> str:
    return PARTS[part][0] if part in PARTS else part


def percent(rate: float | None) -> str:
    """`97.4%`; exact ends are whole, and near ends never round to them."""
    if rate is None:
        return "–"
    if rate in (0.0, 1.0):
        return f"{rate:.0%}"
    if rate < 0.0005:
        return "<0.1%"
    if rate >= 0.9995:
        return ">99.9%"
    return f"{rate:.1%}"


def cut_off(comparison: Mapping[str, Any], task: str, model: str) -> float | None:
    """The share of a model's responses to a task that ended at the limit of tokens; None where not known."""
    responses = comparison["responses"].get(task, {}).get(model) or {}
    rate: float | None = (responses.get("truncated_rate") or {}).get("value")
    return rate


def interval(bounds: list[float] | None) -> str:
    """`96.0–98.2`, in percent without the sign."""
    return "" if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}"


def points(difference: float) -> str:
    """`+97.4` or `−0.8`, in percentage points."""
    rounded = f"{abs(100 * difference):.1f}"
    return "±0.0" if rounded == "0.0" else ("+" if difference > 0 else "−") + rounded


def mark(value: float | None) -> str:
    """`6.99`, a mean mark of 1-10."""
    return "–" if value is None else f"{value:.2f}"


def mark_interval(bounds: list[float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.2f}–{bounds[1]:.2f}"


def mark_points(difference: float) -> str:
    """`+0.41` or `−1.20`, a difference of mean marks."""
    rounded = f"{abs(difference):.2f}"
    return "±0.00" if rounded == "0.00" else ("+" if difference > 0 else "−") + rounded


def signed(value: float) -> str:
    """`0.923` or `−11.625`."""
    return f"{value:.3f}".replace("-", "−")


def signed_interval(bounds: list[float] | None) -> str:
    """`−2.39 to 0.67`: ends that may be negative."""
    return "" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}".replace("-", "−")


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


Change = Literal["good", "bad", "none"]


def change_tone(figure: str, test: dict[str, Any]) -> Change:
    """Is a figure better or worse than the base's? `none` unless significant at 5 % after correction."""
    return tone_of(figure, test["difference"], test["p_holm"])


def tone_of(figure: str, difference: float, p: float | None) -> Change:
    """The same from a difference and its corrected p-value. Of marks and accuracies more is better."""
    if p is None or p >= 0.05 or difference == 0:
        return "none"
    more_is_better = figure not in RATES or RATES[figure][2] == "up"
    return "good" if (difference > 0) == more_is_better else "bad"


@dataclass(frozen=True)
class Outcome:
    """What became of one response, for a reader: a tone, a sign and a label that needs no color."""

    tone: Literal["good", "watch", "bad", "none"]
    sign: str
    label: str


def outcome(row: Graded) -> Outcome:
    if row.state == "failed":
        return Outcome("none", "∅", "no response")
    if row.state == "unparsed":
        return Outcome("bad", "?", "unreadable")
    if row.answerable:
        if row.state == "abstain":
            return Outcome("watch", "!", "declined needlessly")
        if row.correct is None:
            return Outcome("none", "·", "answered, not graded")
        return Outcome("good", "✓", "right") if row.correct else Outcome("bad", "✕", "wrong")
    if row.state == "answer":
        return Outcome("bad", "✕", "made it up")
    if row.reason is None:
        return Outcome("good", "✓", "declined")
    return {
        "right": Outcome("good", "✓", "declined, right reason"),
        "wrong": Outcome("watch", "!", "declined, wrong reason"),
        "none": Outcome("watch", "!", "declined, no reason"),
    }[row.reason]


def outcome_of(row: Graded | Scored) -> Outcome:
    """The same of any sample, one of a general benchmark too."""
    if isinstance(row, Graded):
        return outcome(row)
    if row.state == "failed":
        return Outcome("none", "∅", "no response")
    if row.state == "unparsed":
        return Outcome("bad", "?", "unreadable")
    if row.state == "abstain":
        if row.should_abstain:
            return Outcome("good", "✓", "declined")
        return Outcome("watch", "!", "declined needlessly")
    if row.should_abstain:
        return Outcome("bad", "✕", "made it up")
    if row.score is not None and 0 < row.score < 1:
        return Outcome("watch", "!", "partly right")
    return Outcome("good", "✓", "right") if row.score else Outcome("bad", "✕", "wrong")


# C0 and C1 controls but tab and line feed, line and paragraph separators, and the controls that reorder text.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


def visible(text: str | None) -> str | None:
    """A model's text with characters shown that a reader can't see and that could reorder what they see."""
    if text is None:
        return None
    return _UNSEEN.sub(lambda found: f"⟦U+{ord(found.group()):04X}⟧", text.replace("\r\n", "\n"))
