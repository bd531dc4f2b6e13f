"""Our losses against TRL's own trainers, on the same text-only batch of a tiny random model.

The log-probs that go into ours are computed here from plain logits; the policy and the reference are two
models with different weights. Compared are the loss, the logged rewards, and the gradient of every parameter.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # read when trl.experimental is imported

from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from align.training.losses import PairLogps, parse_losses

PAIRS = [
    ("what color is the star", "there is no star here", "the star is red"),
    ("what is here", "a red circle", "sure"),
    ("what color of circle is it", "blue", "can not say what color it is"),
    ("is a star here", "no the circle is green", "it is a blue star sure"),
]
WORDS = sorted({word for pair in PAIRS for text in pair for word in text.split()})

Model = LlamaForCausalLM
Batch = dict[str, torch.Tensor]


def tiny_model(seed: int) -> Model:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 3,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.4,  # far from uniform, so that log-probs differ
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config).eval()


def tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<eos>", "<unk>", *WORDS]
    core = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


def make_trainer(kind: str, folder: Path, **settings: Any) -> Any:
    config, trainer = {
        "dpo": (DPOConfig, DPOTrainer),
        "cpo": (CPOConfig, CPOTrainer),
        "orpo": (ORPOConfig, ORPOTrainer),
    }[kind]
    args = config(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        report_to="none",
        max_length=None if kind == "dpo" else 64,
        gradient_checkpointing=False,
        remove_unused_columns=False,
        **settings,
    )
    made = trainer(
        model=tiny_model(0),
        args=args,
        train_dataset=Dataset.from_list(
            [{"prompt": p, "chosen": f" {c}", "rejected": f" {r}"} for p, c, r in PAIRS]
        ),
        processing_class=tokenizer(),
        **({"ref_model": tiny_model(1)} if kind == "dpo" else {}),
    )
    made.model.eval()
    return made


def completion_logps(model: Model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of the completions' log-probs and their numbers of tokens, of 2B rows: chosen, then rejected."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logp = logits[:, :-1].log_softmax(-1)  # [2B, T-1, V]
    taken = logp.gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    kept = batch["completion_mask"][:, 1:]
    return (taken * kept).sum(-1), kept.sum(-1)


def pair_logps(policy: Model, batch: Batch) -> PairLogps:
    logps, tokens = completion_logps(policy, batch)
    with torch.no_grad():
        reference, _ = completion_logps(tiny_model(1), batch)
    half = len(logps) // 2
    return PairLogps(
        logps[:half], logps[half:], tokens[:half], tokens[half:], reference[:half], reference[half:]
    )


def batch_of(trainer: Any, rows: list[int]) -> tuple[Any, Batch]:
    """TRL's batch of these rows, and the same as ids, attention mask and completion mask, [2B, T]."""
    theirs = trainer.data_collator([trainer.train_dataset[i] for i in rows])
    if isinstance(trainer, DPOTrainer):
        return theirs, theirs
    whole = trainer.concatenated_inputs(theirs, padding_value=0)
    ours = {
        "input_ids": whole["concatenated_input_ids"],
        "attention_mask": whole["concatenated_attention_mask"],
        "completion_mask": (whole["concatenated_labels"] != -100).long(),
    }
    return theirs, ours


def gradients(model: Model, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_same(
    trainer: Any, losses: dict[str, Any], rows: list[int], rest: Callable[[Model, Batch], Any] | None = None
) -> dict[str, float]:
    """Loss and gradients of TRL's trainer equal ours, plus `rest`: what TRL adds and ours lacks.

    Returns what ours logs.
    """
    theirs_in, ours_in = batch_of(trainer, rows)
    theirs = trainer.compute_loss(trainer.model, theirs_in)
    their_gradients = gradients(trainer.model, theirs)

    policy = tiny_model(0)
    ours, logged = parse_losses(losses).pair_loss(pair_logps(policy, ours_in))
    if rest is not None:
        ours = ours + rest(policy, ours_in)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    our_gradients = gradients(policy, ours)
    assert our_gradients.keys() == their_gradients.keys()
    largest = max(g.abs().max().item() for g in our_gradients.values())
    assert largest > 1e-3
    for name, gradient in our_gradients.items():
        torch.testing.assert_close(their_gradients[name], gradient, rtol=1e-3, atol=1e-5 * largest, msg=name)
    return {name: value.item() for name, value in logged.items()}


def their_figures(trainer: Any) -> dict[str, float]:
    """What TRL's trainer logged for the last batch."""
    # DPOTrainer files by the model's mode, which is eval here; the experimental ones by the method's name.
    stored = trainer._metrics["eval"] if isinstance(trainer, DPOTrainer) else trainer._stored_metrics["train"]
    return {name: values[-1] for name, values in stored.items()}


ALL = [0, 1, 2, 3]
REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")


@pytest.mark.parametrize(
    ("loss_type", "settings", "losses"),
    [
        ("sigmoid", {"beta": 0.3}, {"dpo": {"beta": 0.3}}),
        ("ipo", {"beta": 0.3}, {"ipo": {"beta": 0.3}}),
        (
            "robust",
            {"beta": 0.3, "label_smoothing": 0.2},
            {"robust": {"beta": 0.3, "label_smoothing": 0.2}},
        ),
        ("hinge", {"beta": 0.3}, {"hinge": {"beta": 0.3}}),
        ("apo_zero", {"beta": 0.3}, {"apo_zero": {"beta": 0.3}}),
    ],
)
def test_terms_with_a_reference_equal_trl_dpo_trainer(
    loss_type: str, settings: dict[str, Any], losses: dict[str, Any], tmp_path: Path
) -> None:
    trainer = make_trainer("dpo", tmp_path, loss_type=[loss_type], **settings)
    ours = assert_same(trainer, losses, ALL)
    assert abs(ours["rewards/margins"]) > 0.1  # a reference that is not the policy
    theirs = their_figures(trainer)
    for name in (*REWARDS, "logps/chosen", "logps/rejected"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-5), name


def test_dpo_with_nll_equals_trl_pair_by_pair(tmp_path: Path) -> None:
    trainer = make_trainer("dpo", tmp_path, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5], beta=0.3)
    losses = {"dpo": {"beta": 0.3}, "nll": {"weight": 0.5}}
    for row in ALL:
        assert_same(trainer, losses, [row])

    # In a batch TRL's is a mean over tokens and ours over pairs.
    def difference(policy: Model, batch: Batch) -> torch.Tensor:
        pairs = pair_logps(policy, batch)
        a_pair = -(pairs.chosen / pairs.chosen_tokens).mean()
        a_token = -pairs.chosen.sum() / pairs.chosen_tokens.sum()
        assert abs(a_pair - a_token).item() > 1e-2
        return 0.5 * (a_token - a_pair)

    assert_same(trainer, losses, ALL, difference)


def test_simpo_equals_trl_cpo_trainer(tmp_path: Path) -> None:
    trainer = make_trainer("cpo", tmp_path, loss_type="simpo", beta=2.0, simpo_gamma=0.5, cpo_alpha=0.0)
    ours = assert_same(trainer, {"simpo": {"beta": 2.0, "gamma_ratio": 0.25}}, ALL)
    theirs = their_figures(trainer)
    for name in REWARDS:
        assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-5), name


def test_orpo_equals_trl_orpo_trainer_but_for_the_prompt_in_its_nll(tmp_path: Path) -> None:
    trainer = make_trainer("orpo", tmp_path, beta=0.4)

    def nll_with_prompt(policy: Model, batch: Batch) -> torch.Tensor:
        half = len(batch["input_ids"]) // 2
        ids, kept = batch["input_ids"][:half], batch["attention_mask"][:half, 1:].bool()
        logits = policy(input_ids=ids, attention_mask=batch["attention_mask"][:half]).logits[:, :-1]
        return torch.nn.functional.cross_entropy(logits[kept], ids[:, 1:][kept])

    ours = assert_same(trainer, {"orpo": {"beta": 0.4}}, ALL, nll_with_prompt)
    theirs = their_figures(trainer)
    for name in REWARDS:
        assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-5), name
    assert ours["loss/orpo"] == pytest.approx(-0.4 * theirs["log_odds_ratio"], rel=1e-5)

    # Our ORPO is that with the NLL of the completions alone.
    _, batch = batch_of(trainer, ALL)
    policy = tiny_model(0)
    pairs = pair_logps(policy, batch)
    whole, logged = parse_losses({"orpo": {"beta": 0.4}, "nll": {}}).pair_loss(pairs)
    assert logged["loss/orpo"].item() == pytest.approx(ours["loss/orpo"])
    assert whole.item() == pytest.approx(ours["loss/orpo"] + logged["loss/nll"].item())
    assert abs(logged["loss/nll"].item() - theirs["nll_loss"]) > 1e-2
