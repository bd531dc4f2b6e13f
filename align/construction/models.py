"""The models that construction asks, by the names that a configuration gives them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.calling.call import Call, Decode, Unusable
from align.calling.endpoint import Endpoint
from align.calling.run import CallReport, estimate_calls, print_estimate, run_calls
from align.judging.judged import Judge
from align.judging.making import make_judge


@dataclass(frozen=True)
class Model:
    """A model to ask. `journal` holds its finished calls of one step: no run makes them again."""

    name: str
    endpoint: Endpoint
    decoding: Decode
    journal: Path

    def ask(
        self,
        calls: Sequence[Call],
        *,
        accept: Callable[[Call, str], None] | None = None,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> CallReport:
        """Make the calls that the journal does not hold.

        Raises `KeyboardInterrupt` after Ctrl-C, when what was in flight is in the journal.
        """
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        report = run_calls(
            calls,
            self.endpoint,
            self.decoding,
            self.journal,
            accept=accept or not_blank,
            seed=seed,
            progress=progress,
        )
        if report.interrupted:
            # Not as an outcome: the next model would be asked although the user wants to stop.
            raise KeyboardInterrupt(f"{self.name}: {report.stopped}")
        return report

    def print_estimate(self, calls: Sequence[Call], seed: int = 0) -> None:
        """Say what the calls that the journal does not hold take at most."""
        estimate = estimate_calls(calls, self.endpoint, self.decoding, self.journal, seed=seed)
        print_estimate(estimate, self.endpoint)


def models_of(
    settings: Mapping[str, Mapping[str, Any]], decoding: Mapping[str, Any], journals: str | Path, step: str
) -> list[Model]:
    """Models from a configuration: an endpoint under each name.

    Args:
        settings: endpoints by name; a `decoding` among an endpoint's settings goes over the common one.
        decoding: temperature, top_p and max_new_tokens for all.
        journals: folder of the journals: `<step>.<name>.jsonl`.

    Raises:
        ValueError: a name that can't be part of a file's name; an endpoint with settings that are not right
            (pydantic's errors name them).
    """
    models = []
    for name, given in settings.items():
        if not re.fullmatch(r"[\w.-]+", str(name)):
            raise ValueError(f"{step}.{name}: a model's name may hold letters, digits, '-', '_' and '.' only")
        endpoint = {key: value for key, value in given.items() if key != "decoding"}
        models.append(
            Model(
                str(name),
                Endpoint(**endpoint),
                Decode(**{**decoding, **(given.get("decoding") or {})}),
                Path(journals) / f"{step}.{name}.jsonl",
            )
        )
    return models


def judge_of_refusals(
    config: Mapping[str, Any], *, root: str | Path, journals: str | Path, seed: int = 0
) -> Judge:
    """A judge (configs/judge/*.yaml) that is asked for refusals only: nothing else is looked at here."""
    return make_judge(_only_refusals(config), root=root, journal=Path(journals) / "judge", seed=seed)


def _only_refusals(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(config)
    if kept.get("asks") is not None:
        kept["asks"] = {asked: ask for asked, ask in kept["asks"].items() if asked == "refusal"}
    if kept.get("members") is not None:
        kept["members"] = {
            name: None if member is None else _only_refusals(member)
            for name, member in kept["members"].items()
        }
    return kept


def not_blank(call: Call, text: str) -> None:
    """Accept any text with something in it. Raises `Unusable`."""
    if not text.strip():
        raise Unusable("the text is empty")


def usage_of(model: Model, report: CallReport) -> dict[str, Any]:
    """What a model was asked and what that took, for a summary."""
    return {
        "model": model.endpoint.model,
        "digest": report.digest,
        **report.counts,
        "tokens": report.tokens,
        "dollars": report.dollars,
        "stopped": report.stopped,
    }
