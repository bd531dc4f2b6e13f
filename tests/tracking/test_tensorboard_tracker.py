"""What TensorBoard shows of a run, read as TensorBoard reads it."""

import pytest
from PIL import Image

from align.tracking.artifacts import DATASET, of_path
from align.tracking.tracker import Table
from align.tracking.tracking import Tracking

pytest.importorskip("tensorboard")


def make(place, **settings):
    config = {"seed": 1, "api_key": "SECRET", "tracking": {"report_to": "tensorboard"} | settings}
    return Tracking(config, place, job_type="train")


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "scalars": 0})
    events.Reload()
    texts = {
        tag: [event.tensor_proto.string_val[0].decode() for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }
    return events, texts


def test_figures_tables_and_pictures(tmp_path, capsys):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("row")
    rows = [[20, Image.new("RGB", (30, 20), "red"), "a | b"], [20, None, "c"]]
    with make(tmp_path).run() as tracking:
        tracking.figures({"train/loss": 0.5, "train/margin": 1}, 10)
        tracking.figures({"train/loss": 0.25}, 20)
        tracking.summary({"train_loss": 0.4})
        tracking.table("probe/samples", Table(["step", "image", "response"], rows), 20)
        tracking.made(of_path(pairs, DATASET))
    assert "failed" not in capsys.readouterr().err
    events, texts = read(tmp_path / "tensorboard")
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(10, 0.5), (20, 0.25)]
    assert events.Scalars("train_loss")[0].step == 20
    [image] = events.Images("probe/samples/0")
    assert (image.width, image.height, image.step) == (30, 20, 20)
    assert "| 20 | picture 0 | a \\| b |\n| 20 |  | c |" in texts["probe/samples/text_summary"][0]
    assert "<hidden>" in texts["config/api_key/text_summary"][0]
    assert f"made dataset `{of_path(pairs, DATASET).name}`" in texts["lineage/text_summary"][0]


def test_a_run_that_goes_on_replaces_what_came_after_its_checkpoint(tmp_path):
    with make(tmp_path).run(resume=False) as tracking:
        for step in (10, 20, 30):
            tracking.figures({"train/loss": 1.0}, step)
    with make(tmp_path).run(resume=True, step=20) as tracking:
        tracking.figures({"train/loss": 2.0}, 30)
    events, _ = read(tmp_path / "tensorboard")
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [
        (10, 1.0),
        (20, 1.0),
        (30, 2.0),
    ]


def test_one_folder_for_several_runs(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with make(tmp_path / name, folder=str(tmp_path / "all"), name=name).run() as tracking:
            tracking.summary({"figure": 1.0})
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["a", "b"]
