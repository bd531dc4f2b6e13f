"""Preference losses: from log-probs of completions to one number to minimise and the quantities to log.

Pure functions of `PairLogps`; no model and no trainer. Each term is a function that gives one loss a pair,
[B], and `LossTerms` is a weighted sum of them, as a configuration names them:

    losses:
      dpo: {beta: 0.1}
      nll: {weight: 1.0}

Every term is a mean over pairs, `nll` and the gated one included, so the gradient accumulated over eight
batches of one pair is that of one batch of eight.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from align.extensions import load_extensions
from align.records import Category


@dataclass(frozen=True)
class PairLogps:
    """What the losses read: log-probs of B pairs, each a sum over the tokens of one completion, in nats, [B].

    `chosen` and `rejected` are the policy's and carry its gradient; `*_tokens` are the numbers of completion
    tokens, each at least 1; `reference_*` are the frozen reference's. `corrupted_chosen` is the policy's
    log-prob of the chosen completion beside a corrupted image. `gate` is True where the chosen answer depends
    on the image (`gate_for`); None opens it for all pairs. `rejected` and `rejected_tokens` are None for rows
    with one completion, the others where no term needs them (see `LossTerms`).

    Raises `ValueError` for a field of the wrong shape or dtype (half precision rounds a sum of -200 nats to
    the nearest whole or eighth, more than a margin is worth) and for a reference that carries a gradient.
    """

    chosen: Tensor
    rejected: Tensor | None
    chosen_tokens: Tensor
    rejected_tokens: Tensor | None
    reference_chosen: Tensor | None = None
    reference_rejected: Tensor | None = None
    corrupted_chosen: Tensor | None = None
    reference_corrupted_chosen: Tensor | None = None
    gate: Tensor | None = None

    def __post_init__(self) -> None:
        if self.chosen.dim() != 1 or not len(self.chosen):
            raise ValueError(
                f"PairLogps.chosen has shape {list(self.chosen.shape)}: one number a pair is needed"
            )
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if value is None:
                continue
            if value.shape != self.chosen.shape:
                raise ValueError(
                    f"PairLogps.{name} has shape {list(value.shape)}, chosen has {list(self.chosen.shape)}"
                )
            if name == "gate":
                if value.dtype != torch.bool:
                    raise ValueError(f"PairLogps.gate is {value.dtype}: give a bool a pair, as gate_for does")
            elif not name.endswith("_tokens") and value.dtype not in (torch.float32, torch.float64):
                raise ValueError(f"PairLogps.{name} is {value.dtype}: sum log-probs in float32")
            if name.startswith("reference") and value.requires_grad:
                raise ValueError(f"PairLogps.{name} carries a gradient: compute it under torch.no_grad()")

    def given(self, name: str) -> Tensor:
        """The field `name`; `ValueError` if it was left out."""
        value = getattr(self, name)
        if value is None:
            raise ValueError(f"PairLogps.{name} is missing, and a loss term reads it")
        return value

    @property
    def chosen_ratio(self) -> Tensor:
        """log pi(chosen) - log ref(chosen), [B]."""
        return self.chosen - self.given("reference_chosen")

    @property
    def rejected_ratio(self) -> Tensor:
        """log pi(rejected) - log ref(rejected), [B]."""
        return self.given("rejected") - self.given("reference_rejected")

    @property
    def corrupted_ratio(self) -> Tensor:
        """log pi(chosen | corrupted image) - log ref(chosen | corrupted image), [B]."""
        return self.given("corrupted_chosen") - self.given("reference_corrupted_chosen")

    @property
    def chosen_mean(self) -> Tensor:
        """log pi(chosen) a token, [B]."""
        return self.chosen / self.chosen_tokens

    @property
    def rejected_mean(self) -> Tensor:
        """log pi(rejected) a token, [B]."""
        return self.given("rejected") / self.given("rejected_tokens")


def dpo(logps: PairLogps, *, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """DPO (arXiv 2305.18290): -log sigmoid(beta h), h = chosen_ratio - rejected_ratio, [B].

    `label_smoothing` e gives conservative DPO (Mitchell 2023): (1 - e) of that plus e of -log sigmoid(-beta
    h). TRL 1.16's "sigmoid" loss accepts the setting and does not read it.
    """
    logits = beta * (logps.chosen_ratio - logps.rejected_ratio)
    return -(1 - label_smoothing) * logsigmoid(logits) - label_smoothing * logsigmoid(-logits)


def robust(logps: PairLogps, *, beta: float, label_smoothing: float) -> Tensor:
    """Robust DPO (arXiv 2403.00409), for a share `label_smoothing` e of pairs whose sides are swapped, [B].

    [-(1 - e) log sigmoid(beta h) + e log sigmoid(-beta h)] / (1 - 2e): unbiased under that noise, and so not
    bounded below, unlike conservative DPO.
    """
    logits = beta * (logps.chosen_ratio - logps.rejected_ratio)
    clean, flipped = -logsigmoid(logits), -logsigmoid(-logits)
    return ((1 - label_smoothing) * clean - label_smoothing * flipped) / (1 - 2 * label_smoothing)


def ipo(logps: PairLogps, *, beta: float) -> Tensor:
    """IPO (arXiv 2310.12036): (h - 1 / (2 beta))^2, `beta` being the paper's tau, [B].

    The paper writes h over whole sequences. Here, as in TRL, whose authors asked those of the paper, each
    log-ratio is divided by its number of tokens, or the loss would grow with the square of the length: the
    target 1 / (2 beta) is a margin a token.
    """
    margin = logps.chosen_ratio / logps.chosen_tokens - logps.rejected_ratio / logps.given("rejected_tokens")
    return (margin - 1 / (2 * beta)) ** 2


def hinge(logps: PairLogps, *, beta: float) -> Tensor:
    """The hinge of RSO (arXiv 2309.06657): max(0, 1 - beta h), [B].

    SLiC (arXiv 2305.10425), its origin, compares log-probs without a reference. TRL's "hinge" is RSO's.
    """
    return torch.relu(1 - beta * (logps.chosen_ratio - logps.rejected_ratio))


def apo_zero(logps: PairLogps, *, beta: float) -> Tensor:
    """APO-zero (arXiv 2408.06266, eq. 7): 1 - sigmoid(beta chosen_ratio) + sigmoid(beta rejected_ratio), [B].

    Each side against the reference, not against the other: chosen up, rejected down.
    """
    return torch.sigmoid(-beta * logps.chosen_ratio) + torch.sigmoid(beta * logps.rejected_ratio)


def simpo(logps: PairLogps, *, beta: float, gamma_ratio: float) -> Tensor:
    """SimPO (arXiv 2405.14734): -log sigmoid(beta (chosen_mean - rejected_mean) - gamma), [B].

    `gamma_ratio` is gamma / beta, the target margin in nats a token, and what the paper tunes. TRL's CPO
    trainer takes gamma itself (`simpo_gamma`), and adds an NLL of the chosen side unless `cpo_alpha=0`.
    """
    return -logsigmoid(beta * (logps.chosen_mean - logps.rejected_mean - gamma_ratio))


def orpo(logps: PairLogps, *, beta: float) -> Tensor:
    """ORPO's odds-ratio part (arXiv 2403.07691, eq. 7): -beta log sigmoid(log odds ratio), [B].

    odds = p / (1 - p) with p = exp(mean log-prob); `beta` is the paper's lambda. The paper's whole loss adds
    `nll` with weight 1. Its NLL is that of the completion given the prompt; TRL's ORPO trainer takes it over
    the prompt's tokens too, which `nll` does not.
    """
    return -beta * logsigmoid(_log_odds(logps.chosen_mean) - _log_odds(logps.rejected_mean))


def nll(logps: PairLogps) -> Tensor:
    """The chosen side's negative log-likelihood a token, [B]. Beside `dpo` it is RPO's (arXiv 2404.19733).

    A mean over each pair's tokens, then over pairs. TRL's "sft" loss is a mean over all tokens of the batch,
    in which long completions weigh more and accumulated small batches differ from a large one.
    """
    return -logps.chosen_mean


def mdpo_conditional(logps: PairLogps, *, beta: float) -> Tensor:
    """mDPO's conditional term (arXiv 2406.11839): the chosen answer, right image against corrupted one, [B].

    -log sigmoid(beta (chosen_ratio - corrupted_ratio)), and 0 where the gate is closed; log-probs of the
    corrupted image are not read there, so they need not be computed. Ungated, as in the paper, it teaches
    that a refusal must become less likely when the image gets worse, which is wrong for a refusal that does
    not rest on the image.
    """
    difference = logps.chosen_ratio - logps.corrupted_ratio
    if logps.gate is None:
        return -logsigmoid(beta * difference)
    # Masked before the loss as well as after: a gradient of 0 times a NaN would be NaN.
    loss = -logsigmoid(beta * torch.where(logps.gate, difference, 0.0))
    return torch.where(logps.gate, loss, 0.0)


def mdpo_anchor(logps: PairLogps, *, beta: float, delta: float = 0.0) -> Tensor:
    """mDPO's anchor (arXiv 2406.11839): -log sigmoid(beta chosen_ratio - delta), [B]; the paper's delta is 0.

    Keeps the chosen answer above the reference. It compares no images, so it is not gated.
    """
    return -logsigmoid(beta * logps.chosen_ratio - delta)


def _log_odds(mean: Tensor) -> Tensor:
    """log(p / (1 - p)) for p = exp(mean), finite and with a finite gradient for `mean` up to 0."""
    # Within one rounding step of p = 1 (and above it, where rounding puts some) 1 - p is noise. The value
    # stops there; the gradient keeps the slope of that point, since a clamp's zero would leave a memorised
    # rejected answer without any push.
    nearest = -torch.finfo(mean.dtype).eps
    mean = mean + (mean.clamp(max=nearest) - mean).detach()
    return mean - torch.log(-torch.expm1(mean))


def _ratio_rewards(logps: PairLogps, beta: float) -> tuple[Tensor, Tensor]:
    return beta * logps.chosen_ratio, beta * logps.rejected_ratio


def _mean_rewards(logps: PairLogps, beta: float) -> tuple[Tensor, Tensor]:
    return beta * logps.chosen_mean, beta * logps.rejected_mean


@dataclass(frozen=True)
class _Kind:
    """A term's function, what of `PairLogps` it reads beside `chosen`, and the reward it stands for."""

    per_pair: Callable[..., Tensor]
    reference: bool = False
    rejected: bool = True
    corrupted: bool = False
    rewards: Callable[[PairLogps, float], tuple[Tensor, Tensor]] | None = None


_KINDS: dict[str, _Kind] = {
    "dpo": _Kind(dpo, reference=True, rewards=_ratio_rewards),
    "ipo": _Kind(ipo, reference=True, rewards=_ratio_rewards),
    "robust": _Kind(robust, reference=True, rewards=_ratio_rewards),
    "hinge": _Kind(hinge, reference=True, rewards=_ratio_rewards),
    "apo_zero": _Kind(apo_zero, reference=True, rewards=_ratio_rewards),
    "simpo": _Kind(simpo, rewards=_mean_rewards),
    "orpo": _Kind(orpo, rewards=_mean_rewards),
    "nll": _Kind(nll, rejected=False),
    "mdpo_conditional": _Kind(mdpo_conditional, reference=True, rejected=False, corrupted=True),
    "mdpo_anchor": _Kind(mdpo_anchor, reference=True, rejected=False),
}

_REWARDS = {"log-ratio": _ratio_rewards, "mean": _mean_rewards}


def add_term(
    name: str,
    per_pair: Callable[..., Tensor],
    *,
    reference: bool = False,
    rejected: bool = True,
    corrupted: bool = False,
    reward: Literal["log-ratio", "mean"] | None = None,
) -> None:
    """Add a term of one's own, which a configuration may then name under `losses`.

    `per_pair(logps, *, ...)` gives one loss a pair, [B]; its keyword arguments are the term's settings.
    `reference`, `rejected` and `corrupted` say what it reads of `PairLogps` beside `chosen`: what no term
    reads is not computed. `reward` is what is logged under `rewards/`: `beta`, which the term then must have,
    times the log-ratio to the reference or times the mean log-prob a token.

    Raises `ValueError` for a name that is taken, and for a reward without `beta`.
    """
    if name in _KINDS:
        raise ValueError(f"add_term: there is a term {name!r} already: choose another name")
    if reward is not None and "beta" not in inspect.signature(per_pair).parameters:
        raise ValueError(f"add_term: {name} has no `beta` to scale its rewards with: leave `reward` out")
    rewards = None if reward is None else _REWARDS[reward]
    _KINDS[name] = _Kind(per_pair, reference, rejected, corrupted, rewards)


_LIMITS: dict[str, tuple[Callable[[float], bool], str]] = {
    "weight": (lambda v: v >= 0, "0 or more (0: the term is logged and not trained on)"),
    "beta": (lambda v: v > 0, "above 0 (the papers: 0.1 for DPO and its kin, 2 for SimPO, 0.1 for ORPO)"),
    "label_smoothing": (lambda v: 0 <= v < 0.5, "the share of swapped pairs, at least 0 and below 0.5"),
    "gamma_ratio": (lambda v: v >= 0, "gamma / beta, 0 or more (0.25 is SimPO's, which tuned 0.1 to 0.8)"),
    "delta": (math.isfinite, "a finite number (mDPO's is 0)"),
}
_ANY_NUMBER: tuple[Callable[[float], bool], str] = (math.isfinite, "a finite number")


@dataclass(frozen=True)
class LossTerm:
    """One term of a loss: `name` of the table above, `weight` >= 0, and the term's own `parameters`."""

    name: str
    weight: float
    parameters: Mapping[str, float]

    @property
    def kind(self) -> _Kind:
        return _KINDS[self.name]

    def per_pair(self, logps: PairLogps) -> Tensor:
        """The term's loss for each pair, unweighted, [B]."""
        return self.kind.per_pair(logps, **self.parameters)


@dataclass(frozen=True)
class LossTerms:
    """A weighted sum of terms, as `parse_losses` reads it."""

    terms: tuple[LossTerm, ...]

    @property
    def needs_reference(self) -> bool:
        """Whether `PairLogps.reference_*` are read."""
        return any(t.kind.reference for t in self.terms)

    @property
    def needs_rejected(self) -> bool:
        """Whether the rejected completion is read; if not, rows with one completion will do."""
        return any(t.kind.rejected for t in self.terms)

    @property
    def needs_corrupted_image(self) -> bool:
        """Whether the log-probs beside a corrupted image are read, where the gate (if any) is open."""
        return any(t.kind.corrupted for t in self.terms)

    def pair_loss(self, logps: PairLogps) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a scalar that carries the gradient, and what to log: scalars without one.

        Logged, each a mean over the batch's pairs, so that batches of one size can be averaged:
        `loss/<term>` before its weight; `logps/chosen` and `logps/rejected`, sums over tokens (TRL's CPO and
        ORPO trainers log means over tokens under these names); and of the first term that compares the two
        sides `rewards/{chosen,rejected,margins,accuracies}`: beta times the log-ratio for the terms with a
        reference, beta times the mean log-prob for SimPO and ORPO. `gate/open`, the share of pairs where the
        gate is open, where a term reads it.
        """
        total: Tensor = logps.chosen.new_zeros(())
        logged = {"logps/chosen": logps.chosen.mean()}
        if logps.rejected is not None:
            logged["logps/rejected"] = logps.rejected.mean()
        for term in self.terms:
            value = term.per_pair(logps).mean()
            logged[f"loss/{term.name}"] = value
            if term.weight > 0:
                total = total + term.weight * value
        for term in self.terms:
            if term.kind.rewards is None:
                continue
            chosen, rejected = term.kind.rewards(logps, term.parameters["beta"])
            logged["rewards/chosen"], logged["rewards/rejected"] = chosen.mean(), rejected.mean()
            logged["rewards/margins"] = (chosen - rejected).mean()
            logged["rewards/accuracies"] = (chosen > rejected).to(chosen.dtype).mean()
            break
        if logps.gate is not None and self.needs_corrupted_image:
            logged["gate/open"] = logps.gate.to(logps.chosen.dtype).mean()
        return total, {name: value.detach() for name, value in logged.items()}


def parse_losses(losses: Mapping[str, Any]) -> LossTerms:
    """Read the `losses` of a configuration: a mapping from terms to their parameters, each with a `weight`.

    Parameters without a default must be given, so that a configuration says every number that it trains with.
    Raises `ValueError`, which names the entry, as `losses.dpo.beta`, and what to give.
    """
    if not isinstance(losses, Mapping) or not losses:
        raise ValueError(f"losses is {losses!r}: give at least one term, as losses: {{dpo: {{beta: 0.1}}}}")
    terms = []
    for name, given in losses.items():
        if name not in _KINDS:
            load_extensions()
        if name not in _KINDS:
            raise ValueError(f"losses.{name}: there is no such term. There are: {', '.join(_KINDS)}")
        if not isinstance(given, Mapping):
            raise ValueError(
                f"losses.{name} is {given!r}: give its parameters, as {{weight: 1.0}}; to do without "
                f"the term take it out (~losses.{name} on the command line)"
            )
        takes = {
            p.name: p.default
            for p in inspect.signature(_KINDS[name].per_pair).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        } | {"weight": 1.0}
        for parameter in given:
            if parameter not in takes:
                raise ValueError(
                    f"losses.{name}.{parameter}: {name} has no such parameter. It has: {', '.join(takes)}"
                )
        values = {p: _number(f"losses.{name}", p, given.get(p, default)) for p, default in takes.items()}
        terms.append(LossTerm(name, values.pop("weight"), values))
    if not any(term.weight > 0 for term in terms):
        raise ValueError("losses: every weight is 0, so there is nothing to train: give one term a weight")
    return LossTerms(tuple(terms))


def _number(term: str, parameter: str, value: Any) -> float:
    within, wanted = _LIMITS.get(parameter, _ANY_NUMBER)
    if value is inspect.Parameter.empty:
        raise ValueError(f"{term}.{parameter} is missing: give {wanted}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{term}.{parameter} is {value!r}, which is not a number: give {wanted}")
    if not math.isfinite(value) or not within(value):
        raise ValueError(f"{term}.{parameter} is {value}: give {wanted}")
    return float(value)


def gate_for(categories: Sequence[str | None], closed: Collection[str]) -> Tensor:
    """The gate of `mdpo_conditional`, bool [B]: False for the pairs whose category is in `closed`.

    To be closed are the categories whose right answer stays right beside a worse image: of MoHoBench's
    Context_Dependent, Subjective_or_Philosophical and Vague_Description. A pair without a category (None),
    such as general preference data, is open. Raises `ValueError` for a name in `closed` that is no category,
    since a misspelt one would leave the gate open without a word.
    """
    known = get_args(Category)
    if isinstance(closed, str):
        raise ValueError(f"closed is the text {closed!r}: give a list of categories")
    for name in closed:
        if name not in known:
            raise ValueError(f"closed: {name!r} is not a category. There are: {', '.join(known)}")
    return torch.tensor([category not in closed for category in categories], dtype=torch.bool)
