"""A sweep's command line: whose each word is, and what is wrong is said before anything starts."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

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
        (["--config-name=x"], "takes -m and settings only"),
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
    assert planned(["lora.r=8", "benchmark.task.miniworld.limit=8"])[-1].id != first["lora.r=8"].id
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


@pytest.mark.parametrize("text", ["runs/a", "a b", "a,b=c", "it's", "a\\b", "{x: 1}", "null", "-1"])
def test_a_text_of_any_characters_is_one_value(text: str) -> None:
    word = f"out={quoted(text)}"
    [override] = OverridesParser.create().parse_overrides([word])
    assert override.value() == text
