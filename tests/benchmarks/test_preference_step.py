"""The benchmark compares like with like, counts what it says, and refuses to time two different things."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

ROOT = Path(__file__).parents[2]
# Parameters of the published models, as their model cards' safetensors headers count them.
PUBLISHED = {
    "llava-1.5-7b": 7_063_427_072,
    "qwen2.5-vl-3b": 3_754_622_976,
    "qwen2.5-vl-7b": 8_292_166_656,
}


@pytest.fixture(scope="module")
def modules() -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import contenders
        import preference_step
        import shapes

        yield SimpleNamespace(contenders=contenders, program=preference_step, shapes=shapes)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def pairs_of(shapes: ModuleType, name: str, count: int = 3) -> Any:
    shape = shapes.SHAPES[name]
    return shapes.make_pairs(
        shape, shape.config(16), count, image_tokens=16, prompt_tokens=8, completion_tokens=9, spread=0.7
    )


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_a_shape_has_the_size_of_the_model_that_it_is_named_after(
    modules: Any, name: str, parameters: int
) -> None:
    shape = modules.shapes.SHAPES[name]
    model = modules.shapes.build_model(
        shape.config(shape.image_tokens), dtype=torch.bfloat16, device="meta", attention="sdpa"
    )
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_the_default_shape_has_50_million_parameters(modules: Any) -> None:
    shape = modules.shapes.SHAPES["llava-50m"]
    model = modules.shapes.build_model(
        shape.config(576), dtype=torch.float32, device="meta", attention="sdpa"
    )
    assert 49e6 < sum(p.numel() for p in model.parameters()) < 51e6


class _Recorded:
    """Answers as a processor would, with the tokens that the pairs were drawn with."""

    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=0)

    def __init__(self, pairs: Any) -> None:
        self.pairs = pairs

    def __call__(self, *, text: list[str], images: Any = None, padding_side: str, **_: Any) -> Any:
        if images is None:
            rows = [torch.tensor(getattr(self.pairs[int(t[1:])], self.side(t))) for t in text]
            more = {}
        else:
            prompts = [self.pairs[int(t[1:])].prompt for t in text]
            rows = [prompt["input_ids"][0] for prompt in prompts]
            names = prompts[0].keys() - {"input_ids", "attention_mask", "mm_token_type_ids"}
            more = {name: torch.cat([prompt[name] for prompt in prompts]) for name in names}
            if "mm_token_type_ids" in prompts[0]:
                kinds = [prompt["mm_token_type_ids"][0] for prompt in prompts]
                more["mm_token_type_ids"] = self.pad(kinds, padding_side)
        return {
            "input_ids": self.pad(rows, padding_side),
            "attention_mask": self.pad([torch.ones_like(row) for row in rows], padding_side),
        } | more

    @staticmethod
    def side(text: str) -> str:
        return {"c": "chosen", "r": "rejected"}[text[0]]

    @staticmethod
    def pad(rows: list[torch.Tensor], side: str) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side=side)


@pytest.mark.parametrize("name", ["llava-tiny", "qwen2.5-vl-tiny"])
def test_trl_gets_what_its_own_collator_makes(modules: Any, name: str) -> None:
    pairs = pairs_of(modules.shapes, name)
    examples = [
        {"images": ["an image"], "prompt": f"p{i}", "chosen": f"c{i}", "rejected": f"r{i}"}
        for i in range(len(pairs))
    ]
    expected = DataCollatorForVisionPreference(_Recorded(pairs))(examples)
    found = modules.shapes.trl_batch(pairs)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value)


@pytest.fixture(scope="module")
def looks(modules: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Figures of the first batch, by family and contender; and of a trainer with another mask."""
    case = modules.contenders.Case(
        model="llava-tiny", image_tokens=16, prompt_tokens=8, completion_tokens=9, spread=0.7
    )
    found = {}
    for name in modules.contenders.CONTENDERS:
        trainer, batches = modules.contenders.build(name, case, tmp_path_factory.mktemp(name))
        if name == "shared_cached":
            modules.contenders.fill_reference(trainer)
        found[name] = modules.contenders.first_look(trainer, batches[0])
        found[f"{name} batch"] = batches[0]
    return found


def test_all_compute_the_same(modules: Any, looks: Any) -> None:
    trl = looks["trl"]
    assert trl.policy != trl.reference  # otherwise an adapter that is not there would go unnoticed
    for name in ("shared", "shared_cached"):
        assert modules.program.difference(trl, looks[name], "float32") is None


def test_a_difference_is_named(modules: Any, looks: Any) -> None:
    trl, ours = looks["trl"], looks["shared"]
    moved = [row[:] for row in ours.policy]
    moved[1][0] += 0.01
    assert "policy's log-prob of pair 1's chosen side" in modules.program.difference(
        trl, replace(ours, policy=moved), "float32"
    )
    without_adapter = replace(ours, policy=ours.reference)
    assert "policy's log-prob" in modules.program.difference(trl, without_adapter, "float32")
    assert "reference's log-prob" in modules.program.difference(
        trl, replace(ours, reference=ours.policy), "float32"
    )
    assert "gradient's norm" in modules.program.difference(
        trl, replace(ours, gradient=ours.gradient * 1.01), "float32"
    )
    assert "not a number" not in (modules.program.difference(trl, ours, "float32") or "")
    broken = [[float("nan")] * 2 for _ in ours.policy]
    assert modules.program.difference(trl, replace(ours, policy=broken), "float32") is not None


def test_tokens_and_images_are_counted_where_they_run(looks: Any) -> None:
    two, one = looks["trl batch"]["input_ids"].numel(), looks["shared batch"]["sequences"].input_ids.numel()
    needed = int(looks["shared batch"]["sequences"].attention_mask.sum())
    assert (looks["trl"].tokens, looks["trl"].images) == (
        2 * two,
        8,
    )  # two passes over two sides of two pairs
    assert (looks["shared"].tokens, looks["shared"].images) == (2 * one, 2)
    assert (looks["shared_cached"].tokens, looks["shared_cached"].images) == (one, 2)
    assert {looks[name].floor for name in ("trl", "shared", "shared_cached")} == {needed}


def test_what_is_run_again_in_the_backward_pass_counts(modules: Any, looks: Any, tmp_path: Path) -> None:
    case = modules.contenders.Case(
        model="llava-tiny", image_tokens=16, prompt_tokens=8, completion_tokens=9, gradient_checkpointing=True
    )
    tokens = {}
    for name in ("trl", "shared"):
        trainer, batches = modules.contenders.build(name, case, tmp_path / name)
        tokens[name] = modules.contenders.first_look(trainer, batches[0]).tokens
    one_pass = 2 * (8 + 16 + 9 + 9)  # of two pairs
    assert tokens == {"trl": 3 * 2 * 2 * (8 + 16 + 9), "shared": 3 * one_pass}


def test_the_grid_has_batches_and_lengths_and_no_case_twice(modules: Any) -> None:
    case = modules.contenders.Case()
    cases = modules.program.grid(case)
    assert cases[0] == case
    assert {c.batch for c in cases} == {1, 2, 4, 8, 16}
    assert len({c.prompt_tokens for c in cases}) >= 3
    assert len({c.completion_tokens for c in cases}) >= 3
    assert len(set(cases)) == len(cases)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "llava-tiny", "--image-tokens", "17"], "give 16 or 25"),
        (["--vocabulary", "1000", "--model", "qwen2.5-vl-tiny"], "needs token 151655"),
        (["--attention", "flex_attention"], "needs --device cuda"),
        (["--spread", "1"], "below 1"),
        (["--batch", "0"], "not a positive number"),
        (["--prompt-tokens", "1"], "at least 2"),
    ],
)
def test_what_cannot_be_run_is_refused(
    modules: Any, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        modules.program.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.program
def test_the_program_ends_with_one_json_object() -> None:
    small = [
        "--model",
        "qwen2.5-vl-tiny",
        "--prompt-tokens",
        "8",
        "--completion-tokens",
        "9",
        "--spread",
        "0.5",
        "--steps",
        "2",
    ]
    ran = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "preference_step.py"), *small],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    contenders = {"trl", "shared", "shared_cached"}
    assert result["pairs_per_second"].keys() == result["peak_memory_mib"].keys() == contenders
    speed = result["pairs_per_second"]
    assert result["ratio_shared"] == pytest.approx(speed["shared"] / speed["trl"])
    assert result["ratio_cached"] == pytest.approx(speed["shared_cached"] / speed["trl"])
    assert all(len(result["step_seconds"][name]["all"]) == 2 for name in contenders)
    assert all(raw["peak"] > raw["start"] > 0 for raw in result["raw_memory_mib"].values())
    assert result["share_of_floor"]["trl"] < result["share_of_floor"]["shared_cached"] <= 1
    assert result["images_encoded"] == {"trl": 4, "shared": 1, "shared_cached": 1}
    assert {"torch", "trl", "transformers"} <= result["versions"].keys()
    assert result["shape"]["model"] == "qwen2.5-vl-tiny"


@pytest.mark.program
def test_the_profile_accounts_for_the_whole_step(modules: Any) -> None:
    from step_profile import GROUPS, profile_step

    case = modules.contenders.Case(model="llava-tiny", image_tokens=16, prompt_tokens=8, completion_tokens=9)
    text = profile_step("shared", case, steps=2)
    shares = {
        line.rsplit(maxsplit=2)[0].strip(): float(line.split()[-1].rstrip("%"))
        for line in text.splitlines()
        if line.strip().startswith(GROUPS)
    }
    assert shares.keys() == set(GROUPS)
    assert sum(shares.values()) == pytest.approx(100, abs=0.5)
    assert all(shares[group] > 0 for group in GROUPS)
    assert "Self CPU time total" in text
    assert "aten::mm" in text
