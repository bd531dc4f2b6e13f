"""The trainers: supervised rows and preference pairs, over `transformers.Trainer`.

`transformers.Trainer` brings accelerate, DeepSpeed, FSDP, checkpoints and trackers. What is ours: each prompt
is run once with all its completions behind it (`sequences`, `attention`), logits exist for completion tokens
only (`completions`), and the loss is any weighted sum of terms over log-probs (`losses`). A loss is a sum
over pairs (tokens, for supervised rows) divided by their number in the whole step, over all processes and
accumulated batches, so that how a step is cut into batches does not change its gradient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import ProcessorMixin, Trainer, TrainingArguments

from align.launch import gather
from align.models.families import Family
from align.models.loading import REFERENCE_ADAPTER
from align.records import Pair, SFTRow
from align.training.attention import why_not_shared
from align.training.collating import Collator, Example, RowDataset
from align.training.completions import completion_logps, one_look
from align.training.losses import LossTerms, PairLogps, gate_for
from align.training.sampling import RowSampler
from align.training.sequences import SequenceBatch
from align.training.undisturbed import undisturbed


class CompletionTrainer(Trainer):
    """What both trainers share. Subclasses say what a batch's loss is and what it is a mean over.

    Args:
        model: the model to train, with its adapter if it has one.
        rows: the rows to train on, in order; `eval_rows` likewise.
        lengths: of the rows in tokens, for `train_sampling_strategy="group_by_length"`: batches of like rows,
            and less padding.
        family: where the model keeps its parts.
        shared: both sides of a pair behind one prompt; None: where the model allows it. `not_shared`
            then says why not.
    """

    loss_is_scaled_for_ga = True  # see `compute_loss`
    corrupt = False
    closed: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        model: nn.Module,
        args: TrainingArguments,
        processor: ProcessorMixin,
        family: Family,
        rows: Sequence[Pair | SFTRow],
        data_root: str | Path,
        eval_rows: Sequence[Pair | SFTRow] | None = None,
        lengths: list[int] | None = None,
        shared: bool | None = None,
        **others: Any,
    ) -> None:
        bare: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        self.bare = bare
        self.family = family
        self.not_shared = why_not_shared(self.bare)
        if shared and self.not_shared:
            raise ValueError(f"sequences=shared is not possible for {family.name}: {self.not_shared}")
        if shared is False:
            self.not_shared = "sequences=separate asks for it"
        text = bare.config.get_text_config()
        self.pack = text._attn_implementation == "flex_attention" and family.name != "mllama"
        self._figures: dict[bool, dict[str, list[Tensor]]] = {
            True: defaultdict(list),
            False: defaultdict(list),
        }
        self.lengths = lengths
        super().__init__(
            model=model,
            args=args,
            train_dataset=RowDataset(rows),
            eval_dataset=RowDataset(eval_rows) if eval_rows else None,
            processing_class=processor,
            **others,
        )
        collator: Any = Collator(
            processor,
            data_root,
            family.name,
            shared=self.not_shared is None,
            corrupt=self.corrupt,
            closed=self.closed,
            image_always=self.sharded and any(row.images for row in rows),
        )
        self.data_collator = collator

    # What a subclass says.

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, summed over its items, and figures to log, each a mean over the items."""
        raise NotImplementedError

    def items(self, inputs: dict[str, Any]) -> int:
        """How many items of the loss a batch has."""
        raise NotImplementedError

    # What the trainers do with it.

    def logps(self, model: nn.Module, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Summed log-probs and token counts of a batch's completions, `[C]` each."""
        return completion_logps(model, batch, bare=self.bare, shared=self.not_shared is None, pack=self.pack)

    @torch.no_grad()
    def row_logps(self, examples: Sequence[Example], sequences: str = "sequences") -> Tensor:
        """Summed log-probs of the completions of rows, `[C]` on the CPU.

        `sequences` names those of the collator's batch. Where weights are sharded all processes have to call
        it together, once training has wrapped the model.
        """
        model: Any = self.model
        device = self.accelerator.device
        collate: Any = self.data_collator
        batch = collate(examples)
        with self.accelerator.autocast(), undisturbed(model, device):
            return self.logps(self.model_wrapped, batch[sequences].to(device))[0].cpu()

    @property
    def sharded(self) -> bool:
        """Whether each process holds a part of the weights only."""
        plugin = self.accelerator.state.deepspeed_plugin
        return self.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        total, figures = self.batch_loss(model, inputs)
        items = self.items(inputs)
        weight = torch.tensor(float(items), device=total.device)
        kept = self._figures[model.training]
        for name, value in figures.items():
            kept[name].append(torch.stack([value.detach().float() * weight, weight]))
        if num_items_in_batch is None:
            mean = total / max(items, 1)
            return (mean, None) if return_outputs else mean
        # Gradients are averaged over processes, so a sum over all of them needs their number.
        loss = total / num_items_in_batch * self.accelerator.num_processes
        return (loss, None) if return_outputs else loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        if not batch_samples:
            return None
        count = torch.tensor([sum(self.items(inputs) for inputs in batch_samples)], device=device)
        return self.accelerator.gather(count).sum()

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, None, None]:
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, inputs).detach(), None, None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        strategy = self.args.train_sampling_strategy
        if strategy not in ("random", "group_by_length", "sequential"):
            raise ValueError(
                f"trainer.train_sampling_strategy={strategy}: choose random, group_by_length or sequential"
            )
        if strategy == "group_by_length" and self.lengths is None:
            raise ValueError("trainer.train_sampling_strategy=group_by_length: the trainer needs `lengths`")
        return self._sampler(
            train_dataset or self.train_dataset,
            self.args.train_batch_size,
            shuffle=strategy == "random",
            lengths=self.lengths if strategy == "group_by_length" else None,
            group=self.args.train_batch_size * self.args.gradient_accumulation_steps,
        )

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        return self._sampler(eval_dataset, self.args.eval_batch_size, shuffle=False)

    def _sampler(self, dataset: Any, batch: int, **order: Any) -> RowSampler:
        processes = self.args.world_size
        return RowSampler(
            len(dataset),
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
            multiple=batch * processes if processes > 1 else 1,
            **order,
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        training = not any(name.startswith("eval_") for name in logs)
        kept = self._figures[training]
        # A process that had no rows, as in a small last step, has no figures and must take part all the same.
        everyone = gather(sorted(kept)) if "loss" in logs or not training else []
        names = sorted({name for each in everyone for name in each})
        if names:
            none = [torch.zeros(2, device=self.accelerator.device)]
            sums = torch.stack([torch.stack(kept.get(name, none)).sum(0) for name in names])  # [figures, 2]
            sums = self.accelerator.reduce(sums.to(self.accelerator.device), "sum")
            means = (sums[:, 0] / sums[:, 1]).tolist()
            prefix = "" if training else "eval_"
            found = {f"{prefix}{name}": mean for name, mean in zip(names, means, strict=True)}
            if training:
                logs = logs | found
            else:
                logs.update(found)  # in place: `metric_for_best_model` is looked for in the caller's
            kept.clear()
        super().log(logs, start_time)

    @property
    def vision_is_frozen(self) -> bool:
        """Nothing of the tower and the projector is trained, so their output is the same in each pass."""
        paths = (*self.family.vision_tower, *self.family.projector)
        return not any(
            parameter.requires_grad
            for name, parameter in self.bare.named_parameters()
            if any(name == path or name.startswith(f"{path}.") for path in paths)
        )


class SupervisedTrainer(CompletionTrainer):
    """Minus the log-prob of the completion, a mean over the completion tokens of a step."""

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        sums, counts = self.logps(model, inputs["sequences"])
        real = inputs["index"] >= 0
        total = -sums[real].sum()
        if not real.any():
            return total, {}
        return total, {"logps/token": -total / counts[real].sum()}

    def items(self, inputs: dict[str, Any]) -> int:
        batch = inputs["sequences"]
        tokens = torch.bincount(batch.owners, minlength=batch.completions)
        return int(tokens[inputs["index"].to(tokens.device) >= 0].sum())


class PreferenceTrainer(CompletionTrainer):
    """Preference pairs under any weighted sum of the terms in `align.training.losses`.

    Args:
        terms: the loss.
        closed: categories whose pairs' image-conditioned terms are left out (`gate_for`).
        others: see `CompletionTrainer`.

    The reference is the model without its adapter, or, when an adapter is trained further, a frozen copy of
    it under the name `reference`. Its log-probs are looked up in `reference`, `[rows, 2]`, and those of the
    chosen side behind a corrupted image in `corrupted_reference`, `[rows]`, where these were filled
    (`align.training.reference`), and computed in the step where they were not.
    """

    def __init__(self, *, terms: LossTerms, closed: Collection[str] = (), **others: Any) -> None:
        gate_for([], closed)  # refuses what is no category
        if closed and not terms.needs_corrupted_image:
            raise ValueError(
                "closed leaves categories out of terms that look at a corrupted image (mdpo_conditional), "
                "and the loss has none: remove it"
            )
        self.terms = terms
        self.closed = tuple(closed)
        self.corrupt = terms.needs_corrupted_image
        self.reference: Tensor | None = None
        self.corrupted_reference: Tensor | None = None
        super().__init__(**others)

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        with one_look(self.bare) if self._can_share_images else nullcontext():
            reference = self._reference(model, inputs) if self.terms.needs_reference else {}
            sums, counts = self.logps(model, inputs["sequences"])
        chosen, rejected = sums.view(-1, 2).unbind(1)
        chosen_tokens, rejected_tokens = counts.view(-1, 2).unbind(1)
        corrupted = self._corrupted(model, inputs) if self.corrupt else {}
        known = {
            "chosen": chosen,
            "rejected": rejected,
            "chosen_tokens": chosen_tokens,
            "rejected_tokens": rejected_tokens,
            **reference,
            **corrupted,
        }
        real = inputs["index"] >= 0
        if not real.any():  # all fillers: nothing to learn, and a gradient of zeros for the other processes
            return 0.0 * (chosen.sum() + rejected.sum()), {}
        loss, figures = self.terms.pair_loss(
            PairLogps(**{name: value[real] for name, value in known.items()})
        )
        return loss * real.sum(), figures

    def items(self, inputs: dict[str, Any]) -> int:
        return int((inputs["index"] >= 0).sum())

    def reference_logps(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """The reference's log-probs of chosen and rejected, `[n]` on the CPU. For before training only:
        without an adapter, the model is its own reference until the first step."""
        with self.as_reference(self.model) if isinstance(self.model, PeftModel) else nullcontext():
            chosen, rejected = self.row_logps(examples).view(-1, 2).unbind(1)
        return chosen, rejected

    def corrupted_reference_logps(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """The same of the chosen side behind a corrupted image, twice."""
        with self.as_reference(self.model) if isinstance(self.model, PeftModel) else nullcontext():
            chosen = self.row_logps(examples, "corrupted")
        return chosen, chosen

    @contextmanager
    def as_reference(self, model: nn.Module) -> Iterator[None]:
        """Within it the model is its own reference, without dropout."""
        peft: Any = self.accelerator.unwrap_model(model)
        if not isinstance(peft, PeftModel):
            raise ValueError(
                "without an adapter there is nothing to switch off, so the reference's log-probs must be "
                "computed before training (reference.cache=true), and held-out pairs have none: set "
                "data.eval_pairs=null, or train an adapter"
            )
        switched = (
            _Adapter(peft, REFERENCE_ADAPTER)
            if REFERENCE_ADAPTER in peft.peft_config
            else peft.disable_adapter()
        )
        training = [module for module in peft.modules() if module.training]
        with switched:
            peft.eval()
            try:
                yield
            finally:
                for module in training:
                    module.training = True

    def _reference(self, model: nn.Module, inputs: dict[str, Any]) -> dict[str, Tensor]:
        if self.reference is not None and model.training:
            found = self.reference[inputs["index"].cpu()].to(self.accelerator.device)
        else:
            with torch.no_grad(), self.as_reference(model):
                found = self.logps(model, inputs["sequences"])[0].view(-1, 2)
        return {"reference_chosen": found[:, 0], "reference_rejected": found[:, 1]}

    def _corrupted(self, model: nn.Module, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """What the image-conditioned terms take; 0 for rows that their gate leaves out."""
        gate = inputs["gate"]
        policy = torch.zeros(len(gate), device=self.accelerator.device)
        reference = torch.zeros_like(policy)
        if "corrupted" in inputs:
            with one_look(self.bare) if self._can_share_images else nullcontext():
                if self.corrupted_reference is not None and model.training:
                    reference = self.corrupted_reference[inputs["index"].cpu()].to(policy.device)
                else:
                    with torch.no_grad(), self.as_reference(model):
                        reference[gate] = self.logps(model, inputs["corrupted"])[0]
                policy = policy.masked_scatter(gate, self.logps(model, inputs["corrupted"])[0])
        return {"gate": gate, "corrupted_chosen": policy, "reference_corrupted_chosen": reference}

    @property
    def _can_share_images(self) -> bool:
        # Sharded weights are gathered module by module in an order that is the same each time.
        return self.vision_is_frozen and not self.sharded


class _Adapter:
    """Another adapter for a while; PEFT makes the one that it switches to trainable, which is undone."""

    def __init__(self, model: Any, name: str) -> None:
        self.model, self.name = model, name

    def __enter__(self) -> None:
        self.before = self.model.active_adapter
        self.model.base_model.set_adapter(self.name, inference_mode=True)

    def __exit__(self, *_: Any) -> None:
        self.model.base_model.set_adapter(self.before)
