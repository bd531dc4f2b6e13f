"""The model provider: batches, settings, and rows that go wrong."""

import asyncio
import base64
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inspect_ai.model import (
    ChatMessageSystem,
    ChatMessageUser,
    ContentAudio,
    ContentImage,
    ContentText,
    GenerateConfig,
    Model,
    get_model,
)
from peft import get_peft_model
from PIL import Image

from align.evaluation import batching
from align.evaluation.adapter_check import InactiveAdapterError, require_active_adapter
from align.evaluation.batching import Batcher
from align.evaluation.provider import RowError, to_decoding, to_request
from align.models import loading
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.generation import Decoding, Generation, Prepared, Request, generate
from align.models.loading import load_model


def picture(shade: int) -> bytes:
    pixels = np.full((96, 96, 3), 240, np.uint8)
    pixels[20:60, 20 + shade : 60 + shade] = (250 - 8 * shade, 8 * shade, 90)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def message(question: str, image: bytes) -> ChatMessageUser:
    data = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    return ChatMessageUser(content=[ContentImage(image=data), ContentText(text=question)])


ROWS = [
    (f"What color is the {shape}?", picture(i)) for i, shape in enumerate(["square", "star", "thing"] * 4)
]


@pytest.fixture(scope="module")
def model() -> Model:
    return get_model("align/tiny_vlm", batch_size=5, device="cpu")


async def ask(model: Model, rows: list[tuple[str, bytes]], **config: Any) -> list[Any]:
    config = {"max_tokens": 12, "max_connections": 100, **config}
    calls = [model.generate([message(*row)], config=GenerateConfig(**config)) for row in rows]
    return await asyncio.gather(*calls, return_exceptions=True)


def test_concurrent_calls_share_batches_and_say_what_single_rows_say(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = batching.run

    def counted(loaded: Any, prepared: Prepared, decoding: Decoding) -> dict[int, Generation]:
        sizes.append(len(prepared.requests))
        return run(loaded, prepared, decoding)

    monkeypatch.setattr(batching, "run", counted)
    outputs = asyncio.run(ask(model, ROWS))
    assert sorted(sizes) == [2, 5, 5]
    alone = generate(model.api.loaded, [Request(*row) for row in ROWS], max_new_tokens=12, batch_size=1)
    assert [o.completion for o in outputs] == [g.text for g in alone]
    assert [o.usage.output_tokens for o in outputs] == [g.output_tokens for g in alone]
    assert {o.stop_reason for o in outputs} <= {"stop", "max_tokens"}


def test_a_limit_on_tokens_is_told_as_the_stop_reason(model: Model) -> None:
    [output] = asyncio.run(ask(model, ROWS[:1], max_tokens=1))
    assert output.stop_reason == "max_tokens"


def test_sampling_repeats_under_a_seed(model: Model) -> None:
    settings: dict[str, Any] = {"temperature": 1.5, "top_p": 0.95}
    first, again, other = (
        [o.completion for o in asyncio.run(ask(model, ROWS, seed=seed, **settings))] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_an_unreadable_image_is_the_error_of_its_call_alone(model: Model) -> None:
    rows = [ROWS[0], ("What color is the star?", b"no picture"), ROWS[1]]
    outputs = asyncio.run(ask(model, rows))
    assert isinstance(outputs[1], RowError)
    assert "cannot be decoded" in str(outputs[1])
    assert outputs[0].completion
    assert outputs[2].completion


def test_what_the_model_raises_reaches_every_call_of_the_batch(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("device lost")

    monkeypatch.setattr(batching, "run", broken)
    assert [str(o) for o in asyncio.run(ask(model, ROWS[:2]))] == ["device lost"] * 2
    monkeypatch.undo()
    assert asyncio.run(ask(model, ROWS[:1]))[0].completion  # the thread lives on


def test_the_weights_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from inspect_ai.model import get_model_info

    model = get_model("align/tiny_vlm", batch_size=2, device="cpu", memoize=False)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr("align.evaluation.provider.load_model", never)
    info = get_model_info(str(model))
    assert info is not None
    assert info.context_length == model.api.loaded.model.config.get_text_config().max_position_embeddings


@pytest.mark.parametrize(
    ("config", "name"),
    [({"top_k": 5}, "top_k"), ({"num_choices": 2}, "num_choices"), ({"stop_seqs": ["."]}, "stop_seqs")],
)
def test_settings_that_would_be_ignored_are_refused(config: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        to_decoding(GenerateConfig(**config))


def test_messages_that_would_be_misread_are_refused() -> None:
    user = message(*ROWS[0])
    assert to_request([user]) == Request(*ROWS[0])
    assert to_request([user], epoch=2) != to_request([user])
    assert to_request([ChatMessageUser(content="Hello?")]) == Request("Hello?")
    with pytest.raises(ValueError, match="one user message, not: system, user"):
        to_request([ChatMessageSystem(content="Be brief."), user])
    with pytest.raises(ValueError, match="2 images"):
        to_request([ChatMessageUser(content=[*user.content, *user.content])])
    with pytest.raises(ValueError, match="audio"):
        to_request([ChatMessageUser(content=[ContentAudio(audio="a.mp3", format="mp3")])])


# --- Which requests share a batch: without a model -------------------------------------------------------


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> tuple[list[list[str]], threading.Event]:
    """The questions of each batch, and a gate that the first batch waits at."""
    batches: list[list[str]] = []
    gate = threading.Event()

    def prepare(_: Any, requests: list[Request], *, seed: int) -> Prepared:
        gate.wait(10)
        return Prepared(requests, seed)

    def run(_: Any, prepared: Prepared, decoding: Decoding) -> dict[int, Generation]:
        batches.append([request.question for request in prepared.requests])
        return {place: Generation(request.question) for place, request in enumerate(prepared.requests)}

    monkeypatch.setattr(batching, "prepare", prepare)
    monkeypatch.setattr(batching, "run", run)
    return batches, gate


def submit(batcher: Batcher, questions: list[str], decoding: Decoding | None = None) -> list[Any]:
    return [batcher.submit(Request(question), decoding or Decoding(4)) for question in questions]


def test_a_batch_is_the_oldest_request_and_those_nearest_in_length(recorded: Any) -> None:
    batches, gate = recorded
    batcher = Batcher(None, 3)  # type: ignore[arg-type]
    futures = submit(batcher, ["x" * 3] * 3)
    futures += submit(batcher, ["a" * 9, "b", "c" * 8, "d" * 2, "e" * 10, "f" * 3])
    gate.set()
    assert [future.result(10).text for future in futures][3:] == [
        "a" * 9,
        "b",
        "c" * 8,
        "d" * 2,
        "e" * 10,
        "f" * 3,
    ]
    assert batches[1:] == [["a" * 9, "c" * 8, "e" * 10], ["b", "d" * 2, "f" * 3]]
    batcher.close()


def test_sorted_arrivals_are_batched_in_their_order_and_the_rest_does_not_wait_for_ever(
    recorded: Any,
) -> None:
    batches, gate = recorded
    gate.set()
    batcher = Batcher(None, 4)  # type: ignore[arg-type]
    questions = [str(i).zfill(1 + i // 3) for i in range(10)]
    for future in submit(batcher, questions):
        future.result(10)
    assert batches == [questions[:4], questions[4:8], questions[8:]]
    batcher.close()


def test_requests_with_other_settings_are_not_mixed_and_closing_finishes_the_work(recorded: Any) -> None:
    batches, gate = recorded
    batcher = Batcher(None, 8)  # type: ignore[arg-type]
    futures = submit(batcher, ["a", "b"]) + submit(batcher, ["c"], Decoding(4, temperature=1.0, seed=3))
    gate.set()
    batcher.close()
    assert all(future.done() for future in futures)
    assert batches == [["a", "b"], ["c"]]
    with pytest.raises(RuntimeError, match="closed"):
        submit(batcher, ["d"])


# --- Adapters --------------------------------------------------------------------------------------------


def saved_adapter(folder: Path, strength: float) -> Path:
    base = load_model("tiny_vlm", device="cpu").model
    tuned = get_peft_model(base, lora_config(base, family_of(base), {"r": 2}))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.fill_(strength)
    tuned.save_pretrained(folder)
    return folder


def test_an_adapter_that_changes_nothing_is_an_error_and_one_that_does_is_not(tmp_path: Path) -> None:
    active = load_model("tiny_vlm", saved_adapter(tmp_path / "active", 1e-3), device="cpu")
    assert require_active_adapter(active) > 1e-6
    idle = load_model("tiny_vlm", saved_adapter(tmp_path / "idle", 0.0), device="cpu")
    with pytest.raises(InactiveAdapterError, match="changes nothing"):
        require_active_adapter(idle)
    with pytest.raises(InactiveAdapterError, match="no adapter is loaded"):
        require_active_adapter(load_model("tiny_vlm", device="cpu"))
    with pytest.raises(InactiveAdapterError, match="changes nothing"):
        get_model("align/tiny_vlm", adapter=str(tmp_path / "idle"), device="cpu", memoize=False)


def test_the_digest_of_a_reference_is_that_of_the_loaded_model(tmp_path: Path) -> None:
    adapter = saved_adapter(tmp_path, 1e-3)
    assert (
        loading.reference_digest("tiny_vlm", adapter) == load_model("tiny_vlm", adapter, device="cpu").digest
    )
    assert loading.reference_digest("tiny_vlm") != loading.reference_digest("tiny_vlm", adapter)
