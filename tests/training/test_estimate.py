"""The estimate: arithmetic by hand, and the real memory and operations of steps of a small model."""

from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlavaConfig, LlavaForConditionalGeneration, Qwen2Config, SiglipVisionConfig

from align.models.adapters import lora_config
from align.models.families import FAMILIES
from align.training.completions import LOGITS_AT_ONCE, completion_logps
from align.training.estimate import (
    ModelShape,
    RowTokens,
    StepPlan,
    estimate_memory,
    estimate_time,
    measure_flop_rate,
    model_shape,
    step_plan,
)
from align.training.sequences import build_sequences

FAMILY = FAMILIES["llava"]
SHAPE = ModelShape(
    layers=3,
    hidden=10,
    heads_width=8,
    mlp_width=20,
    vocabulary=50,
    weight_bytes=5000,
    float32_parameters=1100,
    trainable_bytes=400,
    trainable_parameters=100,
    language_weights=1000,
    tower_weights=200,
    tower_kept_width=70,
    tower_widest=40,
    trains=("language_model",),
    adapter=True,
)
PLAN = StepPlan(batch=2, activation_bytes=4)
ROWS = [RowTokens(5, (2, 3), patches=4), RowTokens(3, (1, 1), patches=9)]


def build(**text: int) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "vocab_size": 300} | text
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32
        ),
        text_config=Qwen2Config(num_attention_heads=4, num_key_value_heads=2, **sizes),
        image_token_index=5,
    )
    return LlavaForConditionalGeneration(config)


def adapted(model: Any) -> Any:
    return get_peft_model(model, lora_config(model, FAMILY, {"r": 4}))


def sequences(rows: int, prompt: int, completion: int) -> Any:
    prompts = {
        "input_ids": torch.randint(10, 300, (rows, prompt)),
        "attention_mask": torch.ones(rows, prompt, dtype=torch.long),
    }
    return build_sequences(prompts, [[[7] * completion, [8] * completion]] * rows, pad=0)


# --- By hand ----------------------------------------------------------------------------------------------


def test_memory_by_hand() -> None:
    # The longest row has 10 tokens, 5 of them in completions; two rows: 20 and 10.
    layer = 20 * ((2 * 10 + 4 * 8 + 4 * 20) * 4 + 8 * 10)
    memory = estimate_memory(SHAPE, PLAN, ROWS)
    assert memory.weights == 5000
    assert (memory.gradients, memory.optimizer) == (400, 800)
    assert memory.activations == 3 * layer
    assert memory.workspace == layer + 2 * 10 * 10 * 4
    assert memory.logits == 16 * 10 * 50
    assert memory.vision == 2 * 9 * 4 * 40
    assert memory.logits < memory.workspace
    assert memory.total == sum((5000, 400, 800, memory.activations, memory.workspace, memory.vision))
    wide = estimate_memory(replace(SHAPE, vocabulary=500), PLAN, ROWS)
    assert wide.logits > wide.workspace
    assert wide.total == sum((5000, 400, 800, wide.activations, wide.logits, wide.vision))


def test_checkpointing_keeps_the_inputs_of_all_layers_and_one_layer_at_a_time() -> None:
    memory, without = (
        estimate_memory(SHAPE, replace(PLAN, gradient_checkpointing=on), ROWS) for on in (True, False)
    )
    assert memory.activations == 3 * 20 * 10 * 4
    assert memory.workspace == without.workspace + without.activations // 3


def test_half_precision_under_lora_and_full_training() -> None:
    half = estimate_memory(SHAPE, replace(PLAN, activation_bytes=2), ROWS)
    assert half.activations == 3 * 20 * ((5 * 10 + 4 * 8 + 4 * 20) * 2 + 8 * 10)
    assert half.weights == 5000 + 2 * 1100, "autocast keeps copies of float32 weights"
    full = replace(SHAPE, adapter=False, trains=("vision_tower", "projector", "language_model"))
    memory = estimate_memory(full, PLAN, ROWS)
    assert memory.activations == 3 * 20 * ((4 * 10 + 4 * 8 + 4 * 20) * 4 + 8 * 10)
    assert memory.vision == 2 * 9 * 4 * 70, "a trained tower keeps the activations of all its layers"


@pytest.mark.parametrize(
    ("optimizer", "n_bytes"),
    [("adamw_torch_fused", 800), ("adamw_8bit", 200), ("sgd", 0), ("lion_32bit", 400), ("unheard_of", 800)],
)
def test_optimizer_state(optimizer: str, n_bytes: int) -> None:
    assert estimate_memory(SHAPE, replace(PLAN, optimizer=optimizer), ROWS).optimizer == n_bytes


def test_no_more_logits_are_counted_than_are_computed_at_once() -> None:
    wide = replace(SHAPE, vocabulary=150_000)
    memory = estimate_memory(wide, replace(PLAN, batch=64), [RowTokens(5, (100, 100))])
    assert memory.logits == 16 * LOGITS_AT_ONCE


def test_time_by_hand() -> None:
    tokens, squares, completions, patches = 15, 10**2 + 5**2, 7, 13
    linear, attention = 2 * 1000 * tokens, 4 * 8 * 3 * squares
    head, tower = 2 * 10 * 50 * completions, 2 * 200 * patches
    time = estimate_time(SHAPE, PLAN, ROWS, flop_rate=1000.0, efficiency=0.5)
    assert time.flops == 2 * linear + 3 * attention + 2 * head + tower
    assert time.epoch_seconds == pytest.approx(time.flops / 500)
    assert time.reference_seconds == pytest.approx((linear + attention + head + tower) / 500)
    assert (time.steps, time.token_forwards) == (1, 30)

    again = estimate_time(
        SHAPE, replace(PLAN, gradient_checkpointing=True), ROWS, flop_rate=1000.0, efficiency=0.5
    )
    assert again.flops - time.flops == linear + attention
    # A completion of 4 tokens in the middle, two rows: 8 of at most 8 at once, and of 7.
    sized = [replace(SHAPE, vocabulary=LOGITS_AT_ONCE // n) for n in (8, 7)]
    rows = [RowTokens(5, (2, 2))] * 2
    kept, computed_again = (
        estimate_time(shape, PLAN, rows, flop_rate=1.0, efficiency=1.0).flops
        - 2 * (2 * 1000 * 18)
        - 3 * (4 * 8 * 3 * 2 * 9**2)
        for shape in sized
    )
    assert kept / sized[0].vocabulary == pytest.approx(2 * (2 * 10 * 8))
    assert computed_again / sized[1].vocabulary == pytest.approx(3 * (2 * 10 * 8))

    two = replace(PLAN, processes=2, batch=1, needs_reference=False)
    on_two = estimate_time(SHAPE, two, ROWS * 3, flop_rate=1000.0, efficiency=0.5)
    assert on_two.epoch_seconds == pytest.approx(time.epoch_seconds * 3 / 2)
    assert (on_two.steps, on_two.reference_seconds) == (3, 0.0)
    full = replace(SHAPE, adapter=False, trains=("vision_tower", "language_model"))
    trained = estimate_time(full, PLAN, ROWS, flop_rate=1000.0, efficiency=0.5)
    assert trained.flops == 3 * (linear + attention + head + tower)


@pytest.mark.parametrize(("rate", "efficiency"), [(0.0, 0.5), (1.0, 0.0), (1.0, 1.5)])
def test_an_impossible_rate_is_refused(rate: float, efficiency: float) -> None:
    with pytest.raises(ValueError, match="flop_rate="):
        estimate_time(SHAPE, PLAN, ROWS, flop_rate=rate, efficiency=efficiency)


def test_the_plan_is_read_from_the_trainers_settings() -> None:
    model = build()
    assert step_plan({}, model, needs_reference=False) == StepPlan(8, 4, needs_reference=False)
    settings = {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 3,
        "gradient_checkpointing": True,
        "bf16": True,
        "optim": "adamw_8bit",
    }
    plan = step_plan(settings, model, processes=2, needs_reference=True)
    assert plan == StepPlan(4, 2, 3, 2, True, "adamw_8bit", True)
    assert step_plan({}, model.to(torch.bfloat16), needs_reference=True).activation_bytes == 2


# --- Against the real thing -------------------------------------------------------------------------------


def test_shape_of_a_model_with_an_adapter() -> None:
    model = build()
    shape = model_shape(adapted(model), FAMILY)
    attention, mlp = 64 * (64 + 2 * 32 + 64), 3 * 64 * 160
    adapter = 3 * 4 * (4 * 64 + 64 + 2 * 32 + 64 + 3 * (64 + 160))
    assert shape.language_weights == 3 * (attention + mlp) + adapter
    assert (shape.trainable_parameters, shape.trainable_bytes) == (adapter, 4 * adapter)
    assert (shape.layers, shape.hidden, shape.heads_width, shape.mlp_width) == (3, 64, 64, 160)
    assert (shape.adapter, shape.trains) == (True, ("language_model",))
    bare = build()
    assert shape.float32_parameters == sum(p.numel() for p in bare.parameters()) + adapter
    full = model_shape(bare, FAMILY)
    assert not full.adapter
    assert set(full.trains) == {"vision_tower", "projector", "language_model", "head"}


def test_operations_are_those_that_a_step_really_takes() -> None:
    model = adapted(build())
    model.get_base_model().set_attn_implementation("eager")  # whose products the counter knows
    rows, prompt, completion = 2, 40, 12
    batch = sequences(rows, prompt, completion)
    with FlopCounterMode(display=False) as counter:
        logps, _ = completion_logps(model, batch, bare=model.get_base_model(), shared=True)
        logps.sum().backward()
    tokens = [RowTokens(prompt, (completion, completion))] * rows
    time = estimate_time(model_shape(model, FAMILY), PLAN, tokens, flop_rate=1.0, efficiency=1.0)
    assert time.flops == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_activations_are_those_that_autograd_keeps() -> None:
    model = adapted(build())
    batch = sequences(2, 40, 12)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logps, _ = completion_logps(model, batch, bare=model.get_base_model(), shared=True)
    memory = estimate_memory(model_shape(model, FAMILY), PLAN, [RowTokens(40, (12, 12))])
    measured = sum(kept.values()) - 2 * 24 * 300 * 4  # the log-softmax is counted under logits
    assert 0.6 < memory.activations / measured < 1.6
    assert logps.shape == (4,)


def test_a_flop_rate_is_that_of_a_matrix_product() -> None:
    rate = measure_flop_rate(replace(SHAPE, hidden=128, mlp_width=256), PLAN, torch.device("cpu"), 64)
    assert 1e6 < rate < 1e13


def test_memory_is_that_of_a_real_step() -> None:
    torch.manual_seed(0)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        model = adapted(build(hidden_size=256, intermediate_size=1024, num_hidden_layers=4, vocab_size=4000))
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
        batch = sequences(4, 200, 60)
        for _ in range(2):
            logps, _ = completion_logps(model, batch, bare=model.get_base_model(), shared=True)
            logps.sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    # What tensors hold, as the allocator was asked for it: the process's resident memory, which libraries
    # share, differs between machines by more than the step takes.
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    memory = estimate_memory(model_shape(model, FAMILY), StepPlan(4, 4), [RowTokens(200, (60, 60))])
    assert 0.7 < memory.total / max(held) < 1.5, memory
