"""Configs become TRL's arguments: every method, every setting, nothing ignored."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from hydra import compose, initialize_config_dir
from trl import DPOConfig, SFTConfig

import align.run  # registers the resolver that the configs use
from align.run import to_plain
from align.training.arguments import training_arguments, use_cpu_threads

CONFIGS = str(Path(align.run.__file__).parent.parent / "configs")


def composed(program: str, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        return to_plain(compose(program, overrides=list(overrides)))


def arguments(program: str, *overrides: str) -> Any:
    kind = {"dpo": DPOConfig, "sft": SFTConfig}[program]
    settings = composed(program, *overrides)["trainer"] | {"use_cpu": True}
    return training_arguments(kind, settings, folder="somewhere", seed=3, report_to="none")


@pytest.mark.parametrize(
    ("method", "loss_type"),
    [
        ("dpo_sft", ["sigmoid", "sft"]),
        ("dpo", ["sigmoid"]),
        ("ipo", ["ipo"]),
        ("robust", ["robust"]),
        ("hinge", ["hinge"]),
        ("apo_zero", ["apo_zero"]),
    ],
)
@pytest.mark.parametrize("trainer", ["tiny_dpo", "gpu"])
def test_each_method_with_each_trainer(method: str, loss_type: list[str], trainer: str) -> None:
    args = arguments("dpo", f"method={method}", f"trainer={trainer}")
    assert args.loss_type == loss_type
    assert args.loss_weights is None or len(args.loss_weights) == len(loss_type)
    assert args.max_length is None
    assert (args.label_smoothing > 0) == (method == "robust")
    settings = composed("dpo", f"method={method}", f"trainer={trainer}")["trainer"]
    assert args.learning_rate == settings["learning_rate"]


def test_the_learning_rate_on_a_gpu_is_the_methods_own() -> None:
    assert arguments("sft", "trainer=gpu").learning_rate == 1e-4
    assert arguments("dpo", "trainer=gpu").learning_rate == 5e-6


def test_sft_puts_the_loss_on_the_completion() -> None:
    assert arguments("sft").completion_only_loss is True


def test_any_setting_of_the_dataclass_can_be_given() -> None:
    args = arguments(
        "dpo",
        "+trainer.weight_decay=0.25",
        "trainer.beta=0.7",
        "+trainer.accelerator_config.split_batches=true",
    )
    assert (args.weight_decay, args.beta, args.accelerator_config.split_batches) == (0.25, 0.7, True)
    assert (args.seed, args.output_dir) == (3, "somewhere/checkpoints")


def test_an_unknown_setting_raises_with_its_name() -> None:
    with pytest.raises(TypeError, match="no_such_setting"):
        arguments("dpo", "+trainer.no_such_setting=1")


def test_what_depends_on_the_machine_is_filled_in() -> None:
    args = arguments("dpo")
    assert (args.bf16, args.fp16, args.dataloader_num_workers, args.dataloader_pin_memory) == (
        False,
        False,
        0,
        False,
    )
    assert arguments("dpo", "trainer.dataloader_num_workers=2").dataloader_persistent_workers is True


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("+trainer.max_length=512", "rows are never cut"),
        ("+trainer.padding_free=true", "not available for rows with images"),
        ("+trainer.precompute_ref_log_probs=true", "not available for rows with images"),
        ("+trainer.output_dir=x", r"use that|set by out="),
        ("+trainer.seed=5", "set by seed="),
        ("+trainer.report_to=none", r"set by tracking\.report_to="),
        ("+trainer.resume_from_checkpoint=x", "use resume=true"),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments("dpo", setting)


@pytest.mark.parametrize(("name", "cpu"), [("cpu", True), ("one_gpu", False), ("ddp", False)])
def test_accelerate_configs_are_read_without_complaint(name: str, cpu: bool) -> None:
    config = load_config_from_file(f"{CONFIGS}/accelerate/{name}.yaml")
    assert config.use_cpu is cpu
    # Two places for one setting would disagree some day: precision is the trainer's.
    assert config.mixed_precision == "no"
    assert (config.num_processes > 1) == (name == "ddp")


def test_half_precision_where_the_gpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    given: dict[str, Any] = {}

    def record(**values: Any) -> SimpleNamespace:
        given.clear()
        given.update(values)
        return SimpleNamespace(world_size=1)

    def build(**settings: Any) -> dict[str, Any]:
        training_arguments(record, settings, folder="x", seed=0, report_to="none")  # type: ignore[type-var]
        return given

    assert build()["bf16"] is True
    assert build()["dataloader_num_workers"] == 4
    assert build(fp16=True)["bf16"] is False
    assert build(bf16=False)["bf16"] is False
    assert build(use_cpu=True)["bf16"] is False
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert build()["bf16"] is False
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="started 2 processes and the trainer sees 1"):
        build()


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        assert use_cpu_threads(1) == torch.get_num_threads() == 1
        for name in ("ACCELERATE_MIXED_PRECISION", "LOCAL_WORLD_SIZE"):
            monkeypatch.delenv(name, raising=False)
        assert use_cpu_threads(None) == 1  # a plain run keeps what torch was told
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert use_cpu_threads(None) == torch.get_num_threads() == 6
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
        assert use_cpu_threads(None) == torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="threads=0"):
            use_cpu_threads(0)
    finally:
        torch.set_num_threads(before)
