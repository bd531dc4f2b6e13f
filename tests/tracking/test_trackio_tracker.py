"""What trackio holds of a run, where it is installed (it wants an older Pillow than this project has)."""

import importlib.util

import pytest
from PIL import Image

from align.tracking.artifacts import DATASET, of_path
from align.tracking.tracker import Table
from align.tracking.tracking import Tracking


def test_figures_tables_and_configuration(tmp_path, capsys):
    # Not imported here: trackio reads TRACKIO_DIR when it is, and the tracker sets that.
    if importlib.util.find_spec("trackio") is None:
        pytest.skip("trackio is not installed")
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("row")
    config = {"seed": 1, "api_key": "SECRET", "tracking": {"report_to": "trackio", "name": "one"}}
    table = Table(["step", "image"], [[20, Image.new("RGB", (30, 20), "red")], [20, None]])
    with Tracking(config, tmp_path, job_type="train").run() as tracking:
        tracking.figures({"train/loss": 0.5}, 10)
        tracking.figures({"train/loss": 0.25}, 20)
        tracking.table("probe/samples", table, 20)
        tracking.made(of_path(pairs, DATASET))
        tracking.summary({"miniworld/refusal_rate": 0.9})
        tracking.summary({})  # no row
    said = capsys.readouterr()
    assert "failed" not in said.err
    assert f"trackio: {tmp_path / 'trackio'}" in said.out
    from trackio.sqlite_storage import SQLiteStorage

    rows = SQLiteStorage.get_logs("mohoalign", "one")
    assert [row["train/loss"] for row in rows if "train/loss" in row] == [0.5, 0.25]
    [probe] = [row["probe_samples"]["_value"] for row in rows if "probe_samples" in row]
    assert probe[0]["image"]["_type"] == "trackio.image"
    assert list((tmp_path / "trackio" / "media").rglob("*.png")) != []
    assert len(rows) == 5
    last = rows[-1]
    assert last["lineage"]["_value"][0]["artifact"] == of_path(pairs, DATASET).name
    assert "<hidden>" in str(last["configuration"])
    assert "SECRET" not in str(rows)
