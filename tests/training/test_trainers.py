"""TRL's trainers as the programs set them up, on a few rows."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from align.data.loading import preference_dataset, sft_dataset
from align.models.adapters import count_parameters, lora_config
from align.models.families import family_of
from align.models.loading import load_model
from align.records import DataError, Pair, SFTRow, read_records
from align.training.arguments import training_arguments
from align.training.data import prove_rows_run, read_training_rows
from align.training.saving import model_card, save_adapter

SETTINGS = {
    "use_cpu": True,
    "max_steps": 3,
    "per_device_train_batch_size": 8,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "gradient_checkpointing": False,
    "save_strategy": "no",
    "disable_tqdm": True,
    "logging_steps": 1,
}


def make_trainer(kind: str, root: Path, folder: Path, adapter: Path | None = None, **settings: Any) -> Any:
    config, trainer, record, dataset, file = {
        "dpo": (DPOConfig, DPOTrainer, Pair, preference_dataset, "pairs.jsonl"),
        "sft": (SFTConfig, SFTTrainer, SFTRow, sft_dataset, "sft.jsonl"),
    }[kind]
    args = training_arguments(config, SETTINGS | settings, folder=folder, seed=0, report_to="none")
    loaded = load_model("tiny_vlm", adapter, device="cpu", trainable_adapter=True)
    lora = lora_config(loaded.model, family_of(loaded.model), {"r": 4, "lora_alpha": 8})
    return trainer(
        model=loaded.model,
        args=args,
        train_dataset=dataset(read_records(root / file, record), root),
        processing_class=loaded.processor,
        peft_config=None if adapter else lora,
    )


def snapshot(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


@pytest.mark.parametrize("kind", ["dpo", "sft"])
def test_every_trainable_parameter_moves_and_every_frozen_one_stays(
    kind: str, rows_root: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(kind, rows_root, tmp_path)
    before = snapshot(trainer)
    trainer.train()
    moved = {n for n, p in trainer.model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n, p in trainer.model.named_parameters() if p.requires_grad}
    counts = count_parameters(trainer.model, family_of(trainer.model))
    assert {part for part, row in counts.items() if row["trainable"]} == {"language_model"}


@pytest.mark.parametrize("kind", ["dpo", "sft"])
def test_batch_1_accumulated_8_times_equals_batch_8(kind: str, rows_root: Path, tmp_path: Path) -> None:
    # Plain gradient descent: Adam divides by the size of the gradient and would hide a wrong scale.
    common = {"optim": "sgd", "learning_rate": 0.5, "max_steps": 2, "max_grad_norm": 1e9}
    results = []
    for batch, accumulation in ((8, 1), (1, 8)):
        trainer = make_trainer(
            kind,
            rows_root,
            tmp_path / str(batch),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            **common,
        )
        before = snapshot(trainer)
        trainer.train()
        trained = {n: p.detach() - before[n] for n, p in trainer.model.named_parameters() if "lora_B" in n}
        results.append(trained)
    whole, accumulated = results
    largest = max(change.abs().max().item() for change in whole.values())
    assert largest > 1e-3
    for name, change in whole.items():
        torch.testing.assert_close(accumulated[name], change, atol=1e-3 * largest, rtol=1e-3, msg=name)


def test_dpo_loss_equals_arithmetic_by_hand(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer(
        "dpo", rows_root, tmp_path, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.3], beta=0.2
    )
    trainer.train()  # away from the reference
    rows = [trainer.train_dataset[i] for i in range(3)]
    batch = trainer.data_collator(rows)
    trainer.model.eval()
    with torch.no_grad():
        loss = trainer.compute_loss(trainer.model, batch).item()

        def completion_logps() -> torch.Tensor:
            inputs = {k: v for k, v in batch.items() if k != "completion_mask"}
            logp = trainer.model(**inputs).logits[:, :-1].float().log_softmax(-1)  # [2B, T-1, V]
            taken = logp.gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
            return taken * batch["completion_mask"][:, 1:]

        policy = completion_logps()
        with trainer.model.disable_adapter():
            reference = completion_logps()
    ratio = (policy - reference).sum(-1)
    margins = [(ratio[i] - ratio[i + 3]).item() for i in range(3)]
    assert max(abs(m) for m in margins) > 1e-3
    sigmoid = sum(math.log1p(math.exp(-0.2 * m)) for m in margins) / 3
    nll = -policy[:3].sum().item() / batch["completion_mask"][:3].sum().item()
    assert loss == pytest.approx(sigmoid + 0.3 * nll, rel=1e-4)


def test_sft_loss_falls_on_the_completion_only(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer("sft", rows_root, tmp_path)
    row = trainer.train_dataset[0]
    text = row["completion"][0]["content"]
    labels = trainer.data_collator([row])["labels"][0]
    kept = trainer.processing_class.tokenizer.decode(labels[labels != -100])
    assert kept == f"{text}<|end|>"


def test_the_adapter_is_saved_whole_and_loads_as_it_was_trained(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer("dpo", rows_root, tmp_path, max_steps=2)
    trainer.train()
    folder = tmp_path / "adapter"
    card = model_card(
        method="DPO",
        base="tiny_vlm",
        base_digest="0123",
        data={"rows": 16},
        settings={"beta": 0.1, "unset": None},
        figures={"loss": 0.5, "train_runtime": 3.0},
        parameters="table of parameters",
    )
    folder.mkdir()
    (folder / "left over from an earlier run").touch()
    save_adapter(trainer, folder, base="tiny_vlm", card=card)
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert '"base_model_name_or_path": "tiny_vlm"' in (folder / "adapter_config.json").read_text()
    text = (folder / "README.md").read_text()
    for expected in ("- rows: 16", "beta: 0.1", "| loss | 0.5 |", "table of parameters", "digest `0123`"):
        assert expected in text
    assert "unset" not in text

    again = load_model("tiny_vlm", folder, device="cpu").model
    assert isinstance(again, PeftModel)
    trained = {n: p for n, p in trainer.model.named_parameters() if "lora_" in n}
    loaded = dict(again.named_parameters())
    assert trained
    assert all(torch.equal(p, loaded[n]) for n, p in trained.items())

    # Going on from it: the reference is a frozen copy of where it started, and only the tuned one is saved.
    further = make_trainer("dpo", rows_root, tmp_path / "further", adapter=folder, max_steps=2)
    further.train()
    for name, parameter in further.model.named_parameters():
        if ".ref." in name:
            assert torch.equal(parameter, trained[name.replace(".ref.", ".default.")])
    second = save_adapter(further, tmp_path / "second", base="tiny_vlm", card=card)
    changed = load_file(second / "adapter_model.safetensors")
    first = load_file(folder / "adapter_model.safetensors")
    assert changed.keys() == first.keys()
    assert any(not torch.equal(changed[n], first[n]) for n in first)


def test_a_row_whose_placeholders_do_not_match_its_image_is_named(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer("dpo", rows_root, tmp_path)
    training = read_training_rows(
        rows_root / "pairs.jsonl",
        Pair,
        data_root=rows_root,
        processor=trainer.processing_class,
        max_tokens=512,
    )
    assert prove_rows_run(trainer, training) == 1  # all images have one shape
    collate = trainer.data_collator

    def lose_an_image_token(rows: list) -> dict:
        batch = dict(collate(rows))
        image_token = trainer.model.config.image_token_id
        first = (batch["input_ids"][0] == image_token).nonzero()[0]
        batch["input_ids"][:, first] = 3
        return batch

    trainer.data_collator = lose_an_image_token
    with pytest.raises(
        DataError, match=r"row q\d+ does not go through the model: Image features and image tokens"
    ):
        prove_rows_run(trainer, training)
