"""Are the intervals and p-values right? Coverage and false-positive rates where the truth is known.

    python benchmarks/statistics_simulation.py                  1,000 runs a case
    python benchmarks/statistics_simulation.py --runs 200       fewer

Draws benchmarks of 30 or 100 images with 1 to 7 questions each, whose outcomes resemble each other within
an image, and asks the functions that the reports use. Of an interval, the share of runs in which it holds
the truth should be 95 %; beside ours are the percentiles of a bootstrap of images and the textbook interval
that takes questions as independent. Of a test, the share of runs with p < 0.05 should be 5 % or less where
two models do not differ. Takes about 8 minutes of one core. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from align.evaluation import statistics as st
from align.evaluation.against_base import alignment_for_honesty, paired_tests
from align.evaluation.bpi import Scores, bpi, bpi_of_rows
from align.evaluation.corrections import holm
from align.evaluation.power import Design, questions_needed
from align.evaluation.reliability import effective_reliability
from align.evaluation.repeats import paired_tests_of_repeats, summarize_repeats
from align.evaluation.risk_coverage import risk_coverage
from align.judging.agreement import correlation_of, counted, kappa_of
from align.records import Graded, write_json
from align.run import hardware, package_versions

Array = NDArray[np.float64]
RESAMPLES = 400
LIKENESS = 0.4
"""Share of the latent variance that an image's questions have in common; where it says `none`, 0."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000, help="simulated benchmarks a case")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a file for the JSON object too")
    options = parser.parse_args()
    start = time.monotonic()
    coverage = [
        measure_coverage(case, options.runs, options.seed)
        for case in coverage_cases()
        if options.only in case.name
    ]
    show("coverage of 95 % intervals", coverage, ("ours", "percentile", "independent"))
    positives = [
        measure_positives(case, options.runs, options.seed)
        for case in null_cases()
        if options.only in case.name
    ]
    show("p < 0.05 where there is no difference", positives, ("p", "p_bootstrap", "p_mcnemar", "p_crossed"))
    powers = [
        measure_power(design, options.runs, options.seed)
        for design in DESIGNS
        if options.only in "difference {:g} at discordance {:g}, {} an image".format(*design)
    ]
    show("power at the number of questions that `power` names for 80 %", powers, ("images", "power"))
    result = {
        "runs": options.runs,
        "resamples": RESAMPLES,
        "coverage": coverage,
        "false_positives": positives,
        "power": powers,
        "seconds": round(time.monotonic() - start, 1),
    }
    result |= {"packages": package_versions(), "hardware": hardware()}
    if options.out:
        write_json(options.out, result)
    print(json.dumps(result))


def show(title: str, records: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    print(f"\n{title}\n{'':58}" + "".join(f"{name:>13}" for name in columns))
    for record in records:
        cells = (record.get(name) for name in columns)
        shown = ("" if cell is None else f"{cell:g}" for cell in cells)
        print(f"{record['case']:58}" + "".join(f"{cell:>13}" for cell in shown), flush=True)


# --- Worlds ----------------------------------------------------------------------------------------------


@dataclass
class World:
    """One benchmark's images: `image` is each question's, `[N]`."""

    rng: np.random.Generator
    images: int
    image: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        sizes = self.rng.integers(1, 8, self.images)
        self.image = np.repeat(np.arange(self.images), sizes)

    @property
    def labels(self) -> list[str]:
        return [f"{i}.png" for i in self.image]

    def latent(self, likeness: float) -> Array:
        """Standard normal, `[N]`; two questions of one image correlate by `likeness`."""
        common = self.rng.standard_normal(self.images)[self.image]
        own = self.rng.standard_normal(self.image.size)
        return np.sqrt(likeness) * common + np.sqrt(1 - likeness) * own

    def outcomes(self, rate: float, likeness: float) -> Array:
        """0/1, `[N]`, each 1 with exactly this probability."""
        return (self.latent(likeness) < norm.ppf(rate)).astype(np.float64)

    def two_models(self, rates: tuple[float, float], shared: float, own: float) -> tuple[Array, Array]:
        """Two models' outcomes: `shared` of the variance is an image's difficulty for both, `own` its
        difficulty for one of them, and a quarter the question's for both."""
        image, question = self.latent(1.0), self.rng.standard_normal(self.image.size)
        both = []
        for rate in rates:
            rest = 1 - shared - own - 0.25
            noise = self.rng.standard_normal(self.image.size)
            z = np.sqrt(shared) * image + np.sqrt(own) * self.latent(1.0)
            z += np.sqrt(0.25) * question + np.sqrt(rest) * noise
            both.append((z < norm.ppf(rate)).astype(np.float64))
        return both[0], both[1]

    def marks(self, shape: Array, likeness: float) -> Array:
        """Marks of 1-10 with the probabilities `shape`, `[10]`."""
        edges = norm.ppf(np.cumsum(shape)[:-1])
        return 1.0 + np.searchsorted(edges, self.latent(likeness))


def row(number: int, image: str, state: str, category: str = "Answerable", **fields: Any) -> Graded:
    """A row that is right by construction: checking each of some ten million takes most of the time."""
    return Graded.model_construct(
        None, question_id=str(number), image=image, question="q", category=category, state=state,
        response="r", grader="simulation", **fields,
    )  # fmt: skip


# --- Coverage --------------------------------------------------------------------------------------------

Interval = Sequence[float] | None


@dataclass(frozen=True)
class Coverage:
    """`draw` gives intervals by method for one world; `truth` is what they should hold."""

    name: str
    truth: float
    images: int
    draw: Callable[[World, int], dict[str, Interval]]


def measure_coverage(case: Coverage, runs: int, seed: int) -> dict[str, Any]:
    """Share of runs in which each method's interval holds the truth, and ours' mean width."""
    hits: dict[str, list[bool]] = {}
    widths, none = [], 0
    for run in range(runs):
        intervals = case.draw(World(np.random.default_rng([seed, run]), case.images), run)
        if intervals["ours"] is None:
            none += 1
            continue
        widths.append(intervals["ours"][1] - intervals["ours"][0])
        for method, interval in intervals.items():
            if interval is not None:
                held = interval[0] - 1e-9 <= case.truth <= interval[1] + 1e-9
                hits.setdefault(method, []).append(held)
    shares = {method: round(float(np.mean(held)), 3) for method, held in hits.items()}
    return {
        "case": f"{case.name}, {case.images} images",
        "truth": round(case.truth, 4),
        **shares,
        "width": round(float(np.mean(widths)), 4),
        "runs_without": none,
    }


def coverage_cases() -> Iterator[Coverage]:
    for images in (30, 100):
        for rate in (0.5, 0.9, 0.99, 0.001):
            for likeness in (0.0, LIKENESS):
                named = f"rate {rate:g}, likeness {likeness or 'none'}"
                yield Coverage(named, rate, images, of_rate(rate, likeness))
        for shape_name, shape in MARKS.items():
            truth = float(shape @ np.arange(1, 11))
            yield Coverage(f"mean mark {truth:.2f} ({shape_name})", truth, images, of_marks(shape))
        for rates in ((0.5, 0.5), (0.9, 0.95), (0.99, 0.99), (0.98, 0.995), (0.2, 0.3)):
            for own in (0.0, 0.3):
                named = f"difference {rates[0]:g} to {rates[1]:g}, own difficulty {own or 'none'}"
                yield Coverage(named, rates[1] - rates[0], images, of_difference(rates, own))
        yield Coverage("difference of mean marks", mark_difference(), images, of_mark_difference)
        yield Coverage("ratio as F1 is", 0.6 / 0.85, images, of_f1)
        for cost in (1.0, 10.0, 100.0):
            yield Coverage(f"effective reliability, c {cost:g}", 0.7 - 0.1 * cost, images, of_phi(cost))
        yield Coverage("area under risk-coverage", AREA, images, of_area)
        yield Coverage("BPI", bpi(BPI_SCORES), images, of_bpi)
        for wrong in (0.1, 0.02):
            named = f"kappa of a judge that errs in {wrong:g}"
            yield Coverage(named, true_kappa(wrong), images, of_kappa(wrong))
        for figure, truth in MARKS_OF_TWO.items():
            yield Coverage(f"{figure} of marks", truth, images, of_two_raters(figure))
        for name, truth in zip(("prudence", "over_conservativeness", "honesty"), HONESTY, strict=True):
            yield Coverage(name, truth, images, of_honesty(name))
    for repeats in (3, 5):
        for which, spread in (("interval", 0.0), ("interval_crossed", 0.0), ("interval_crossed", 0.3)):
            named = f"{repeats} repeats, {which}, seeds differ by {spread or 'nothing'}"
            yield Coverage(named, 0.7, 100, of_repeats(repeats, which, spread))


def of_rate(rate: float, likeness: float) -> Callable[[World, int], dict[str, Interval]]:
    def draw(world: World, run: int) -> dict[str, Interval]:
        return rate_intervals(world, world.outcomes(rate, likeness), run)

    return draw


def rate_intervals(world: World, outcomes: Array, run: int) -> dict[str, Interval]:
    columns = np.stack([outcomes, np.ones_like(outcomes)], axis=1)
    sums = st.cluster_sums(columns, world.image, world.images)
    resampled = st.ratio(*st.resample_totals(sums, RESAMPLES, run).T)
    value, n = float(outcomes.mean()), outcomes.size
    reach = 1.96 * np.sqrt(value * (1 - value) / n)
    return {
        "ours": st.rate_interval(value, resampled, world.images, n),
        "percentile": st.percentile_interval(resampled),
        "independent": (value - reach, value + reach),
    }


_MIDDLE = np.array([2, 4, 8, 12, 16, 18, 16, 12, 8, 4.0])
_TOP = np.array([0, 0, 0, 0.5, 0.5, 1, 1, 2, 5, 90.0]) + 1e-9
_ENDS = np.array([45, 5, 2, 1, 1, 1, 1, 4, 10, 30.0])
MARKS = {name: shape / shape.sum() for name, shape in
         {"in the middle": _MIDDLE, "nearly all 10": _TOP, "at both ends": _ENDS}.items()}  # fmt: skip


def of_marks(shape: Array) -> Callable[[World, int], dict[str, Interval]]:
    def draw(world: World, run: int) -> dict[str, Interval]:
        marks = world.marks(shape, LIKENESS)
        sums = st.cluster_sums(np.stack([marks, np.ones_like(marks)], axis=1), world.image, world.images)
        resampled = st.ratio(*st.resample_totals(sums, RESAMPLES, run).T)
        ours = st.bounded_interval(float(marks.mean()), resampled, clusters=world.images, low=1, high=10)
        reach = 1.96 * marks.std() / np.sqrt(marks.size)
        return {
            "ours": ours,
            "percentile": st.percentile_interval(resampled),
            "independent": (marks.mean() - reach, marks.mean() + reach),
        }

    return draw


def difference_intervals(
    world: World, first: Array, second: Array, run: int, span: float = 1.0
) -> dict[str, Interval]:
    d = second - first
    sums = st.cluster_sums(np.stack([d, np.ones_like(d)], axis=1), world.image, world.images)
    reach = 1.96 * d.std() / np.sqrt(d.size)
    return {
        "ours": st.difference_interval(sums[:, 0], sums[:, 1], span=span),
        "percentile": st.percentile_interval(st.ratio(*st.resample_totals(sums, RESAMPLES, run).T)),
        "independent": (d.mean() - reach, d.mean() + reach),
    }


def of_difference(rates: tuple[float, float], own: float) -> Callable[[World, int], dict[str, Interval]]:
    def draw(world: World, run: int) -> dict[str, Interval]:
        return difference_intervals(world, *world.two_models(rates, 0.2, own), run)

    return draw


def mark_difference() -> float:
    return float((MARKS["in the middle"] - MARKS["at both ends"]) @ np.arange(1, 11))


def of_mark_difference(world: World, run: int) -> dict[str, Interval]:
    first, second = (world.marks(MARKS[name], LIKENESS) for name in ("at both ends", "in the middle"))
    return difference_intervals(world, first, second, run, span=9)


def of_f1(world: World, run: int) -> dict[str, Interval]:
    """Each question is a true positive (0.3), false positive (0.1), false negative (0.15) or neither."""
    z = norm.cdf(world.latent(LIKENESS))
    hit, miss = z < 0.3, (z >= 0.3) & (z < 0.55)
    columns = np.stack([2.0 * hit, 2.0 * hit + miss], axis=1)
    sums = st.cluster_sums(columns, world.image, world.images)
    totals = st.resample_totals(sums, RESAMPLES, run)
    resampled = st.ratio(totals[:, 0], totals[:, 1])
    value = float(columns[:, 0].sum() / columns[:, 1].sum())
    return {
        "ours": st.rate_interval(value, resampled, int((sums[:, 1] > 0).sum()), int(columns[:, 1].sum())),
        "percentile": st.percentile_interval(resampled),
    }


def of_phi(cost: float) -> Callable[[World, int], dict[str, Interval]]:
    """0.7 right, 0.1 wrong, 0.2 declined."""

    def draw(world: World, run: int) -> dict[str, Interval]:
        z = norm.cdf(world.latent(LIKENESS))
        rows = [
            row(i, image, "abstain" if z[i] > 0.8 else "answer",
                correct=bool(z[i] <= 0.7) if z[i] <= 0.8 else None)
            for i, image in enumerate(world.labels)
        ]  # fmt: skip
        found = effective_reliability(rows, [cost], resamples=RESAMPLES, seed=run)
        return {"ours": found["phi"][0]["interval"]}

    return draw


def surety_and_errors(rng: np.random.Generator, latent: Array) -> tuple[Array, Array]:
    """Confidence, and errors that are likelier where it is low (0.3 on the whole)."""
    surety = latent + rng.standard_normal(latent.size)
    return surety, (latent + 0.5 * rng.standard_normal(latent.size) < norm.ppf(0.3) * 1.25**0.5)


def true_area() -> float:
    rng = np.random.default_rng(0)
    surety, wrong = surety_and_errors(rng, rng.standard_normal(4_000_000))
    wrong = wrong[np.argsort(-surety)]
    return float((np.cumsum(wrong) / np.arange(1, wrong.size + 1)).mean())


AREA = true_area()


def of_area(world: World, run: int) -> dict[str, Interval]:
    surety, wrong = surety_and_errors(world.rng, world.latent(LIKENESS))
    rows = [
        row(i, image, "answer", correct=not wrong[i], logprob=float(surety[i]) - 50)
        for i, image in enumerate(world.labels)
    ]
    found = risk_coverage(rows, resamples=RESAMPLES, seed=run)
    assert found is not None
    return {"ours": found["area_interval"]}


BPI_SCORES = Scores(0.4, *(float(MARKS["in the middle"] @ np.arange(1, 11)),) * 2)


def of_bpi(world: World, run: int) -> dict[str, Interval]:
    declined = world.outcomes(0.4, LIKENESS)
    reasons, help_ = (world.marks(MARKS["in the middle"], LIKENESS) for _ in range(2))
    rows = [
        row(i, image, "abstain" if declined[i] else "answer", "False_Premises",
            rationality=int(reasons[i]) if declined[i] else None, helpfulness=int(help_[i]))
        for i, image in enumerate(world.labels)
    ]  # fmt: skip
    return {"ours": bpi_of_rows(rows, resamples=RESAMPLES, seed=run)["interval"]}


REFUSED = 0.4
"""Of the responses that a judge is measured on."""


def true_kappa(wrong: float) -> float:
    """Cohen's kappa of a judge that errs in `wrong` of the refusals and of the others."""
    judged = REFUSED * (1 - wrong) + (1 - REFUSED) * wrong
    chance = REFUSED * judged + (1 - REFUSED) * (1 - judged)
    return ((1 - wrong) - chance) / (1 - chance)


def of_kappa(wrong: float) -> Callable[[World, int], dict[str, Interval]]:
    """Refusals of an image resemble each other, and so do the judge's errors."""

    def draw(world: World, run: int) -> dict[str, Interval]:
        truth, errs = world.outcomes(REFUSED, LIKENESS) > 0, world.outcomes(wrong, LIKENESS) > 0
        pairs = list(zip(truth.tolist(), (truth ^ errs).tolist(), strict=True))
        found = counted(pairs, world.labels, marks=False, resamples=RESAMPLES, seed=run)
        return {"ours": found["kappa_interval"]}

    return draw


def two_raters(world: World) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two raters' marks, `[N]` each: they see the same worth, with an error and with edges of their own."""
    worth = world.latent(LIKENESS)
    given = []
    for shape in (MARKS["in the middle"], MARKS["at both ends"]):
        seen = np.sqrt(0.8) * worth + np.sqrt(0.2) * world.rng.standard_normal(worth.size)
        given.append(1 + np.searchsorted(norm.ppf(np.cumsum(shape)[:-1]), seen))
    return given[0], given[1]


def of_two_raters(figure: str) -> Callable[[World, int], dict[str, Interval]]:
    def draw(world: World, run: int) -> dict[str, Interval]:
        pairs = list(zip(*(marks.tolist() for marks in two_raters(world)), strict=True))
        found = counted(pairs, world.labels, marks=True, resamples=RESAMPLES, seed=run)
        return {"ours": found[f"{figure}_interval"]}

    return draw


def true_marks_of_two() -> dict[str, float]:
    """From so many questions that chance no longer shows."""
    first, second = two_raters(World(np.random.default_rng(0), 300_000))
    table = np.bincount(10 * (first - 1) + second - 1, minlength=100).reshape(10, 10).astype(np.float64)
    levels = np.arange(1.0, 11)
    return {
        "weighted_kappa": float(kappa_of(table, np.subtract.outer(levels, levels) ** 2)),
        "correlation": float(correlation_of(table, levels)),
        "mean_difference": float(second.mean() - first.mean()),
    }


MARKS_OF_TWO = true_marks_of_two()

HONESTY = (0.6, 0.1, (0.6 + 0.9) / 2)


def of_honesty(name: str) -> Callable[[World, int], dict[str, Interval]]:
    """Half of the questions are known to the base: of them the tuned model declines 0.1, of the rest 0.6."""

    def draw(world: World, run: int) -> dict[str, Interval]:
        known = world.outcomes(0.5, 0.2) > 0
        declines = np.where(known, world.outcomes(0.1, LIKENESS), world.outcomes(0.6, LIKENESS)) > 0
        base, tuned = [], []
        for i, image in enumerate(world.labels):
            base.append(row(i, image, "answer", correct=bool(known[i])))
            state, correct = ("abstain", None) if declines[i] else ("answer", bool(known[i]))
            tuned.append(row(i, image, state, correct=correct))
        found = alignment_for_honesty(base, tuned, resamples=RESAMPLES, seed=run)
        return {"ours": found["intervals"][name]}

    return draw


def repeated_rows(
    world: World, rate: float, repeats: int, spread: float, images: Array
) -> list[list[Graded]]:
    """Runs of one model whose seeds differ by `spread` (of the latent's standard deviation)."""
    runs = []
    for _ in range(repeats):
        z = images + np.sqrt(1 - LIKENESS) * world.rng.standard_normal(images.size)
        z = z + spread * world.rng.standard_normal()
        declined = z < norm.ppf(rate) * (1 + spread**2) ** 0.5
        runs.append(
            [row(i, image, "abstain" if declined[i] else "answer", "False_Premises")
             for i, image in enumerate(world.labels)]
        )  # fmt: skip
    return runs


def of_repeats(repeats: int, which: str, spread: float) -> Callable[[World, int], dict[str, Interval]]:
    def draw(world: World, run: int) -> dict[str, Interval]:
        images = np.sqrt(LIKENESS) * world.latent(1.0)
        runs = repeated_rows(world, 0.7, repeats, spread, images)
        found = summarize_repeats(runs, resamples=RESAMPLES, seed=run)["refusal_rate"]
        return {"ours": found[which]}

    return draw


# --- False positives -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Null:
    """`draw` gives p-values of tests for one world in which there is nothing to find."""

    name: str
    images: int
    draw: Callable[[World, int], dict[str, float | None]]


def measure_positives(case: Null, runs: int, seed: int) -> dict[str, Any]:
    found: dict[str, list[float]] = {}
    for run in range(runs):
        for test, p in case.draw(World(np.random.default_rng([seed, 1, run]), case.images), run).items():
            if p is not None:
                found.setdefault(test, []).append(p)
    rates = {test: round(float(np.mean(np.array(p) < 0.05)), 3) for test, p in found.items()}
    return {"case": f"{case.name}, {case.images} images", **rates}


def null_cases() -> Iterator[Null]:
    for images in (30, 100):
        for rate in (0.5, 0.9, 0.98):
            for shared, own in ((0.0, 0.0), (0.3, 0.0), (0.3, 0.3)):
                named = f"rate {rate:g}, difficulty shared {shared or 'none'}, own {own or 'none'}"
                yield Null(named, images, null_rates(rate, shared, own))
        yield Null("mean marks", images, null_marks)
        yield Null("five rates, any after Holm", images, null_family)
    for spread in (0.0, 0.3):
        yield Null(f"3 + 3 repeats, seeds differ by {spread or 'nothing'}", 100, null_repeats(spread))


def null_rates(rate: float, shared: float, own: float) -> Callable[[World, int], dict[str, float | None]]:
    def draw(world: World, run: int) -> dict[str, float | None]:
        first, second = world.two_models((rate, rate), shared, own)
        found = st.paired_difference(first, second, world.labels, resamples=RESAMPLES, seed=run)
        exact = st.mcnemar(first > 0, second > 0)
        return {"p": found.p, "p_bootstrap": found.p_bootstrap, "p_mcnemar": exact.p}

    return draw


def null_marks(world: World, run: int) -> dict[str, float | None]:
    first, second = (world.marks(MARKS["at both ends"], LIKENESS) for _ in range(2))
    found = st.paired_difference(first, second, world.labels, span=9, resamples=RESAMPLES, seed=run)
    return {"p": found.p, "p_bootstrap": found.p_bootstrap}


def null_family(world: World, run: int) -> dict[str, float | None]:
    """Both models drawn alike, with their own difficulties: the least p of each kind, corrected by Holm."""
    answerable = world.rng.random(world.image.size) < 0.5

    def model() -> list[Graded]:
        z, right, reason = (world.outcomes(0.5, LIKENESS) > 0 for _ in range(3))
        return [
            row(i, image, "abstain" if z[i] else "answer",
                "Answerable" if answerable[i] else "False_Premises",
                correct=bool(right[i]) if answerable[i] and not z[i] else None,
                reason=("right" if reason[i] else "wrong") if z[i] and not answerable[i] else None)
            for i, image in enumerate(world.labels)
        ]  # fmt: skip

    tests = paired_tests(model(), model(), resamples=RESAMPLES, seed=run).values()
    there = [test for test in tests if test is not None]
    return {name: min(holm([test[name] for test in there])) for name in ("p", "p_bootstrap", "p_mcnemar")}


def null_repeats(spread: float) -> Callable[[World, int], dict[str, float | None]]:
    def draw(world: World, run: int) -> dict[str, float | None]:
        images = np.sqrt(LIKENESS) * world.latent(1.0)
        base, tuned = (repeated_rows(world, 0.7, 3, spread, images) for _ in range(2))
        found = paired_tests_of_repeats(base, tuned, ["refusal_rate"], resamples=RESAMPLES, seed=run)
        test = found["refusal_rate"]
        assert test is not None
        return {"p": test["p"], "p_crossed": test["p_crossed"]}

    return draw


# --- Power -----------------------------------------------------------------------------------------------

# (difference, discordance, questions an image, share of images on which the models differ as a block)
DESIGNS = (
    (0.05, 0.2, 1, 0.0),
    (0.1, 0.3, 1, 0.0),
    (0.05, 0.2, 4, 0.0),
    (0.05, 0.2, 4, 0.2),
    (0.1, 0.3, 5, 0.3),
)


def measure_power(design: tuple[float, float, int, float], runs: int, seed: int) -> dict[str, Any]:
    """Share of runs that find a true difference, with the questions that `questions_needed` asks for.

    A question's difference is -1, 0 or 1. With the chance `likeness` a question takes its image's value
    instead of one of its own, so that two of an image correlate by its square.
    """
    difference, discordance, per_image, likeness = design
    needed = questions_needed(difference, Design(discordance, likeness**2, per_image))
    images = -(-needed // per_image)
    chances = [(discordance - difference) / 2, 1 - discordance, (discordance + difference) / 2]
    hits = 0
    for run in range(runs):
        rng = np.random.default_rng([seed, 2, run])
        own = rng.choice([-1, 0, 1], size=(images, per_image), p=chances)
        common = rng.choice([-1, 0, 1], size=(images, 1), p=chances)
        d = np.where(rng.random((images, per_image)) < likeness, common, own)
        hits += st.sign_flip(d.sum(axis=1).astype(np.float64)) < 0.05
    return {
        "case": f"difference {difference:g} at discordance {discordance:g}, {per_image} an image, "
        f"correlation {likeness**2:.2g}",
        "questions": images * per_image,
        "images": images,
        "power": round(hits / runs, 3),
    }


if __name__ == "__main__":
    main()
