"""Sampling in which each row of a batch draws its own random numbers."""

from __future__ import annotations

import torch
from transformers import LogitsProcessor, TopPLogitsWarper


class SeededSampling(LogitsProcessor):
    """Sampling by the Gumbel-max trick, with a random stream for each row.

    argmax(logits / temperature + g), g ~ Gumbel(0, 1), is a draw from softmax(logits / temperature).
    """

    def __init__(self, temperature: float, top_p: float, seeds: list[int], device: torch.device) -> None:
        self.temperature = temperature
        self.warper = TopPLogitsWarper(top_p) if top_p < 1 else None
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # [B, T], [B, V]
        scores = scores.float() / self.temperature
        if self.warper is not None:
            scores = self.warper(input_ids, scores)
        noise = torch.stack(
            [torch.empty_like(scores[0]).exponential_(generator=generator) for generator in self.generators]
        )
        return scores - noise.log()  # -log(Exponential(1)) is Gumbel(0, 1)
