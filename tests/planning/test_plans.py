"""Plans: what processes share, by hand; shapes of the published models' size; pages without old figures."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn
from transformers import AutoModelForImageTextToText

from align.planning import pages
from align.planning.gpus import GPUS, find_gpu, need_gib, smallest
from align.planning.models import find_known, known_models
from align.planning.plans import LINK_SHARE, NETWORK, Layout, make_plan
from align.planning.rows import typical_rows
from align.planning.training import find_reported, plan_training
from align.run import to_plain
from align.training.estimate import (
    NF4_BYTES,
    ZERO2_BUCKET,
    ZERO3_LIVE,
    ModelShape,
    RowTokens,
    StepPlan,
    _gathered_bytes,
    estimate_memory,
)

ROOT = Path(__file__).parents[2]
SHAPE = ModelShape(
    layers=3,
    hidden=10,
    heads_width=8,
    mlp_width=20,
    vocabulary=50,
    weight_bytes=5000,  # 1,000 float32 parameters, 100 of them trained, and 500 of two bytes
    float32_parameters=1000,
    trainable_bytes=400,
    trainable_parameters=100,
    language_weights=1000,
    tower_weights=200,
    tower_kept_width=70,
    tower_widest=40,
    trains=("language_model",),
    adapter=True,
    gathered_bytes=600,
)
STEP = StepPlan(batch=2, activation_bytes=2)
ROWS = [RowTokens(5, (2, 3), patches=4)] * 8
H100 = find_gpu("H100")


@pytest.fixture(scope="module")
def hydra_config() -> Iterator[None]:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        yield


@pytest.mark.parametrize(
    ("sharding", "processes", "weights", "gradients", "optimizer", "communication"),
    [
        ("none", 1, 5000 + 2000, 400, 800, 0),
        ("none", 4, 5000 + 2000, 400, 800, 400),
        # Half precision throughout, and float32 copies of what is trained: (4 + 8) bytes of 100 parameters.
        ("zero2", 4, 3000, 50, 300, 4 * ZERO2_BUCKET),
        # All of so small a model stays together.
        ("zero3", 4, 750, 50, 300, 3000 + 10 * 10 * 2),
        ("fsdp", 4, 1250, 100, 200, 600),
    ],
)
def test_what_a_process_holds_by_hand(
    sharding: str, processes: int, weights: int, gradients: int, optimizer: int, communication: int
) -> None:
    plan = replace(STEP, processes=processes, sharding=sharding)  # type: ignore[arg-type]
    memory = estimate_memory(SHAPE, plan, ROWS)
    assert (memory.weights, memory.gradients, memory.optimizer) == (weights, gradients, optimizer)
    assert memory.communication == communication
    alone = estimate_memory(SHAPE, STEP, ROWS)
    for part in ("activations", "workspace", "logits", "vision"):
        assert getattr(memory, part) == getattr(alone, part), "each process has batches of its own"


def test_the_largest_gradient_is_whole_before_it_is_added() -> None:
    shape = replace(SHAPE, largest_trainable=30)
    for sharding, n_bytes in (("none", 400 + 4 * 30), ("zero2", 50 + 2 * 30), ("fsdp", 100 + 4 * 30)):
        plan = replace(STEP, processes=4, sharding=sharding)  # type: ignore[arg-type]
        assert estimate_memory(shape, plan, ROWS).gradients == n_bytes


def test_float32_under_deepspeed_keeps_its_copies() -> None:
    plan = StepPlan(batch=2, activation_bytes=4, processes=2, sharding="zero2")
    memory = estimate_memory(SHAPE, plan, ROWS)
    assert (memory.weights, memory.gradients, memory.optimizer) == (5000, 200, 600)


def test_of_a_large_model_zero3_keeps_no_more_together_than_it_needs() -> None:
    large = replace(SHAPE, weight_bytes=9 * ZERO3_LIVE, float32_parameters=100, gathered_bytes=600)
    plan = replace(STEP, processes=4, sharding="zero3")
    assert estimate_memory(large, plan, ROWS).communication == 2 * ZERO3_LIVE + 200
    wide = replace(large, gathered_bytes=3 * ZERO3_LIVE)
    assert estimate_memory(wide, plan, ROWS).communication == 3 * ZERO3_LIVE + 200


def test_what_is_put_together_are_two_layers_and_what_lies_outside_of_them() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = nn.Linear(10, 10, bias=False)
            self.inner = nn.Module()
            self.inner.layers = nn.ModuleList(nn.Linear(n, n, bias=False) for n in (1, 2, 3))

    assert _gathered_bytes(Model()) == 4 * (100 + 4 + 9)


def test_time_is_the_longer_of_computing_and_sending() -> None:
    alone = make_plan(SHAPE, STEP, ROWS, Layout(1, "none"), H100)
    assert alone.sending_seconds == 0
    assert alone.compute_seconds > 0
    assert not alone.bound_by_sending

    # Four batches of two rows on two GPUs: two each.
    zero3 = make_plan(SHAPE, STEP, ROWS, Layout(2, "zero3"), H100)
    assert zero3.sending_seconds == pytest.approx(2 * (2 * 5000 + 200) / 2 / (H100.link * LINK_SHARE))
    assert zero3.compute_seconds == pytest.approx(alone.compute_seconds / 2)
    assert zero3.epoch_seconds == max(zero3.compute_seconds, zero3.sending_seconds)

    # Beyond a machine the network decides; copies send once in four accumulated batches.
    step = replace(STEP, batch=1, accumulation=4)
    ddp = make_plan(SHAPE, step, ROWS * 8, Layout(16, "none"), H100)
    assert ddp.sending_seconds == pytest.approx(4 * 2 * 400 * 15 / 16 / 4 / (NETWORK * LINK_SHARE))


def test_what_training_refuses_is_not_planned_as_if_it_ran() -> None:
    assert "not sharded" in str(
        make_plan(SHAPE, STEP, ROWS, Layout(8, "zero3"), H100, quantized=True).refused
    )
    full = replace(SHAPE, adapter=False)
    assert "no reference" in str(make_plan(full, STEP, ROWS, Layout(8, "zero3"), H100).refused)
    free = replace(STEP, needs_reference=False)
    assert make_plan(full, free, ROWS, Layout(8, "zero3"), H100).refused is None


def test_a_gpu_needs_more_than_the_estimate() -> None:
    assert need_gib(10 * 2**30) == pytest.approx(12.5)
    assert [smallest(n * 2**30) for n in (1, 19.5, 20, 60, 100, 130)] == [24, 24, 40, 80, 141, None]
    assert {gpu.name.split()[-2] for gpu in GPUS} == {"24", "40", "80", "141"}
    with pytest.raises(ValueError, match="gpu='A100': choose one of"):
        find_gpu("A100")


@pytest.mark.parametrize("known", known_models(), ids=lambda known: known.name)
def test_a_shape_has_the_size_of_the_published_model(known: object) -> None:
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(known.configuration(), dtype=torch.bfloat16)  # type: ignore[attr-defined]
    assert sum(p.numel() for p in model.parameters()) == known.parameters  # type: ignore[attr-defined]


def test_a_model_without_a_name_is_planned_as_the_one_whose_row_it_is() -> None:
    assert find_known("Qwen/Qwen2.5-VL-7B-Instruct") == find_known("7B")
    known = find_known("???", "InternVL2.5-2B")
    assert known is not None
    assert known.parameters == 2_205_754_368
    assert find_known("OWNER/OTHER") is None
    assert find_known("???") is None


def test_typical_rows() -> None:
    settings = {
        "count": 3,
        "usual": {"text": 5, "chosen": 6, "rejected": 7},
        "longest": {"text": 8, "chosen": 9, "rejected": 10},
    }
    usual, longest = RowTokens(15, (6, 7), 40), RowTokens(28, (9, 10), 80)
    assert typical_rows(settings, (10, 20), supervised=False) == [usual, usual, longest]
    assert typical_rows(settings, (10, 20), supervised=True)[0] == RowTokens(15, (6,), 40)
    with pytest.raises(ValueError, match=r"typical.count=0"):
        typical_rows(settings | {"count": 0}, (10, 20), supervised=False)


def test_a_reported_row_that_the_paper_lacks_is_refused() -> None:
    row = find_reported({"model": "InternVL2.5-2B", "method": "SimPO"})
    assert row is not None
    assert row.refusal_rate == 83.03
    assert find_reported({"model": "InternVL2.5-8B", "method": None}) is None
    with pytest.raises(ValueError, match=r"no row for InternVL2\.5-8B, SimPO"):
        find_reported({"model": "InternVL2.5-8B", "method": "SimPO"})


@pytest.mark.usefixtures("hydra_config")
def test_a_model_of_unknown_tokens_says_what_to_give() -> None:
    tiny = plan_training(
        to_plain(compose("plan", overrides=["model=tiny_vlm", "typical.image_tokens={usual: 36, most: 36}"]))
    )
    assert tiny.rows[0].prompt == 50 + 36
    with pytest.raises(ValueError, match=r"typical\.image_tokens: say how many tokens"):
        plan_training(to_plain(compose("plan", overrides=["model=tiny_vlm"])))
    with pytest.raises(ValueError, match="lengths=data: give the rows"):
        plan_training(to_plain(compose("plan", overrides=["lengths=data"])))


@pytest.mark.usefixtures("hydra_config")
def test_a_row_of_table_3_is_planned_beside_its_figures() -> None:
    config = to_plain(compose("plan", overrides=["experiment=table3/qwen2_5_vl_7b_dpo"]))
    planned = plan_training(config)
    assert planned.reported is not None
    assert planned.reported.refusal_rate == 82.95
    assert planned.meta.shape.trainable_parameters == 40_370_176
    assert planned.step.needs_reference
    assert planned.step.gradient_checkpointing
    four = plan_training(config | {"model": config["model"] | {"quantization": "4bit"}})
    saved = planned.meta.shape.weight_bytes - four.meta.shape.weight_bytes
    assert saved == int(planned.meta.linear * (2 - NF4_BYTES))
    assert planned.report()["plans"][0]["memory_bytes"] - four.report()["plans"][0]["memory_bytes"] == saved
    with pytest.raises(ValueError, match="no gradients"):
        plan_training(config | {"model": config["model"] | {"quantization": "4bit"}, "lora": {"full": True}})


@pytest.mark.usefixtures("hydra_config")
def test_the_pages_tables_are_what_the_program_computes(tmp_path: Path) -> None:
    names = ("planning.md", "experiments.md")
    for name in names:
        copy(ROOT / "docs" / name, tmp_path / name)
    pages.write_pages(tmp_path)
    for name in names:
        # `python recipes/plan.py pages=docs` writes them anew.
        assert (tmp_path / name).read_text() == (ROOT / "docs" / name).read_text(), name

    (tmp_path / "planning.md").write_text("no marks")
    with pytest.raises(ValueError, match=r"planning.md: no <!-- plan: gpus -->"):
        pages.write_pages(tmp_path)
