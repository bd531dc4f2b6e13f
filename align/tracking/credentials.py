"""W&B's mode without questions: online for whoever is logged in, offline for everybody else."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

MODES = ("auto", "online", "offline", "disabled")


def resolve_mode(mode: str = "auto") -> str:
    """W&B's mode: WANDB_MODE if set, else `mode`; "auto" is online with credentials and offline without.

    Never prompts and opens no connection. Raises `ValueError` for a mode that W&B doesn't have.
    """
    if mode not in MODES:
        raise ValueError(f"tracking.mode={mode!r}: choose one of {', '.join(MODES)}")
    if chosen := os.environ.get("WANDB_MODE"):
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
