"""Imported by the fork server of cached_run.py: so that no test waits for imports."""

import tempfile
from pathlib import Path

from cached_run import Job, ask, inline, png, served
from stand_in import StandIn

import align.evaluation.provider
import align.evaluation.served_check  # noqa: F401

with StandIn() as _server, tempfile.TemporaryDirectory() as _folder:
    ask(Job(served(_server.base_url), Path(_folder) / "c", Path(_folder) / "l", ("Where?",), inline(png())))
