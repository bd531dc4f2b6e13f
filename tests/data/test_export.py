"""Rows in other trainers' forms, each read back."""

import json

import pytest
from PIL import Image

from align.data.export import export, require_forms, save_dataset, to_llama_factory, to_ms_swift
from align.data.preferences import read_preferences
from align.records import DataError, Pair, SFTRow

FORMS = ["datasets", "llama_factory", "ms_swift"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(4):
        Image.new("L", (48, 40), 60 * number).save(folder / f"{number}.png")
    return folder


def pairs(n=4):
    return [
        Pair(
            question_id=f"q{i}",
            prompt=f"What is in ümlaut {i}?",
            chosen="I can't tell that.",
            rejected=f"It is “{i}”,\nand red.",
            images=(f"{i}.png",),
            kind="refuse",
            category="False_Premises",
            chosen_source="composer",
            rejected_source="own:m",
        )
        for i in range(n)
    ]


def supervised(n=4):
    return [
        SFTRow(
            question_id=pair.question_id,
            prompt=pair.prompt,
            completion=pair.chosen,
            images=pair.images,
            kind=pair.kind,
            category=pair.category,
            completion_source=pair.chosen_source,
        )
        for pair in pairs(n)
    ]


def test_llama_factory_is_read_back(root, tmp_path):
    folder = to_llama_factory(pairs(), tmp_path / "pairs.llama_factory", "pairs")
    info = json.loads((folder / "dataset_info.json").read_text())
    assert info == {
        "pairs": {
            "file_name": "pairs.json",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {
                "messages": "conversations",
                "images": "images",
                "chosen": "chosen",
                "rejected": "rejected",
            },
        }
    }
    rows = json.loads((folder / info["pairs"]["file_name"]).read_text(encoding="utf-8"))
    assert rows[0]["conversations"] == [{"from": "human", "value": "<image>What is in ümlaut 0?"}]
    reading = read_preferences(folder / "pairs.json", root)
    assert not reading.problems
    assert [(p.prompt, p.chosen, p.rejected, p.images) for p in reading.pairs] == [
        (p.prompt, p.chosen, p.rejected, p.images) for p in pairs()
    ]


def test_llama_factory_supervised_rows_are_read_back(root, tmp_path):
    folder = to_llama_factory(supervised(), tmp_path / "f", "sft")
    entry = json.loads((folder / "dataset_info.json").read_text())["sft"]
    assert "ranking" not in entry
    assert entry["columns"] == {"messages": "conversations", "images": "images"}
    reading = read_preferences(folder / "sft.json", root)
    assert not reading.problems
    assert [(r.prompt, r.completion, r.images) for r in reading.sft] == [
        (r.prompt, r.completion, r.images) for r in supervised()
    ]


def test_ms_swift_is_read_back(root, tmp_path):
    path = to_ms_swift(pairs(), tmp_path / "pairs.ms_swift.jsonl", root)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row, pair in zip(rows, pairs(), strict=True):
        assert set(row) == {"messages", "rejected_response", "images"}
        user, assistant = row["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert user["content"] == "<image>" + pair.prompt
        assert (assistant["content"], row["rejected_response"]) == (pair.chosen, pair.rejected)
        assert [Image.open(image).size for image in row["images"]] == [(48, 40)]
    path = to_ms_swift(supervised(), tmp_path / "sft.ms_swift.jsonl", root)
    row = json.loads(path.read_text(encoding="utf-8").splitlines()[2])
    assert set(row) == {"messages", "images"}
    assert row["messages"][1] == {"role": "assistant", "content": "I can't tell that."}


def test_a_data_set_folder_holds_paths_and_no_pixels(root, tmp_path):
    from datasets import load_from_disk

    many = [pair.model_copy(update={"question_id": f"{i}"}) for i in range(300) for pair in pairs(1)]
    folder = save_dataset(many, root, tmp_path / "pairs.datasets")
    dataset = load_from_disk(str(folder))
    assert len(dataset) == 300
    row = dataset[7]
    assert row["prompt"] == [{"role": "user", "content": many[7].prompt}]
    assert row["chosen"] == [{"role": "assistant", "content": many[7].chosen}]
    assert row["rejected"] == [{"role": "assistant", "content": many[7].rejected}]
    assert [(image.mode, image.size) for image in row["images"]] == [("RGB", (48, 40))]
    assert row["image_paths"] == ["0.png"]
    assert (row["question_id"], row["kind"], row["rejected_source"]) == ("7", "refuse", "own:m")
    stored = dataset.with_format("arrow")[0]["images"].to_pylist()[0][0]
    assert stored == {"bytes": None, "path": str(root / "0.png")}
    # Written again in its place, and nothing but it is left.
    save_dataset(supervised(), root, folder)
    assert load_from_disk(str(folder))["completion"][0][0]["content"] == "I can't tell that."
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.datasets"]


def test_a_failed_export_leaves_the_old_one(root, tmp_path):
    from datasets import load_from_disk

    folder = save_dataset(pairs(), root, tmp_path / "pairs.datasets")
    gone = [pair.model_copy(update={"images": ("nowhere.png",)}) for pair in pairs()]
    with pytest.raises(DataError, match="is not there"):
        save_dataset(gone, root, folder)
    assert len(load_from_disk(str(folder))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.datasets"]


def test_what_cannot_be_exported_is_named(root, tmp_path):
    with pytest.raises(ValueError, match="export has no llamafactory: choose from datasets"):
        require_forms(["llamafactory"])
    with pytest.raises(DataError, match="no rows to export"):
        export([], ["ms_swift"], tmp_path / "pairs.jsonl", root)
    marked = [pairs()[0].model_copy(update={"rejected": "See <image>."})]
    for form, trainer in (("llama_factory", "LLaMA-Factory"), ("ms_swift", "ms-swift")):
        with pytest.raises(
            DataError, match=f"the text holds <image>, where {trainer} would put media"
        ) as caught:
            export(marked, [form], tmp_path / "pairs.jsonl", root)
        assert [(p.row_id, p.field) for p in caught.value.problems] == [("q0", "rejected")]
    gone = [pairs()[0].model_copy(update={"images": ("nowhere.png",)})]
    with pytest.raises(DataError, match=r"'nowhere\.png' is not there"):
        export(gone, ["ms_swift"], tmp_path / "pairs.jsonl", root)
    assert list(tmp_path.iterdir()) == []


def test_several_forms_at_once(root, tmp_path):
    written = export(pairs(), FORMS, tmp_path / "pairs.jsonl", root)
    assert {form: path.name for form, path in written.items()} == {
        "datasets": "pairs.datasets",
        "llama_factory": "pairs.llama_factory",
        "ms_swift": "pairs.ms_swift.jsonl",
    }
    assert all(path.exists() for path in written.values())


@pytest.mark.parametrize("kind", ["pairs", "sft"])
def test_trl_trains_on_the_folder_as_it_is(root, tmp_path, kind):
    import torch
    from datasets import load_from_disk
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    from align.models.loading import load_model

    rows = pairs() if kind == "pairs" else supervised()
    dataset = load_from_disk(str(save_dataset(rows, root, tmp_path / f"{kind}.datasets")))
    loaded = load_model("tiny_vlm", device="cpu")
    before = [parameter.detach().clone() for parameter in loaded.model.parameters()]
    settings = {
        "output_dir": str(tmp_path / "run"),
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "max_length": None,
        "save_strategy": "no",
        "logging_steps": 1,
        "learning_rate": 1e-3,
        "disable_tqdm": True,
    }
    trainer_class, config = (DPOTrainer, DPOConfig) if kind == "pairs" else (SFTTrainer, SFTConfig)
    trainer = trainer_class(
        model=loaded.model, args=config(**settings), train_dataset=dataset, processing_class=loaded.processor
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(0 < loss < 20 for loss in losses)
    assert any(not torch.equal(old, new) for old, new in zip(before, loaded.model.parameters(), strict=True))
