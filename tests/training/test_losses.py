"""Preference losses against arithmetic done by hand, at the ends of the number line, and accumulated."""

import itertools
import math
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from align.training.losses import LossTerms, PairLogps, gate_for, parse_losses

EVERY_TERM: dict[str, dict[str, float]] = {
    "dpo": {"beta": 0.1, "label_smoothing": 0.2},
    "ipo": {"beta": 0.1},
    "robust": {"beta": 0.1, "label_smoothing": 0.1},
    "hinge": {"beta": 0.1},
    "apo_zero": {"beta": 0.1},
    "simpo": {"beta": 2.0, "gamma_ratio": 0.25},
    "orpo": {"beta": 0.1},
    "nll": {},
    "mdpo_conditional": {"beta": 0.1},
    "mdpo_anchor": {"beta": 0.1, "delta": 0.5},
}


def numbers(*values: float, grad: bool = False) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32, requires_grad=grad)


def worked_pairs(**changes: Any) -> PairLogps:
    """Two pairs. Log-ratios: chosen 2 and -1, rejected -3 and 4, corrupted 0.5 and 1."""
    values: dict[str, Any] = {
        "chosen": numbers(-8.0, -12.0),
        "rejected": numbers(-9.0, -3.0),
        "chosen_tokens": numbers(4, 6),
        "rejected_tokens": numbers(3, 2),
        "reference_chosen": numbers(-10.0, -11.0),
        "reference_rejected": numbers(-6.0, -7.0),
        "corrupted_chosen": numbers(-9.5, -10.0),
        "reference_corrupted_chosen": numbers(-10.0, -11.0),
    }
    return PairLogps(**values | changes)


def softplus(x: float) -> float:
    """-log sigmoid(-x)."""
    return math.log(1 + math.exp(x))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# The margins of the two pairs are h = 2 - (-3) = 5 and -1 - 4 = -5; mean log-probs: chosen -2 and -2,
# rejected -3 and -1.5.
BY_HAND = {
    "dpo": ({"beta": 0.1}, [softplus(-0.5), softplus(0.5)]),
    "dpo, smoothed": (
        {"beta": 0.1, "label_smoothing": 0.2},
        [0.8 * softplus(-0.5) + 0.2 * softplus(0.5), 0.8 * softplus(0.5) + 0.2 * softplus(-0.5)],
    ),
    "robust": (
        {"beta": 0.1, "label_smoothing": 0.1},
        [
            (0.9 * softplus(-0.5) - 0.1 * softplus(0.5)) / 0.8,
            (0.9 * softplus(0.5) - 0.1 * softplus(-0.5)) / 0.8,
        ],
    ),
    # A token: 2/4 - (-3/3) = 1.5, and -1/6 - 4/2 = -13/6; the target is 1 / (2 * 0.25) = 2.
    "ipo": ({"beta": 0.25}, [0.25, (13 / 6 + 2) ** 2]),
    "hinge": ({"beta": 0.1}, [0.5, 1.5]),
    "hinge, satisfied": ({"beta": 0.4}, [0.0, 3.0]),
    "apo_zero": (
        {"beta": 0.1},
        [1 - sigmoid(0.2) + sigmoid(-0.3), 1 - sigmoid(-0.1) + sigmoid(0.4)],
    ),
    # 2 * (-2 + 3) - 0.5 = 1.5, and 2 * (-2 + 1.5) - 0.5 = -1.5
    "simpo": ({"beta": 2.0, "gamma_ratio": 0.25}, [softplus(-1.5), softplus(1.5)]),
    # The odds of exp(m) are 1 / (exp(-m) - 1), and -log sigmoid(log(a / b)) = log(1 + b / a).
    "orpo": (
        {"beta": 0.2},
        [
            0.2 * math.log(1 + (math.exp(2) - 1) / (math.exp(3) - 1)),
            0.2 * math.log(1 + (math.exp(2) - 1) / (math.exp(1.5) - 1)),
        ],
    ),
    "nll": ({}, [2.0, 2.0]),
    # 2 - 0.5 = 1.5, and -1 - 1 = -2
    "mdpo_conditional": ({"beta": 0.1}, [softplus(-0.15), softplus(0.2)]),
    "mdpo_anchor": ({"beta": 0.1}, [softplus(-0.2), softplus(0.1)]),
    "mdpo_anchor, delta": ({"beta": 0.1, "delta": 0.5}, [softplus(0.3), softplus(0.6)]),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_each_term_against_arithmetic_by_hand(case: str) -> None:
    parameters, expected = BY_HAND[case]
    name = case.split(",")[0]
    terms = parse_losses({name: parameters})
    assert terms.terms[0].per_pair(worked_pairs()).tolist() == pytest.approx(expected, rel=1e-6)
    loss, logged = terms.pair_loss(worked_pairs())
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-6)
    assert logged[f"loss/{name}"].item() == loss.item()


def test_every_term_is_worked_by_hand() -> None:
    assert {case.split(",")[0] for case in BY_HAND} == set(EVERY_TERM)
    with pytest.raises(ValueError, match=", ".join(EVERY_TERM)):
        parse_losses({"none of them": {}})


def test_a_combination_is_the_weighted_sum() -> None:
    terms = parse_losses({"dpo": {"beta": 0.1, "weight": 0.5}, "nll": {"weight": 3}, "hinge": {"beta": 0.1}})
    loss, logged = terms.pair_loss(worked_pairs())
    dpo = (softplus(-0.5) + softplus(0.5)) / 2
    assert loss.item() == pytest.approx(0.5 * dpo + 3 * 2.0 + 1.0, rel=1e-6)
    assert logged["loss/dpo"].item() == pytest.approx(dpo, rel=1e-6)  # before its weight
    assert logged["loss/nll"].item() == 2.0


def test_a_term_of_weight_0_is_logged_and_not_trained_on() -> None:
    chosen = numbers(-8.0, -12.0, grad=True)
    terms = parse_losses({"nll": {}, "dpo": {"beta": 0.1, "weight": 0}})
    loss, logged = terms.pair_loss(worked_pairs(chosen=chosen))
    loss.backward()
    assert loss.item() == 2.0
    assert chosen.grad is not None
    assert chosen.grad.tolist() == pytest.approx([-1 / 8, -1 / 12])
    assert logged["loss/dpo"].item() == pytest.approx((softplus(-0.5) + softplus(0.5)) / 2, rel=1e-6)
    assert logged["rewards/margins"].item() == pytest.approx(0.0, abs=1e-6)

    overflowing = worked_pairs(chosen=numbers(-8.0, -1e30))  # 0 times its infinite square would be NaN
    loss, logged = parse_losses({"nll": {}, "ipo": {"beta": 0.1, "weight": 0}}).pair_loss(overflowing)
    assert logged["loss/ipo"].item() == math.inf
    assert math.isfinite(loss.item())


def test_logged_rewards_of_terms_with_a_reference_are_beta_times_the_log_ratio() -> None:
    for name in ("dpo", "ipo", "robust", "hinge", "apo_zero"):
        terms = parse_losses({"mdpo_anchor": {"beta": 7}, name: EVERY_TERM[name] | {"beta": 0.2}})
        chosen = numbers(-8.0, -6.0, grad=True)  # log-ratios 2 and 5
        _, logged = terms.pair_loss(worked_pairs(chosen=chosen))
        assert {k: v.item() for k, v in logged.items() if not k.startswith("loss/")} == pytest.approx(
            {
                "rewards/chosen": 0.7,
                "rewards/rejected": 0.1,
                "rewards/margins": 0.6,
                "rewards/accuracies": 1.0,
                "logps/chosen": -7.0,
                "logps/rejected": -6.0,
            },
            rel=1e-5,
        )
        assert not any(v.requires_grad or v.dim() for v in logged.values())


@pytest.mark.parametrize("name", ["simpo", "orpo"])
def test_logged_rewards_of_terms_without_a_reference_are_beta_times_the_mean_logp(name: str) -> None:
    terms = parse_losses({"nll": {}, name: EVERY_TERM[name] | {"beta": 0.5}})
    pairs = PairLogps(numbers(-8.0, -12.0), numbers(-9.0, -3.0), numbers(4, 6), numbers(3, 2))
    _, logged = terms.pair_loss(pairs)
    rewards = {k: v.item() for k, v in logged.items() if k.startswith("rewards/")}
    assert rewards == pytest.approx(
        {
            "rewards/chosen": -1.0,
            "rewards/rejected": -1.125,
            "rewards/margins": 0.125,
            "rewards/accuracies": 0.5,
        }
    )


def test_the_first_term_that_compares_the_sides_gives_the_rewards() -> None:
    dpo, simpo = {"dpo": {"beta": 0.1}}, {"simpo": {"beta": 2.0, "gamma_ratio": 0.25}}
    for losses, margin in ((dpo | simpo, 0.0), (simpo | dpo, 0.5)):
        logged = parse_losses(losses).pair_loss(worked_pairs())[1]
        assert logged["rewards/margins"].item() == pytest.approx(margin, abs=1e-6)


# -------------------------------------------------------------------------------------------- the gate


def test_the_gate_closes_by_category() -> None:
    categories = [
        "Context_Dependent",
        "False_Premises",
        "Subjective_or_Philosophical",
        "Vague_Description",
        "Answerable",
        None,
    ]
    closed = {"Context_Dependent", "Vague_Description", "Subjective_or_Philosophical"}
    assert gate_for(categories, closed).tolist() == [False, True, False, False, True, True]
    assert gate_for(categories, ()).tolist() == [True] * 6
    with pytest.raises(ValueError, match=r"'False_Premise' is not a category. There are: Context_Dependent"):
        gate_for(categories, ["False_Premise"])
    with pytest.raises(ValueError, match="give a list"):
        gate_for(categories, "Answerable")


def test_a_closed_gate_stills_the_conditional_term_and_no_other() -> None:
    terms = parse_losses({name: EVERY_TERM[name] for name in ("mdpo_conditional", "mdpo_anchor")})
    conditional, anchor = terms.terms
    gate = torch.tensor([True, False])
    corrupted = numbers(-9.5, math.nan, grad=True)  # where the gate is closed nobody need compute it
    chosen = numbers(-8.0, -12.0, grad=True)
    pairs = worked_pairs(gate=gate, corrupted_chosen=corrupted, chosen=chosen)
    assert conditional.per_pair(pairs).tolist() == pytest.approx([softplus(-0.15), 0.0], rel=1e-6)
    assert anchor.per_pair(pairs).tolist() == anchor.per_pair(worked_pairs()).tolist()

    loss, logged = parse_losses({"mdpo_conditional": {"beta": 0.1}}).pair_loss(pairs)
    loss.backward()
    slope = 0.1 * sigmoid(-0.15) / 2
    assert corrupted.grad is not None
    assert chosen.grad is not None
    assert corrupted.grad.tolist() == pytest.approx([slope, 0.0])
    assert chosen.grad.tolist() == pytest.approx([-slope, 0.0])
    assert logged["gate/open"].item() == 0.5
    assert "gate/open" not in parse_losses({"mdpo_anchor": {"beta": 0.1}}).pair_loss(pairs)[1]


# -------------------------------------------------------------------------------------------- the ends


def at_the_ends(chosen: float, rejected: float, tokens: int) -> PairLogps:
    return PairLogps(
        chosen=numbers(chosen, grad=True),
        rejected=numbers(rejected, grad=True),
        chosen_tokens=numbers(tokens),
        rejected_tokens=numbers(tokens),
        reference_chosen=numbers(-20.0),
        reference_rejected=numbers(-30.0),
        corrupted_chosen=numbers(rejected, grad=True),
        reference_corrupted_chosen=numbers(-25.0),
    )


@pytest.mark.parametrize("name", EVERY_TERM)
def test_loss_and_gradients_are_finite_at_p_near_1_and_0(name: str) -> None:
    ends = (0.0, -1e-8, -1.0, -1e4)
    for chosen, rejected, tokens in itertools.product(ends, ends, (1, 50)):
        pairs = at_the_ends(chosen, rejected, tokens)
        loss, logged = parse_losses({name: EVERY_TERM[name]}).pair_loss(pairs)
        loss.backward()
        assert pairs.chosen.grad is not None
        slopes = [t.grad for t in (pairs.chosen, pairs.rejected, pairs.corrupted_chosen) if t is not None]
        for value in (loss, *logged.values(), *(slope for slope in slopes if slope is not None)):
            assert torch.isfinite(value).all(), (chosen, rejected, tokens)


def test_orpo_far_from_the_ends_and_near_them() -> None:
    orpo = parse_losses({"orpo": {"beta": 1.0}}).terms[0]

    def loss(chosen: float, rejected: float) -> float:
        pairs = PairLogps(numbers(chosen), numbers(rejected), numbers(1), numbers(1))
        return orpo.per_pair(pairs).item()

    # p = 0.9999 against p = 0.5: the odds are 9999 and 1, and log(1 + 1 / 9999) = log(10000 / 9999).
    assert loss(math.log(0.9999), math.log(0.5)) == pytest.approx(math.log(10000 / 9999), rel=1e-3)
    assert loss(math.log(0.5), math.log(0.9999)) == pytest.approx(math.log(10000), rel=1e-4)
    # At p = exp(-1e4) the odds are p itself: log odds ratio -1e4 - 0, and 0 - -1e4.
    assert loss(-1e4, math.log(0.5)) == pytest.approx(1e4)
    assert loss(math.log(0.5), -1e4) == 0.0
    # p = 1 to the last bit: 1 - p counts as one rounding step, 2 ** -23.
    assert loss(math.log(0.5), 0.0) == pytest.approx(23 * math.log(2), rel=1e-5)
    assert loss(math.log(0.5), -1e-8) == pytest.approx(23 * math.log(2), rel=1e-5)
    assert loss(-1e-8, -1e-8) == loss(0.0, 0.0) == pytest.approx(math.log(2))


@pytest.mark.parametrize("lead", [5.0, 12.0, 15.0])
def test_orpo_keeps_pushing_a_rejected_token_that_is_almost_certain(lead: float) -> None:
    # Two tokens in the vocabulary: the log odds of the first are its lead, so the slope to the lead is known
    # exactly: sigmoid(lead of rejected - lead of chosen).
    leads = numbers(0.0, lead, grad=True)
    logits = torch.stack([leads, torch.zeros(2)], -1)  # [chosen or rejected, V]
    logp = logits.log_softmax(-1)[:, 0]
    pairs = PairLogps(logp[:1], logp[1:], numbers(1), numbers(1))
    loss, _ = parse_losses({"orpo": {"beta": 1.0}}).pair_loss(pairs)
    loss.backward()
    assert loss.item() == pytest.approx(softplus(lead), rel=2e-2)
    assert leads.grad is not None
    assert leads.grad.tolist() == pytest.approx([-sigmoid(lead), sigmoid(lead)], rel=0.3)


def test_memorised_rejected_answer_still_has_a_slope_in_orpo() -> None:
    rejected = numbers(0.0, grad=True)
    pairs = PairLogps(numbers(-1.0), rejected, numbers(1), numbers(1))
    parse_losses({"orpo": {"beta": 1.0}}).pair_loss(pairs)[0].backward()
    assert rejected.grad is not None
    assert 1e5 < rejected.grad.item() < 1e7


# --------------------------------------------------------------------------------------- accumulation


def eight_pairs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    chosen_tokens, rejected_tokens = torch.randint(1, 30, (2, 8), generator=generator)

    def logps(tokens: torch.Tensor) -> torch.Tensor:
        return -tokens * (0.2 + 2 * torch.rand(8, generator=generator))

    return {
        "chosen": logps(chosen_tokens),
        "rejected": logps(rejected_tokens),
        "chosen_tokens": chosen_tokens,
        "rejected_tokens": rejected_tokens,
        "reference_chosen": logps(chosen_tokens),
        "reference_rejected": logps(rejected_tokens),
        "corrupted_chosen": logps(chosen_tokens),
        "reference_corrupted_chosen": logps(chosen_tokens),
        "gate": torch.tensor([True, False, False, True, True, False, True, True]),
    }


@pytest.mark.parametrize("losses", [{name: parameters} for name, parameters in EVERY_TERM.items()])
def test_eight_single_pairs_accumulated_equal_the_batch_of_eight(losses: dict[str, Any]) -> None:
    terms = parse_losses(losses | {"mdpo_conditional": {"beta": 0.1, "weight": 0.3}})
    leaves = ("chosen", "rejected", "corrupted_chosen")

    def run(parts: list[slice]) -> tuple[float, dict[str, float], list[torch.Tensor]]:
        values = eight_pairs()
        for name in leaves:
            values[name].requires_grad_()
        total, figures = 0.0, dict[str, float]()
        for part in parts:
            loss, logged = terms.pair_loss(PairLogps(**{k: v[part] for k, v in values.items()}))
            (loss / len(parts)).backward()
            total += loss.item() / len(parts)
            for key, value in logged.items():
                figures[key] = figures.get(key, 0.0) + value.item() / len(parts)
        grads = [values[name].grad for name in leaves]
        return total, figures, [torch.zeros(8) if g is None else g for g in grads]

    whole, whole_figures, whole_grads = run([slice(0, 8)])
    single, figures, grads = run([slice(i, i + 1) for i in range(8)])
    assert single == pytest.approx(whole, rel=1e-5)
    assert figures == pytest.approx(whole_figures, rel=1e-4, abs=1e-6)
    assert any(g.abs().max() > 0 for g in whole_grads)
    for one, other in zip(grads, whole_grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-9)


# ------------------------------------------------------------------------------------- what they need


@pytest.mark.parametrize("name", EVERY_TERM)
def test_a_term_needs_exactly_what_it_says(name: str) -> None:
    terms = parse_losses({name: EVERY_TERM[name]})
    fields = {
        "reference_chosen": terms.needs_reference,
        "reference_rejected": terms.needs_reference and terms.needs_rejected,
        "rejected": terms.needs_rejected,
        "rejected_tokens": terms.needs_rejected and name in ("ipo", "simpo", "orpo"),
        "corrupted_chosen": terms.needs_corrupted_image,
        "reference_corrupted_chosen": terms.needs_corrupted_image,
    }
    absent = {field: None for field, needed in fields.items() if not needed}
    terms.pair_loss(worked_pairs(**absent))
    for field, needed in fields.items():
        if needed:
            with pytest.raises(ValueError, match=rf"PairLogps\.{field} is missing"):
                terms.pair_loss(worked_pairs(**{field: None}))


def test_needs_of_a_combination() -> None:
    def needs(*names: str) -> tuple[bool, bool, bool]:
        terms: LossTerms = parse_losses({name: EVERY_TERM[name] for name in names})
        return terms.needs_reference, terms.needs_rejected, terms.needs_corrupted_image

    assert needs("nll") == (False, False, False)
    assert needs("orpo", "nll") == needs("simpo") == (False, True, False)
    assert needs("nll", "dpo") == (True, True, False)
    assert needs("dpo", "mdpo_conditional", "mdpo_anchor") == (True, True, True)


def test_a_row_with_one_completion_trains_on_nll() -> None:
    row = PairLogps(numbers(-8.0, grad=True), None, numbers(4), None)
    loss, logged = parse_losses({"nll": {}}).pair_loss(row)
    assert loss.item() == 2.0
    assert loss.requires_grad
    assert set(logged) == {"loss/nll", "logps/chosen"}


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({}, r"give at least one term"),
        (None, r"give at least one term"),
        ({"sigmoid": {"beta": 0.1}}, r"losses\.sigmoid: there is no such term. There are: dpo, ipo"),
        ({"dpo": None}, r"losses\.dpo is None: .* \(~losses\.dpo"),
        ({"dpo": 0.1}, r"losses\.dpo is 0\.1: give its parameters"),
        ({"dpo": {}}, r"losses\.dpo\.beta is missing: give above 0"),
        ({"robust": {"beta": 0.1}}, r"losses\.robust\.label_smoothing is missing: give the share"),
        ({"simpo": {"beta": 2.0}}, r"losses\.simpo\.gamma_ratio is missing: give gamma / beta"),
        ({"simpo": {"beta": 2.0, "gamma": 0.5}}, r"losses\.simpo\.gamma: .* has: beta, gamma_ratio, weight"),
        ({"nll": {"beta": 0.1}}, r"losses\.nll\.beta: nll has no such parameter. It has: weight"),
        ({"dpo": {"logps": 1}}, r"losses\.dpo\.logps: dpo has no such parameter"),
        ({"dpo": {"beta": 0}}, r"losses\.dpo\.beta is 0: give above 0"),
        ({"dpo": {"beta": float("nan")}}, r"losses\.dpo\.beta is nan"),
        ({"dpo": {"beta": float("inf")}}, r"losses\.dpo\.beta is inf"),
        ({"dpo": {"beta": "0.1"}}, r"losses\.dpo\.beta is '0\.1', which is not a number"),
        ({"dpo": {"beta": True}}, r"losses\.dpo\.beta is True, which is not a number"),
        ({"dpo": {"beta": None}}, r"losses\.dpo\.beta is None, which is not a number"),
        (
            {"dpo": {"beta": 0.1, "label_smoothing": 0.5}},
            r"losses\.dpo\.label_smoothing is 0\.5: .*below 0\.5",
        ),
        ({"nll": {"weight": -1}}, r"losses\.nll\.weight is -1: give 0 or more"),
        ({"nll": {"weight": 0}}, r"every weight is 0"),
    ],
)
def test_a_wrong_configuration_is_named(losses: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_losses(losses)


def test_a_hydra_config_is_read_with_its_interpolations() -> None:
    config = OmegaConf.create({"b": 0.3, "losses": {"dpo": {"beta": "${b}"}, "nll": {"weight": 1}}})
    terms = parse_losses(config.losses).terms
    assert [(t.name, t.weight, dict(t.parameters)) for t in terms] == [
        ("dpo", 1.0, {"beta": 0.3, "label_smoothing": 0.0}),
        ("nll", 1.0, {}),
    ]
    with pytest.raises(ValueError, match=r"losses\.dpo\.beta is missing"):
        parse_losses(OmegaConf.create({"dpo": {"beta": "???"}}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chosen": numbers(-8.0, -12.0).bfloat16()}, r"PairLogps\.chosen is torch\.bfloat16: .*float32"),
        ({"reference_chosen": numbers(-8.0, -1.0).half()}, r"PairLogps\.reference_chosen is torch\.float16"),
        ({"rejected": numbers(-8.0)}, r"PairLogps\.rejected has shape \[1\], chosen has \[2\]"),
        ({"chosen": torch.zeros(2, 1)}, r"PairLogps\.chosen has shape \[2, 1\]"),
        ({"chosen": torch.zeros(0)}, r"PairLogps\.chosen has shape \[0\]"),
        ({"gate": torch.ones(2)}, r"PairLogps\.gate is torch\.float32: give a bool"),
        ({"reference_rejected": numbers(-8.0, -1.0, grad=True)}, r"reference_rejected carries a gradient"),
    ],
)
def test_wrong_logps_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        worked_pairs(**changes)
