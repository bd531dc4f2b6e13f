"""The corruption benchmark: the questions of an honesty task, with images that are harder and harder to see.

    inspect eval align/corruption -T of='{"task": "miniworld"}' --model align/tiny_vlm --max-connections 512

An honest model declines more when it sees less. Every question is asked under every condition, and each
condition is tested against `raw` on the same questions.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, cast

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import Content, ContentImage, ContentText
from inspect_ai.scorer import Metric, SampleScore, Value, metric
from inspect_ai.solver import Generate, Solver, TaskState, solver

from align.calling.pictures import data_uri
from align.evaluation.corruption import (
    NO_IMAGE,
    RAW,
    SEVERITIES,
    Condition,
    CorruptionError,
    UnreadableImage,
    corrupt,
    make_conditions,
)
from align.evaluation.corruption_results import summarize_corruption
from align.evaluation.progress import answer
from align.evaluation.scorers import graded_of, honesty, question_of
from align.evaluation.tasks import registered

__all__ = ["corruption", "summarize_corruption"]

QUESTIONS = 1000
"""As many as in the paper."""

_AT_ONCE = min(8, max(2, (os.cpu_count() or 1) // 2))
"""Images that are corrupted at the same time: more would take the cores from the model. Each holds about 14
bytes a pixel, 160 MiB for 12 million pixels."""


@task(name=registered("corruption"))
def corruption(
    of: Mapping[str, Any],
    kinds: Sequence[str] = tuple(SEVERITIES),
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    blank: bool = True,
    no_image: bool = True,
    limit: int | None = QUESTIONS,
) -> Task:
    """The questions of the honesty task `of`, at most `limit` of them, under every condition.

    `of` holds the honesty task (`task`: its name) and its settings, but for `limit`. The questions are those
    that the honesty task itself would ask at this limit: with as many questions, more images give narrower
    intervals than more questions an image. The condition `raw` is always among them.

    Raises `CorruptionError` for settings that there are not, and what the honesty task raises.
    """
    conditions = make_conditions(kinds, severities, blank=blank, no_image=no_image)
    base = _honesty_task(of, limit)
    root = (base.metadata or {})["data_root"]
    # The questions come by length, for the batches. No batch can hold rows with and without an image.
    with_image = [condition for condition in conditions if condition.kind != NO_IMAGE]
    without = [condition for condition in conditions if condition.kind == NO_IMAGE]
    asked = [(sample, question_of(sample.metadata or {}).question) for sample in base.dataset]
    samples = [
        _sample(sample, question, condition)
        for group in (with_image, without)
        for sample, question in asked
        for condition in group
    ]
    return Task(
        dataset=MemoryDataset(samples),
        solver=[look(root), answer()],
        scorer=base.scorer,
        metrics=[honesty_on_raw()],
        metadata={**(base.metadata or {}), "conditions": [condition.name for condition in conditions]},
    )


def _honesty_task(of: Mapping[str, Any], limit: int | None) -> Task:
    from align.evaluation.kinds import HONESTY

    settings = dict(of)
    name = settings.pop("task", None)
    if name not in HONESTY:
        raise CorruptionError(f"of.task is {name!r}: choose from {', '.join(HONESTY)}")
    if settings.pop("limit", None) is not None:
        raise CorruptionError(f"of.limit is {of['limit']}: set `limit` of the corruption task itself")
    parameters = signature(HONESTY[name]).parameters
    wrong = [f"of.{setting} is not a setting of it" for setting in settings if setting not in parameters]
    wrong += [
        f"of.{p.name} must be given"
        for p in parameters.values()
        if p.default is p.empty and p.name not in settings
    ]
    if wrong:
        raise CorruptionError(f"of.task is {name}, and {', '.join(wrong)}")
    return HONESTY[name](**settings, limit=limit)


def _sample(sample: Sample, question: str, condition: Condition) -> Sample:
    """The question under a condition. The image comes with the solver, so that none waits in memory."""
    return Sample(
        id=f"{sample.id}@{condition.name}",
        input=question,
        target=sample.target,
        metadata={**(sample.metadata or {}), "condition": condition.name},
    )


@solver
def look(root: str) -> Solver:
    """Put the question's image before it, as the sample's condition leaves it.

    A sample whose image can't be read fails.
    """
    limiter: CapacityLimiter | None = None

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        nonlocal limiter
        limiter = limiter or CapacityLimiter(_AT_ONCE)
        question, condition = question_of(state.metadata), Condition.parse(state.metadata["condition"])
        text = ContentText(text=question.question)
        content: list[Content] = [text]
        if condition.kind != NO_IMAGE:
            file = Path(root).absolute() / question.image
            image = await run_sync(picture, file, condition, limiter=limiter)
            content = [ContentImage(image=image), text]
        state.user_prompt.content = content
        return state

    return solve


def picture(file: Path, condition: Condition) -> str:
    """The image of a file under a condition, as a `data:` address; `raw` is the file's own bytes.

    Raises `UnreadableImage`, which names the file, for one that is missing or no whole image.
    """
    try:
        if condition.kind == RAW:
            return data_uri(file)
        data = base64.b64encode(corrupt(file.read_bytes(), condition)).decode()
    except (OSError, UnreadableImage) as error:
        raise UnreadableImage(f"{file}: {error}") from error
    return f"data:image/png;base64,{data}"


@metric
def honesty_on_raw() -> Metric:
    """The honesty task's own rates, over the samples whose image is as it was."""
    rates = cast(Callable[[list[SampleScore]], Value], honesty())

    def compute(scores: list[SampleScore]) -> Value:
        return rates([s for s in scores if graded_of(s.score).condition == RAW])

    return compute
