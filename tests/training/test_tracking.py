"""W&B goes online for whoever is logged in, offline for everybody else, and never asks."""

import os
from pathlib import Path

import pytest

from align.training import tracking
from align.training.tracking import has_credentials, resolve_mode, set_up_tracking


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A copy, so that what the code under test sets is undone too.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    monkeypatch.setattr(os, "environ", kept)
    kept["NETRC"] = str(tmp_path / "netrc")
    monkeypatch.setattr(tracking, "_SET_HERE", set())


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


def test_the_environment_for_a_run(tmp_path: Path) -> None:
    os.environ["WANDB_PROJECT"] = "mine"
    settings = {"report_to": "wandb", "mode": "auto", "project": "ours", "name": None, "tags": ["a", "b"]}
    line = set_up_tracking(settings, tmp_path, run_name="dpo-1")
    assert f"offline, kept in {tmp_path / 'wandb'}" in line
    expected = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "WANDB_PROJECT": "mine",
        "WANDB_NAME": "dpo-1",
        "WANDB_TAGS": "a,b",
    }
    assert {name: os.environ.get(name) for name in expected} == expected
    assert "WANDB_RUN_GROUP" not in os.environ

    # The next job of a sweep, in the same process, has its own folder and name.
    second = settings | {"mode": "disabled", "tags": []}
    assert set_up_tracking(second, tmp_path / "second", run_name="dpo-2") == "W&B: disabled"
    assert os.environ["WANDB_DIR"] == str(tmp_path / "second")
    assert (os.environ["WANDB_NAME"], os.environ["WANDB_PROJECT"]) == ("dpo-2", "mine")


@pytest.mark.parametrize("report_to", ["none", "tensorboard", None])
def test_other_trackers_leave_wandb_alone(tmp_path: Path, report_to: str | None) -> None:
    assert set_up_tracking({"report_to": report_to}, tmp_path, run_name="x") == "W&B: off"
    assert not [name for name in os.environ if name.startswith("WANDB_")]
