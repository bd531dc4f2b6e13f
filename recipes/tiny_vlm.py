"""Train the tiny vision-language model of the miniature world from scratch.

    python recipes/tiny_vlm.py out=runs/tiny_vlm

Writes a model folder that `from_pretrained` loads, with the figures that it reached in `training.json`.
A step takes 0.7 s on two CPU cores that do nothing else. `init=FOLDER` goes on from a model: the one that
ships in `align/miniworld/tiny_vlm` was trained in several such stretches, which its README lists.
"""

from __future__ import annotations

import copy
import logging
import random
import time
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, OmegaConf
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import AutoModelForImageTextToText, AutoProcessor

from align.miniworld.architecture import build_model, build_processor, build_tokenizer
from align.miniworld.patches import PatchHeads, patch_batch
from align.miniworld.pretraining import (
    Optimizer,
    PretrainingStream,
    image_features,
    pixels,
    row_accuracy,
    target_logits,
)
from align.records import write_json
from align.user_errors import ends_with_message

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../configs", config_name="tiny_vlm")
@ends_with_message
def main(config: DictConfig) -> None:
    torch.manual_seed(config.seed)
    out = Path(config.out)
    if config.init:
        model, tokenizer = (
            AutoModelForImageTextToText.from_pretrained(config.init),
            AutoProcessor.from_pretrained(config.init).tokenizer,
        )
    else:
        tokenizer = build_tokenizer(config.seed)
        model = build_model(tokenizer, **config.model)
    heads = PatchHeads(model.config.text_config.hidden_size)
    if config.tower.steps:
        train_tower(model, heads, config)

    parameters = [*model.named_parameters(), *heads.named_parameters()]
    optimizer = Optimizer(parameters, config.muon_lr, config.adamw_lr, config.steps)
    patches = random.Random(f"patches-{config.seed}")

    # Inventions cannot be predicted, so they only slow the learning to see: most of them come late.
    early = stream(tokenizer, config, config.early, seed=config.seed)
    late = stream(tokenizer, config, config.late, seed=config.seed + 1)
    held_out = stream(tokenizer, config, config.late, seed=config.seed + 2)
    validation = [next(held_out) for _ in range(16)]

    started, batches = time.time(), early
    for step in range(config.steps):
        if step == int(config.late_from * config.steps):
            batches = late
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            logits, labels = target_logits(model, next(batches))
        loss = cross_entropy(logits, labels)
        # Beside language too, or the tower forgets what it cannot be asked about in words.
        if config.tower.weight:
            patch_loss, patches_right = tower_loss(model, heads, patches, config.tower.scenes)
            (loss + config.tower.weight * patch_loss).backward()
        else:
            loss.backward()
        optimizer.step()
        if (step + 1) % config.report_every == 0 or step + 1 == config.steps:
            accuracy = row_accuracy(model, validation)
            shown = as_percentages(accuracy)
            if config.tower.weight:
                shown += "  | patches: " + as_percentages(patches_right)
            log.info("step %d  %.0f s  loss %.4f  %s", step + 1, time.time() - started, loss.item(), shown)
            save(model, tokenizer, out)
            write_json(
                out / "training.json",
                {
                    "config": OmegaConf.to_container(config, resolve=True),
                    "step": step + 1,
                    "seconds": round(time.time() - started),
                    "row_accuracy": accuracy,
                },
            )


def train_tower(model, heads: PatchHeads, config: DictConfig) -> None:  # type: ignore[no-untyped-def]
    """Teach tower and projector to label each patch, so that language starts from eyes that see."""
    parts = [model.model.vision_tower, model.model.multi_modal_projector, heads]
    parameters = (named for part in parts for named in part.named_parameters())
    optimizer = Optimizer(parameters, config.tower.muon_lr, config.tower.adamw_lr, config.tower.steps)
    rng = random.Random(f"tower-{config.seed}")
    for step in range(config.tower.steps):
        loss, right = tower_loss(model, heads, rng, config.tower.scenes)
        loss.backward()
        optimizer.step()
        if (step + 1) % 250 == 0:
            log.info("tower step %d  loss %.4f  %s", step + 1, loss.item(), as_percentages(right))


def tower_loss(model, heads: PatchHeads, rng: random.Random, scenes: int):  # type: ignore[no-untyped-def]
    images, labels = patch_batch(rng, scenes)
    return heads(image_features(model, pixels(images)), labels)


def as_percentages(shares: dict[str, float]) -> str:
    return "  ".join(f"{name} {100 * share:.1f}" for name, share in shares.items())


def stream(tokenizer, config: DictConfig, mix: DictConfig, *, seed: int):  # type: ignore[no-untyped-def]
    dataset = PretrainingStream(tokenizer, scenes=config.scenes, rows=config.rows, **mix, seed=seed)
    return iter(DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=4))


def save(model, tokenizer, out: Path) -> None:  # type: ignore[no-untyped-def]
    """A folder for `from_pretrained`: stored in half precision, to be computed with in float32."""
    copy.deepcopy(model).half().save_pretrained(out)
    model.config.save_pretrained(out)
    model.generation_config.save_pretrained(out)
    build_processor(tokenizer).save_pretrained(out)


if __name__ == "__main__":
    main()
