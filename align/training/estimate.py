"""How much memory a training step will take and how long an epoch, from the shapes of model and rows.

For one of N processes, in the layout that training uses: the prompt of a pair, its chosen and its rejected
side in one sequence. Symbols: B rows in a batch; T tokens of a row (prompt and all completions), C of them in
completions; L layers, h hidden width, q width of the attention heads together, f width of the MLP, V
vocabulary; P trainable parameters; s bytes of an activation (4 for float32, 2 for half precision).

Memory, at the end of the forward pass or soon after, with B of the longest rows:

- *weights*: as stored, whatever their dtype or quantisation; where float32 ones compute in half precision,
  also the copies that autocast makes of them.
- *gradients and optimizer*: each trainable parameter's bytes, once for its gradient and `state` times for the
  optimizer (Adam: two). The largest one's gradient once more: it is whole before it is added to the others'.
- *activations*: B T L (a h s + 4 q s + 4 f s + 8 h). These are the tensors that autograd keeps in a pre-norm
  decoder layer with SDPA: both norms' inputs in float32 (8 h); inputs of adapted linear layers (a h: a = 2 in
  float32, where layers share them; 5 under LoRA in half precision, where PEFT casts one for each; 4 in full
  training, where norms keep their outputs too); query, repeated keys and values, and output (4 q); both MLP
  branches, the activation and the product (4 f). The method is that of Korthikanti et al., arXiv 2205.05198;
  the factors are those of this architecture. With gradient checkpointing, B T L h s.
- *workspace*: one layer's activations again, for the gradients that flow while they are freed, and with
  gradient checkpointing the layer that is computed again; and the mask of attention, B T T s.
- *logits*: 16 bytes for each of the B C V logits, their float32 log-softmax, and the gradients of both; of no
  more logits than `align.training.completions` computes at once. They are gone when the layers' gradients
  flow: of workspace and logits the larger counts.
- *vision*: what the tower holds. A frozen one keeps nothing but the widest of its layers; a trained one keeps
  the inputs and outputs of all its linear layers.

- *communication*: what several processes need beside, below.

How these are shared by N processes (`StepPlan.sharding`), with the settings of configs/accelerate/:

- *none*, DDP: each holds all, and the gradients a second time in the buckets that are summed.
- *zero2*, DeepSpeed: weights in s bytes, all on each. Gradients, P s bytes, and the optimizer's states with
the
  float32 weights that it steps, 4 P bytes and `state` times that, are divided by N. Beside them two buffers
  of `ZERO2_BUCKET` numbers, which DeepSpeed takes whatever is trained.
- *zero3*, DeepSpeed: as zero2, the weights divided by N too. Beside them the weights that are put together
  for use: what lies outside of the layers (embeddings, head), and two layers, one in use and one on its way;
  or `ZERO3_LIVE` numbers, which DeepSpeed keeps together anyway, where that is more; and a buffer of h h
  numbers.
- *fsdp*, FSDP2: weights, gradients and optimizer states as without sharding, divided by N; what lies outside
  of the layers and two layers are put together.

Not in it: Python and its libraries (about 0.6 GiB on a CPU), the CUDA context, and what the allocator wastes.

Time: forward FLOPs of a token are 2 N (N the weights of the linear layers that it passes) and 4 T q L for
attention, whose mask is dense. A step does forward and backward for activations (2 forwards; 3 of attention),
the gradients of weights when all are trained (+1), the recomputation under gradient checkpointing (+1). The
head is computed again (+1) where a batch has more logits than are computed at once. A
frozen tower runs once. Reference log-probs cost one forward of the data set more, in the first epoch. FLOPs
over the rate of a matrix product of this shape on this device is the time if nothing else took any;
`efficiency` is the share of that rate that training steps reach. What processes send each other takes no time
here; `align.planning` looks at that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn
from transformers import PretrainedConfig

from align.models.adapters import count_parameters
from align.models.families import Family, Part
from align.training.completions import LOGITS_AT_ONCE

OPTIMIZER_STATE = {"adamw": 2.0, "adam": 2.0, "lion": 1.0, "rmsprop": 1.0, "adagrad": 1.0, "sgd": 0.0}
OPTIMIZER_STATE |= {"adafactor": 0.05, "galore": 0.5, "apollo": 0.5}
"""Optimizer state in sizes of the trained parameters, by the first of these names in `trainer.optim`."""

ZERO2_BUCKET = 500_000_000
"""Numbers in one of the two buffers in which DeepSpeed's ZeRO-2 reduces gradients: its
`reduce_bucket_size`."""

ZERO3_LIVE = 1_000_000_000
"""Numbers that DeepSpeed's ZeRO-3 leaves together: its `stage3_max_live_parameters`."""

NF4_BYTES = 4.127 / 8
"""Bytes of a weight in NF4 with quantised constants (QLoRA, arXiv 2305.14314, section 3)."""

Sharding = Literal["none", "zero2", "zero3", "fsdp"]


@dataclass(frozen=True)
class ModelShape:
    """What the estimate needs to know of a model as it will be trained, adapter included."""

    layers: int
    hidden: int
    heads_width: int
    mlp_width: int
    vocabulary: int
    weight_bytes: int
    float32_parameters: int
    trainable_bytes: int
    trainable_parameters: int
    language_weights: int  # of the linear layers that a text token passes, the head left out
    tower_weights: int  # of the linear layers of tower and projector that an image patch passes
    tower_kept_width: int  # of all inputs and outputs of the tower's linear layers
    tower_widest: int
    trains: tuple[Part, ...]
    adapter: bool  # LoRA and the like: norms and base weights are frozen
    largest_trainable: int = 0  # parameters in the largest tensor that is trained
    gathered_bytes: int = 0  # of the weights that sharding puts together for use at one time


@dataclass(frozen=True)
class StepPlan:
    """How a training run is going to step. `activation_bytes` is 2 for half precision, autocast or not."""

    batch: int
    activation_bytes: int
    accumulation: int = 1
    processes: int = 1
    gradient_checkpointing: bool = False
    optimizer: str = "adamw_torch"
    needs_reference: bool = True
    sharding: Sharding = "none"  # over `processes`


@dataclass(frozen=True)
class RowTokens:
    """Tokens of one row in the shared-prefix layout, and the image patches that enter the tower for it."""

    prompt: int
    completions: tuple[int, ...]
    patches: int = 0

    @property
    def completion(self) -> int:
        return sum(self.completions)

    @property
    def total(self) -> int:
        return self.prompt + self.completion


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process at the peak of a step, by what they are for."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    workspace: int
    logits: int
    vision: int
    communication: int = 0

    @property
    def total(self) -> int:
        """The peak: the sum, of workspace and logits the larger only."""
        return sum(asdict(self).values()) - min(self.workspace, self.logits)


@dataclass(frozen=True)
class TimeEstimate:
    """Of one epoch over all rows, in seconds; the reference log-probs come once, in the first epoch."""

    epoch_seconds: float
    reference_seconds: float
    steps: int
    token_forwards: int  # forwards and what costs as much as one, over the tokens of all rows
    flops: float
    flop_rate: float
    efficiency: float


def model_shape(model: nn.Module, family: Family) -> ModelShape:
    """Read the shape of a model that is set up for training: adapter in place, the rest frozen or not.

    Raises `ValueError` if the text configuration lacks what the formula is made of.
    """
    text = _text_config(model)
    hidden, heads = _number(text, "hidden_size"), _number(text, "num_attention_heads")
    head = getattr(text, "head_dim", None) or hidden // heads
    linears = [
        (family.part_of(name), module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    tower = [module for part, module in linears if part in ("vision_tower", "projector")]
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    counts = count_parameters(model, family)
    return ModelShape(
        layers=_number(text, "num_hidden_layers"),
        hidden=hidden,
        heads_width=heads * head,
        mlp_width=_number(text, "intermediate_size"),
        vocabulary=_number(text, "vocab_size"),
        weight_bytes=sum(_n_bytes(p) for p in model.parameters()),
        float32_parameters=sum(_held(p) for p in model.parameters() if p.dtype == torch.float32),
        trainable_bytes=sum(_n_bytes(p) for _, p in trainable),
        trainable_parameters=sum(_held(p) for _, p in trainable),
        language_weights=sum(
            m.in_features * m.out_features for part, m in linears if part == "language_model"
        ),
        tower_weights=sum(m.in_features * m.out_features for m in tower),
        tower_kept_width=sum(m.in_features + m.out_features for m in tower),
        tower_widest=max((m.in_features + m.out_features for m in tower), default=0),
        trains=tuple(part for part, row in counts.items() if row["trainable"]),
        adapter=any("lora_" in name for name, _ in trainable),
        largest_trainable=max((_held(p) for _, p in trainable), default=0),
        gathered_bytes=_gathered_bytes(model),
    )


def step_plan(
    settings: Mapping[str, Any],
    model: nn.Module,
    *,
    processes: int = 1,
    needs_reference: bool,
    sharding: Sharding = "none",
) -> StepPlan:
    """The plan that a `trainer` config and the model's dtype make, with the defaults of `transformers`."""
    device = next(model.parameters()).device
    half = settings.get("bf16")
    if half is None:
        half = not settings.get("fp16") and device.type == "cuda" and torch.cuda.is_bf16_supported()
    element = min(p.element_size() for p in model.parameters() if p.is_floating_point())
    return StepPlan(
        batch=int(settings.get("per_device_train_batch_size") or 8),
        activation_bytes=2 if half or settings.get("fp16") else element,
        accumulation=int(settings.get("gradient_accumulation_steps") or 1),
        processes=processes,
        gradient_checkpointing=bool(settings.get("gradient_checkpointing")),
        optimizer=str(settings.get("optim") or "adamw_torch"),
        needs_reference=needs_reference,
        sharding=sharding,
    )


def estimate_memory(shape: ModelShape, plan: StepPlan, rows: Sequence[RowTokens]) -> MemoryEstimate:
    """Peak bytes of a step on a batch of the longest row; see the module for the formula."""
    longest = max(rows, key=lambda row: row.total)
    most_completion = max(row.completion for row in rows) * plan.batch
    tokens, s = longest.total * plan.batch, plan.activation_bytes
    copies = (2 if s == 4 else 5) if shape.adapter else 4
    layer = tokens * (
        (copies * shape.hidden + 4 * (shape.heads_width + shape.mlp_width)) * s + 8 * shape.hidden
    )
    kept = tokens * shape.hidden * s if plan.gradient_checkpointing else layer
    patches = max(row.patches for row in rows) * plan.batch
    tower_trains = bool({"vision_tower", "projector"} & set(shape.trains))
    weights, gradients, optimizer, communication = _states(shape, plan)
    return MemoryEstimate(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=kept * shape.layers,
        workspace=layer * (2 if plan.gradient_checkpointing else 1) + plan.batch * longest.total**2 * s,
        logits=16 * min(most_completion * shape.vocabulary, LOGITS_AT_ONCE),
        vision=patches * s * (shape.tower_kept_width if tower_trains else shape.tower_widest),
        communication=communication,
    )


def estimate_time(
    shape: ModelShape, plan: StepPlan, rows: Sequence[RowTokens], *, flop_rate: float, efficiency: float
) -> TimeEstimate:
    """Seconds of an epoch over all of `rows` on `plan.processes` devices of `flop_rate` FLOP/s each."""
    if flop_rate <= 0 or not 0 < efficiency <= 1:
        raise ValueError(
            f"flop_rate={flop_rate}, efficiency={efficiency}: give a positive rate, and a share of it above "
            "0 and at most 1"
        )
    tokens = sum(row.total for row in rows)
    linear = 2.0 * shape.language_weights * tokens
    attention = 4.0 * shape.heads_width * shape.layers * sum(row.total**2 for row in rows)
    head = 2.0 * shape.hidden * shape.vocabulary * sum(row.completion for row in rows)
    tower = 2.0 * shape.tower_weights * sum(row.patches for row in rows)
    backward = 1 if shape.adapter else 2
    again = 1 if plan.gradient_checkpointing else 0
    tower_trains = bool({"vision_tower", "projector"} & set(shape.trains))
    flops = (
        linear * (1 + backward + again)
        + attention * (3 + again)  # neither factor of its products is a constant
        + head * (1 + backward + (1 if _head_again(shape, plan, rows) else 0))
        + tower * (1 + (backward if tower_trains else 0))
    )
    rate = flop_rate * efficiency * plan.processes
    reference = (linear + attention + head + tower) / rate if plan.needs_reference else 0.0
    batch = plan.batch * plan.accumulation * plan.processes
    return TimeEstimate(
        epoch_seconds=flops / rate,
        reference_seconds=reference,
        steps=-(-len(rows) // batch),
        token_forwards=tokens * (1 + backward + again),
        flops=flops,
        flop_rate=flop_rate,
        efficiency=efficiency,
    )


def measure_flop_rate(shape: ModelShape, plan: StepPlan, device: torch.device, tokens: int) -> float:
    """FLOP/s of this device in the product of `tokens` hidden states with an MLP weight; about half a second.

    The dtype is that of the plan's activations, the number of tokens at most 4096.
    """
    dtype = torch.float32 if plan.activation_bytes == 4 else torch.bfloat16
    tokens = max(1, min(tokens, 4096))
    left = torch.randn(tokens, shape.hidden, device=device, dtype=dtype)
    right = torch.randn(shape.hidden, shape.mlp_width, device=device, dtype=dtype)
    left @ right
    _finish(device)
    best, until = 0.0, time.perf_counter() + 0.4
    while not best or time.perf_counter() < until:
        start = time.perf_counter()
        for _ in range(4):
            left @ right
        _finish(device)
        # The best, since other programs on the machine slow a product down but none speeds it up.
        best = max(best, 4 / (time.perf_counter() - start))
    return 2.0 * tokens * shape.hidden * shape.mlp_width * best


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _states(shape: ModelShape, plan: StepPlan) -> tuple[int, int, int, int]:
    """Bytes of weights, gradients, optimizer and communication that one of the processes holds."""
    s, n = plan.activation_bytes, plan.processes
    optimizer = _optimizer_bytes(shape, plan.optimizer)
    if plan.sharding in ("none", "fsdp"):
        weights = shape.weight_bytes + (2 * shape.float32_parameters if s == 2 else 0)
        whole = 4 * shape.largest_trainable
        if plan.sharding == "none" or n == 1:
            buckets = shape.trainable_bytes if n > 1 else 0
            return weights, shape.trainable_bytes + whole, optimizer, buckets
        return (
            -(-shape.weight_bytes // n),  # those put together are cast, not the rest
            -(-shape.trainable_bytes // n) + whole,
            -(-optimizer // n),
            shape.gathered_bytes,
        )
    # DeepSpeed turns the whole model into half precision and keeps float32 copies of what is trained.
    stored = shape.weight_bytes - (2 * shape.float32_parameters if s == 2 else 0)
    gradients = -(-shape.trainable_parameters * s // n) + shape.largest_trainable * s
    optimizer = -(-(optimizer + 4 * shape.trainable_parameters) // n)
    if plan.sharding == "zero2":
        return stored, gradients, optimizer, 2 * ZERO2_BUCKET * s
    together = max(shape.gathered_bytes, min(stored, ZERO3_LIVE * s))
    return -(-stored // n), gradients, optimizer, together + shape.hidden**2 * s


def _held(parameter: nn.Parameter) -> int:
    """Numbers that a parameter's storage holds, of all processes together where ZeRO-3 has divided it."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _n_bytes(parameter: nn.Parameter) -> int:
    return _held(parameter) * parameter.element_size()


def _gathered_bytes(model: nn.Module) -> int:
    """Of the largest two layers, and of all that lies in none: embeddings, head, norms, projector."""

    def size(module: nn.Module) -> int:
        return sum(_n_bytes(p) for p in module.parameters())

    layers: list[int] = []

    def visit(module: nn.Module) -> None:
        for child in module.children():
            if isinstance(child, nn.ModuleList):
                layers.extend(size(layer) for layer in child)
            else:
                visit(child)

    visit(model)
    return size(model) - sum(layers) + sum(sorted(layers)[-2:])


def _head_again(shape: ModelShape, plan: StepPlan, rows: Sequence[RowTokens]) -> bool:
    """Whether a usual batch has more logits than `completions.token_logps` keeps for the backward pass."""
    completion = sum(row.completion for row in rows) / len(rows)
    return plan.batch * completion > LOGITS_AT_ONCE // shape.vocabulary


def _optimizer_bytes(shape: ModelShape, optimizer: str) -> int:
    sizes = next((size for name, size in OPTIMIZER_STATE.items() if name in optimizer), 2.0)
    if "8bit" in optimizer:
        return int(sizes * shape.trainable_parameters)
    return int(sizes * shape.trainable_bytes)


def _text_config(model: nn.Module) -> PretrainedConfig:
    config: Any = model.config
    text: PretrainedConfig = config.get_text_config()
    return text


def _number(config: PretrainedConfig, name: str) -> int:
    value = getattr(config, name, None)
    if not isinstance(value, int):
        raise ValueError(f"{type(config).__name__} has no {name}, which the estimate is made of")
    return value
