"""The rows of the paper's Table 3 are whole, are the paper's, and give way to what is given beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from align.models.loading import load_model
from align.planning.pages import table3_rows
from align.planning.training import find_reported
from align.reporting.reference_rows import load_reference
from align.run import to_plain

ROOT = Path(__file__).parents[2]
ROWS = table3_rows()
METHODS = {"sft": "SFT", "dpo": "DPO", "simpo": "SimPO", "orpo": "ORPO", "ours": "DPO with NLL"}
NAMES = {
    "qwen2_5_vl_7b": "Qwen2.5-VL-7B",
    "internvl2_5_8b": "InternVL2.5-8B",
    "internvl2_5_2b": "InternVL2.5-2B",
}
LAPTOP = ["model=tiny_vlm", "data=miniworld", "trainer=tiny_dpo"]


@pytest.fixture(scope="module", autouse=True)
def hydra_config() -> Iterator[None]:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        yield


def composed(row: str, *overrides: str) -> dict[str, Any]:
    return to_plain(compose(Path(ROWS[row]).stem, overrides=[f"experiment=table3/{row}", *overrides]))


def test_every_file_is_a_row_and_every_row_a_file() -> None:
    assert {path.stem for path in (ROOT / "configs/experiment/table3").glob("*.yaml")} == set(ROWS)


def test_every_row_of_the_papers_table_is_there() -> None:
    # Its other rows are models of the text and means over many.
    of_table = {
        (row.model, row.method) for row in load_reference("mohobench").rows if row.model in NAMES.values()
    }
    named = [composed(row)["reported"] for row in ROWS if not row.endswith("_ours")]
    found = [find_reported(each) for each in named]
    assert {(row.model, row.method) for row in found if row} == of_table
    assert [each for each, row in zip(named, found, strict=True) if row is None] == [
        {"model": "InternVL2.5-8B", "method": None}
    ]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_what_its_name_says(row: str) -> None:
    config = composed(row)
    model, _, kind = row.rpartition("_")
    assert config["reported"]["model"] == NAMES[model]
    assert config["model"]["name"] == ("Qwen/Qwen2.5-VL-7B-Instruct" if model == "qwen2_5_vl_7b" else "???")
    if kind == "vanilla":
        assert config["out"] == f"runs/table3/{row}/benchmark"
        assert set(config["task"]) == {"mohobench", "mmmu"}
        assert config["judge"]["name"] == "paper"
        assert (config["decoding"]["temperature"], config["decoding"]["top_p"]) == (1.0, 0.95)
        return
    assert config["out"] == f"runs/table3/{row}"
    assert config["method"] == METHODS[kind]
    assert config["trainer"]["use_cpu"] is False  # configs/trainer/gpu.yaml
    assert 1e-6 < config["trainer"]["learning_rate"] < 1e-3  # the method's, not the embedded model's
    rows = config["data"]["sft" if kind == "sft" else "pairs"]
    assert rows.startswith(f"data/table3/{model}/" if kind == "ours" else "data/table3/paper_")
    if kind != "ours" and config["reported"]["method"]:
        assert config["reported"]["method"] == METHODS[kind]


def test_what_is_given_beside_an_experiment_wins() -> None:
    config = composed("internvl2_5_8b_ours", *LAPTOP, "out=elsewhere", "lora.r=64")
    assert config["model"]["name"] == "tiny_vlm"
    assert config["data"]["pairs"] == "data/miniworld/pairs.jsonl"
    assert config["trainer"]["max_steps"] == 150
    assert (config["out"], config["lora"]["r"], config["method"]) == ("elsewhere", 64, "DPO with NLL")
    measured = composed("qwen2_5_vl_7b_vanilla", "model=tiny_vlm", "task=miniworld", "judge=rules")
    assert set(measured["task"]) == {"miniworld"}


def test_without_an_experiment_nothing_changes() -> None:
    config = to_plain(compose("dpo"))
    assert config["out"] is None
    assert "reported" not in config


def test_a_model_without_a_name_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose("dpo", overrides=["experiment=table3/internvl2_5_8b_dpo"], return_hydra_config=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    with pytest.raises(ValueError, match=r"model\.name is not given .*configs/model/internvl2_5_8b\.yaml"):
        load_model("???")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"say which with model\.name=OWNER/NAME"):
        load_model(composed("internvl2_5_8b_dpo")["model"]["name"])
