"""Readers of data sets, one module each."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from align.data.sources.base import Source
from align.data.sources.haloquest import HaloQuest
from align.data.sources.humblebench import HumbleBench
from align.data.sources.mm_upd import MMUPD
from align.data.sources.pope import POPE
from align.data.sources.rlhf_v import RLHFV
from align.data.sources.table import Table
from align.data.sources.unk_vqa import UnkVQA
from align.data.sources.vqav2 import VQAv2
from align.extensions import load_extensions

SOURCES: dict[str, type[Source]] = {
    "haloquest": HaloQuest,
    "humblebench": HumbleBench,
    "mm_upd": MMUPD,
    "pope": POPE,
    "rlhf_v": RLHFV,
    "table": Table,
    "unk_vqa": UnkVQA,
    "vqav2": VQAv2,
}


def make_source(reader: str, options: Mapping[str, Any]) -> Source:
    """The source of a configuration. Raises `ValueError` for an unknown reader or option."""
    if reader not in SOURCES:
        load_extensions()
    if reader not in SOURCES:
        raise ValueError(f"unknown reader {reader!r}: expected one of {', '.join(sorted(SOURCES))}")
    kind = SOURCES[reader]
    known = [field.name for field in dataclasses.fields(kind)]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"source={reader} has no option {name!r}{hint}: it has {', '.join(known)}")
    return kind(**options)
