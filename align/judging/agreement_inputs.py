"""What `evaluate/judge_agreement.py` reads: labels, verdicts, and what is known of each response."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.judging.files import items_to_judge
from align.judging.judged import Judged
from align.judging.labels import NO_IMAGE, Place, place_of, read_labels
from align.judging.raters import Rater, Said, consensus, raters_in, same_response
from align.records import Question, Response, Verdict, digest_of_text, read_records


@dataclass
class Inputs:
    """Raters of the files, how many of them are the labels', and the responses as far as they are known."""

    raters: list[Rater] = field(default_factory=list)
    people: list[Rater] = field(default_factory=list)
    items: list[Judged] = field(default_factory=list)
    facts: dict[Place, dict[str, Any]] = field(default_factory=dict)

    def reference(self, raters: Sequence[Rater], wanted: str | None) -> tuple[Rater, list[Rater]]:
        """Whom the others are measured against, and the others.

        Raises `ValueError` if nobody is called `wanted`, or there is nobody to compare.
        """
        named = {rater.name: rater for rater in raters}
        if len(self.people) > 1:
            joined = consensus(self.people)
            named.setdefault(joined.name, joined)
        if wanted is not None and wanted not in named:
            raise ValueError(f"reference={wanted}: there are {', '.join(named)}")
        if wanted is not None:
            reference = named[wanted]
        elif len(self.people) > 1:
            reference = consensus(self.people)
        else:
            reference = (self.people or raters)[0]
        others = [rater for rater in raters if rater.name != reference.name]
        if not others:
            raise ValueError(
                f"{reference.name} is the only rater: run a judge (judge=rules), or give verdicts=FILE"
            )
        return reference, others


def gather(config: Mapping[str, Any]) -> Inputs:
    """Read what the configuration names.

    Raises `ValueError` for settings that don't go together, `DataError` for what can't be read.
    """
    if (config["questions"] is None) and config["responses"] is not None:
        raise ValueError("responses= needs the questions= that they answer")
    if not config["labels"] and not config["verdicts"]:
        raise ValueError("give labels=FILE (and judge=... or verdicts=FILE), or two files of verdicts")
    if config["passes"] < 1:
        raise ValueError(f"passes must be 1 or more, not {config['passes']}")
    if not config.get("judge") and (config["passes"] > 1 or config["dry_run"]):
        raise ValueError("passes= and dry_run= are of a judge that is run: give judge=...")
    if config.get("judge") and not config["labels"]:
        raise ValueError("judge=... judges the labelled responses: give labels=FILE")
    inputs = Inputs()
    if config["labels"]:
        labels = read_labels(config["labels"])
        inputs.people = raters_in(labels.verdicts, source=str(config["labels"]))
        inputs.items, inputs.facts = labels.items, labels.facts
        inputs.raters += inputs.people
    for name, file in _named(config["verdicts"]):
        inputs.raters += raters_in(read_records(file, Verdict), source=str(file), name=name)
    if config["questions"] is not None and inputs.items:
        raise ValueError(f"questions= does nothing here: {config['labels']} holds the questions itself")
    if config["questions"] is not None:
        questions = read_records(config["questions"], Question)
        if config["responses"] is not None:
            items = items_to_judge(questions, read_records(config["responses"], Response))
            inputs.items = [item for item in items if _labelled(item.response, inputs.people)]
            if config.get("judge") and not inputs.items:
                raise ValueError(f"none of the labels is of a response in {config['responses']}")
        _add_questions(inputs, questions)
    return inputs


def _labelled(response: Response, people: Sequence[Rater]) -> bool:
    """Whether somebody labelled this very text: a response that was sampled anew is another one."""
    own = Said(text_digest=digest_of_text(response.text or ""), model_digest=response.model_digest)
    place = place_of(response)
    return any(place in person.said and same_response(own, person.said[place]) for person in people)


def _add_questions(inputs: Inputs, questions: Sequence[Question]) -> None:
    by_id = {question.id: question for question in questions}
    for rater in inputs.raters:
        for place in rater.said:
            if place[0] in by_id:
                inputs.facts.setdefault(place, {}).update(_of_question(by_id[place[0]]))


def _of_question(question: Question) -> dict[str, Any]:
    cluster = question.question if question.image == NO_IMAGE else question.image
    facts = {
        "category": question.category,
        "cluster": cluster,
        "part": question.part,
        "split": question.split,
    }
    return facts | {"source": question.source}


def facts_of(
    items: Sequence[Judged], facts: Mapping[Place, Mapping[str, Any]]
) -> dict[Place, dict[str, Hashable]]:
    """What responses can be grouped by, and the `cluster` (image, or question) that intervals resample."""
    found = {place: _plain(each) for place, each in facts.items()}
    for item in items:
        place = place_of(item.response)
        known = found.setdefault(place, {})
        known.update({k: v for k, v in _of_question(item.question).items() if k not in known})
        known["model"] = item.response.model
    return found


def _plain(facts: Mapping[str, Any]) -> dict[str, Hashable]:
    return {name: value for name, value in facts.items() if isinstance(value, Hashable) and value is not None}


def grouping(by: Sequence[str] | str | None, facts: Mapping[Place, Mapping[str, Any]]) -> list[str]:
    """The fields to group by. Raises `ValueError` for one that no response has."""
    known = sorted({name for each in facts.values() for name, value in each.items() if value is not None})
    if by is None:
        return ["category"] if "category" in known else []
    wanted = [by] if isinstance(by, str) else list(by)
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"by={name}: no response has that; there are {', '.join(known) or 'none'}. The category is "
                "known where the labels hold the questions, or questions=FILE gives them"
            )
    return wanted


def _named(verdicts: Any) -> list[tuple[str | None, str]]:
    if verdicts is None:
        return []
    if isinstance(verdicts, Mapping):
        return [(str(name), str(file)) for name, file in verdicts.items()]
    return [(None, str(file)) for file in ([verdicts] if isinstance(verdicts, str) else verdicts)]


def sources_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The files that were read, for the run's record."""
    files = {name: config[name] for name in ("labels", "questions", "responses") if config[name]}
    named = _named(config["verdicts"])
    return files | {f"verdicts {name or i}": file for i, (name, file) in enumerate(named, start=1)}


def used_before(raters: Sequence[Rater]) -> dict[str, Any]:
    """What judging took, of judges whose `verdicts.summary.json` beside their verdicts says so."""
    found: dict[str, Any] = {}
    for rater in raters:
        file = Path(rater.source or "").with_suffix(".summary.json") if rater.source else None
        if file is None or not file.is_file():
            continue
        summary = json.loads(file.read_text(encoding="utf-8"))
        if summary.get("judge_digest") == rater.digest and summary.get("used"):
            totals = summary["used"]
            found |= {f"{rater.name}: {model}": took for model, took in totals.items() if took}
    return found
