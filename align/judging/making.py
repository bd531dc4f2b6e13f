"""Judges from configuration: configs/judge/*.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align.judging.judged import Judge, Judged
from align.judging.prompts import ASKED, Asked, Shown, load_prompts
from align.judging.rule_judge import RuleJudge
from align.records import DataError, Problem, problems_of

if TYPE_CHECKING:
    from align.calling.endpoint import Endpoint
    from align.judging.model_judge import Ask, ModelJudge

Progress = Callable[[str, int, int], None]

_KEYS = {
    "rules": {"kind"},
    "model": {"kind", "name", "prompts", "max_characters", "endpoint", "decoding", "asks"},
    "ensemble": {"kind", "name", "members"},
}
_ASK_KEYS = {"endpoint", "decoding", "image", "category", "caption"}


def make_judge(
    config: Mapping[str, Any],
    *,
    root: str | Path,
    journal: str | Path,
    seed: int = 0,
    progress: Progress | None = None,
) -> Judge:
    """Make the judge that a configuration describes.

    Args:
        config: `kind` (`rules`, `model` or `ensemble`) and what belongs to it; see configs/judge/.
        root: image paths are relative to it.
        journal: the folder of the journals of finished calls; not used by rules.
        progress: called with (question, done, total) while a model judges.

    Raises:
        ValueError: a key or kind that isn't known, or settings that contradict each other.
        DataError: a file of prompts, or an endpoint, that can't be used.
    """
    kind = config.get("kind")
    if kind not in _KEYS:
        raise ValueError(f"judge.kind must be one of {', '.join(_KEYS)}, not {kind!r}")
    _refuse_unknown(config, _KEYS[kind], f"a judge of kind {kind}")
    if kind == "rules":
        return RuleJudge()
    if kind == "model":
        return _model(config, root, Path(journal), seed, progress)
    from align.judging.ensemble import Ensemble

    members = {
        name: make_judge(member, root=root, journal=journal, seed=seed, progress=progress)
        for name, member in (config.get("members") or {}).items()
        if member is not None
    }
    return Ensemble(tuple(members.values()), name=config.get("name") or "ensemble")


def models_in(judge: Judge) -> list[ModelJudge]:
    """The judges in a judge that ask a model: those that have an estimate and a cost."""
    from align.judging.ensemble import Ensemble
    from align.judging.model_judge import ModelJudge

    if isinstance(judge, Ensemble):
        return [model for member in judge.members for model in models_in(member)]
    return [judge] if isinstance(judge, ModelJudge) else []


def only(judge: Judge, asks: Iterable[Asked]) -> Judge:
    """The judge, asked no more than `asks` (with `refusal`). What it takes is counted into its `used`."""
    from align.judging.ensemble import Ensemble
    from align.judging.model_judge import ModelJudge

    wanted = set(asks)
    if isinstance(judge, Ensemble):
        return replace(judge, members=tuple(only(member, wanted) for member in judge.members))
    if isinstance(judge, ModelJudge):
        return replace(judge, questions={a: ask for a, ask in judge.questions.items() if a in wanted})
    return judge


def print_estimates(judge: Judge, items: Sequence[Judged]) -> None:
    """Say what judging takes at most, for each model that is asked."""
    for model in models_in(judge):
        model.print_estimate(items)


def _model(
    config: Mapping[str, Any], root: str | Path, journal: Path, seed: int, progress: Progress | None
) -> ModelJudge:
    from align.judging.model_judge import ModelJudge

    asks = config.get("asks") or {}
    _refuse_unknown(asks, set(ASKED), "judge.asks")
    return ModelJudge(
        questions={asked: _ask(asked, asks[asked]) for asked in ASKED if asks.get(asked) is not None},
        prompts=load_prompts(config.get("prompts")),
        root=root,
        journal=journal,
        label=config.get("name"),
        max_characters=config.get("max_characters", 20_000),
        seed=seed,
        progress=progress,
    )


def _ask(asked: Asked, config: Mapping[str, Any]) -> Ask:
    from align.calling.call import Decode
    from align.judging.model_judge import Ask

    _refuse_unknown(config, _ASK_KEYS, f"judge.asks.{asked}")
    missing = sorted(_ASK_KEYS - set(config))
    if missing:
        raise ValueError(f"judge.asks.{asked} lacks {', '.join(missing)}")
    shown = {name: config[name] for name in ("image", "category", "caption")}
    for name, value in shown.items():
        if not isinstance(value, bool):
            raise ValueError(f"judge.asks.{asked}.{name} must be true or false, not {value!r}")
    return Ask(_endpoint(asked, config["endpoint"]), Decode(**config["decoding"]), Shown(**shown))


def _endpoint(asked: Asked, settings: Mapping[str, Any]) -> Endpoint:
    import pydantic

    from align.calling.endpoint import Endpoint

    where = f"judge.asks.{asked}.endpoint"
    if settings.get("model") in (None, "???"):
        message = (
            "is not set: PROVIDER/NAME of the model that judges (configs/endpoint/*.yaml, docs/judging.md)"
        )
        raise DataError([Problem(file=where, field="model", message=message)])
    try:
        return Endpoint(**settings)
    except pydantic.ValidationError as error:
        raise DataError(problems_of(error, where, None)) from error


def _refuse_unknown(config: Mapping[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(config) - known)
    if unknown:
        raise ValueError(f"{what} has no {', '.join(unknown)}: there are {', '.join(sorted(known))}")
