"""What is made only for trackers may fail: it is said, and the run goes on and ends as it would."""

import pytest

from align.reporting.exports.tracked_benchmark import track_benchmark
from align.reporting.exports.tracked_comparison import track_comparison
from align.tracking.tracking import Tracking

pytest.importorskip("tensorboard")


@pytest.fixture
def tracking(tmp_path):
    with Tracking({"tracking": {"report_to": "tensorboard"}}, tmp_path, job_type="x").run() as running:
        assert running.on
        yield running
        assert running.on, "the tracker is told what comes later"


def test_an_error_is_said_and_one_of_the_user_s_is_left(tracking, capsys):
    with tracking.guarded("made"):
        raise OSError("stale file handle\nmore")
    said = capsys.readouterr().err
    assert said.startswith("note: tracking failed at `made` (OSError: stale file handle); the run goes on.")
    with pytest.raises(KeyboardInterrupt), tracking.guarded("made"):
        raise KeyboardInterrupt


def test_a_benchmark_that_cannot_be_read(tracking, tmp_path, capsys):
    track_benchmark(tracking, tmp_path / "gone", {})
    assert "note: tracking failed at `benchmark` (DataError: " in capsys.readouterr().err


def test_a_comparison_of_which_nothing_can_be_told(tracking, tmp_path, capsys):
    track_comparison(tracking, {}, [], [], folder=tmp_path, written=[tmp_path / "gone.csv"])
    said = capsys.readouterr().err
    for what in ("record", "figures", "made"):
        assert f"note: tracking failed at `{what}`" in said
