"""Nobody is logged in to W&B, and nothing of it lands outside the test's folder."""

import os

import pytest


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch, tmp_path):
    # A copy, so that what the code under test sets is undone too.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "TRACKIO_", "RANK"))}
    monkeypatch.setattr(os, "environ", kept)
    kept["NETRC"] = str(tmp_path / "netrc")
    for name in ("DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        kept[f"WANDB_{name}"] = str(tmp_path / "wandb_home" / name)
