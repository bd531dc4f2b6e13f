"""Rows for the model: `[prompt | completion 1 | completion 2 | ...]`, one sequence a prompt.

A preference pair is a prompt with two completions. Its prompt, with hundreds of image tokens, stands in the
sequence once; the completions do not see each other and continue the prompt's positions, so each gets the
log-probs that it would get in a sequence of its own (`align.training.attention` makes the masks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

PROMPT, PADDING = -1, -2  # segments that are no completion


@dataclass
class SequenceBatch:
    """R rows of T tokens with N completion tokens to be scored, of C completions in all.

    Completions are numbered row by row in `owners`. A prompt's last token scores the first token of each of
    its completions, so the same place may be named several times.
    """

    input_ids: Tensor  # [R, T]
    segments: Tensor  # [R, T] PROMPT, PADDING, or the number of the completion within its prompt
    steps: Tensor  # [R, T] index in the sequence that a completion makes with its prompt alone
    documents: Tensor  # [R, T] the prompt that a token belongs to
    rows: Tensor  # [N] where the hidden state is that predicts a label
    columns: Tensor  # [N]
    labels: Tensor  # [N] the completion tokens
    owners: Tensor  # [N] the completion that a label belongs to
    completions: int  # C
    inputs: dict[str, Tensor] = field(
        default_factory=dict
    )  # for the model: images, and marks of tokens [R, T]

    @property
    def attention_mask(self) -> Tensor:
        """1 where there is a token, 0 where there is padding, `[R, T]`."""
        return (self.segments != PADDING).long()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SequenceBatch:
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> SequenceBatch:
        return self._each(Tensor.pin_memory)

    def _each(self, change) -> SequenceBatch:  # type: ignore[no-untyped-def]
        tensors = {
            f.name: change(value) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **tensors, inputs={name: change(value) for name, value in self.inputs.items()})


def build_sequences(
    prompts: Mapping[str, Tensor],
    completions: Sequence[Sequence[Sequence[int]]],
    *,
    pad: int,
    completion_types: Mapping[str, int] | None = None,
) -> SequenceBatch:
    """Put completions behind their prompts, padded on the right to the longest row.

    Args:
        prompts: a processor's output for R prompts, padded on either side: `input_ids` and
            `attention_mask` `[R, P]`, marks of tokens (other tensors `[R, P]` that are named `*_type_ids`),
            `cross_attention_mask` `[R, P, ...]`, and image tensors, which are passed on as they are.
        completions: for each prompt its completions' token ids. None at all is allowed: the row is then run
            for its image only.
        pad: the token to pad with.
        completion_types: the mark of completion tokens where it is not 0, as `{"token_type_ids": 1}`.

    Raises `ValueError` for a completion without tokens, which has no log-prob.
    """
    if any(len(answer) == 0 for answers in completions for answer in answers):
        raise ValueError("a completion has no tokens: it must have at least its end token")
    inputs = dict(prompts)
    kept = inputs.pop("attention_mask").bool()
    prompt_ids = [ids[mask].tolist() for ids, mask in zip(inputs.pop("input_ids"), kept, strict=True)]

    sequences, segments, steps = [], [], []
    rows: list[int] = []
    columns: list[int] = []
    labels: list[int] = []
    owners: list[int] = []
    owner = 0
    for row, (prompt, answers) in enumerate(zip(prompt_ids, completions, strict=True)):
        tokens, of, at = list(prompt), [PROMPT] * len(prompt), list(range(len(prompt)))
        for number, answer in enumerate(answers):
            start = len(tokens)
            rows += [row] * len(answer)
            columns += [len(prompt) - 1, *range(start, start + len(answer) - 1)]
            labels += answer
            owners += [owner] * len(answer)
            tokens += answer
            of += [number] * len(answer)
            at += range(len(prompt), len(prompt) + len(answer))
            owner += 1
        sequences.append(tokens)
        segments.append(of)
        steps.append(at)
    width = max(len(tokens) for tokens in sequences)

    types = completion_types or {}
    for name, value in inputs.items():
        if name.endswith("_type_ids"):
            marks = [row[mask].tolist() for row, mask in zip(value, kept, strict=True)]
            filling = types.get(name, 0)
            inputs[name] = torch.stack([_fit(torch.tensor(row), width, filling) for row in marks])
        elif name == "cross_attention_mask":  # a completion sees the images that the prompt's end sees
            inputs[name] = torch.stack(
                [_fit(row[mask], width, row[mask][-1]) for row, mask in zip(value, kept, strict=True)]
            )
    return SequenceBatch(
        input_ids=_padded(sequences, width, pad),
        segments=_padded(segments, width, PADDING),
        steps=_padded(steps, width, 0),
        documents=torch.arange(len(sequences))[:, None].expand(-1, width).contiguous(),
        rows=torch.tensor(rows, dtype=torch.long),
        columns=torch.tensor(columns, dtype=torch.long),
        labels=torch.tensor(labels, dtype=torch.long),
        owners=torch.tensor(owners, dtype=torch.long),
        completions=owner,
        inputs=inputs,
    )


def packed(batch: SequenceBatch, multiple: int = 1) -> SequenceBatch:
    """All rows behind each other in one row without padding, `[1, T']`, for attention by block masks.

    T' is filled up to a `multiple`. Raises `ValueError` for models whose image goes to a row as a whole.
    """
    if "cross_attention_mask" in batch.inputs:
        raise ValueError("rows with cross-attention to their own images cannot be packed")
    kept = batch.segments != PADDING
    place = kept.flatten().cumsum(0).view(kept.shape) - 1  # [R, T] where a token goes
    total = int(kept.sum())
    width = -(-total // multiple) * multiple

    def flat(value: Tensor, filling: int) -> Tensor:
        return _fit(value[kept], width, filling)[None]

    shape = batch.input_ids.shape
    marks = {
        name for name, value in batch.inputs.items() if name.endswith("_type_ids") and value.shape == shape
    }
    columns = place[batch.rows, batch.columns]
    return replace(
        batch,
        input_ids=flat(batch.input_ids, 0),
        segments=flat(batch.segments, PADDING),
        steps=flat(batch.steps, 0),
        documents=flat(batch.documents, -1),
        rows=torch.zeros_like(columns),
        columns=columns,
        inputs={name: flat(value, 0) if name in marks else value for name, value in batch.inputs.items()},
    )


def _padded(rows: list[list[int]], width: int, filling: int) -> Tensor:
    return torch.tensor([row + [filling] * (width - len(row)) for row in rows])


def _fit(value: Tensor, width: int, filling: Tensor | int) -> Tensor:
    """`value` `[n, ...]` with `filling` behind it, `[width, ...]`."""
    more = value.new_empty(width - len(value), *value.shape[1:])
    more[:] = filling
    return torch.cat([value, more])
