"""The judge of texts that were just written: what it is asked, and why it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align.judging.judged import Judge
from align.judging.making import models_in


def without_helpfulness(config: Mapping[str, Any]) -> dict[str, Any]:
    """A judge's configuration without the one question that writing has no use for, and would pay for."""
    plain = dict(config)
    if plain.get("asks"):
        plain["asks"] = dict(plain["asks"]) | {"helpfulness": None}
    if plain.get("members"):
        plain["members"] = {
            name: member and without_helpfulness(member) for name, member in plain["members"].items()
        }
    return plain


def why_stopped(judge: Judge) -> str | None:
    """Why a judge's models were not asked everything, such as a budget; None if they were."""
    return next((f"the judge: {model.stopped}" for model in models_in(judge) if model.stopped), None)
