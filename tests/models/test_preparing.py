"""What is trained moves, in float32, and nothing else does; what cannot be trained is refused in time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import Trainer, TrainingArguments

from align.models.adapters import count_parameters
from align.models.families import FAMILIES, family_of
from align.models.loading import REFERENCE_ADAPTER, LoadedModel, load_model
from align.models.preparing import prepare_for_training, refuse_unsupported

FAMILY = FAMILIES["llava"]


def arguments(folder: Path, **settings: Any) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True, **settings
    )


def row(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    """One row with an image, as a batch."""
    side = loaded.model.config.vision_config.image_size
    text = "<image>" * 9 + "What color is the star? There is no star."
    ids = loaded.processor.tokenizer(text, return_tensors="pt").input_ids
    pixels = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "pixel_values": pixels, "labels": ids}


def tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()} | {
        name: b.detach().clone() for name, b in model.named_buffers()
    }


def moved_by_training(model: Any, loaded: LoadedModel, *, steps: int = 2, autocast: bool = False) -> set[str]:
    """Names of the tensors that a few steps change."""
    torch.manual_seed(0)
    before = tensors(model)
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(steps):  # the first moves only one side of an adapter, whose other side is zero
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(**row(loaded)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert torch.isfinite(loss)
    after = tensors(model)
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("settings", "per_layer"),
    [({}, 2), ({"use_rslora": True}, 2), ({"use_dora": True}, 3), ({"parts": ["projector"]}, 2)],
    ids=["lora", "rslora", "dora", "projector"],
)
def test_every_parameter_of_the_adapter_moves_and_nothing_else(settings: dict, per_layer: int) -> None:
    loaded = load_model("tiny_vlm", device="cpu")
    model = prepare_for_training(loaded, FAMILY, {"r": 4, "lora_alpha": 4} | settings)
    part = settings.get("parts", ["language_model"])[0]
    adapted = {n for n, m in model.named_modules() if hasattr(m, "lora_A")}
    assert {FAMILY.part_of(name) for name in adapted} == {part}
    moved = moved_by_training(model, loaded)
    assert moved == {name for name, _ in model.named_parameters() if "lora_" in name}
    assert len(moved) == per_layer * len(adapted)


def test_rank_and_alpha_scale_as_each_kind_says() -> None:
    scale: dict[bool, float] = {}
    for stabilised in (False, True):
        loaded = load_model("tiny_vlm", device="cpu")
        settings = {"r": 16, "lora_alpha": 8, "use_rslora": stabilised, "target_modules": ["q_proj"]}
        model = prepare_for_training(loaded, FAMILY, settings)
        layer = next(m for m in model.modules() if hasattr(m, "lora_A"))
        scale[stabilised] = layer.scaling["default"]
    assert scale == {False: 8 / 16, True: 8 / 4}


def test_adapters_of_half_precision_models_are_float32() -> None:
    loaded = load_model("tiny_vlm", device="cpu", dtype="bfloat16")
    model = prepare_for_training(loaded, FAMILY, {"r": 2, "target_modules": ["q_proj"]})
    kinds = {"lora_" in name: p.dtype for name, p in model.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert moved_by_training(model, loaded, autocast=True)


@pytest.mark.parametrize(
    ("lora", "parts"),
    [
        (None, {"language_model"}),
        ({"full": True}, {"language_model"}),
        ({"full": True, "parts": ["projector"]}, {"projector"}),
        ({"full": True, "parts": ["vision_tower", "projector"]}, {"vision_tower", "projector"}),
    ],
    ids=["null", "full", "projector", "tower"],
)
def test_full_fine_tuning_moves_exactly_the_chosen_parts(lora: dict | None, parts: set[str]) -> None:
    loaded = load_model("tiny_vlm", device="cpu")
    model = prepare_for_training(loaded, FAMILY, lora)
    wanted = {name for name, _ in model.named_parameters() if FAMILY.part_of(name) in parts}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == wanted
    # LLaVA takes a tower's features from before its last norm.
    idle = {name for name in wanted if name.startswith("model.vision_tower.post_layernorm.")}
    assert moved_by_training(model, loaded) == wanted - idle
    counts = count_parameters(model, FAMILY)
    assert {part for part, row in counts.items() if row["trainable"]} == parts
    assert all(counts[part]["trainable"] == counts[part]["total"] for part in parts)  # type: ignore[index]


def test_what_is_trained_in_full_is_float32_and_the_rest_keeps_its_dtype(tmp_path: Path) -> None:
    loaded = load_model("tiny_vlm", device="cpu", dtype="bfloat16")
    lora = {"full": True, "parts": ["projector"]}
    with pytest.raises(ValueError, match=r"model\.dtype=bfloat16.*trainer\.bf16=true"):
        prepare_for_training(loaded, FAMILY, lora, args=arguments(tmp_path))
    model = prepare_for_training(loaded, FAMILY, lora, args=arguments(tmp_path, bf16=True))
    for name, p in model.named_parameters():
        assert p.dtype == (torch.float32 if FAMILY.part_of(name) == "projector" else torch.bfloat16), name
    moved = moved_by_training(model, loaded, autocast=True)
    assert {FAMILY.part_of(name) for name in moved} == {"projector"}


def test_a_tied_head_is_not_trained_by_accident() -> None:
    loaded = load_model("tiny_vlm", device="cpu")
    with pytest.raises(ValueError, match=r"tied weights.*part of the language_model"):
        prepare_for_training(loaded, FAMILY, {"full": True, "parts": ["head"]})
    both = prepare_for_training(loaded, FAMILY, {"full": True, "parts": ["head", "language_model"]})
    assert both.get_output_embeddings().weight.requires_grad


def saved_adapter(folder: Path, **settings: Any) -> Path:
    loaded = load_model("tiny_vlm", device="cpu")
    model: Any = prepare_for_training(loaded, FAMILY, {"r": 2, "target_modules": ["q_proj"]} | settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_adapter(tmp_path_factory.mktemp("adapter"))


@pytest.mark.parametrize("when", ["at loading", "by preference"])
def test_the_reference_stays_frozen_while_its_copy_trains(adapter: Path, tmp_path: Path, when: str) -> None:
    early = when == "at loading"
    loaded = load_model("tiny_vlm", adapter, device="cpu", trainable_adapter=True, with_reference=early)
    model: Any = prepare_for_training(loaded, FAMILY, {"r": 64}, for_preference=not early)
    assert isinstance(model, PeftModel)
    assert set(model.peft_config) == {"default", REFERENCE_ADAPTER}
    assert model.active_adapter == "default"
    before = model(**row(loaded)).loss
    trained = {name for name, _ in model.named_parameters() if ".default." in name}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == trained
    assert moved_by_training(model, loaded) == trained
    model.eval()
    assert not torch.isclose(model(**row(loaded)).loss, before, rtol=1e-4)
    model.base_model.set_adapter(REFERENCE_ADAPTER, inference_mode=True)
    torch.testing.assert_close(model(**row(loaded)).loss, before)
    model.base_model.set_adapter("default")

    model.save_pretrained(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    again = load_model("tiny_vlm", tmp_path, device="cpu").model
    torch.testing.assert_close(again(**row(loaded)).loss, model(**row(loaded)).loss)


def test_supervised_training_goes_on_without_a_copy(adapter: Path) -> None:
    loaded = load_model("tiny_vlm", adapter, device="cpu", trainable_adapter=True)
    model: Any = prepare_for_training(loaded, FAMILY, {})
    assert set(model.peft_config) == {"default"}


def test_an_adapter_with_trained_biases_has_no_reference(tmp_path: Path) -> None:
    folder = saved_adapter(tmp_path, bias="lora_only")
    loaded = load_model("tiny_vlm", folder, device="cpu", trainable_adapter=True)
    with pytest.raises(ValueError, match="leaves trained biases switched on"):
        prepare_for_training(loaded, FAMILY, {}, for_preference=True)


def test_adapters_that_cannot_be_trained_further_are_refused(adapter: Path) -> None:
    frozen = load_model("tiny_vlm", adapter, device="cpu")
    with pytest.raises(ValueError, match="loaded for use, not for training"):
        prepare_for_training(frozen, FAMILY, {})
    with pytest.raises(ValueError, match="only an adapter that is trained further"):
        load_model("tiny_vlm", adapter, with_reference=True)


@pytest.mark.parametrize(
    ("model", "lora", "trainer", "message"),
    [
        ({"quantization": "4bit"}, {"full": True}, {}, "16 levels and have no gradients"),
        ({"quantization": "4bit"}, None, {}, "16 levels and have no gradients"),
        ({"adapter": "x"}, {"full": True}, {}, r"Merge it first \(recipes/merge\.py\)"),
        ({"dtype": "float16"}, {"full": True}, {}, r"model\.dtype=float16.*trainer\.fp16=true"),
        ({}, {"full": True, "r": 8}, {}, r"lora\.r has no meaning with lora=full"),
        ({}, {"full": True, "parts": ["eyes"]}, {}, "cannot train eyes; choose from vision_tower"),
        ({}, {"parts": ["head"]}, {}, "cannot adapt head; choose from language_model"),
        ({}, {"init_lora_weights": "pissa_niter_4"}, {}, "changes the base model's weights"),
        ({}, {"init_lora_weights": "eva"}, {}, "needs a pass over data"),
        ({}, {"layer_replication": [[0, 2]]}, {}, "makes another base model"),
        ({}, {}, {"gradient_checkpointing_kwargs": {"use_reentrant": True}}, "use_reentrant=true loses"),
    ],
)
def test_what_cannot_work_is_refused_before_weights_are_loaded(
    tmp_path: Path, model: dict, lora: dict | None, trainer: dict, message: str
) -> None:
    if "gradient_checkpointing_kwargs" in trainer:
        trainer = trainer | {"gradient_checkpointing": True}
    with pytest.raises(ValueError, match=message):
        refuse_unsupported(
            {"name": "nowhere", "dtype": "auto"} | model, lora, args=arguments(tmp_path, **trainer)
        )


@pytest.mark.parametrize(
    ("model", "lora", "trainer"),
    [
        ({"quantization": "4bit"}, {"use_dora": True}, {}),
        ({"dtype": "bfloat16"}, {"full": True}, {"bf16": True}),
        ({"dtype": "bfloat16"}, {"r": 4}, {}),
        (
            {"adapter": "x"},
            {"init_lora_weights": "pissa"},
            {},
        ),  # settings of a new adapter, which is not made
    ],
)
def test_what_works_is_not_refused(tmp_path: Path, model: dict, lora: dict, trainer: dict) -> None:
    refuse_unsupported(
        {"name": "nowhere", "dtype": "auto"} | model, lora, args=arguments(tmp_path, **trainer)
    )


def test_quantised_weights_are_not_sharded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    args = arguments(tmp_path)
    with pytest.raises(ValueError, match="cannot be sharded"):
        refuse_unsupported({"quantization": "4bit"}, {}, args=args)
    refuse_unsupported({"quantization": None}, {}, args=args)
    # FSDP keeps float32 copies of half-precision weights itself.
    refuse_unsupported({"dtype": "bfloat16"}, {"full": True}, args=args)


def watch(module: nn.Module, seen: Callable[[torch.Tensor], None]) -> None:
    def hook(_: nn.Module, __: Any, output: Any) -> None:
        output = getattr(output, "last_hidden_state", output)
        output = output[0] if isinstance(output, tuple) else output
        seen(output)

    module.register_forward_hook(hook)


@pytest.mark.parametrize("parts", [["language_model"], ["vision_tower", "language_model"]])
def test_a_frozen_tower_keeps_no_activations(parts: list[str]) -> None:
    loaded = load_model("tiny_vlm", device="cpu")
    model: Any = prepare_for_training(loaded, FAMILY, {"r": 2, "parts": parts})
    tower = model.get_base_model().model.vision_tower
    kept: dict[bool, int] = {True: 0, False: 0}
    inside = False

    def enter(*_: Any) -> None:
        nonlocal inside
        inside = True

    def leave(*_: Any) -> None:
        nonlocal inside
        inside = False

    tower.register_forward_pre_hook(enter)
    tower.register_forward_hook(leave)

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[inside] += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.train()(**row(loaded))
    assert kept[False] > 0
    assert (kept[True] == 0) == ("vision_tower" not in parts)


def test_a_trainer_with_checkpointing_trains_and_leaves_the_tower_alone(tmp_path: Path) -> None:
    loaded = load_model("tiny_vlm", device="cpu")
    args = arguments(
        tmp_path,
        max_steps=2,
        per_device_train_batch_size=1,
        gradient_checkpointing=True,
        learning_rate=1e-3,
        save_strategy="no",
        remove_unused_columns=False,
    )
    model: Any = prepare_for_training(loaded, FAMILY, {"r": 2}, args=args)
    grads: list[bool] = []
    watch(model.get_base_model().model.vision_tower, lambda output: grads.append(output.requires_grad))
    before = tensors(model)
    one = {name: value[0] for name, value in row(loaded).items()}
    Trainer(model=model, args=args, train_dataset=[one, one]).train()
    assert grads == [False, False]
    after = tensors(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name, _ in model.named_parameters() if "lora_" in name}


def test_family_is_found_through_an_adapter(adapter: Path) -> None:
    assert family_of(load_model("tiny_vlm", adapter, device="cpu").model).name == "llava"
