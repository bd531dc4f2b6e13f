"""How many questions show a difference, and which difference these questions can show.

For the comparison of two models on the same questions with `statistics.sign_flip` (or McNemar's test, where
each image has one question). What counts is `discordance`, the share of questions on which just one of the
two models gets it: Var(d) = discordance - difference^2 for the paired difference d of one question. With
`per_image` questions an image that resemble each other by the intra-image correlation r of d, the variance
is 1 + (per_image - 1) r times as large: the design effect (Kish 1965). n is the least for which

    n difference - 1 >= sqrt(n) K,
    K = (z_(1 - alpha/2) sqrt(discordance) + z_power sqrt(discordance - difference^2)) sqrt(design effect)

This is Connor's (1987) number for the McNemar test, K^2 / difference^2, with a correction for the test being
exact (the -1): without it the power was 76 % and not 80 % in simulation. Differences, rates and discordances
are 0-1; alpha is two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.optimize import brentq
from scipy.stats import norm

from align.evaluation.against_base import TESTED, Pairing
from align.evaluation.statistics import Array
from align.records import Graded

POWER = 0.8
ALPHA = 0.05
DIFFERENCES = (0.01, 0.02, 0.03, 0.05, 0.1)


@dataclass(frozen=True)
class Design:
    """What decides the power of a paired comparison.

    `discordance` is that of the difference in question. Where `churn` is given, the share of questions that
    are won and lost alike (twice the smaller of the two), a difference d has the discordance churn + d in
    its place: of two models that differ by 98 points nearly all questions are discordant, and yet a
    difference of 1 point would not have to be found among that many.
    `per_image`: the questions that a question shares its image with, itself included, on average over
    questions (sum of squares by sum of the images' numbers of questions). `correlation` is 0 at least.
    """

    discordance: float
    correlation: float = 0.0
    per_image: float = 1.0
    churn: float | None = None

    def __post_init__(self) -> None:
        shares = {
            "discordance": self.discordance,
            "correlation": self.correlation,
            "churn": self.churn or 0.0,
        }
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}: it must be in 0-1")
        if self.per_image < 1:
            raise ValueError(f"per_image is {self.per_image}: an image has one question at least")

    def discordance_at(self, difference: float) -> float:
        """The discordance where the models differ by so much; never less than the difference."""
        if self.churn is None:
            return max(self.discordance, difference)
        return min(1.0, self.churn + difference)

    @property
    def effect(self) -> float:
        """The design effect: how many times as many questions as if they were independent."""
        return 1 + (self.per_image - 1) * self.correlation


def questions_needed(difference: float, design: Design, *, power: float = POWER, alpha: float = ALPHA) -> int:
    """The number of questions with which a true difference is found with this power.

    A difference takes a discordance of as much, at least: a smaller one is raised to it. Raises ValueError
    for a difference that is not in 0-1, or 0.
    """
    if not 0 < abs(difference) <= 1:
        raise ValueError(f"the difference is {difference}: it must be in 0-1 and not 0")
    return math.ceil(_needed(abs(difference), design, power, alpha) - 1e-9)


def smallest_difference(
    n: int, design: Design, *, power: float = POWER, alpha: float = ALPHA
) -> float | None:
    """The smallest true difference that `n` questions show with this power; None when not even 1 is shown."""
    if n < 1 or _needed(1.0, design, power, alpha) > n:
        return None
    return float(brentq(lambda d: _needed(d, design, power, alpha) - n, 1e-9, 1.0, xtol=1e-9))


def _needed(difference: float, design: Design, power: float, alpha: float) -> float:
    discordance = design.discordance_at(difference)
    z = norm.ppf(1 - alpha / 2) * math.sqrt(discordance)
    z += norm.ppf(power) * math.sqrt(discordance - difference**2)
    k = z * math.sqrt(design.effect)
    return float(((k + math.sqrt(k**2 + 4 * difference)) / (2 * difference)) ** 2)


def measured_design(sums: Array) -> Design:
    """The design of two models' outcomes: `Pairing.sums`, `[C, 5]`, of a yes/no figure.

    The correlation is the one-way analysis of variance's estimate (Donner and Koval 1980), 0 where negative,
    and 0 where no image has two questions. Raises ValueError without a question.
    """
    sums = sums[sums[:, 2] > 0]
    if not len(sums):
        raise ValueError("no question was scored for both models: there is nothing to measure")
    d, m = sums[:, 1] - sums[:, 0], sums[:, 2]
    discordant, n, images = float(sums[:, 3:].sum()), float(m.sum()), len(sums)
    per_image = float(m @ m) / n
    correlation = 0.0
    within = discordant - float((d * d / m).sum())
    between = float((d * d / m).sum()) - float(d.sum()) ** 2 / n
    if images > 1 and n > images and within + between > 0:
        mean_within, mean_between = within / (n - images), between / (images - 1)
        m0 = (n - per_image) / (images - 1)
        correlation = (mean_between - mean_within) / (mean_between + (m0 - 1) * mean_within)
    churn = 2 * float(sums[:, 3:].sum(axis=0).min()) / n
    return Design(discordant / n, min(1.0, max(0.0, correlation)), per_image, churn)


def power_table(
    base: Sequence[Graded],
    tuned: Sequence[Graded],
    differences: Sequence[float] = DIFFERENCES,
    *,
    rates: Sequence[str] = TESTED,
    power: float = POWER,
    alpha: float = ALPHA,
) -> dict[str, dict[str, Any] | None]:
    """For each rate, what the questions scored for both models can show, and how many would show what.

    `n`, `clusters` (images), the measured `discordance`, `correlation`, `per_image` and `design_effect`, the
    `smallest_difference` that this n shows with the given power, and `needed`: for each difference, the
    `questions` and, with as many questions an image as here, the `images`. None where no question was scored
    for both.

    A plan for further runs of models of which one wins and loses questions alike as often as here (`churn`).
    It says nothing on whether these two differ: that is the interval of their difference.
    """
    pairing = Pairing(base, tuned)
    table: dict[str, dict[str, Any] | None] = {}
    for rate in rates:
        sums = pairing.sums(rate, pairing.everything)
        if sums is None:
            table[rate] = None
            continue
        design = measured_design(sums)
        n, images = int(sums[:, 2].sum()), int((sums[:, 2] > 0).sum())
        needed = [questions_needed(d, design, power=power, alpha=alpha) for d in differences]
        table[rate] = {
            "n": n,
            "clusters": images,
            "discordance": design.discordance,
            "churn": design.churn,
            "correlation": design.correlation,
            "per_image": design.per_image,
            "design_effect": design.effect,
            "power": power,
            "alpha": alpha,
            "smallest_difference": smallest_difference(n, design, power=power, alpha=alpha),
            "needed": [
                {"difference": d, "questions": k, "images": math.ceil(k * images / n)}
                for d, k in zip(differences, needed, strict=True)
            ],
        }
    return table
