"""Which rejected sides a question gets: whose responses, how many, how hard the question, how long the text.

Each policy is one small function. `align.data.pairs` calls them, `configs/build_pairs.yaml` sets them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from align.data.mix import shuffled
from align.records import Response

Whose = Literal["own", "other", "both"]
Order = Literal["random", "hardest_first"]
Length = Literal["any", "closest"]
MissingAnswers = Literal["leave_out", "compose"]

T = TypeVar("T")

COMPOSED_DRAWS = 8
"""Refusals that are composed for an `answer` pair, to take the closest in length from."""


@dataclass(frozen=True)
class Policy:
    """How pairs are made from questions, responses and answers.

    Attributes:
        rejected: whose responses become rejected sides. `own`: of the model that will be trained, so that
            training lowers what it really says (on-policy); `other`: of all other models; `both`: its own
            and the others' by turns, its own first.
        own_model: name, or digest, of the model that will be trained. None takes the only model among the
            responses.
        order: which questions are taken where the ratio has room for fewer than there are. `random`, or
            `hardest_first`: by `hardness`.
        length: which of a question's possible rejected sides is taken. `any`: at random; `closest`: the one
            whose number of words is nearest to the chosen side's.
        max_length_auc: bound on how well length alone tells chosen from rejected, above 0.5 and below 1; see
            `align.data.lengths`. None: no bound.
        own_wrong: share, in 0-1, of `answer` pairs that reject the model's wrong answer in place of a
            refusal, among the questions where it gave one.
        missing_answers: what happens to an unanswerable question that the file of honest answers lacks.
    """

    rejected: Whose = "own"
    own_model: str | None = None
    order: Order = "random"
    length: Length = "any"
    max_length_auc: float | None = None
    own_wrong: float = 0.0
    missing_answers: MissingAnswers = "leave_out"

    def __post_init__(self) -> None:
        for name, value, kind in (
            ("rejected", self.rejected, Whose),
            ("order", self.order, Order),
            ("length", self.length, Length),
            ("missing_answers", self.missing_answers, MissingAnswers),
        ):
            if value not in get_args(kind):
                raise ValueError(f"{name} must be {' or '.join(get_args(kind))}, not {value!r}")
        if self.max_length_auc is not None and not 0.5 < self.max_length_auc < 1:
            raise ValueError(
                "max_length_auc must be above 0.5 (length tells nothing) and below 1, "
                f"not {self.max_length_auc}"
            )
        if not 0 <= self.own_wrong <= 1:
            raise ValueError(f"own_wrong is a share and must be in 0-1, not {self.own_wrong}")


def owner_of(responses: Sequence[Response], policy: Policy) -> Callable[[Response], bool]:
    """The function that says whether a response is the own model's.

    Raises:
        ValueError: several models responded and `own_model` names none; one name stands for several weights;
            or the policy asks for responses of which there is none.
    """
    names = Counter(response.model for response in responses)
    found = ", ".join(f"{name} ({count})" for name, count in sorted(names.items())) or "none"
    wanted = policy.own_model
    if wanted is None:
        if len(names) > 1:
            raise ValueError(
                f"rejected={policy.rejected} needs to know which model will be trained, and the responses "
                f"are of {len(names)}: {found}. Name it with own_model=..."
            )
        wanted = next(iter(names), None)
    by_name = [response for response in responses if response.model == wanted]
    digests = {response.model_digest for response in by_name}
    if len(digests) > 1:
        named = ", ".join(sorted(str(digest) for digest in digests))
        raise ValueError(
            f"{wanted} stands for {len(digests)} different weights among the responses (digests {named}): "
            "give the digest of those that will be trained as own_model=..."
        )

    def own(response: Response) -> bool:
        return response.model == wanted if by_name else response.model_digest == wanted

    n_own = sum(map(own, responses))
    if responses and policy.rejected != "other" and not n_own:
        raise ValueError(
            f"rejected={policy.rejected} and own_model={wanted}, of which there is no response: "
            f"there are of {found}"
        )
    if responses and policy.rejected != "own" and n_own == len(responses):
        raise ValueError(
            f"rejected={policy.rejected} and every response is of {wanted}, the model that will be trained: "
            "give other models' responses too, name another own_model, or set rejected=own"
        )
    return own


def by_turns(own: Sequence[T], other: Sequence[T]) -> list[T]:
    """One of the first, one of the second, and so on; when one is used up, the rest of the other."""
    both = max(len(own), len(other))
    return [side[i] for i in range(both) for side in (own, other) if i < len(side)]


def at_random(own: Sequence[T], other: Sequence[T], count: int, rng: random.Random) -> list[T]:
    """`count` entries at most, without repetition, by turns."""
    drawn = [rng.sample(list(side), min(count, len(side))) for side in (own, other)]
    return by_turns(*drawn)[:count]


def nearest(candidates: Sequence[T], text: Callable[[T], str], chosen: str, key: str) -> T:
    """The candidate whose text is nearest in words to `chosen`; ties by a hash of `key` and the text."""
    return min(candidates, key=lambda c: (gap(text(c), chosen), shuffled(0, f"{key}\x1f{text(c)}")))


def gap(first: str, second: str) -> int:
    """By how many words two texts differ in length."""
    return abs(len(first.split()) - len(second.split()))


def hardness(dishonest: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """How hard each question is, from `{question id: (dishonest responses, all usable responses)}`.

    A question is hard when models get it wrong in this project's sense: they answer what the image cannot
    answer, or decline what it can. So hardness is the share of sampled responses, over all models and samples
    that were given, that were dishonest, by Laplace's rule (d + 1) / (n + 2): nine of ten count for more than
    one of one, and where all questions have equally many responses the order is that of the plain share.
    """
    return {id_: (bad + 1) / (total + 2) for id_, (bad, total) in dishonest.items()}
