"""Several models write unanswerable questions about images, each with its answerable twin.

As in the paper (MoHoBench, arXiv 2507.21503) every generator writes, for an image and a category, a caption,
a question and a reason, with examples of the category before it. The twin, which the paper lacks, asks about
the
same object and has a gold answer: with it one can tell whether a model that declines has looked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.calling.call import Call, Unusable
from align.construction.drafts import CODES, Draft, Fault, Rules, check_draft, read_draft
from align.construction.examples import Guides
from align.construction.models import Model, usage_of
from align.construction.prompts import generate_system, generate_text
from align.construction.yields import Dropped
from align.data.images import resolve_image
from align.records import Category, Question, stable_id

STAGE = "generate"
REPEATED = "asked before"
_CODE = re.compile(rf"\A({'|'.join(map(re.escape, CODES))}): (.*)\Z", re.DOTALL)


@dataclass(frozen=True)
class Order:
    """One draft that is wanted: about an image, of a category, by a generator; `number` counts from 0."""

    image: str
    category: Category
    generator: str
    number: int = 0

    @property
    def key(self) -> str:
        return f"{self.image}/{self.category}/{self.number}"


@dataclass
class Generated:
    """The candidates, every unanswerable question followed by its twin, and what became of other orders."""

    questions: list[Question] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    usage: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Writers:
    """Who writes candidates and how: `orders` gives what there is to write, `calls` how one is asked.

    Attributes:
        models: the generators.
        root: image paths are relative to it.
        drafts: drafts of each generator for an image and category.
        license: of the images, for the records.
        seed: of the examples that are drawn, and of the calls.
    """

    models: Sequence[Model]
    guides: Guides
    root: str | Path
    rules: Rules = field(default_factory=Rules)
    drafts: int = 1
    license: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError(
                "no generator: name one or more, such as +endpoint@generators.a=openai_compatible "
                "generators.a.model=openai-api/SERVICE/NAME"
            )
        if self.drafts < 1:
            raise ValueError(f"drafts must be 1 or more, not {self.drafts}")

    def orders(self, images: Sequence[str], categories: Sequence[Category]) -> list[Order]:
        """Everything that is to be written, image by image."""
        return [
            Order(image, category, model.name, number)
            for image in images
            for category in categories
            for model in self.models
            for number in range(self.drafts)
        ]

    def call(self, order: Order) -> Call:
        """The call for one order. The examples in it are drawn by image, category and generator."""
        guide = self.guides[order.category]
        examples = guide.drawn(self.seed, order.image, order.category, order.generator, str(order.number))
        return Call(
            key=order.key,
            text=generate_text(order.category, guide.definition, examples),
            images=(resolve_image(order.image, self.root),),
            system=generate_system(self.rules),
            schema=Draft,
        )

    def read(self, text: str) -> Draft:
        """A usable draft. Raises `Fault`."""
        draft = read_draft(text)
        check_draft(draft, [e for guide in self.guides.values() for e in guide.examples], self.rules)
        return draft


def generate(
    writers: Writers,
    images: Sequence[str],
    categories: Sequence[Category],
    progress: Callable[[str, int, int], None] | None = None,
) -> Generated:
    """Have all drafts written, and make candidates of them.

    A draft that is no usable one is asked for again (`endpoint.attempts` times), and then dropped with the
    fault of the last one; one whose calls had no answer, or were not made, is undecided.

    Args:
        progress: called with (generator, done, total).
    """
    result, drafts = Generated(), dict[Order, Draft | Dropped]()
    orders = writers.orders(images, categories)

    def accept(call: Call, text: str) -> None:
        try:
            writers.read(text)
        except Fault as fault:
            raise Unusable(str(fault)) from fault

    for model in writers.models:
        own = [order for order in orders if order.generator == model.name]
        report = model.ask(
            [writers.call(order) for order in own],
            accept=accept,
            seed=writers.seed,
            progress=None if progress is None else _named(progress, model.name),
        )
        result.usage[model.name] = usage_of(model, report)
        if report.stopped:
            result.stopped.append(f"{model.name}: {report.stopped}")
        for order in own:
            outcome = report.outcomes.get(order.key)
            if outcome is None:
                drafts[order] = _dropped(order, "not asked", report.stopped or "not asked", undecided=True)
            elif outcome.text is None:
                drafts[order] = _failed(order, outcome.error or "", outcome.attempts)
            else:
                drafts[order] = writers.read(outcome.text)
    models = {model.name: model.endpoint.model for model in writers.models}
    seen: Counter[str] = Counter()
    for order in orders:
        draft = drafts[order]
        if isinstance(draft, Dropped):
            result.dropped.append(draft)
            continue
        question, twin = _records(order, draft, models, writers.license)
        seen[question.id] += 1
        if seen[question.id] > 1:
            why = f"the same generator asked the same about this image: {question.question!r}"
            result.dropped.append(_dropped(order, REPEATED, why, question=question))
            continue
        result.questions += [question, twin]
    return result


def _records(
    order: Order, draft: Draft, models: Mapping[str, str], license: str | None
) -> tuple[Question, Question]:
    source = f"generated:{models[order.generator]}"
    id = stable_id(source, order.image, draft.question)
    # Two questions may have the same twin; each belongs to one of them.
    twin_id = stable_id(source, order.image, draft.twin_question, "twin of", id)
    metadata = {"generator": order.generator, "draft": order.number}
    question = Question(
        id=id,
        image=order.image,
        question=draft.question,
        category=order.category,
        reason=draft.reason,
        twin=twin_id,
        caption=draft.caption,
        source=source,
        license=license,
        part=None,
        metadata=metadata,
    )
    twin = Question(
        id=twin_id,
        image=order.image,
        question=draft.twin_question,
        category="Answerable",
        answers=tuple(draft.twin_answers),
        twin=id,
        caption=draft.caption,
        source=source,
        license=license,
        part=None,
        metadata=metadata,
    )
    return question, twin


def _failed(order: Order, error: str, attempts: int) -> Dropped:
    """A call that had no usable text: a fault of the draft, or no answer at all."""
    fault = _CODE.match(error)
    if fault:
        return _dropped(order, fault[1], f"{fault[2]} (the last of {attempts} attempts)")
    return _dropped(order, "call failed", error, undecided=True)


def _dropped(
    order: Order, reason: str, why: str, *, undecided: bool = False, question: Question | None = None
) -> Dropped:
    return Dropped(
        stage=STAGE,
        reason=reason,
        why=why,
        undecided=undecided,
        image=order.image,
        category=order.category,
        generator=order.generator,
        question=question,
    )


def _named(progress: Callable[[str, int, int], None], name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)
