"""The corruption benchmark: what is asked, what the model is shown, and what the results say."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ChatMessageUser,
    ContentImage,
    ContentText,
    ModelName,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.solver import TaskState
from PIL import Image

from align.evaluation.corruption import Condition, CorruptionError, corrupt
from align.evaluation.corruption_task import corruption, look, summarize_corruption
from align.evaluation.metrics import summarize, summarize_groups
from align.evaluation.scorers import graded_of, question_of
from align.evaluation.tasks import miniworld
from align.miniworld.dataset import build_questions
from align.records import Graded, Question, write_records

FEW = {"kinds": ["gaussian"], "severities": [5], "limit": 6}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    build_questions(root, train=4, test=24)
    return root


def records(task: Task) -> dict[str, list[str]]:
    """The ids of the questions under each condition, in the order of asking."""
    found: dict[str, list[str]] = {}
    for sample in task.dataset:
        question = question_of(sample.metadata or {})
        condition = (sample.metadata or {})["condition"]
        assert sample.id == f"{question.id}@{condition}"
        assert sample.input == question.question
        found.setdefault(condition, []).append(question.id)
    return found


# --- What is asked -----------------------------------------------------------------------------------------


def test_every_question_of_the_honesty_task_is_asked_under_every_condition(world: Path) -> None:
    task = corruption({"task": "miniworld", "root": str(world)}, limit=10)
    asked = records(task)
    assert len(asked) == 18
    own = [sample.id for sample in miniworld(str(world), limit=10).dataset]
    assert all(ids == own for ids in asked.values())
    lengths = [len(str(sample.input)) for sample in task.dataset]
    with_image, without = lengths[: 17 * 10], lengths[17 * 10 :]
    assert (with_image, without) == (sorted(with_image), sorted(without))  # batches are of one length
    assert {s.metadata["condition"] for s in list(task.dataset)[17 * 10 :] if s.metadata} == {"no-image"}
    assert (task.metadata or {})["conditions"] == list(asked)
    assert (task.metadata or {})["data_root"] == str(world)


def test_conditions_can_be_chosen_and_raw_is_always_there(world: Path) -> None:
    task = corruption({"task": "miniworld", "root": str(world)}, ["shot"], [2], False, False, limit=3)
    assert list(records(task)) == ["raw", "shot-2"]


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ({"task": "corruption"}, "of.task is 'corruption': choose from miniworld, mohobench"),
        ({}, "of.task is None"),
        ({"task": "miniworld", "limit": 5}, "set `limit` of the corruption task itself"),
        ({"task": "miniworld", "questions": "Q"}, "of.questions is not a setting of it"),
        ({"task": "mohobench", "root": "R"}, "of.questions must be given"),
    ],
)
def test_settings_of_the_honesty_task_that_there_are_not_are_named(of: dict[str, Any], message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        corruption(of)


# --- What the model is shown -------------------------------------------------------------------------------


def shown(root: Path, question: Question, condition: str) -> list[Any]:
    metadata = {"record": question.model_dump_json(), "condition": condition}
    messages = [ChatMessageUser(content=question.question)]
    state = TaskState(ModelName("a/b"), "id", 1, question.question, messages, metadata=metadata)
    solved = asyncio.run(look(str(root))(state, None))  # type: ignore[arg-type]
    content = solved.user_prompt.content
    assert isinstance(content, list)
    return content


def test_the_model_is_shown_the_corrupted_image_before_the_question(world: Path) -> None:
    question = question_of(next(iter(miniworld(str(world), limit=1).dataset)).metadata or {})
    file = (world / question.image).read_bytes()
    for condition, expected in (
        ("raw", file),
        ("contrast-2", corrupt(file, Condition("contrast", 2))),
        ("blank", corrupt(file, Condition("blank"))),
    ):
        image, text = shown(world, question, condition)
        assert isinstance(image, ContentImage)
        assert isinstance(text, ContentText)
        assert text.text == question.question
        kind, _, data = image.image.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == expected
    [alone] = shown(world, question, "no-image")
    assert isinstance(alone, ContentText)
    assert alone.text == question.question


def test_raw_is_upright_as_the_corrupted_ones_are(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    question = Question(id="q", image="turned.jpg", question="Why?", category="Context_Dependent", source="t")
    for condition in ("raw", "gaussian-1"):
        image, _ = shown(tmp_path, question, condition)
        data = base64.b64decode(image.image.partition(",")[2])
        (tmp_path / "shown").write_bytes(data)
        with Image.open(tmp_path / "shown") as opened:
            assert (opened.size, opened.getexif().get(0x0112, 1)) == ((20, 40), 1)


def rows_of(log: EvalLog) -> list[Graded]:
    assert log.status == "success", log.error
    samples = log.samples or []
    assert not [sample.error for sample in samples if sample.error]
    return [graded_of(score) for sample in samples for score in (sample.scores or {}).values()]


@pytest.fixture(scope="module")
def logs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[EvalLog, EvalLog]:
    """The embedded model on the corruption task, and on its honesty task."""
    of = {"task": "miniworld", "root": str(world)}
    tasks = [corruption(of, **FEW), miniworld(str(world), limit=FEW["limit"])]
    made = eval(
        tasks,
        model="align/tiny_vlm",
        model_args={"device": "cpu"},
        max_connections=64,
        max_samples=64,
        max_tokens=24,
        display="none",
        log_dir=str(tmp_path_factory.mktemp("logs")),
        max_tasks=1,
    )
    return made[0], made[1]


def test_a_run_of_the_embedded_model(logs: tuple[EvalLog, EvalLog]) -> None:
    rows, own = rows_of(logs[0]), rows_of(logs[1])
    by_condition: dict[str | None, dict[str, Graded]] = {}
    for row in rows:
        by_condition.setdefault(row.condition, {})[row.question_id] = row
    assert {name: len(group) for name, group in by_condition.items()} == {
        "raw": 6,
        "gaussian-5": 6,
        "blank": 6,
        "no-image": 6,
    }
    # `raw` is the honesty task itself.
    assert {r.question_id: r.response for r in own} == {
        id: row.response for id, row in by_condition["raw"].items()
    }
    # With nothing to see, questions of the same words are the same question.
    for condition in ("blank", "no-image"):
        said: dict[str, set[str | None]] = {}
        for row in by_condition[condition].values():
            said.setdefault(row.question, set()).add(row.response)
        assert all(len(responses) == 1 for responses in said.values())
    assert any(by_condition["raw"][id].response != row.response for id, row in by_condition["blank"].items())
    results = summarize_corruption(rows)
    assert list(results["by_condition"]) == ["raw", "gaussian-5", "blank", "no-image"]
    assert results["answer_accuracy"] == summarize(own)["answer_accuracy"]


def test_the_log_shows_the_rates_of_raw(logs: tuple[EvalLog, EvalLog]) -> None:
    [of_corruption], [own] = (log.results.scores for log in logs if log.results)
    figures = {name: metric.value for name, metric in of_corruption.metrics.items()}
    assert figures == pytest.approx({n: m.value for n, m in own.metrics.items()}, nan_ok=True)


def test_a_missing_image_fails_its_own_samples_only_and_the_task_runs_by_name(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "there.png")
    common = {"category": "Context_Dependent", "source": "t"}
    rows = [
        Question(id=name, image=f"{name}.png", question=f"Why {name}?", **common)
        for name in ("there", "gone")
    ]
    write_records(tmp_path / "questions.jsonl", rows)
    of = {"task": "mohobench", "questions": str(tmp_path / "questions.jsonl")}
    outputs = [ModelOutput.from_content("m", "I can't tell from the image.") for _ in range(5)]
    for output in outputs:
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    [log] = eval(
        "align/corruption",
        task_args={"of": of, "kinds": ["shot"], "severities": [1]},
        model=get_model("mockllm/model", custom_outputs=outputs),
        fail_on_error=False,
        display="none",
        log_dir=str(tmp_path / "logs"),
    )
    errors = {sample.id: sample.error.message for sample in log.samples or [] if sample.error}
    assert set(errors) == {"gone@raw", "gone@shot-1", "gone@blank"}
    assert all("gone.png" in message for message in errors.values())
    scored = [sample.id for sample in log.samples or [] if sample.scores]
    assert set(scored) == {"there@raw", "there@shot-1", "there@blank", "there@no-image", "gone@no-image"}


# --- What the results say ----------------------------------------------------------------------------------


def graded(id: int, condition: str | None, state: str, **given: Any) -> Graded:
    """Questions 0-3: vague, 4-5: subjective, 6-9: answerable; two a picture."""
    category = "Vague_Description" if id < 4 else "Subjective_or_Philosophical" if id < 6 else "Answerable"
    if category == "Answerable" and state == "answer":
        given.setdefault("correct", True)
    if state == "failed":
        given["error"] = "429"
    return Graded(
        question_id=f"q{id}",
        image=f"i{id // 2}",
        question="?",
        category=category,
        state=state,
        condition=condition,
        grader="hand",
        response=None if state == "failed" else state,
        **given,
    )


def by_hand() -> list[Graded]:
    """Declined, vague and subjective: raw 1 and 2, contrast-2 4 and 2, no-image none, one failed."""
    rows = [graded(i, "no-image", "failed" if i == 0 else "answer") for i in range(10)]
    rows += [graded(i, "contrast-2", "abstain" if i < 6 or i == 9 else "answer") for i in range(10)]
    rows += [graded(i, "raw", "abstain" if i in (0, 4, 5) else "answer") for i in range(10)]
    return rows


def test_figures_of_every_condition_and_their_change_from_raw() -> None:
    rows = by_hand()
    results = summarize_corruption(rows)
    assert list(results["by_condition"]) == ["raw", "contrast-2", "no-image"]
    raw = [row for row in rows if row.condition == "raw"]
    assert {key: results[key] for key in summarize_groups(raw)} == summarize_groups(raw)
    assert results["by_condition"]["raw"] == summarize_groups(raw)
    assert results["by_condition"]["no-image"]["n_failed"] == 1

    assert list(results["changes"]) == ["contrast-2", "no-image"]
    darker, alone = results["changes"]["contrast-2"], results["changes"]["no-image"]
    change = darker["refusal_rate"]
    assert (change["n"], change["raw"], change["corrupted"]) == (6, 3 / 6, 6 / 6)
    assert change["difference"] == pytest.approx(0.5)
    assert change["interval"][0] < 0.5 < change["interval"][1]
    # The question that failed is left out on both sides: of the other five, raw declines two.
    assert (alone["refusal_rate"]["n"], alone["refusal_rate"]["raw"]) == (5, pytest.approx(2 / 5))
    assert alone["refusal_rate"]["corrupted"] == 0
    assert darker["over_refusal_rate"]["difference"] == pytest.approx(0.25)
    assert darker["answer_accuracy"]["difference"] == pytest.approx(-0.25)
    assert darker["reason_accuracy"] is None
    vague, subjective = (
        darker["by_category"][name]["refusal_rate"]
        for name in ("Vague_Description", "Subjective_or_Philosophical")
    )
    assert (vague["difference"], vague["n"]) == (0.75, 4)
    assert (subjective["difference"], subjective["n"]) == (0.0, 2)
    assert "Answerable" not in darker["by_category"]
    assert json.loads(json.dumps(results)) == results


def test_p_values_are_corrected_for_the_number_of_conditions() -> None:
    """Ten pictures of one vague question: raw declines none, severity 1 all, severity 2 none, 3 six."""
    declined = {"raw": 0, "gaussian-1": 10, "gaussian-2": 0, "gaussian-3": 6}
    rows = [
        Graded(
            question_id=f"q{i}",
            image=f"i{i}",
            question="?",
            category="Vague_Description",
            state="abstain" if i < count else "answer",
            condition=condition,
            grader="hand",
            response="x",
        )
        for condition, count in declined.items()
        for i in range(10)
    ]
    tests = {name: change["refusal_rate"] for name, change in summarize_corruption(rows)["changes"].items()}
    assert {name: test["p"] for name, test in tests.items()} == {
        "gaussian-1": pytest.approx(2 / 2**10),  # ten pictures of ten, either way
        "gaussian-2": 1.0,
        "gaussian-3": pytest.approx(2 / 2**6),
    }
    assert {name: test["p_holm"] for name, test in tests.items()} == {
        "gaussian-1": pytest.approx(3 * 2 / 2**10),
        "gaussian-2": 1.0,
        "gaussian-3": pytest.approx(2 * 2 / 2**6),
    }


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda row: row.condition != "raw", "no row of the condition `raw`"),
        (lambda row: False, "no row of the condition `raw`"),
    ],
)
def test_results_need_the_raw_rows(keep: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarize_corruption([row for row in by_hand() if keep(row)])


def test_rows_of_another_benchmark_are_refused() -> None:
    with pytest.raises(ValueError, match="question q3 has no condition"):
        summarize_corruption([*by_hand(), graded(3, None, "answer")])
