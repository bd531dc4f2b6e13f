"""A sweep's command line: whose each word is, and what is wrong is said before anything starts."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from align.cli.launching import command_for
from align.cli.programs import find_program
from align.sweeping.plan import benchmark_launch_words, launch_words
from align.sweeping.sweep import planned
from align.sweeping.words import quoted, take_apart


def test_words_go_to_whom_they_are_for() -> None:
    words = take_apart(
        [
            *("-m", "method=dpo,simpo", "+trainer.weight_decay=0.1", "hydra/launcher=joblib", "out=runs/a b"),
            *("benchmark.task=[miniworld,easy_vqa]", "+benchmark.task.x={task: miniworld, limit: 3}"),
            *("seed=range(2)", "lora.r=8", "lora.r=4"),
        ],
        {"out"},
    )
    assert words.own == ("hydra/launcher=joblib", "out=runs/a b")
    assert words.benchmark == ("task=[miniworld,easy_vqa]", "+task.x={task: miniworld, limit: 3}")
    assert words.jobs == ("+trainer.weight_decay=0.1", "lora.r=4")  # the last word counts
    assert words.grid() == [
        ("method=dpo", "seed=0"),
        ("method=dpo", "seed=1"),
        ("method=simpo", "seed=0"),
        ("method=simpo", "seed=1"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lora.rank=8,16"], "dpo does not take lora.rank=8"),
        (["method=dpoo"], "method=dpoo: there are apo_zero"),
        (["resume=true"], "resume: the sweep resumes by itself"),
        (["benchmark.batch_size=8,16"], "all are benchmarked alike"),
        (["benchmark.batchsize=8"], "benchmark does not take tracking=wandb batchsize=8"),
        (["adapter=last,best"], "a setting of the whole sweep"),
        (["adapter=all"], "choose last or best"),
        (["objective.maximize='max(refusal_rate)'"], "give sums and products"),
        (["--config-name=x"], "takes -m, --config-dir and settings only"),
        (["--config-dir=nowhere", "seed=0"], "nowhere: there is no such folder"),
        (["adapter=best", "objective.task=probe"], "leave one of the two out"),
        (["accelerate.config=several_nodes"], "is for 2 machines, and a job of a sweep is on one"),
        (["hydra/launcher=submitit_slurm", "hydra.launcher.nodes=2"], "one task on one machine"),
        (["hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=4"], "one task on one machine"),
        (["trainer.learning_rate=interval(0,1)"], "search=optuna"),
        (["benchmark.model=hub", "benchmark.model.name=a/b"], "would train model.name=tiny_vlm"),
    ],
)
def test_what_is_wrong_with_a_command_is_said_before_anything_starts(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        planned(words)


def test_a_job_is_what_its_words_say_and_not_its_number() -> None:
    first = {job.label: job for job in planned(["lora.r=4,8", "tracking=none"])}
    second = {job.label: job for job in planned(["lora.r=8,2", "tracking=wandb", "name=other"])}
    assert first["lora.r=8"].id == second["lora.r=8"].id  # a tracker changes nothing of what is learnt
    assert first["base"].id == second["base"].id
    other_base, other = planned(["lora.r=8", "benchmark.task.miniworld.limit=8", "tracking=none"])
    assert other.id == first["lora.r=8"].id  # what is asked changes nothing of it either
    assert other_base.id != first["base"].id
    assert "tracking.group=other" in second["lora.r=8"].given
    assert "tracking.group=other" in second["lora.r=8"].benchmark
    assert not any("group" in word for word in first["lora.r=8"].given)
    methods = {job.label: job.recipe for job in planned(["method=sft,ipo,orpo", "tracking=none"])}
    assert methods == {
        "base": None,
        "method=sft": "sft",
        "method=ipo": "dpo",
        "method=orpo": "orpo",
    }
    search = ["search=optuna", "method=dpo,simpo", "trainer.learning_rate=tag(log,interval(1e-4,1e-2))"]
    assert planned(search)[-1].label == "method=dpo trainer.learning_rate=0.0001"


def test_jobs_side_by_side_have_a_port_each_and_the_benchmark_the_gpus_of_training(tmp_path: Path) -> None:
    nothing = {"config": None, "num_processes": None, "main_process_port": None, "gpu_ids": None}
    port = ("--main_process_port", "0")
    assert launch_words(nothing) == port  # accelerate takes all GPUs that it finds
    assert benchmark_launch_words(nothing, ()) == ()
    for settings in (nothing | {"num_processes": 4}, nothing | {"config": "ddp", "num_processes": 4}):
        assert launch_words(settings)[-4:] == ("--num_processes", "4", *port)
        assert benchmark_launch_words(settings, ())[:4] == ("--num_processes", "4", *port)
        assert benchmark_launch_words(settings, ["device=cuda"]) == ()
    assert launch_words(nothing | {"config": "zero2"}) == ("--accelerate", "zero2", *port)
    assert benchmark_launch_words(nothing | {"config": "zero2"}, ()) == ("--num_processes", "2", *port)
    assert benchmark_launch_words(nothing | {"config": "ddp_cpu"}, ()) == ()
    command = command_for(find_program("benchmark"), [*benchmark_launch_words(settings, ()), "out=x"])
    assert command[-4:-2] == ["--gpu_ids", "all"]
    assert launch_words(nothing | {"main_process_port": 29501}) == ("--main_process_port", "29501")
    (tmp_path / "mine.yaml").write_text("num_processes: 2\nmain_process_port: 29502\n")
    assert launch_words(nothing | {"config": str(tmp_path / "mine.yaml")})[0::2] == ("--accelerate",)


@pytest.mark.parametrize("text", ["runs/a", "a b", "a,b=c", "it's", "a\\b", "{x: 1}", "null", "-1"])
def test_a_text_of_any_characters_is_one_value(text: str) -> None:
    word = f"out={quoted(text)}"
    [override] = OverridesParser.create().parse_overrides([word])
    assert override.value() == text
