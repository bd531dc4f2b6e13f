"""What a benchmark of general ability is: its items, how a response is scored, and its Inspect task.

Every response is read twice. Our parser finds one of four states: the response gives an answer, declines to
(`abstain`), gives nothing that can be read as either (`unparsed`), or does not exist (`failed`). The
benchmark's own rule gives `official`, the figure that papers report. The two part where the official rule
takes a refusal for an answer, which biases a comparison of models that were trained to decline.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import align
from align.evaluation.general.figures import STATES, Figure, common_figures
from align.judging.rules import judge_refusal
from align.records import DataError, Problem, Record, Scored, State, stable_id

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import Score

_GRADING = ("evaluation/general/base.py", "judging/matching.py", "judging/denials.py")


@dataclass(frozen=True)
class Item:
    """One sample: what the model is shown and asked, and what is known of the answer.

    Attributes:
        id: unique in the benchmark.
        image: path relative to the data root; None for a question without an image.
        prompt: the whole text that the model is asked, options included.
        gold: accepted answers; for a multiple-choice question the letters that are right.
        options: letter to text; empty where there are none.
        should_abstain: declining is what is right.
        part: is reported apart, such as a split or a category.
        group, variant: samples of one group count together (rotations of one question); `variant` tells them
            apart.
        facts: what the benchmark's own rule needs beside these, as JSON.
    """

    id: str
    image: str | None
    prompt: str
    gold: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    should_abstain: bool = False
    part: str | None = None
    group: str | None = None
    variant: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Item:
        values = json.loads(text)
        return cls(**values | {"gold": tuple(values["gold"])})


class Benchmark(Protocol):
    """How the responses of one benchmark are scored."""

    @property
    def name(self) -> str:
        """Stands in every row."""

    @property
    def headline(self) -> str:
        """Which figure stands for the benchmark in a table."""

    @property
    def digest(self) -> str:
        """Changes when the code that grades does (`code_digest`)."""

    def grade(self, item: Item, response: str) -> Scored:
        """One response, scored by our rule and by the benchmark's own (`scored_record`)."""

    def figures(self, scored: Sequence[Scored]) -> dict[str, Figure]:
        """The benchmark's own figures, beside or in place of `common_figures`, for all rows or for a part."""


@dataclass(frozen=True)
class GeneralTask:
    """A benchmark with its samples: what a factory of `registry.BENCHMARKS` makes.

    `root` is the folder of the images, `source` the file, folder or hub id that the samples were read from.
    """

    benchmark: Benchmark
    items: tuple[Item, ...]
    problems: tuple[Problem, ...]
    root: str
    source: str

    @property
    def task(self) -> Task:
        """A new Inspect task of the samples."""
        return general_task(self.benchmark, self.items, self.root, self.source)


def scored_record(
    item: Item,
    benchmark: Benchmark,
    response: str | None,
    *,
    state: State,
    parsed: str | None = None,
    score: float | None = None,
    official: float | None = None,
    logprob: float | None = None,
    tokens: int | None = None,
    grader: str | None = None,
    error: str | None = None,
) -> Scored:
    """The scored row of an item.

    `score` is the worth of an answer and must be given for state `answer`; in the other states it follows
    from the state, and giving it is an error.
    """
    if (score is not None) != (state == "answer"):
        raise ValueError(f"state {state!r}: `score` must be given for an answer, and only for one")
    if state == "abstain":
        score = float(item.should_abstain)
    elif state == "unparsed":
        score = 0.0
    return Scored(
        sample_id=item.id,
        benchmark=benchmark.name,
        part=item.part,
        group=item.group,
        variant=item.variant,
        image=item.image,
        prompt=item.prompt,
        gold=item.gold,
        should_abstain=item.should_abstain,
        response=response,
        state=state,
        parsed=parsed,
        score=score,
        official=official,
        logprob=logprob,
        tokens=tokens,
        grader=grader or benchmark.name,
        error=error,
    )


def declines(response: str, question: str | None) -> bool | None:
    """Does the response decline to answer? None where it holds no words, or words without sense."""
    return judge_refusal(response, question).refused


def summarize_general(benchmark: Benchmark, scored: Sequence[Scored]) -> dict[str, Any]:
    """The figures of results.json: `headline`, `figures`, `by_part`, `states`."""
    states: Counter[str] = Counter(row.state for row in scored)
    parts = sorted({row.part for row in scored if row.part is not None})
    return {
        "headline": benchmark.headline,
        "n": len(scored),
        "states": {state: states[state] for state in STATES},
        "figures": _all_figures(benchmark, scored),
        "by_part": {
            part: {"figures": _all_figures(benchmark, [row for row in scored if row.part == part])}
            for part in parts
        },
    }


def _all_figures(benchmark: Benchmark, scored: Sequence[Scored]) -> dict[str, Figure]:
    return common_figures(scored) | benchmark.figures(scored)


def code_digest(*files: str) -> str:
    """Digest of the code that grades: what all benchmarks use, and `files`, relative to `align`."""
    package = Path(align.__file__).parent
    rules = sorted(path.relative_to(package).as_posix() for path in package.glob("judging/*cue*.py"))
    named = [*_GRADING, "judging/rules.py", *rules, *files]
    return stable_id(*((package / name).read_text(encoding="utf-8") for name in named))


def general_task(benchmark: Benchmark, items: Sequence[Item], root: str | Path, source: str | Path) -> Task:
    """The Inspect task of a benchmark: images are paths under `root`, read when a sample starts.

    A sample's metadata has the item as JSON (`record`), `kind` = "general" and `part`. Samples are ordered by
    the length of their prompt, so that batches hold rows of similar length.

    Raises `DataError` without items, or where two have one id.
    """
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset

    from align.evaluation.progress import answer

    _check_items(items, str(source))
    ordered = sorted(items, key=lambda item: len(item.prompt))
    return Task(
        name=benchmark.name,
        dataset=MemoryDataset([_sample(item, root) for item in ordered]),
        solver=answer(),
        scorer=_scorer(benchmark),
        metadata={"questions": str(source), "data_root": str(root)},
    )


def _check_items(items: Sequence[Item], source: str) -> None:
    if not items:
        raise DataError([Problem(file=source, message="there is no sample to ask: every row was left out")])
    twice = [id for id, count in Counter(item.id for item in items).items() if count > 1]
    if twice:
        raise DataError(
            [Problem(file=source, row_id=id, message=f"sample id {id!r} occurs twice") for id in twice]
        )


def _sample(item: Item, root: str | Path) -> Sample:
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageUser, Content, ContentImage, ContentText

    content: list[Content] = [ContentText(text=item.prompt)]
    if item.image is not None:
        content.insert(0, ContentImage(image=str(Path(root).absolute() / item.image)))
    return Sample(
        id=item.id,
        input=[ChatMessageUser(content=content)],
        target=list(item.gold),
        # The item as one string: Inspect copies a sample's metadata many times over.
        metadata={"kind": "general", "part": item.part, "record": item.to_json()},
    )


def _scorer(benchmark: Benchmark) -> Any:
    from inspect_ai.scorer import Target, mean, scorer
    from inspect_ai.solver import TaskState

    from align.evaluation.response_facts import facts_of
    from align.evaluation.response_logprob import response_logprob

    @scorer(metrics=[mean()], name=benchmark.name)
    def general() -> Callable[..., Any]:
        async def score(state: TaskState, target: Target) -> Score:
            graded = benchmark.grade(item_of(state.metadata), state.output.completion)
            logprob, tokens = response_logprob(state.output)
            graded = graded.model_copy(update={"logprob": logprob, "tokens": tokens})
            return to_score(graded, **facts_of(state.output))

        return score

    return general()


def item_of(metadata: dict[str, Any]) -> Item:
    """The item that a sample was made from."""
    return Item.from_json(metadata["record"])


def to_score(scored: Scored, **details: Any) -> Score:
    """A scored row as Inspect's score, which keeps the whole row."""
    from inspect_ai.scorer import Score

    wanted = "should decline" if scored.should_abstain else f"gold: {'; '.join(scored.gold)}"
    return Score(
        value=float(scored.score or 0.0),
        answer=scored.parsed if scored.parsed is not None else scored.response,
        explanation=f"{wanted}; {scored.state}; official: {scored.official}",
        metadata={**details, "graded": one_line(scored)},
    )


def scored_of(score: Score) -> Scored:
    """The scored row that a score was made from."""
    return Scored.model_validate_json((score.metadata or {})["graded"])


def failed_sample(benchmark: Benchmark, sample: Sample, error: str) -> Scored:
    """The row of a sample whose generation failed."""
    item = item_of(sample.metadata or {})
    # Inspect reads the images itself, and its error for a missing one doesn't say which.
    said = error if item.image is None else f"{item.image}: {error}"
    return scored_record(item, benchmark, None, state="failed", grader="none", error=said)


def one_line(record: Record) -> str:
    """JSON without two spaces in a row and without other white space: Inspect's summaries collapse it."""
    text = json.dumps(record.model_dump(mode="json", exclude_none=True), separators=(",", ":"))
    return text.replace("  ", " \\u0020")


def fixed_subset(items: Sequence[Item], limit: int | None, *, by: Literal["image", "group"]) -> list[Item]:
    """At most `limit` items, a fixed pseudo-random subset of whole images (or groups), in the given order.

    Whole images, since a question alone tells less than a question with its neighbours; the last image that
    would not fit whole is left out, and so are those after it, unless nothing would be left: then the first
    items of an image are taken. Of a group they are not, since it would count as if it were whole.

    Raises ValueError for a limit below 1, or of less than one group.
    """
    if limit is None:
        return list(items)
    if limit < 1:
        raise ValueError(f"limit is {limit}: it must be at least 1, or null for all samples")
    members: dict[str, list[Item]] = {}
    for item in items:
        members.setdefault(getattr(item, by) or item.id, []).append(item)
    kept: set[str] = set()
    for label in sorted(members, key=lambda label: (stable_id(label), label)):
        fits = len(kept) + len(members[label]) <= limit
        if by == "group" and not fits and not kept:
            raise ValueError(
                f"limit is {limit}, and {len(members[label])} samples count together (all rotations of a "
                "question, both forms of a pair): give as many at least"
            )
        if fits or not kept:
            kept.update(item.id for item in members[label][:limit])
        if not fits:
            break
    return [item for item in items if item.id in kept]
