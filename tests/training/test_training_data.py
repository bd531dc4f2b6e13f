"""Rows are measured as the model will see them, and what would break training is refused by name."""

from pathlib import Path

import pytest
from PIL import Image
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from align.data.loading import preference_dataset
from align.models.loading import LoadedModel, load_model
from align.records import DataError, Pair, SFTRow, read_records, write_records
from align.training.data import RowLengths, find_rows, longest_context, measure_rows, read_training_rows


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return load_model("tiny_vlm", device="cpu")


def test_lengths_are_those_of_the_collated_batch(tiny: LoadedModel, rows_root: Path) -> None:
    pairs = read_records(rows_root / "pairs.jsonl", Pair)
    lengths = measure_rows(pairs, rows_root, tiny.processor)
    dataset = preference_dataset(pairs, rows_root)
    collate = DataCollatorForVisionPreference(tiny.processor)
    for index in range(4):
        batch = collate([dataset[index]])
        assert lengths.tokens[index] == batch["attention_mask"].sum(-1).max()
        image_tokens = (batch["input_ids"][0] == tiny.model.config.image_token_id).sum()
        assert lengths.images[index] == image_tokens == 9
        assert lengths.shapes[index] == ((96, 96),)
    assert f"{max(lengths.tokens)} in the longest (up to 9 " in lengths.summary()


def test_a_row_without_image_is_measured_too(tiny: LoadedModel, rows_root: Path) -> None:
    pair = read_records(rows_root / "pairs.jsonl", Pair)[0]
    both = measure_rows([pair, pair.model_copy(update={"images": ()})], rows_root, tiny.processor)
    assert both.images == [9, 0]
    assert both.tokens[0] - both.tokens[1] == 9


def test_a_rotated_photograph_is_measured_upright(tiny: LoadedModel, rows_root: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright: the stored picture lies on its side
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    pair = read_records(rows_root / "pairs.jsonl", Pair)[0].model_copy(update={"images": ("turned.jpg",)})
    assert measure_rows([pair], tmp_path, tiny.processor).shapes == [((20, 40),)]


def test_too_long_rows_are_named_and_never_cut(tiny: LoadedModel, rows_root: Path, tmp_path: Path) -> None:
    rows = read_records(rows_root / "sft.jsonl", SFTRow)
    rows[3] = rows[3].model_copy(update={"completion": "The circle is red. " * 200})
    file = tmp_path / "sft.jsonl"
    write_records(file, rows)
    common = {"data_root": rows_root, "processor": tiny.processor, "max_tokens": longest_context(tiny.model)}
    with pytest.raises(DataError, match=r"row q3 has \d+ tokens, and 512 is the limit") as caught:
        read_training_rows(file, SFTRow, **common)
    assert [p.row_id for p in caught.value.problems] == ["q3"]

    kept = read_training_rows(file, SFTRow, **common, skip_too_long=True)
    assert [row.question_id for row in kept.rows] == [f"q{i}" for i in range(16) if i != 3]
    assert len(kept.lengths.tokens) == 15
    assert max(kept.lengths.tokens) <= 512
    assert kept.describe()["left out as too long"] == 1
    assert kept.describe()["kinds"] == "7 answer, 8 refuse"
    with pytest.raises(DataError, match=r"16 problem\(s\)"):
        read_training_rows(file, SFTRow, **common | {"max_tokens": 10}, skip_too_long=True)


def test_a_broken_image_stops_the_run_before_training(
    tiny: LoadedModel, rows_root: Path, tmp_path: Path
) -> None:
    whole = (rows_root / "images" / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    pair = read_records(rows_root / "pairs.jsonl", Pair)[0].model_copy(update={"images": ("cut.png",)})
    with pytest.raises(DataError, match=r"cut\.png"):
        measure_rows([pair], tmp_path, tiny.processor)


def test_missing_rows_of_the_users_are_never_replaced_by_the_embedded_ones(tmp_path: Path) -> None:
    home = tmp_path / "miniworld"
    common = {"generate_in": str(home), "root": str(home)}
    with pytest.raises(FileNotFoundError, match=r"data\.pairs=.*mine\.jsonl: no such file"):
        find_rows(common | {"pairs": str(tmp_path / "mine.jsonl")}, "pairs")
    with pytest.raises(FileNotFoundError, match="no such file"):
        find_rows(common | {"root": str(tmp_path), "pairs": str(home / "pairs.jsonl")}, "pairs")
    with pytest.raises(ValueError, match=r"data\.pairs is not given"):
        find_rows(common | {"pairs": "???"}, "pairs")
    assert not home.exists()
    home.mkdir()
    (home / "pairs.jsonl").write_text("{}")
    assert find_rows(common | {"pairs": str(home / "pairs.jsonl")}, "pairs") == home / "pairs.jsonl"


def test_rows_keep_their_columns_together() -> None:
    lengths = RowLengths([5, 6, 7], [1, 2, 3], [(), ((1, 1),), ()])
    assert lengths.where([True, False, True]) == RowLengths([5, 7], [1, 3], [(), ()])
