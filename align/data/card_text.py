"""`DATA_CARD.md` from the figures of `data_card.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BAR = 24


def card_text(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole card, a section for each file of rows."""
    parts = [
        "# Data card",
        "Written by the builders of training rows, one section a file. `data_card.json` has the figures.",
    ]
    for name, section in files.items():
        parts += _section(name, section)
    return "\n\n".join(parts) + "\n"


def _section(name: str, section: Mapping[str, Any]) -> list[str]:
    parts = [
        f"## {name}",
        f"{section['rows']:,} {section['form']} on {section['questions']:,} questions and "
        f"{section['images']:,} images. SHA-256 `{section['sha256']}`.",
    ]
    if section["changed_since"]:
        parts.append("**The file was changed after this section was written: what follows may not hold.**")
    parts += ["### Sources and licences", _sources(section["sources"])]
    for source in section["sources"]:
        if source["restricted"]:
            parts.append(
                f"**Restricted: {source['rows']:,} rows are from {_plain(source['source'])} under "
                f"{_plain(source['license'])}. What is trained on them may not be free to use.**"
            )
    parts += ["### Kinds and categories", _table(("kind", "rows"), section["kinds"].items())]
    parts.append(_table(("category", "rows"), section["categories"].items()))
    parts.append("### Who wrote it")
    for side, writers in section["written_by"].items():
        parts.append(_table((f"{side} by", "texts"), writers.items()))
    if section["judge"]:
        parts.append(f"Which responses are refusals: {_plain(section['judge'])}.")
    if section["answer_judges"]:
        judges = ", ".join(f"{_plain(judge)} ({n:,})" for judge, n in section["answer_judges"].items())
        parts.append(f"Honest answers given, by the judge that checked them: {judges}.")
    parts.append("### Lengths, in words")
    if section["length_bias"]:
        parts.append(_length_bias(section["length_bias"]))
        parts.append(
            "AUC: the chance that a chosen text is longer than a rejected one, both drawn at random: 0.5 "
            "where length tells nothing. Intervals: 95 %, whole questions resampled."
        )
    bound = section["length_bound"]
    if bound:
        parts.append(
            f"max_length_auc={bound['bound']}: the AUC went from {bound['auc_before']:.3f} to "
            f"{bound['auc_after']:.3f}, the pairs from {bound['rows_before']:,} to {bound['rows_after']:,}; "
            f"{bound['set_aside']:,} were set aside."
        )
    parts += [_histogram(side, bins) for side, bins in section["lengths"].items()]
    parts.append("### Openings (first four words)")
    parts += [_openings(side, facts) for side, facts in section["openings"].items()]
    parts += ["### What became of the input", _inputs_used(section["inputs_used"])]
    parts += [f"- {_plain(note)}" for note in section["notes"]]
    parts.append("### Known limits")
    parts.append(
        "\n".join(f"- {_plain(limit)}" for limit in section["limits"]) or "None that the figures show."
    )
    parts.append("### How it was made")
    parts.append(f"```sh\n{section['command']}\n```")
    digests = [
        (name, f"`{facts['path']}`", f"`{facts['sha256']}`") for name, facts in section["inputs"].items()
    ]
    parts.append(_table(("input", "file", "SHA-256"), digests))
    return parts


def _sources(sources: Sequence[Mapping[str, Any]]) -> str:
    return _table(("source", "licence", "rows"), [(s["source"], s["license"], s["rows"]) for s in sources])


def _length_bias(parts: Mapping[str, Mapping[str, Any]]) -> str:
    return _table(
        ("pairs", "n", "chosen minus rejected, mean", "chosen longer", "AUC of length"),
        [
            (
                name,
                bias["pairs"],
                f"{bias['mean_difference']:+.1f}",
                f"{bias['chosen_longer']:.0%}",
                f"{bias['auc']:.3f} ({bias['low']:.3f}-{bias['high']:.3f})",
            )
            for name, bias in parts.items()
        ],
    )


def _histogram(side: str, bins: Sequence[Mapping[str, Any]]) -> str:
    most = max((entry["texts"] for entry in bins), default=0)
    lines = [f"{side}"]
    for entry in bins:
        label = f"{entry['from']}+" if entry["below"] is None else f"{entry['from']}-{entry['below'] - 1}"
        bar = "█" * -(-_BAR * entry["texts"] // most) if most else ""
        lines.append(f"{label:>7}  {bar:<{_BAR}}  {entry['texts']:,}".rstrip())
    return "```text\n" + "\n".join(lines) + "\n```"


def _openings(side: str, facts: Mapping[str, Any]) -> str:
    head = (
        f"{side}: {facts['distinct']:,} different openings in {facts['texts']:,} texts, "
        f"entropy {facts['entropy_bits']:.2f} bits."
    )
    return f"{head}\n\n" + _table(("opening", "texts"), facts["most_frequent"].items())


def _inputs_used(inputs: Mapping[str, Mapping[str, int]]) -> str:
    rows = [(name, what, count) for name, counts in inputs.items() for what, count in counts.items()]
    return _table(("input", "rows", "number"), rows)


def _table(head: Sequence[str], rows: Any) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        lines.append(
            "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else _plain(cell) for cell in row) + " |"
        )
    return "\n".join(lines)


def _plain(text: object) -> str:
    """A text from the data, which may neither end a table's cell nor be read as HTML."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
