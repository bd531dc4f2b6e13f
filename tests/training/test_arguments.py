"""Configs become training arguments and losses: every method, every setting, nothing ignored."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from hydra import compose, initialize_config_dir

import align.run  # registers the resolver that the configs use
from align.run import to_plain
from align.training.arguments import training_arguments, use_cpu_threads
from align.training.losses import gate_for, parse_losses

CONFIGS = str(Path(align.run.__file__).parent.parent / "configs")


def composed(program: str, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        return to_plain(compose(program, overrides=list(overrides)))


def arguments(program: str, *overrides: str) -> Any:
    settings = composed(program, *overrides)["trainer"] | {"use_cpu": True}
    return training_arguments(settings, folder="somewhere", seed=3, report_to="none")


METHODS = {
    "dpo": {"dpo"},
    "dpo_nll": {"dpo", "nll"},
    "ipo": {"ipo"},
    "robust": {"robust"},
    "hinge": {"hinge"},
    "apo_zero": {"apo_zero"},
    "simpo": {"simpo"},
    "orpo": {"nll", "orpo"},
    "mdpo": {"dpo", "mdpo_conditional", "mdpo_anchor"},
    "mdpo_ungated": {"dpo", "mdpo_conditional", "mdpo_anchor"},
}


def test_every_method_has_its_file() -> None:
    assert {file.stem for file in Path(CONFIGS, "method").glob("*.yaml")} == METHODS.keys() | {"sft"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("trainer", ["tiny_dpo", "gpu"])
def test_each_method_with_each_trainer(method: str, trainer: str) -> None:
    config = composed("dpo", f"method={method}", f"trainer={trainer}")
    terms = parse_losses(config["losses"])
    assert {term.name for term in terms.terms} == METHODS[method]
    assert terms.needs_reference == (method not in ("simpo", "orpo"))
    assert config["rows"] == "pairs"
    args = arguments("dpo", f"method={method}", f"trainer={trainer}")
    assert args.learning_rate == config["trainer"]["learning_rate"]


def test_mdpos_gate_is_open_where_the_chosen_side_hangs_on_the_image() -> None:
    closed = composed("dpo", "method=mdpo")["closed"]
    asked = ["Answerable", "False_Premises", "Vague_Description", "Context_Dependent", None]
    assert gate_for(asked, closed).tolist() == [True, True, False, False, True]
    assert composed("dpo", "method=mdpo_ungated")["closed"] == []


@pytest.mark.parametrize("program", ["dpo", "simpo", "orpo", "sft"])
def test_each_program_trains_its_method(program: str) -> None:
    config = composed(program)
    assert config["rows"] == ("sft" if program == "sft" else "pairs")
    assert program == "sft" or program in config["losses"]


def test_a_term_can_be_changed_added_and_left_out() -> None:
    losses = composed("dpo", "losses.dpo.beta=0.3", "+losses.mdpo_anchor={beta: 0.1}", "~losses.nll")[
        "losses"
    ]
    assert losses == {"dpo": {"beta": 0.3, "label_smoothing": 0.0}, "mdpo_anchor": {"beta": 0.1}}


def test_the_learning_rate_on_a_gpu_is_the_methods_own() -> None:
    assert arguments("sft", "trainer=gpu").learning_rate == 1e-4
    assert arguments("dpo", "trainer=gpu").learning_rate == 5e-6


def test_any_setting_of_the_dataclass_can_be_given() -> None:
    args = arguments(
        "dpo",
        "+trainer.weight_decay=0.25",
        "+trainer.adam_beta2=0.7",
        "+trainer.accelerator_config.split_batches=true",
    )
    assert (args.weight_decay, args.adam_beta2, args.accelerator_config.split_batches) == (0.25, 0.7, True)
    assert (args.seed, args.output_dir) == (3, "somewhere/checkpoints")


def test_an_unknown_setting_raises_with_its_name() -> None:
    with pytest.raises(TypeError, match="no_such_setting"):
        arguments("dpo", "+trainer.no_such_setting=1")
    with pytest.raises(TypeError, match=r"did you mean trainer\.weight_decay"):
        arguments("dpo", "+trainer.weigth_decay=1")


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
        ("+trainer.max_length=512", r"data\.max_tokens: rows are never cut"),
        ("+trainer.beta=0.2", r"losses\.<term>\.beta"),
        ("+trainer.loss_type=[ipo]", "method="),
        ("+trainer.precompute_ref_log_probs=true", r"set by reference\.cache"),
        ("+trainer.use_liger_kernel=true", "no effect"),
        ("+trainer.label_smoothing_factor=0.1", "no effect"),
        ("+trainer.output_dir=x", r"set by out"),
        ("+trainer.seed=5", "set by seed"),
        ("+trainer.report_to=none", r"set by tracking\.report_to"),
        ("+trainer.resume_from_checkpoint=x", "use resume=true"),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments("dpo", setting)


@pytest.mark.parametrize("name", sorted(file.stem for file in Path(CONFIGS, "accelerate").glob("*.yaml")))
def test_accelerate_configs_are_read_without_complaint(name: str) -> None:
    config: Any = load_config_from_file(f"{CONFIGS}/accelerate/{name}.yaml")
    assert config.use_cpu is (name in ("cpu", "ddp_cpu"))
    # Two places for one setting would disagree some day: precision is the trainer's.
    assert config.mixed_precision in ("no", None)
    assert (config.num_processes > 1) == (name not in ("cpu", "one_gpu"))
    if name.startswith("zero"):
        file = Path(CONFIGS).parent / config.deepspeed_config["deepspeed_config_file"]
        stage = json.loads(file.read_text())["zero_optimization"]
        assert f"zero{stage['stage']}" in name
        assert ("offload_optimizer" in stage) == name.endswith("_offload")


def test_half_precision_where_the_gpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    given: dict[str, Any] = {}

    def record(**values: Any) -> SimpleNamespace:
        given.clear()
        given.update(values)
        return SimpleNamespace(world_size=1, n_gpu=1)

    monkeypatch.setattr("align.training.arguments.TrainingArguments", record)

    def build(**settings: Any) -> dict[str, Any]:
        training_arguments(settings, folder="x", seed=0, report_to="none")
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


def test_several_gpus_in_one_process_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "align.training.arguments.TrainingArguments", lambda **_: SimpleNamespace(world_size=1, n_gpu=4)
    )
    with pytest.raises(ValueError, match=r"accelerate launch --num_processes 4"):
        training_arguments({}, folder=tmp_path, seed=0, report_to="none")
