"""Training the tiny model from scratch: packed batches, the optimizer, and accuracy by teacher forcing.

All rows about a scene share one sequence `[user, image | row 1 | row 2 | ...]`. Each row sees the image
and itself, not the other rows, and continues the prefix's position ids. So the image is encoded once
for eight rows, and a row's loss equals that of a sequence of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from align.miniworld.architecture import IMAGE_TOKENS
from align.miniworld.pretraining_rows import Row, pretraining_rows
from align.miniworld.scenes import Scene, draw, make_scene

IGNORED = -100
PREFIX = 1 + IMAGE_TOKENS  # <|user|> and the image


@dataclass
class PackedBatch:
    """Scenes and their rows. S scenes, T tokens, N target tokens, G rows."""

    pixel_values: Tensor  # [S, 3, 96, 96]
    input_ids: Tensor  # [S, T]
    position_ids: Tensor  # [S, T]
    row_of: Tensor  # [S, T] index of the row in its scene; -1 for the prefix, -2 for padding
    labels: Tensor  # [S, T] the next token where it belongs to an answer, else -100
    groups: list[list[str]]  # [S][row] the rows' groups

    @property
    def attention_mask(self) -> Tensor:
        """Which key each query sees, `[S, 1, T, T]` bool: the prefix and its own row, causally."""
        of = self.row_of
        visible = (of[:, :, None] == of[:, None, :]) | (of[:, None, :] == -1)
        causal = torch.ones(of.shape[1], of.shape[1], dtype=torch.bool).tril()
        return (visible & causal)[:, None]


def pixels(images: list[np.ndarray]) -> Tensor:
    """Drawn scenes as the model's image processor gives them, `[S, 3, 96, 96]`."""
    stacked = torch.stack([torch.from_numpy(image) for image in images])
    return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1


def pack(scenes: list[Scene], rows: list[list[Row]], tokenizer: PreTrainedTokenizerFast) -> PackedBatch:
    """Put each scene's rows into one sequence, padded on the right."""
    user, assistant, image = (
        tokenizer.convert_tokens_to_ids(token) for token in ("<|user|>", "<|assistant|>", "<image>")
    )
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    texts = [text for scene_rows in rows for row in scene_rows for text in (row.question, row.answer)]
    encoded = iter(tokenizer(texts, add_special_tokens=False)["input_ids"])
    sequences = []
    for scene_rows in rows:
        ids, positions = [user] + [image] * IMAGE_TOKENS, list(range(PREFIX))
        of, labels = [-1] * PREFIX, [IGNORED] * PREFIX
        for index in range(len(scene_rows)):
            question, answer = next(encoded), [*next(encoded), end]
            row = [*question, assistant, *answer]
            ids += row
            positions += range(PREFIX, PREFIX + len(row))
            of += [index] * len(row)
            labels += [IGNORED] * len(question) + answer + [IGNORED]
        sequences.append((ids, positions, of, labels))
    length = max(len(ids) for ids, *_ in sequences)

    def padded(column: int, value: int) -> Tensor:
        return torch.tensor([s[column] + [value] * (length - len(s[column])) for s in sequences])

    return PackedBatch(
        pixel_values=pixels([draw(scene) for scene in scenes]),
        input_ids=padded(0, pad),
        position_ids=padded(1, 0),
        row_of=padded(2, -2),
        labels=padded(3, IGNORED),
        groups=[[row.group for row in scene_rows] for scene_rows in rows],
    )


class PretrainingStream(IterableDataset):
    """Packed batches of fresh scenes, without end; a worker's stream depends on seed and worker only."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        scenes: int,
        rows: int,
        inventions: float,
        requests: float,
        seed: int,
    ) -> None:
        self.tokenizer, self.scenes, self.seed = tokenizer, scenes, seed
        self.mix: dict[str, Any] = {"count": rows, "inventions": inventions, "requests": requests}

    def __iter__(self) -> Iterator[PackedBatch]:
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(f"pretraining-{self.seed}-{worker.id if worker else 0}")
        while True:
            drawn = []
            for _ in range(8 * self.scenes):
                # Chance seldom draws two alike, and who never saw two cannot learn to count them.
                scene = make_scene(rng, alike=rng.random() < 0.6)
                drawn.append((scene, pretraining_rows(scene, rng, **self.mix)))
            # Batches of like lengths: a quarter of all tokens would be padding otherwise.
            drawn.sort(key=lambda pair: sum(len(row.question) + len(row.answer) for row in pair[1]))
            batches = [drawn[i : i + self.scenes] for i in range(0, len(drawn), self.scenes)]
            rng.shuffle(batches)
            for batch in batches:
                yield pack([scene for scene, _ in batch], [rows for _, rows in batch], self.tokenizer)


class Optimizer:
    """Muon on hidden matrices, AdamW on embeddings, convolutions, norms and heads; one schedule for both.

    Warm-up over 50 steps, then constant, then linear to zero over the last 40 %. In a trial on the tower's
    warm-up Muon reached in 280 steps what AdamW reached in 600.
    """

    def __init__(
        self, parameters: Iterable[tuple[str, nn.Parameter]], muon_lr: float, adamw_lr: float, steps: int
    ) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in parameters:
            hidden = parameter.ndim == 2 and not any(part in name for part in ("embed", "lm_head", "heads"))
            (matrices if hidden else others).append(parameter)
        self.parameters = matrices + others
        self.optimizers = [
            torch.optim.Muon(matrices, lr=muon_lr, weight_decay=0.01),
            torch.optim.AdamW(others, lr=adamw_lr, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(
                optimizer, lambda step: min((step + 1) / 50, 1.0, (steps - step) / (0.4 * steps))
            )
            for optimizer in self.optimizers
        ]

    def step(self) -> None:
        """Clip, step, and clear the gradients."""
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer, scheduler in zip(self.optimizers, self.schedulers, strict=True):
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)


def image_features(model: LlavaForConditionalGeneration, pixel_values: Tensor) -> Tensor:
    """Projected patches, `[S, 9, hidden]`."""
    tower = model.model.vision_tower(pixel_values, output_hidden_states=True)
    return model.model.multi_modal_projector(tower.hidden_states[model.config.vision_feature_layer])


def target_logits(model: LlavaForConditionalGeneration, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Logits and labels at the answer tokens only, `[N, V]` and `[N]`."""
    embeds = model.model.language_model.embed_tokens(batch.input_ids)
    image = image_features(model, batch.pixel_values).to(embeds.dtype)
    embeds = torch.cat([embeds[:, :1], image, embeds[:, PREFIX:]], dim=1)
    seen = batch.attention_mask
    mask = torch.zeros(seen.shape, dtype=embeds.dtype).masked_fill(~seen, torch.finfo(embeds.dtype).min)
    hidden = model.model.language_model(
        inputs_embeds=embeds, attention_mask=mask, position_ids=batch.position_ids, use_cache=False
    ).last_hidden_state
    kept = batch.labels != IGNORED
    return model.lm_head(hidden[kept]).float(), batch.labels[kept]


@torch.no_grad()
def row_accuracy(model: LlavaForConditionalGeneration, batches: list[PackedBatch]) -> dict[str, float]:
    """Share of rows, per group, in which every answer token is the most probable one.

    For groups with one canonical answer this equals the accuracy of greedy decoding.
    """
    right: dict[str, list[bool]] = {}
    for batch in batches:
        logits, labels = target_logits(model, batch)
        hit = torch.ones_like(batch.labels, dtype=torch.bool)
        hit[batch.labels != IGNORED] = logits.argmax(-1) == labels
        for scene, groups in enumerate(batch.groups):
            for row, group in enumerate(groups):
                right.setdefault(group, []).append(bool(hit[scene][batch.row_of[scene] == row].all()))
    return {group: sum(hits) / len(hits) for group, hits in sorted(right.items())}
