"""A benchmark's folder when its command is given again: what is asked anew, and what it says it took."""

import json
from pathlib import Path
from typing import Any

import pytest
from cached_run import png, served
from stand_in import Fault, text_of

from align.evaluation.benchmark import finished, respond, write_results
from align.evaluation.kinds import BenchmarkTask, make_task
from align.evaluation.response_facts import truncation_note
from align.evaluation.subject import make_subject
from align.evaluation.summary_table import results_table
from align.records import Question, write_records


@pytest.fixture
def task(tmp_path: Path) -> BenchmarkTask:
    """Three questions about two photographs."""
    for name, shade in (("one.png", 1), ("two.png", 2)):
        (tmp_path / name).write_bytes(png(shade))
    common = {"category": "Context_Dependent", "source": "test"}
    rows = [
        Question(id="a", image="one.png", question="What is number 1?", **common),
        Question(id="b", image="two.png", question="What is number 2?", **common),
        Question(id="c", image="two.png", question="What is number 3?", **common),
    ]
    write_records(tmp_path / "questions.jsonl", rows)
    return make_task("mohobench", {"questions": str(tmp_path / "questions.jsonl")})


def run(task: BenchmarkTask, tmp_path: Path, server: Any, **settings: Any) -> dict[str, Any]:
    """What evaluate/benchmark.py does with one task."""
    subject = make_subject(served(server.base_url, **settings))
    folder = tmp_path / "out" / task.name
    done = finished(folder, task)
    if done is None:
        with subject.open(tmp_path / "out" / "responses.sqlite") as model:
            done = respond(folder, task, subject, model)
    rows, made = done
    return write_results(folder, task, subject, rows, **made)


def test_questions_about_an_image_that_changed_are_asked_again_and_no_others(
    stand_in: Any, task: BenchmarkTask, tmp_path: Path
) -> None:
    server = stand_in(lambda request, n: f"A square, {len(server.requests)}.")
    first = run(task, tmp_path, server)
    assert run(task, tmp_path, server) == first
    assert len(server.requests) == 3
    (tmp_path / "two.png").write_bytes(png(9))
    second = run(task, tmp_path, server)
    assert sorted(text_of(body) for body in server.bodies[3:]) == ["What is number 2?", "What is number 3?"]
    assert second["images"] != first["images"]
    (tmp_path / "one.png").rename(tmp_path / "gone.png")
    assert run(task, tmp_path, server)["n_failed"] == 1, "an image that is gone is not what it was"


def test_truncated_responses_are_counted_whether_asked_or_in_the_cache(
    stand_in: Any, task: BenchmarkTask, tmp_path: Path
) -> None:
    server = stand_in(lambda request, n: Fault.cut_off("It is a") if "3" in text_of(request) else "A square.")
    first = run(task, tmp_path, server)
    (tmp_path / "out/mohobench/results.json").unlink()  # as after a kill: all responses are in the cache
    again = run(task, tmp_path, server)
    for results in (first, again):
        rate = results["responses"]["truncated_rate"]
        assert (rate["value"], rate["n"], results["responses"]["n_truncated"]) == (pytest.approx(1 / 3), 3, 1)
        assert "1 cut off at 8 tokens (33.3%)" in str(results_table(results).caption)
        assert "raise decoding.max_new_tokens" in str(truncation_note(results["responses"]))
    assert len(server.requests) == 3
    few = first["responses"] | {"truncated_rate": rate | {"value": 0.05}}
    assert truncation_note(few) is None


def test_a_run_says_what_all_of_its_responses_took(
    stand_in: Any, task: BenchmarkTask, tmp_path: Path
) -> None:
    down = {"What is number 3?"}
    server = stand_in(lambda request, n: Fault.status(400) if text_of(request) in down else "A square.")
    price = {"price": {"input": 2.0, "output": 10.0}}
    part = run(task, tmp_path, server, **price)
    down.clear()
    whole = run(task, tmp_path, server, **price)
    responses = whole["responses"]
    took = sum(asked.tokens for asked in server.requests if asked.reply == "A square.")
    assert responses["input_tokens"] + responses["output_tokens"] == took
    assert part["responses"]["input_tokens"] < responses["input_tokens"]
    assert responses["dollars"] == pytest.approx(
        (2 * responses["input_tokens"] + 10 * responses["output_tokens"]) / 1e6
    )
    assert run(task, tmp_path, server, **price) == whole, "a finished task keeps what it took"
    assert json.loads((tmp_path / "out/mohobench/results.json").read_text())["responses"] == responses
