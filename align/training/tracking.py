"""Weights & Biases without questions: online for whoever is logged in, offline for everybody else."""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MODES = ("auto", "online", "offline", "disabled")

_SET_HERE: set[str] = set()
"""Variables that an earlier run in this process set, as the jobs of a sweep do: not the user's choice."""


def set_up_tracking(settings: Mapping[str, Any], folder: str | Path, *, run_name: str) -> str:
    """Set the environment that W&B reads, before the trainer starts it.

    `settings`: `report_to` (passed on to the trainer, and nothing is done unless it names wandb), `mode`
    (one of `MODES`), `project`, `name`, `group`, `tags`. Environment variables that the user set win, as they
    do in W&B itself. Returns a line that says where the figures go.
    """
    report_to = settings.get("report_to")
    targets = [report_to] if isinstance(report_to, str) else list(report_to or [])
    if not {"wandb", "all"} & set(targets):
        return "W&B: off"
    mode = resolve_mode(str(settings.get("mode") or "auto"))
    wanted = {
        "WANDB_MODE": mode,
        "WANDB_DIR": str(folder),
        "WANDB_SILENT": "true",
        "WANDB_PROJECT": settings.get("project"),
        "WANDB_NAME": settings.get("name") or run_name,
        "WANDB_RUN_GROUP": settings.get("group"),
        "WANDB_TAGS": ",".join(settings.get("tags") or ()),
    }
    for name, value in wanted.items():
        if value and (name not in os.environ or name in _SET_HERE):
            os.environ[name] = str(value)
            _SET_HERE.add(name)
    where = Path(os.environ["WANDB_DIR"]) / "wandb"
    if mode == "offline":
        return f"W&B: offline, kept in {where} (upload with `wandb sync {where}/offline-run-*`)"
    return f"W&B: {mode}"


def finish_tracking() -> None:
    """Close the W&B run, if one is open, so that the next job of this process gets its own."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish()


def resolve_mode(mode: str = "auto") -> str:
    """W&B's mode: WANDB_MODE if set, else `mode`; "auto" is online with credentials and offline without.

    Never prompts and opens no connection. Raises `ValueError` for a mode that W&B doesn't have.
    """
    if mode not in MODES:
        raise ValueError(f"tracking.mode={mode!r}: choose one of {', '.join(MODES)}")
    chosen = os.environ.get("WANDB_MODE")
    if chosen and "WANDB_MODE" not in _SET_HERE:
        return chosen
    if mode != "auto":
        return mode
    return "online" if has_credentials() else "offline"


def has_credentials() -> bool:
    """Whether an API key stands in the environment or in the netrc file, without looking at its value."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if not path.is_file():
        return False
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except netrc.NetrcParseError as error:
        raise ValueError(f"cannot read {path}: {error}. Repair it, or use tracking.mode=offline") from error
