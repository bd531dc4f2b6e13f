"""The data card: what is in a file of training rows, where it came from, and what it can't be trusted for.

One card stands in a folder, `data_card.json` for programs and `DATA_CARD.md` for people, with a section for
each file of rows there. A builder rewrites its own section and keeps the others.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from align.data.card_text import card_text
from align.data.compose import COMPOSER, MINIWORLD
from align.data.openings import diversity
from align.records import UNANSWERABLE, HonestAnswer, Pair, Question, SFTRow, atomic_write, write_json
from align.run import content_digest

NOT_STATED = "not stated"
LENGTH_BINS = (0, 5, 10, 15, 20, 30, 40, 60, 80, 120)
"""Lower ends, in words; the last is open."""
_RESTRICTED = re.compile(r"\bnc\b|non.?commercial|research.?(?:only|use|purposes)|\bnd\b|no.?deriv", re.I)

Rows = Sequence[Pair] | Sequence[SFTRow]


@dataclass(frozen=True)
class Origin:
    """Where rows came from, as far as the rows don't say so themselves.

    Attributes:
        questions: that were built from, by id: source and licence of their rows.
        licenses: of sources whose rows state none, by name.
        judge: who said which responses are refusals.
        answers: the honest answers that were given.
        inputs: files, whose digests the card holds.
        command: as it was typed.
        not_compared: images of which only the path was compared with the other splits'.
    """

    questions: Mapping[str, Question]
    licenses: Mapping[str, str] = field(default_factory=dict)
    judge: str | None = None
    answers: Sequence[HonestAnswer] = ()
    inputs: Mapping[str, str | Path] = field(default_factory=dict)
    command: str = ""
    not_compared: int = 0


def card_section(rows: Rows, summary: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Everything that the card says of one file of rows. `summary` is the builder's."""
    sides = {"chosen": "chosen_source", "rejected": "rejected_source"}
    if rows and isinstance(rows[0], SFTRow):
        sides = {"completion": "completion_source"}
    section: dict[str, Any] = {
        "form": "preference pairs" if "rejected" in sides else "supervised rows",
        "rows": len(rows),
        "questions": summary["questions"],
        "images": len({image for row in rows for image in row.images}),
        "kinds": summary["kinds"],
        "categories": summary["categories"],
        "sources": _sources(rows, origin),
        "written_by": summary["sources"],
        "judge": origin.judge,
        "answer_judges": dict(Counter(answer.judge or "none" for answer in origin.answers)),
        "lengths": {side: _length_bins([getattr(row, side) for row in rows]) for side in sides},
        "openings": {side: diversity([getattr(row, side) for row in rows], most=5) for side in sides},
        "length_bias": summary.get("length"),
        "length_bound": summary.get("length_bound"),
        "inputs_used": summary["inputs"],
        "notes": list(summary["notes"]),
        "inputs": {
            name: {"path": str(path), "sha256": content_digest(path)}
            for name, path in sorted(origin.inputs.items())
        },
        "command": origin.command,
    }
    section["limits"] = limits(section, rows, origin)
    return section


def limits(section: Mapping[str, Any], rows: Rows, origin: Origin) -> list[str]:
    """What the data can't be trusted for, in sentences that its own figures give."""
    found: list[str] = []
    total, written = section["rows"], section["written_by"]
    kinds = section["kinds"]
    for side, sources in written.items():
        composed = sources.get(COMPOSER, 0)
        if composed:
            found.append(
                f"{composed / total:.0%} of the {side} texts ({composed}) were put together by rules from "
                "what the questions say, without a model: they are plainer and more alike than a teacher's."
            )
    if "rejected" in written:
        models = {
            source.split(":", 1)[1] for source in written["rejected"] if source.startswith(("own:", "other:"))
        }
        if len(models) == 1:
            found.append(
                f"All dishonest responses are of one model ({models.pop()}): what other models make up is "
                "not covered."
            )
    if kinds.get("refuse") and not kinds.get("answer"):
        found.append(
            "No row teaches to answer what the image does answer"
            + (", but for the general ones" if kinds.get("retain") else "")
            + ": measure over-refusal after training on it."
        )
    if kinds.get("refuse"):
        absent = [category for category in UNANSWERABLE if not section["categories"].get(category)]
        if absent:
            found.append(f"No refuse row is of the category {', '.join(absent)}.")
    for part, bias in (section["length_bias"] or {}).items():
        if not 0.4 <= bias["auc"] <= 0.6 and (part == "all" or len(section["length_bias"]) > 2):
            where = "all pairs together" if part == "all" else f"the {part} pairs alone"
            longer = "longer" if bias["auc"] > 0.5 else "shorter"
            found.append(
                f"In {where} length tells chosen from rejected with an AUC of {bias['auc']:.2f} "
                f"({bias['low']:.2f}-{bias['high']:.2f}): a model may learn to write {longer}."
            )
    for side, facts in section["openings"].items():
        if facts["top_share"] > 0.1:
            top = next(iter(facts["most_frequent"]))
            found.append(f"{facts['top_share']:.0%} of the {side} texts begin with “{top}”.")
    if origin.judge and origin.judge.startswith("rules"):
        found.append(
            "Which responses are refusals was decided by rules that read English, not by a judge model."
        )
    if origin.answers and any(answer.judge is None for answer in origin.answers):
        unjudged = sum(answer.judge is None for answer in origin.answers)
        found.append(f"{unjudged} of {len(origin.answers)} honest answers were not checked by a judge.")
    if origin.not_compared:
        found.append(
            f"{origin.not_compared} images had no file to look at, so whether one is in two splits under two "
            "names was not checked for them: give root=FOLDER."
        )
    stated = [source for source in section["sources"] if source["license"] == NOT_STATED]
    if stated:
        names = ", ".join(sorted({source["source"] for source in stated}))
        found.append(f"No licence is stated for {sum(s['rows'] for s in stated)} rows ({names}).")
    teachers = sorted(
        {source for source in written.get("chosen", written.get("completion", {})) if "/" in source}
    )
    if teachers:
        found.append(
            f"Texts by {', '.join(teachers)}: the provider's terms may restrict training on them; they were "
            "not checked."
        )
    return found


def restricted(license_: str) -> bool:
    """True for a licence that forbids commercial use or derived works."""
    return bool(_RESTRICTED.search(license_))


def write_card(output: str | Path, section: Mapping[str, Any]) -> Path:
    """Put a section for the file `output` into the card of its folder. Returns the path of `DATA_CARD.md`.

    Other sections stay while their file does; one whose file was changed since says so.
    """
    output = Path(output)
    folder = output.parent
    # Two builders may finish at the same time.
    with FileLock(folder / ".data_card.lock"):
        data, path = folder / "data_card.json", folder / "DATA_CARD.md"
        files: dict[str, Any] = json.loads(data.read_text(encoding="utf-8"))["files"] if data.exists() else {}
        files = {name: old for name, old in files.items() if (folder / name).exists()}
        for name, old in files.items():
            old["changed_since"] = content_digest(folder / name) != old["sha256"]
        files[output.name] = {"sha256": content_digest(output), "changed_since": False} | dict(section)
        files = dict(sorted(files.items()))
        write_json(data, {"files": files})
        with atomic_write(path) as stream:
            stream.write(card_text(files))
    return path


def _sources(rows: Rows, origin: Origin) -> list[dict[str, Any]]:
    """Rows by source and licence, the largest first. A general row's source is who wrote its chosen side."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        question = origin.questions.get(row.question_id) if row.kind != "retain" else None
        if question is not None:
            source, license_ = question.source, question.license
        else:
            source, license_ = row.chosen_source if isinstance(row, Pair) else row.completion_source, None
        counts[source, license_ or _license_of(source, origin.licenses)] += 1
    return [
        {"source": source, "license": license_, "rows": count, "restricted": restricted(license_)}
        for (source, license_), count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    ]


def _license_of(source: str, licenses: Mapping[str, str]) -> str:
    if source == MINIWORLD:
        return "Apache-2.0"
    plain = _plain(source)
    return next((text for name, text in licenses.items() if _plain(name) in plain), NOT_STATED)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _length_bins(texts: Sequence[str]) -> list[dict[str, Any]]:
    lengths = [len(text.split()) for text in texts]
    ends = (*LENGTH_BINS[1:], None)
    return [
        {"from": low, "below": high, "texts": sum(low <= n and (high is None or n < high) for n in lengths)}
        for low, high in zip(LENGTH_BINS, ends, strict=True)
    ]
