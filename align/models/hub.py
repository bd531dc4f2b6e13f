"""Fetch a model or an adapter from the hub, and say in a user's terms why it cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants, get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


class HubError(FileNotFoundError):
    """What was asked for is not to be had from the hub; the message says why, and the next step."""


def fetch(reference: str, what: str, *, patterns: Sequence[str], revision: str | None = None) -> Path:
    """The local folder of `reference` (`what`: "model" or "adapter"), downloaded if it is not in the cache.

    Only files that match `patterns` are fetched. Raises `HubError`.
    """
    try:
        return Path(snapshot_download(reference, revision=revision, allow_patterns=list(patterns)))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError) as error:
        raise HubError(f"{what} {reference!r}: {_why(error, reference, revision)}") from error


def _why(error: Exception, reference: str, revision: str | None) -> str:
    page = f"{constants.ENDPOINT}/{reference}"
    login = "log in with `hf auth login`, or set HF_TOKEN"
    if isinstance(error, GatedRepoError):
        known = (
            "the token of this machine has no access to it yet" if get_token() else "nobody is logged in here"
        )
        return (
            f"its owner gives it to those who ask, and {known}. Ask for access at {page}; once it is "
            f"granted, {login}, and give the same command again"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"it has no revision {revision!r}: {page}/tree/main shows its branches, tags and commits"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"there is no such repository at {constants.ENDPOINT}, or it is private, and no such folder "
            f"here. Check the spelling (OWNER/NAME); for a private one {login}; for a folder give its path"
        )
    if isinstance(error, HFValidationError):
        return f"this is no folder, and no name that a hub could know: {error}"
    if isinstance(error, HfHubHTTPError) and error.response.status_code == 401:
        return f"{constants.ENDPOINT} does not accept the token of this machine: {login} with a valid one"
    if isinstance(error, HfHubHTTPError):
        return (
            f"{constants.ENDPOINT} answered {error.response.status_code}: try again later. It said: {error}"
        )
    if constants.HF_HUB_OFFLINE:
        return (
            f"HF_HUB_OFFLINE is set, and it is not in the cache ({constants.HF_HUB_CACHE}). Fetch it once "
            f"where there is a network (`hf download {reference}`), or unset the variable"
        )
    return (
        f"{constants.ENDPOINT} cannot be reached, and it is not in the cache ({constants.HF_HUB_CACHE}). "
        f"Check the network, set HF_ENDPOINT to a mirror, or give a local folder. {error.__cause__ or error}"
    )
