"""W&B goes online for whoever is logged in, offline for everybody else, and never asks; wrong settings are
named before anything starts."""

import importlib.util
import os
from pathlib import Path

import pytest

from align.tracking.credentials import has_credentials, resolve_mode
from align.tracking.settings import TrackingError, tracking_settings
from align.tracking.tracking import Tracking


def log_in(host: str) -> None:
    Path(os.environ["NETRC"]).write_text(f"machine {host}\n  login user\n  password 0123\n")


def test_without_credentials_offline() -> None:
    assert not has_credentials()
    assert resolve_mode() == "offline"


def test_a_key_in_the_environment_or_in_netrc_means_online() -> None:
    log_in("example.com")
    assert resolve_mode() == "offline"
    log_in("api.wandb.ai")
    assert resolve_mode() == "online"
    os.environ["WANDB_BASE_URL"] = "https://wandb.example.org"
    assert resolve_mode() == "offline"
    os.environ["WANDB_API_KEY"] = "x"
    assert resolve_mode() == "online"


def test_the_users_choice_wins() -> None:
    os.environ["WANDB_API_KEY"] = "x"
    assert resolve_mode("offline") == "offline"
    os.environ["WANDB_MODE"] = "disabled"
    assert resolve_mode("online") == "disabled"
    with pytest.raises(ValueError, match=r"tracking\.mode='maybe'"):
        resolve_mode("maybe")


def test_an_unreadable_netrc_is_named() -> None:
    Path(os.environ["NETRC"]).write_text("nonsense here\n")
    with pytest.raises(ValueError, match=r"cannot read .*netrc"):
        has_credentials()


def test_one_tracker_several_or_none() -> None:
    assert tracking_settings({"report_to": "none"}).report_to == ()
    assert tracking_settings({"report_to": None, "group": None, "tags": []}).report_to == ()
    assert tracking_settings({"report_to": ["wandb", "tensorboard"]}).report_to == ("wandb", "tensorboard")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"report_to": "wandb", "grup": "x"}, r"tracking\.grup: no such setting"),
        ({"report_to": "all"}, r"tracking\.report_to=all: name the trackers"),
        ({"report_to": ["wandb", "wandb"]}, "a name stands there twice"),
        ({"report_to": "wandb", "mode": "on"}, r"tracking\.mode='on': choose one of auto"),
        (
            {"report_to": "wandb", "upload": ["adapter"]},
            "upload: 'adapter' is no type of artifact: choose",
        ),
        ({"report_to": "wandb", "examples": -1}, r"tracking\.examples=-1: give a whole number"),
    ],
)
def test_what_cannot_work_is_named(settings: dict, message: str) -> None:
    with pytest.raises(TrackingError, match=message):
        tracking_settings(settings)


def test_a_tracker_that_is_not_installed_comes_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for tracker in ("wandb", "tensorboard", "trackio"):
        with pytest.raises(TrackingError, match=f"names {tracker}, which is not .* `pip install {tracker}`"):
            tracking_settings({"report_to": tracker})


def test_other_trackers_are_training_s_only(tmp_path: Path) -> None:
    config = {"tracking": {"report_to": ["mlflow", "tensorboard"]}}
    assert Tracking(config, tmp_path, job_type="train", others=True).elsewhere == ["mlflow"]
    with pytest.raises(TrackingError, match="report_to=mlflow: this program reports to wandb, tensorboard"):
        Tracking(config, tmp_path, job_type="benchmark")


def test_without_a_tracker_nothing_is_left(tmp_path: Path) -> None:
    tracking = Tracking({"tracking": {"report_to": "none"}}, tmp_path, job_type="data")
    with tracking.run():
        assert not tracking.on
        tracking.figures({"train/loss": 1.0}, 1)
        tracking.record(tmp_path / "run.json")
    assert list(tmp_path.iterdir()) == []


def test_only_the_main_process_has_trackers(tmp_path: Path) -> None:
    os.environ["RANK"] = "1"
    with Tracking({"tracking": {"report_to": "tensorboard"}}, tmp_path, job_type="train").run() as tracking:
        assert not tracking.on
        tracking.figures({"train/loss": 1.0}, 1)
    assert list(tmp_path.iterdir()) == []
