"""The trainers on a few rows with the embedded model."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from PIL import Image
from safetensors.torch import load_file
from transformers import TrainingArguments

from align.models.adapters import count_parameters, lora_config
from align.models.families import family_of
from align.models.loading import load_model
from align.records import DataError, Pair, SFTRow, read_records
from align.training.collating import Example
from align.training.data import read_training_rows
from align.training.losses import parse_losses
from align.training.proving import prove_rows_run
from align.training.saving import model_card, save_trained
from align.training.trainer import CompletionTrainer, PreferenceTrainer, SupervisedTrainer

SETTINGS = {
    "use_cpu": True,
    "max_steps": 3,
    "per_device_train_batch_size": 8,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "save_strategy": "no",
    "disable_tqdm": True,
    "logging_steps": 1,
    "remove_unused_columns": False,
    "dataloader_pin_memory": False,
    "report_to": "none",
}
DPO = {"dpo": {"beta": 0.2}, "nll": {"weight": 0.3}}
MDPO = {"dpo": {"beta": 0.1}, "mdpo_conditional": {"beta": 0.1}, "mdpo_anchor": {"beta": 0.1}}


def make_trainer(
    losses: dict[str, Any] | None,
    root: Path,
    folder: Path,
    *,
    shared: bool | None = None,
    closed: tuple[str, ...] = (),
    moved: bool = False,
    **settings: Any,
) -> Any:
    """`losses` None trains on supervised rows; `moved` starts away from the reference."""
    loaded = load_model("tiny_vlm", device="cpu")
    family = family_of(loaded.model)
    torch.manual_seed(0)
    model = get_peft_model(loaded.model, lora_config(loaded.model, family, {"r": 4, "lora_alpha": 8}))
    if moved:
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
    common: dict[str, Any] = {
        "model": model,
        "args": TrainingArguments(output_dir=str(folder), **SETTINGS | settings),
        "processor": loaded.processor,
        "family": family,
        "data_root": root,
        "shared": shared,
    }
    if losses is None:
        return SupervisedTrainer(rows=read_records(root / "sft.jsonl", SFTRow), **common)
    rows = read_records(root / "pairs.jsonl", Pair)
    return PreferenceTrainer(terms=parse_losses(losses), closed=closed, rows=rows, **common)


def snapshot(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def trained(trainer: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters() if p.requires_grad])


@pytest.mark.parametrize("losses", [DPO, None], ids=["pairs", "sft"])
def test_every_trainable_parameter_moves_and_every_frozen_one_stays(
    losses: Any, rows_root: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(losses, rows_root, tmp_path)
    before = snapshot(trainer)
    trainer.train()
    moved = {n for n, p in trainer.model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n, p in trainer.model.named_parameters() if p.requires_grad}
    counts = count_parameters(trainer.model, family_of(trainer.model))
    assert {part for part, row in counts.items() if row["trainable"]} == {"language_model"}


# Plain gradient descent: Adam divides by the size of the gradient and would hide a wrong scale.
SGD = {"optim": "sgd", "learning_rate": 0.5, "max_steps": 2, "max_grad_norm": 1e9}


@pytest.mark.parametrize("losses", [DPO, MDPO, None], ids=["dpo", "mdpo", "sft"])
def test_how_a_step_is_cut_into_batches_does_not_change_it(
    losses: Any, rows_root: Path, tmp_path: Path
) -> None:
    # 3 + 3 + 2 in the second: batches of different sizes and lengths.
    whole, ones, threes = (
        make_trainer(
            losses,
            rows_root,
            tmp_path,
            moved=True,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            dataloader_drop_last=False,
            **SGD,
        )
        for batch, accumulation in ((8, 1), (1, 8), (4, 2))
    )
    start = trained(whole)
    for trainer in (whole, ones, threes):
        trainer.train()
    assert (trained(whole) - start).abs().max() > 1e-3
    torch.testing.assert_close(trained(ones), trained(whole), atol=1e-5, rtol=0)
    torch.testing.assert_close(trained(threes), trained(whole), atol=1e-5, rtol=0)
    assert ones.state.log_history[0]["loss"] == pytest.approx(whole.state.log_history[0]["loss"], abs=1e-4)
    if losses is not None:
        assert ones.state.log_history[1]["rewards/margins"] == pytest.approx(
            whole.state.log_history[1]["rewards/margins"], abs=1e-4
        )


@pytest.mark.parametrize("losses", [DPO, MDPO], ids=["dpo", "mdpo"])
def test_shared_sequences_train_as_separate_ones(losses: Any, rows_root: Path, tmp_path: Path) -> None:
    together, apart = (
        make_trainer(losses, rows_root, tmp_path, moved=True, shared=shared, **SGD)
        for shared in (True, False)
    )
    assert together.not_shared is None
    assert apart.not_shared is not None
    together.train()
    apart.train()
    torch.testing.assert_close(trained(together), trained(apart), atol=1e-5, rtol=0)


def completion_logps(model: Any, processor: Any, row: Any, text: str, root: Path) -> torch.Tensor:
    """Log-probs of one completion, from the processor and the model as anybody would use them."""
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": row.prompt}]}],
        add_generation_prompt=True,
    )
    picture = Image.open(root / row.images[0])
    length = processor(images=picture, text=prompt, return_tensors="pt")["input_ids"].shape[1]
    inputs = processor(images=picture, text=prompt + text + "<|end|>", return_tensors="pt")
    logps = model(**inputs).logits[0, :-1].log_softmax(-1)
    return logps.gather(1, inputs["input_ids"][0, 1:, None])[length - 1 :, 0]


@torch.no_grad()
@pytest.mark.parametrize("cached", [False, True])
def test_the_loss_equals_arithmetic_by_hand(cached: bool, rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer(DPO, rows_root, tmp_path, moved=True)
    rows = trainer.train_dataset.rows[:3]
    examples = [Example(i, row) for i, row in enumerate(rows)]
    if cached:
        trainer.reference = torch.stack(trainer.reference_logps(examples), dim=1)
        trainer.as_reference = None  # it must not be asked again
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(examples)).item()

    expected = 0.0
    for row in rows:
        model, processor = trainer.model, trainer.processing_class
        chosen = completion_logps(model, processor, row, row.chosen, rows_root)
        rejected = completion_logps(model, processor, row, row.rejected, rows_root)
        with model.disable_adapter():
            was_chosen = completion_logps(model, processor, row, row.chosen, rows_root)
            was_rejected = completion_logps(model, processor, row, row.rejected, rows_root)
        margin = (chosen.sum() - was_chosen.sum() - rejected.sum() + was_rejected.sum()).item()
        assert abs(margin) > 1e-2
        expected += (math.log1p(math.exp(-0.2 * margin)) - 0.3 * chosen.mean().item()) / 3
    assert loss == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_the_supervised_loss_is_a_mean_over_completion_tokens(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer(None, rows_root, tmp_path)
    rows = trainer.train_dataset.rows[:3]
    batch = trainer.data_collator([Example(i, row) for i, row in enumerate(rows)])
    logps = [
        completion_logps(trainer.model, trainer.processing_class, row, row.completion, rows_root)
        for row in rows
    ]
    expected = -torch.cat(logps).mean().item()
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected, rel=1e-5)


def test_the_gate_leaves_its_categories_out_of_the_image_terms(rows_root: Path, tmp_path: Path) -> None:
    rows = read_records(rows_root / "pairs.jsonl", Pair)
    losses = {"mdpo_conditional": {"beta": 0.1}}
    closed = make_trainer(losses, rows_root, tmp_path, closed=("Vague_Description",), moved=True)
    opened = make_trainer(losses, rows_root, tmp_path, moved=True)
    categories = ["Vague_Description" if i % 2 else "Answerable" for i in range(len(rows))]
    kept = [row.model_copy(update={"category": c}) for row, c in zip(rows, categories, strict=True)]
    values = []
    for trainer, indices in ((closed, range(4)), (opened, (0, 2))):
        trainer.train_dataset.rows = kept
        batch = trainer.data_collator([Example(i, kept[i]) for i in indices])
        trainer.model.train()
        values.append(trainer.compute_loss(trainer.model, batch).item() * len(batch["index"]))
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_corrupted_reference_that_was_looked_up_trains_as_one_that_is_computed(
    rows_root: Path, tmp_path: Path
) -> None:
    closed = ("Vague_Description",)
    computed = make_trainer(MDPO, rows_root, tmp_path, closed=closed, moved=True)
    cached = make_trainer(MDPO, rows_root, tmp_path, closed=closed, moved=True)
    categories = ["Vague_Description", "Answerable"]
    rows = [
        row.model_copy(update={"category": categories[i % 2]})
        for i, row in enumerate(cached.train_dataset.rows)
    ]
    gate = [row.category not in closed for row in rows]
    cached.corrupted_reference = torch.zeros(len(rows))
    for i, row in enumerate(rows):
        if gate[i]:
            cached.corrupted_reference[i] = cached.corrupted_reference_logps([Example(i, row)])[0]
    looks = []
    for trainer in (computed, cached):
        batch = trainer.data_collator([Example(i, rows[i]) for i in range(8)])
        assert batch["gate"].tolist() == gate[:8]
        assert batch["corrupted"].completions == sum(gate[:8])
        run = trainer.logps
        calls: list[int] = []
        trainer.logps = lambda *a, run=run, calls=calls: (calls.append(1), run(*a))[1]
        trainer.model.train()
        looks.append((trainer.compute_loss(trainer.model, batch).item(), len(calls)))
    assert looks[0][0] == pytest.approx(looks[1][0], rel=1e-5)
    assert [calls for _, calls in looks] == [4, 3]


def test_images_are_encoded_once_a_step_without_autograd(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer(DPO, rows_root, tmp_path, moved=True)
    batch = trainer.data_collator([Example(i, row) for i, row in enumerate(trainer.train_dataset.rows[:4])])
    looks = []
    tower = trainer.bare.model.vision_tower
    tower.register_forward_hook(lambda *_: looks.append(torch.is_grad_enabled()))
    kept: list[torch.Tensor] = []
    inside = {"tower": False}
    tower.register_forward_pre_hook(lambda *_: inside.update(tower=True))
    tower.register_forward_hook(lambda *_: inside.update(tower=False))

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if inside["tower"]:
            kept.append(tensor)
        return tensor

    trainer.model.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        trainer.compute_loss(trainer.model, batch).backward()
    assert looks == [False]  # for policy and reference together
    assert kept == []
    assert "get_image_features" not in vars(trainer.bare.base_model)


def test_a_trained_tower_is_run_for_each_pass_with_its_gradient(rows_root: Path, tmp_path: Path) -> None:
    loaded = load_model("tiny_vlm", device="cpu")
    family = family_of(loaded.model)
    config = lora_config(loaded.model, family, {"r": 4, "parts": ["language_model", "vision_tower"]})
    trainer = PreferenceTrainer(
        model=get_peft_model(loaded.model, config),
        terms=parse_losses(DPO),
        args=TrainingArguments(output_dir=str(tmp_path), **SETTINGS),
        processor=loaded.processor,
        family=family,
        data_root=rows_root,
        rows=read_records(rows_root / "pairs.jsonl", Pair),
    )
    before = snapshot(trainer)
    trainer.train()
    moved = {n for n, p in trainer.model.named_parameters() if not torch.equal(p, before[n])}
    assert {n for n in moved if "vision_tower" in n} == {
        n for n, p in trainer.model.named_parameters() if p.requires_grad and "vision_tower" in n
    }
    assert any("vision_tower" in n for n in moved)


def test_evaluation_logs_the_same_figures(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer(DPO, rows_root, tmp_path, moved=True)
    rows = trainer.train_dataset.rows
    trainer.eval_dataset = type(trainer.train_dataset)(rows)
    figures = trainer.evaluate()
    logged = trainer.state.log_history[-1]
    with torch.no_grad():
        batch = trainer.data_collator([Example(i, row) for i, row in enumerate(rows)])
        loss = trainer.compute_loss(trainer.model, batch).item()
    assert figures["eval_loss"] == pytest.approx(loss, rel=1e-4)
    assert 0 <= logged["eval_rewards/accuracies"] <= 1


def test_rows_of_like_length_share_a_batch_where_that_is_asked(rows_root: Path, tmp_path: Path) -> None:
    trainer: CompletionTrainer = make_trainer(
        DPO, rows_root, tmp_path, train_sampling_strategy="group_by_length", per_device_train_batch_size=4
    )
    with pytest.raises(ValueError, match="needs `lengths`"):
        trainer.get_train_dataloader()
    trainer.train_dataset.rows = list(trainer.train_dataset.rows) * 16
    lengths = [i % 4 for i in range(256)]
    trainer.lengths = lengths
    spread = []
    for batch in trainer.get_train_dataloader():
        spread.append(len({lengths[i] for i in batch["index"].tolist()}))
    assert sum(spread) / len(spread) < 1.5  # chance gives 2.7 of 4


def test_the_adapter_is_saved_whole_and_loads_as_it_was_trained(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer(DPO, rows_root, tmp_path, max_steps=2)
    trainer.train()
    folder = tmp_path / "adapter"
    card = model_card(
        method="DPO",
        base="tiny_vlm",
        base_digest="0123",
        data={"rows": 16},
        settings={"learning_rate": 0.1, "unset": None},
        figures={"loss": 0.5, "train_runtime": 3.0},
        parameters="table of parameters",
    )
    folder.mkdir()
    (folder / "left over from an earlier run").touch()
    save_trained(trainer, folder, base="tiny_vlm", card=card)
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert '"base_model_name_or_path": "tiny_vlm"' in (folder / "adapter_config.json").read_text()
    text = (folder / "README.md").read_text()
    for expected in (
        "- rows: 16",
        "learning_rate: 0.1",
        "| loss | 0.5 |",
        "table of parameters",
        "digest `0123`",
    ):
        assert expected in text
    assert "unset" not in text
    again = load_model("tiny_vlm", folder, device="cpu").model
    loaded = dict(again.named_parameters())
    tuned = {n: p for n, p in trainer.model.named_parameters() if "lora_" in n}
    assert tuned
    assert all(torch.equal(p, loaded[n]) for n, p in tuned.items())
    assert load_file(folder / "adapter_model.safetensors").keys()


def test_a_row_whose_placeholders_do_not_match_its_image_is_named(rows_root: Path, tmp_path: Path) -> None:
    trainer = make_trainer(DPO, rows_root, tmp_path)
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
        batch = collate(rows)
        ids = batch["sequences"].input_ids
        ids[0, (ids[0] == trainer.bare.config.image_token_id).nonzero()[0]] = 3
        return batch

    trainer.data_collator = lose_an_image_token
    with pytest.raises(
        DataError, match=r"row q\d+ does not go through the model: Image features and image tokens"
    ):
        prove_rows_run(trainer, training)
