"""The common parts: figures, the Inspect task, and the registry with its configurations."""

import json
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import read_eval_log_sample_summaries
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from omegaconf import OmegaConf

from align.evaluation.general.base import (
    GeneralTask,
    Item,
    code_digest,
    failed_sample,
    fixed_subset,
    scored_of,
    scored_record,
    summarize_general,
)
from align.evaluation.general.figures import rates
from align.evaluation.general.pope import PopeBenchmark, pope
from align.evaluation.general.registry import BENCHMARKS
from align.records import DataError

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "general"
PHOTOS = str(ROOT / "samples" / "photos" / "images")
MINE = ("easy_vqa", "haloquest", "pope", "vqav2_lite")
LONG = "Yes, there is.  " + "It is a white cup with a brown drink in it. " * 40


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run of a task in which an image is missing: the task, the log, and what the model saw."""
    task = pope(FIXTURES, PHOTOS, part="random")
    items = (*task.items[:3], Item("gone", "gone.jpg", "Is there a fox?", ("no",), facts={"question": "?"}))
    task = GeneralTask(task.benchmark, items, (), PHOTOS, task.source)
    said = {"cup": LONG, "dog": "I cannot determine whether there is a dog.", "cat": "No."}
    seen = []

    def answer(messages, *_):
        seen.append(messages[0].content)
        text = next(text for word, text in said.items() if word in messages[0].text)
        # With usage given, the model need not count tokens, for which it would fetch an encoding.
        usage = ModelUsage(input_tokens=1, output_tokens=7, total_tokens=8)
        return ModelOutput.from_content("mockllm", text).model_copy(update={"usage": usage})

    log = inspect_eval(
        task.task,
        model=get_model("mockllm/model", custom_outputs=answer),
        log_dir=str(tmp_path_factory.mktemp("logs")),
        display="none",
        fail_on_error=False,
        score_display=False,
    )[0]
    return task, log, seen


def test_scores_come_out_of_the_log_as_the_rows_they_were(run):
    _, log, _ = run
    scores = {sample.id: next(iter(sample.scores.values())) for sample in log.samples if sample.scores}
    rows = {id: scored_of(score) for id, score in scores.items()}
    assert set(rows) == {"random-1", "random-2", "random-3"}
    refusal = rows["random-2"]
    assert (refusal.state, refusal.score, refusal.official) == ("abstain", 0, 0)
    assert (rows["random-1"].state, rows["random-1"].parsed, rows["random-1"].score) == ("answer", "yes", 1)
    assert rows["random-1"].response == LONG
    assert rows["random-1"].tokens == 7
    assert rows["random-3"].score == rows["random-3"].official == 0
    assert scores["random-1"].value == 1
    # A short row survives the summaries of the log, from which it is read where it is whole.
    summaries = {s.id: s for s in read_eval_log_sample_summaries(log.location)}
    assert scored_of(next(iter(summaries["random-2"].scores.values()))) == refusal


def test_the_model_sees_the_image_and_then_the_prompt(run):
    _, _, seen = run
    image, text = seen[0]
    assert image.type == "image"
    assert image.image.startswith("data:image/jpeg")
    assert {content[1].text for content in seen} >= {"Is there a cup in the image?"}
    assert text.type == "text"


def test_a_sample_without_a_response_is_failed_and_says_why(run):
    task, log, _ = run
    [gone] = [sample for sample in log.samples if sample.id == "gone"]
    assert gone.error is not None
    [sample] = [sample for sample in task.task.dataset if sample.id == "gone"]
    row = failed_sample(task.benchmark, sample, gone.error.message)
    assert (row.state, row.score, row.official) == ("failed", None, None)
    assert row.error.startswith("gone.jpg: ")
    assert task.task.metadata == {"questions": task.source, "data_root": PHOTOS}


def test_samples_need_ids_of_their_own():
    item = Item("x", None, "?", ("yes",))
    for items, message in (((), "no sample"), ((item, item), "'x' occurs twice")):
        with pytest.raises(DataError, match=message):
            _ = GeneralTask(PopeBenchmark(), items, (), ".", "f").task


def test_an_item_comes_back_from_its_json():
    item = Item("x", "a.jpg", "Q  ü\n?", ("A",), {"A": "one"}, True, "p", "g", "v", {"n": [1, {"k": None}]})
    assert Item.from_json(item.to_json()) == item


@pytest.mark.parametrize(("state", "score"), [("answer", None), ("abstain", 1.0), ("unparsed", 0.0)])
def test_only_an_answer_has_a_score_of_its_own(state, score):
    with pytest.raises(ValueError, match="only for one"):
        scored_record(Item("x", None, "?"), PopeBenchmark(), "r", state=state, score=score)


def test_an_abstention_is_worth_what_the_sample_calls_for():
    for due in (False, True):
        item = Item("x", None, "?", should_abstain=due)
        rows = [
            scored_record(item, PopeBenchmark(), "r", state="abstain"),
            scored_record(item, PopeBenchmark(), "r", state="unparsed"),
            scored_record(item, PopeBenchmark(), "r", state="answer", score=0.0),
            scored_record(item, PopeBenchmark(), None, state="failed", error="timeout"),
        ]
        assert [row.score for row in rows] == [float(due), 0, 0, None]
        summary = summarize_general(PopeBenchmark(), rows)
        assert summary["states"] == {"answer": 1, "abstain": 1, "unparsed": 1, "failed": 1}
        figures = {name: (figure["value"], figure["n"]) for name, figure in summary["figures"].items()}
        assert figures["accuracy"] == (pytest.approx(due / 3), 3)
        assert figures["accuracy_when_answering"] == ((None, 0) if due else (0, 1))
        assert figures["failed_rate"] == (1 / 4, 4)
        assert figures["abstain_rate"] == (pytest.approx(1 / 3), 3)


def test_without_a_row_figures_are_null():
    figures = summarize_general(PopeBenchmark(), [])["figures"]
    assert {(f["value"], f["interval"], f["n"]) for f in figures.values()} == {(None, None, 0)}
    json.dumps(figures, allow_nan=False)


def test_a_ratio_of_sums_with_rows_that_have_no_part_in_it():
    made = rates(["a", "a", "b"], {"r": ([1, 0, 0], [1, 1, 0])})["r"]
    # One image alone has a part in it, and says nothing of how images differ.
    assert made == {"value": 0.5, "interval": None, "n": 2, "official": False}
    with pytest.raises(ValueError, match="one value a row, 3 in all"):
        rates(["a", "b", "c"], {"r": ([1], [1])})


def test_a_share_that_is_balanced_by_design_is_surer_than_independent_rows_unless_all_are_alike():
    clusters = [str(i // 4) for i in range(400)]
    half = [i % 2 for i in range(400)]  # in every image
    varied = [0 if i < 8 else 1 if i < 16 else i % 2 for i in range(400)]  # in nearly every image
    fractions = {"half": (half, [1] * 400), "varied": (varied, [1] * 400)}
    width = {}
    for balanced in (False, True):
        made = rates(clusters, fractions, balanced=fractions if balanced else ())
        width[balanced] = {name: f["interval"][1] - f["interval"][0] for name, f in made.items()}
    # 4 of 100 images are off by 0.5: a variance of 0.01 an image, where independent rows have 0.25 / 4.
    assert width[True]["varied"] / width[False]["varied"] == pytest.approx((0.01 / 0.0625) ** 0.5, abs=0.03)
    assert width[True]["half"] == width[False]["half"] > 0.09


def test_a_subset_keeps_groups_whole_and_a_limit_of_less_than_one_is_refused():
    items = [Item(f"{group}{i}", None, "?", group=group) for group in "abc" for i in range(4)]
    for limit, size in ((12, 12), (11, 8), (8, 8), (5, 4), (4, 4)):
        chosen = fixed_subset(items, limit, by="group")
        assert len(chosen) == size
        assert chosen == [item for item in items if item in chosen]
    with pytest.raises(ValueError, match="limit is 3, and 4 samples count together"):
        fixed_subset(items, 3, by="group")


def test_every_configuration_fits_its_factory():
    for name in MINE:
        text = (ROOT / "configs" / "task" / f"{name}.yaml").read_text()
        assert text.startswith(f"# @package task.{name}\n")
        module = import_module(f"align.evaluation.general.{name}")
        assert set(OmegaConf.create(text)) == set(signature(getattr(module, name)).parameters)
        assert name in BENCHMARKS


def test_a_task_can_be_made_from_its_configuration_and_its_digest_is_that_of_its_code():
    settings = OmegaConf.to_container(OmegaConf.load(ROOT / "configs" / "task" / "easy_vqa.yaml"))
    task = BENCHMARKS["easy_vqa"](**settings)
    assert 950 < len(task.items) <= 1000
    assert Path(task.source).is_file()
    assert task.benchmark.digest != code_digest("evaluation/general/pope.py")
