"""The log-probability of what `generate` chooses, added up while it generates.

Beside each step's logits, which are there anyway, this holds two numbers a row, however long the output.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, StoppingCriteria, StoppingCriteriaList


def generate_with_logprobs(
    model: PreTrainedModel | PeftModel, eos: torch.Tensor, **arguments: Any
) -> tuple[torch.Tensor, list[float]]:
    """`model.generate(**arguments)` and the log-probability of each row's answer.

    Args:
        eos: ids of the tokens that end a row.
        arguments: of `generate`; padding on the left, no beams.

    Returns the prompts with their answers `[B, T]`, and `[B]` sums of natural logarithms, at most 0.
    """
    generator: Any = model  # a module's attributes are typed as tensors
    with TokenLogprobs(model, eos.to(next(model.parameters()).device)) as sums:
        sequences = generator.generate(**arguments, stopping_criteria=StoppingCriteriaList([sums]))
    # Rounding can put a token a hair above probability 1.
    return sequences, sums.totals.clamp(max=0.0).tolist()


class TokenLogprobs(StoppingCriteria):
    """Sums ln softmax(logits)[token] over each row's tokens, its end token included. Stops nothing.

    The logits are the model's own: before temperature, top-p, penalties and bans. Give it to
    `model.generate(stopping_criteria=...)` within `with TokenLogprobs(model, eos) as sums:`, then read
    `sums.totals` `[B]` (float32).
    """

    def __init__(self, model: PreTrainedModel | PeftModel, eos: torch.Tensor) -> None:
        # An adapter's `generate` is that of the model within it.
        self._model = model.get_base_model() if isinstance(model, PeftModel) else model
        self._eos = eos.flatten()
        self._logits: torch.Tensor | None = None
        self._open: torch.Tensor | None = None  # [B]: rows that have not ended
        self._totals: torch.Tensor | None = None

    @property
    def totals(self) -> torch.Tensor:
        if self._totals is None:
            raise RuntimeError("nothing was generated: was this given to generate()?")
        return self._totals

    def __enter__(self) -> TokenLogprobs:
        # The criteria see logits only after the processors, so they are taken as the model gives them.
        self._hook = self._model.register_forward_hook(self._keep)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hook.remove()
        self._logits = None

    def _keep(self, module: torch.nn.Module, arguments: Any, output: Any) -> None:
        self._logits = output.logits[:, -1]  # [B, V]; padding is on the left

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any
    ) -> torch.Tensor:  # [B, T] with the token just chosen, [B, V]
        assert self._logits is not None
        token = input_ids[:, -1:]
        logits = self._logits.float()
        chosen = logits.gather(-1, token).squeeze(-1) - logits.logsumexp(-1)  # [B]
        if self._open is None or self._totals is None:
            self._open = torch.ones_like(chosen, dtype=torch.bool)
            self._totals = torch.zeros_like(chosen)
        self._totals += torch.where(self._open, chosen, 0.0)
        self._open &= ~torch.isin(token.squeeze(-1), self._eos)
        return torch.zeros_like(self._open)
