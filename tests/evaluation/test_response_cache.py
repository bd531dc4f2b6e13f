"""Responses are asked for once: after a kill, with other settings, by several processes."""

import asyncio
import json
import random
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cached_run import GREEDY, Job, ask, inline, local, png, served, start
from inspect_ai._util.registry import RegistryInfo, set_registry_info
from inspect_ai.model import (
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)
from peft import get_peft_model
from stand_in import Fault, text_of
from tenacity import wait_none

from align.evaluation.response_cache import CachedAPI, ResponseCache, ResponseCacheError
from align.evaluation.wrapping import WrappedAPI
from align.miniworld import TINY_VLM
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.loading import load_model

QUESTIONS = tuple(f"What color is thing number {i}?" for i in range(40))


def stored(cache: Path) -> set[str]:
    """The texts that the file holds; a model that echoes names its questions with them."""
    if not cache.exists():
        return set()
    with closing(sqlite3.connect(cache)) as file:
        tables = file.execute("SELECT name FROM sqlite_master WHERE name = 'responses'").fetchall()
        rows = file.execute("SELECT output FROM responses").fetchall() if tables else []
    outputs = [json.loads(output) for (output,) in rows]
    return {output["choices"][0]["message"]["content"] for output in outputs}


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


# --- Kills -----------------------------------------------------------------------------------------------


@pytest.mark.program
def test_a_served_benchmark_killed_ten_times_asks_no_finished_question_again(
    stand_in: Any, tmp_path: Path
) -> None:
    server = stand_in(lambda request, n: text_of(request), delay=0.03)
    job = Job(served(server.base_url), tmp_path / "c.sqlite", tmp_path / "logs", QUESTIONS, inline(png()))
    rng = random.Random(0)
    for _ in range(10):
        before, sent = stored(job.cache), len(server.requests)
        with start(job) as process:
            wait_for(lambda sent=sent: len(server.requests) > sent or not process.is_alive())
            time.sleep(rng.uniform(0.0, 0.08))
            process.kill()
            process.join()
        assert before <= stored(job.cache)
        asked = {text_of(request) for request in server.bodies[sent:]}
        assert not asked & before
    left = set(QUESTIONS) - stored(job.cache)
    assert left, "the kills came too late to show anything"
    sent = len(server.requests)
    with start(job) as process:
        process.join(60)
        assert process.exitcode == 0
    assert {text_of(request) for request in server.bodies[sent:]} == left
    assert len(server.requests) - sent == len(left)
    assert stored(job.cache) == set(QUESTIONS)
    # At most what was in flight at a kill was asked twice.
    assert len(server.requests) <= len(QUESTIONS) + 10 * 4


@pytest.mark.program
def test_a_local_benchmark_killed_again_and_again_generates_no_finished_row_again(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    job = Job(local(), tmp_path / "c.sqlite", tmp_path / "logs", QUESTIONS, inline(png()), asked)

    def rows() -> list[str]:
        return asked.read_text().splitlines() if asked.exists() else []

    def count() -> int:
        with closing(sqlite3.connect(job.cache)) as file:
            return int(file.execute("SELECT count(*) FROM responses").fetchone()[0])

    rng, finished = random.Random(1), 0
    for _ in range(3):
        before = len(rows())
        with start(job) as process:
            wait_for(lambda before=before: len(rows()) > before)
            time.sleep(rng.uniform(0.0, 0.05))
            process.kill()
            process.join()
        # A batch of 4 runs at a time: no more can have been generated and not be there.
        assert count() >= finished
        finished = count()
        assert len(rows()) - finished <= 4 * (1 + 3)
    assert finished < len(QUESTIONS), "the kills came too late to show anything"
    before = len(rows())
    with start(job) as process:
        process.join(60)
        assert process.exitcode == 0
    assert len(rows()) - before == len(QUESTIONS) - finished
    assert count() == len(QUESTIONS)
    assert set(rows()) == set(QUESTIONS)


def test_two_processes_can_share_one_file(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: text_of(request), delay=0.01)
    job = Job(served(server.base_url), tmp_path / "c.sqlite", tmp_path / "logs", QUESTIONS, inline(png()))
    with start(job) as one, start(replace(job, questions=QUESTIONS[::-1])) as two:
        for process in (one, two):
            process.join(60)
            assert process.exitcode == 0
    assert stored(job.cache) == set(QUESTIONS)
    assert len(server.requests) < 2 * len(QUESTIONS)  # they met in the middle


# --- What is another question ----------------------------------------------------------------------------


def adapter(folder: Path, strength: float) -> str:
    base = load_model("tiny_vlm", device="cpu").model
    tuned = get_peft_model(base, lora_config(base, family_of(base), {"r": 2}))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.fill_(strength)
    tuned.save_pretrained(folder)
    return str(folder)


def test_whatever_can_change_a_response_is_another_question(tmp_path: Path) -> None:
    image, folder = tmp_path / "picture.png", tmp_path / "model"
    image.write_bytes(png(1))
    shutil.copytree(TINY_VLM, folder)
    job = Job(local(), tmp_path / "c.sqlite", tmp_path / "logs", QUESTIONS[:2], str(image))

    def asked(**settings: Any) -> int:
        _, hits, new = ask(replace(job, config=local(**settings)))
        assert hits + new == 2
        return new

    assert asked() == 2
    assert asked() == 0
    assert asked(name=str(folder), batch_size=2) == 0  # the same weights in another place, in other batches
    assert asked(adapter=adapter(tmp_path / "weak", 1e-3)) == 2
    assert asked(adapter=adapter(tmp_path / "strong", 2e-3)) == 2
    assert asked(decoding=GREEDY | {"max_new_tokens": 9}) == 2
    assert asked(decoding=GREEDY | {"temperature": 1.0}) == 2
    assert asked(decoding=GREEDY | {"temperature": 1.0, "seed": 1}) == 2
    assert asked(dtype="bfloat16") == 2
    (folder / "chat_template.jinja").write_text(
        (folder / "chat_template.jinja").read_text().replace("image", "image", 1) + "{# another #}"
    )
    assert asked(name=str(folder)) == 2
    image.write_bytes(png(2))
    assert asked() == 2
    image.write_bytes(png(1))
    assert asked() == 0


def test_repeats_of_a_sample_are_kept_apart(stand_in: Any, tmp_path: Path) -> None:
    seeds: list[int] = []
    server = stand_in(lambda request, n: str(seeds.append(request["seed"]) or request["seed"]))
    config = served(server.base_url, decoding=GREEDY | {"temperature": 1.0, "seed": 3})
    job = Job(config, tmp_path / "c.sqlite", tmp_path / "logs", QUESTIONS[:3], inline(png()))
    log, hits, new = ask(job, epochs=2)
    assert (hits, new) == (0, 6)
    assert len(set(seeds)) == 6  # one seed for all would make repeats the same
    again, hits, new = ask(job, epochs=2)
    assert (hits, new) == (6, 0)
    texts = [{(s.id, s.epoch): s.output.completion for s in done.samples} for done in (log, again)]
    assert texts[0] == texts[1]


def test_what_was_kept_comes_back_whole(stand_in: Any, tmp_path: Path) -> None:
    from stand_in import Said

    server = stand_in(lambda request, n: Said("Red.", (-0.25, -0.5)) if n % 2 == 0 else Fault.cut_off("no"))
    config = served(server.base_url, logprobs=True)
    job = Job(config, tmp_path / "c.sqlite", tmp_path / "logs", QUESTIONS[:1], inline(png()))
    first, second = (ask(job)[0].samples[0].output for _ in range(2))
    assert (first.metadata["cached"], second.metadata["cached"]) == (False, True)
    assert first.metadata["seconds"] == second.metadata["seconds"] > 0
    assert second.metadata["logprob"] == -0.75
    for name in ("completion", "stop_reason", "usage", "model"):
        assert getattr(first, name) == getattr(second, name)
    assert len(server.requests) == 1


# --- The provider within ---------------------------------------------------------------------------------


class Scripted(ModelAPI):
    """Gives or raises what it was told, in order."""

    def __init__(self, *script: Any) -> None:
        super().__init__("scripted")
        set_registry_info(self, RegistryInfo(type="modelapi", name="scripted"))  # as get_model does
        self.script, self.calls = list(script), 0
        self.tried_again: Counter[str] = Counter()

    async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
        self.calls += 1
        given = self.script.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    def should_retry(self, ex: Exception) -> bool:
        self.tried_again[str(ex)] += 1
        return "busy" in str(ex)

    def retry_wait(self) -> Any:
        return wait_none()


def said(text: str, **more: Any) -> ModelOutput:
    output = ModelOutput.from_content("scripted", text, **more)
    output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)
    return output


def test_a_failed_call_is_never_kept(tmp_path: Path) -> None:
    error = said("")
    error.error = "moderated"
    bad = [error, said("cannot", stop_reason="content_filter"), ModelOutput(model="scripted")]
    with ResponseCache(tmp_path / "c.sqlite") as responses:
        inner = Scripted(ValueError("down"), *bad, said("Red."))
        model = Model(CachedAPI(inner, responses, {"model": "m"}), GenerateConfig())
        with pytest.raises(ValueError, match="down"):
            asyncio.run(model.generate("What color?"))
        for _ in bad:
            asyncio.run(model.generate("What color?"))
        assert responses.stored == 0
        for _ in range(3):
            assert asyncio.run(model.generate("What color?")).completion == "Red."
        assert (inner.calls, responses.stored, responses.hits) == (5, 1, 2)


def test_inspect_tries_again_what_the_provider_within_calls_worth_it(tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "c.sqlite") as responses:
        inner = Scripted(ValueError("busy"), ValueError("busy"), said("Red."), ValueError("bad"))
        model = Model(CachedAPI(inner, responses, {"model": "m"}), GenerateConfig(max_retries=5))
        assert asyncio.run(model.generate("What color?")).completion == "Red."
        with pytest.raises(ValueError, match="bad"):
            asyncio.run(model.generate("How many?"))
        assert inner.tried_again == {"busy": 2, "bad": 1}


def test_no_more_requests_are_open_than_without_it(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: "Red.", delay=0.05)
    config = served(server.base_url, max_connections=3)
    ask(Job(config, tmp_path / "c.sqlite", tmp_path / "logs", QUESTIONS[:12], inline(png())))
    assert server.most_at_once == 3
    assert len(server.requests) == 12


def test_all_that_inspect_asks_of_a_provider_reaches_the_one_within() -> None:
    public = {n for n, v in vars(ModelAPI).items() if callable(v) and not n.startswith("_")} - {"generate"}
    answers = {name: object() for name in public - {"connection_key"}}
    named = {name: lambda self, *_, given=given, **__: given for name, given in answers.items()}
    inner = type("Inner", (Scripted,), named)()
    inner.qualified_model_name, inner.client = "scripted/m", "its client"

    class Outer(WrappedAPI):
        async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
            raise AssertionError

    outer = Outer(inner)
    assert {name: getattr(outer, name)() for name in answers} == answers
    assert outer.connection_key() == "Inner:default"
    assert (outer.model_name, outer.api_key, outer.base_url) == ("scripted", None, None)
    assert (outer.qualified_model_name, outer.client) == ("scripted/m", "its client")
    with pytest.raises(AttributeError):
        _ = outer.is_rate_limit


def test_a_file_that_is_no_cache_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("These are my notes. " * 50)
    with pytest.raises(ResponseCacheError, match="cannot be used as a response cache"):
        ResponseCache(file)
    assert file.read_text().startswith("These are my notes")
    newer = tmp_path / "newer.sqlite"
    with closing(sqlite3.connect(newer)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ResponseCacheError, match="form 99"):
        ResponseCache(newer)


def test_a_message_without_an_image_is_a_question_too(tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "c.sqlite") as responses:
        inner = Scripted(said("a"), said("b"))
        model = Model(CachedAPI(inner, responses, {"model": "m"}), GenerateConfig())
        texts = ["Where?", "When?", "Where?"]
        answers = [asyncio.run(model.generate([ChatMessageUser(content=text)])).completion for text in texts]
        assert answers == ["a", "b", "a"]
