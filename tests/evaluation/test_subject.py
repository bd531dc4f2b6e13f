"""Which model a benchmark's settings mean, and what tells two of them apart."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cached_run import GREEDY, TINY, local, served
from omegaconf import OmegaConf

from align.calling.endpoint import EndpointError
from align.evaluation import generation_digest
from align.evaluation.served import ServedSubject
from align.evaluation.subject import SubjectError, make_subject, refuse_idle_settings
from align.miniworld import TINY_VLM

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "align"
URL = "http://127.0.0.1:1/v1"


def endpoint(name: str, **settings: Any) -> dict[str, Any]:
    """A configuration as evaluate/benchmark.py makes it of the files in configs/."""
    file = OmegaConf.to_container(OmegaConf.load(ROOT / f"configs/endpoint/{name}.yaml"))
    beside = OmegaConf.to_container(OmegaConf.load(ROOT / "configs/served/default.yaml"))
    beside |= settings.pop("served", {})
    return {"model": TINY, "adapter": None, "endpoint": file | settings, "served": beside, "decoding": GREEDY}


def test_a_local_model_is_told_apart_by_content_and_not_by_place(tmp_path: Path) -> None:
    shutil.copytree(TINY_VLM, tmp_path / "copy")
    here, there = make_subject(local()), make_subject(local(name=str(tmp_path / "copy")))
    assert here.digest == there.digest
    assert here.label == "tiny_vlm"
    assert here.identity() == {
        "name": "tiny_vlm",
        "adapter": None,
        "digest": here.digest,
        "label": "tiny_vlm",
        "parameters": 2637888,
    }
    (tmp_path / "copy/run.json").write_text("{}")  # how the weights came about
    assert make_subject(local(name=str(tmp_path / "copy"))).digest == here.digest
    processor = tmp_path / "copy/processor_config.json"
    processor.write_text(processor.read_text() + " ")
    assert make_subject(local(name=str(tmp_path / "copy"))).digest != here.digest


def test_what_is_described_follows_the_settings() -> None:
    plain = make_subject(local()).describe()
    assert plain["seed"] is None  # greedy decoding has none
    sampled = make_subject(local(decoding=GREEDY | {"temperature": 1.0, "top_p": 0.9, "seed": 7}))
    assert {name for name in plain if plain[name] != sampled.describe()[name]} == {
        "temperature",
        "top_p",
        "seed",
    }
    config = sampled.generate_config()
    assert (config["seed"], config["top_p"], config["logprobs"]) == (7, 0.9, True)
    assert make_subject(local(logprobs=False)).generate_config()["logprobs"] is None


def test_a_local_model_is_told_apart_by_what_spells_its_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_subject(local()).describe()
    shutil.copytree(PACKAGE / "models", tmp_path / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PACKAGE / "evaluation", tmp_path / "evaluation")
    monkeypatch.setattr(generation_digest, "align", SimpleNamespace(__file__=str(tmp_path / "__init__.py")))
    assert make_subject(local()).describe() == before
    code = tmp_path / "models/special_tokens.py"
    code.write_text(code.read_text().replace("not prompt.startswith", "prompt.startswith"))
    changed = make_subject(local()).describe()
    assert {name for name in before if before[name] != changed[name]} == {"generation_code"}


@pytest.mark.parametrize(
    ("config", "label", "asked", "compared"),
    [
        (endpoint("openai"), "gpt-4o", "openai/gpt-4o", None),
        (
            endpoint("openai_compatible", model="openai-api/box/qwen", base_url=URL),
            "qwen",
            "openai-api/box/qwen",
            None,
        ),
        (endpoint("vllm", model="vllm/OWNER/NAME"), "OWNER/NAME", "vllm/OWNER/NAME", None),
        (endpoint("vllm", base_url=URL, served={"base": "b"}), "b", "openai-api/vllm/b", None),
        (
            endpoint("vllm", base_url=URL, served={"base": "OWNER/NAME", "adapter": "tuned"}),
            "OWNER/NAME + tuned",
            "openai-api/vllm/tuned",
            "openai-api/vllm/OWNER/NAME",
        ),
        (
            endpoint("sglang", model="sglang/OWNER/NAME", base_url=URL, served={"adapter": "tuned"}),
            "OWNER/NAME + tuned",
            "openai-api/sglang/tuned",
            "openai-api/sglang/OWNER/NAME",
        ),
        (
            endpoint("vllm", model="vllm/OWNER/NAME:runs/a"),
            "OWNER/NAME + runs/a",
            "vllm/OWNER/NAME:runs/a",
            "vllm/OWNER/NAME",
        ),
        (
            endpoint("vllm", base_url=URL, served={"adapter": "tuned", "check": False}),
            "tuned",
            "openai-api/vllm/tuned",
            None,
        ),
    ],
)
def test_names_of_a_server_s_models(
    config: dict[str, Any], label: str, asked: str, compared: str | None
) -> None:
    subject = make_subject(config)
    assert isinstance(subject, ServedSubject)
    assert (subject.label, subject.endpoint.model) == (label, asked)
    assert (subject.base and subject.base.model) == compared
    assert subject.describe()["adapter_check"] == (None if compared is None else True)
    assert subject.max_connections == subject.endpoint.max_connections


def test_an_adapter_s_content_and_a_revision_tell_apart_what_has_one_name(tmp_path: Path) -> None:
    def digest(**settings: Any) -> str:
        names = {"base": "b", "adapter": "a"} | settings.pop("served", {})
        return make_subject(served(URL, served=names, **settings)).digest

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
        (tmp_path / name / "adapter_model.safetensors").write_bytes(name.encode())
    folders = [{"folder": str(tmp_path / name)} for name in ("one", "two")]
    assert len({digest(served=folder) for folder in folders} | {digest()}) == 3
    assert digest() != digest(revision="2") != digest(args={"stream": True})
    assert digest() == digest(max_connections=2, timeout=5.0)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (local(decoding=GREEDY | {"top_p": 0.5}), SubjectError, "top_p=0.5 does nothing at temperature 0"),
        (local(served={"adapter": "a"}), SubjectError, "endpoint="),
        (local(served={"adaptor": "a"}), SubjectError, "adaptor"),
        (served(URL) | {"adapter": "runs/dpo/adapter"}, SubjectError, "served.adapter=NAME"),
        (served(URL, decoding=GREEDY | {"top_p": 0.5}), SubjectError, "top_p=0.5 does nothing"),
        (served(URL, decoding=GREEDY | {"max_new_tokens": 0}), SubjectError, "max_new_tokens is 0"),
        (served(URL, budget={"calls": 5}), EndpointError, "task.NAME.limit"),
        (served(URL, model="align/tiny_vlm"), SubjectError, "leave out endpoint="),
        (served(URL, attempts=0), EndpointError, "attempts"),
        (endpoint("vllm"), SubjectError, "endpoint.model is not set"),
        (endpoint("vllm", served={"base": "b", "adapter": "a"}), SubjectError, "give endpoint.base_url"),
        (endpoint("vllm", base_url=URL, served={"adapter": "a"}), SubjectError, "served.base is not set"),
        (served(URL, served={"folder": "runs/a"}), SubjectError, "served.adapter, which is not set"),
    ],
)
def test_settings_that_mean_no_model_are_refused(
    config: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_subject(config)


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ({"base": "b", "folder": "F"}, r"served\.folder is that of served\.adapter"),
        (
            {"base": "b", "adapter": "t", "tower": True},
            r"served\.tower is about the adapter in served\.folder",
        ),
    ],
)
def test_settings_of_an_adapter_that_would_do_nothing_are_refused(
    served: dict[str, Any], message: str
) -> None:
    with pytest.raises(SubjectError, match=message):
        make_subject(endpoint("vllm", base_url=URL, served=served))


def test_settings_of_a_local_model_are_refused_beside_an_endpoint_and_only_there() -> None:
    given = ["endpoint=vllm", "batch_size=32", "model.name=org/m", "task=pope"]
    with pytest.raises(SubjectError, match=r"^batch_size, model\.name: .*endpoint\.max_connections"):
        refuse_idle_settings(served(URL), given)
    refuse_idle_settings(served(URL), ["endpoint=vllm", "endpoint.model=vllm/m", "decoding.seed=1"])
    refuse_idle_settings(served(URL), None)
    refuse_idle_settings(local(), given[1:])
