"""Is a served adapter at work? Servers that lose one in silence, and one that changes little."""

import random
from pathlib import Path
from typing import Any

import pytest
from cached_run import local, served
from peft import get_peft_model
from stand_in import Fault, Said, images_of, text_of

from align.evaluation.adapted_parts import adapted_parts
from align.evaluation.adapter_check import InactiveAdapterError
from align.evaluation.served_api import EndpointFailed
from align.evaluation.subject import make_subject
from align.models.adapters import lora_config
from align.models.families import family_of
from align.models.loading import load_model


def opened(server: Any, cache: Path, **settings: Any) -> dict[str, Any]:
    names = {"base": "base", "adapter": "tuned"} | settings.pop("served", {})
    address = settings.pop("address", server.base_url)
    subject = make_subject(served(address, served=names, backoff=0.01, **settings))
    with subject.open(cache / "c.sqlite") as model:
        assert str(model) == f"openai-api/stand-in/{names['adapter']}"
    return subject.describe()


def adapter(folder: Path, *parts: str) -> str:
    base = load_model("tiny_vlm", device="cpu").model
    get_peft_model(base, lora_config(base, family_of(base), {"r": 2, "parts": parts})).save_pretrained(folder)
    return str(folder)


def test_other_words_show_an_adapter_at_work(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: f"{request['model']} says so", models=("base", "tuned"))
    assert opened(server, tmp_path)["adapter_check"] is True
    assert {request["model"] for request in server.bodies} == {"base", "tuned"}
    assert all(len(images_of(request)) == 1 for request in server.bodies)
    assert all(request["temperature"] == 0 for request in server.bodies)
    assert len({text_of(request) for request in server.bodies}) >= 4


def test_the_same_words_at_other_probabilities_show_it_too(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: Said("Red.", (-0.5 - 0.01 * (request["model"] == "tuned"),)))
    opened(server, tmp_path)


def test_a_server_that_gives_the_base_for_the_adapter_is_found_out(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: Said(text_of(request), (-0.5, -0.25)))
    with pytest.raises(InactiveAdapterError, match=r"--enable-lora.*served\.check=false"):
        opened(server, tmp_path)
    assert opened(server, tmp_path, served={"check": False})["adapter_check"] is False


def test_noise_of_a_server_is_no_sign_of_an_adapter(stand_in: Any, tmp_path: Path) -> None:
    rng = random.Random(0)
    server = stand_in(lambda request, n: Said("Red.", (-0.5 + rng.uniform(-0.01, 0.01),)))
    with pytest.raises(InactiveAdapterError, match="two answers of one model differ by"):
        opened(server, tmp_path)
    words = stand_in(lambda request, n: f"Red {rng.random()}.")  # no answer twice
    with pytest.raises(InactiveAdapterError):
        opened(words, tmp_path)


def test_the_same_words_without_probabilities_prove_nothing(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: "Red.")
    with pytest.raises(InactiveAdapterError, match=r"no log-probabilities.*served\.check=false"):
        opened(server, tmp_path)
    picky = stand_in(lambda request, n: Fault.status(400) if request.get("logprobs") else "Red.")
    with pytest.raises(InactiveAdapterError, match="no log-probabilities"):
        opened(picky, tmp_path)


def test_a_name_that_the_server_does_not_list_is_refused_before_a_call(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: request["model"], models=("base", "other"))
    with pytest.raises(InactiveAdapterError, match=r"no model 'tuned': it lists 'base', 'other'"):
        opened(server, tmp_path)
    with pytest.raises(InactiveAdapterError, match="nothing to compare"):
        opened(server, tmp_path, served={"adapter": "base"})
    assert not server.requests
    opened(server, tmp_path, served={"adapter": "base:tuned"})  # as SGLang names it


def test_a_server_that_is_down_is_not_called_inactive(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: Fault.status(503))
    with pytest.raises(EndpointFailed, match="503"):
        opened(server, tmp_path, attempts=1)
    with pytest.raises(EndpointFailed, match="Connect"):
        opened(server, tmp_path, address="http://127.0.0.1:9/v1", attempts=1)


def test_parts_that_vllm_ignores_are_refused_unless_it_was_told(stand_in: Any, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "both", "language_model", "vision_tower")
    assert adapted_parts(folder)["vision_tower"] > 0
    assert make_subject(local(adapter=folder)).describe()["adapter_parts"] == adapted_parts(folder)
    server = stand_in(lambda request, n: f"{request['model']} says so")
    with pytest.raises(InactiveAdapterError, match=r"vision_tower.*recipes/merge.py.*served\.tower=true"):
        opened(server, tmp_path, served={"folder": folder})
    assert opened(server, tmp_path, served={"folder": folder, "tower": True})["tower"] is True
    words = adapter(tmp_path / "words", "language_model")
    assert set(adapted_parts(words)) == {"language_model"}
    opened(server, tmp_path, served={"folder": words})


def test_inspect_s_own_name_of_an_adapter_on_vllm_is_checked_too(stand_in: Any, tmp_path: Path) -> None:
    server = stand_in(lambda request, n: f"{request['model']} says so", models=("some-base", "tuned"))
    subject = make_subject(served(server.base_url, model="vllm/some-base:tuned"))
    with subject.open(tmp_path / "c.sqlite"):
        pass
    assert [request["model"] for request in server.bodies[-4:]] == ["tuned"] * 2 + ["some-base"] * 2
