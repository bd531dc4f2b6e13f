"""The steps of ingest that depend on its configuration: which files, which reader, which folder of images."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from align.data.mohobench import read_mohobench
from align.data.reading import Reading
from align.data.report import say
from align.data.sources import SOURCES, make_source
from align.data.sources.reader import read_source
from align.extensions import load_extensions

MOHOBENCH = "mohobench"
READERS = (MOHOBENCH, *sorted(SOURCES))
_OF_MOHOBENCH = ("preferences", "caption_field")


def check_settings(config: Mapping[str, Any]) -> None:
    """Refuse settings that cannot be, and those that the source would ignore. Raises `ValueError`."""
    reader = config["source"]["reader"]
    if reader not in READERS:
        load_extensions()
    if reader not in (*READERS, *SOURCES):
        known = ", ".join((MOHOBENCH, *sorted(SOURCES)))
        raise ValueError(f"source.reader must be one of {known}, not {reader!r}")
    if config["on_bad_row"] not in ("error", "skip"):
        raise ValueError(f"on_bad_row must be error or skip, not {config['on_bad_row']!r}")
    if config["max_row"] < 1:
        raise ValueError(f"max_row is a number of bytes, not {config['max_row']!r}")
    if config["held_out"] is None and config["held_out_root"] is not None:
        raise ValueError("held_out_root is the folder of the images of held_out, which is not given")
    if reader != MOHOBENCH:
        for name in _OF_MOHOBENCH:
            if config[name] is not None:
                raise ValueError(f"{name} is for source=mohobench: source={reader} has no use for it")


def find_inputs(given: str | Sequence[str] | None, reader: str) -> list[str]:
    """Files or data sets, in the given order; a pattern such as `folder/*.csv` gives its files, sorted.

    Raises `ValueError` if nothing is given, `FileNotFoundError` for a pattern that no file fits.
    """
    names = [given] if isinstance(given, str) else list(given or ())
    if not names:
        raise ValueError(f"give input=FILE, or input=[FILE,FILE]: docs/sources.md says what {reader} reads")
    found: list[str] = []
    for name in names:
        if any(character in name for character in "*?[") and not Path(name).exists():
            fitting = sorted(glob.glob(name))  # noqa: PTH207 - the pattern may be absolute
            if not fitting:
                raise FileNotFoundError(f"no file fits the pattern {name}")
            found += fitting
        else:
            found.append(name)
    return found


def folder_of_images(given: str | None, out: Path) -> Path:
    """The folder that image names are relative to, by default `out`/images, for pictures from inside rows."""
    return Path(given) if given is not None else out / "images"


def read_inputs(
    config: Mapping[str, Any], paths: Sequence[str], images: Path, progress: Callable[[int, int], None]
) -> tuple[Reading, dict[str, str | Path]]:
    """Read the inputs with the reader that the configuration names. Returns (reading, files for run.json).

    Shows the license of the data where it restricts their use.
    """
    settings = dict(config["source"])
    reader = settings.pop("reader")
    settings.pop("input", None)
    settings.pop("images", None)
    checks = {
        "max_pixels": config["max_pixels"],
        "follow_links": config["follow_links"],
        "fingerprints": config["near_duplicates"],
        "progress": progress,
    }
    common = {"image_name_only": config["image_name_only"], "max_row": config["max_row"]}
    if reader == MOHOBENCH:
        if len(paths) != 1:
            raise ValueError(f"source=mohobench reads one file, not {len(paths)}")
        reading = read_mohobench(
            paths[0],
            images,
            source=settings["name"],
            caption_field=config["caption_field"],
            **common,
            **checks,
        )
        return reading, {"input": paths[0]}
    source = make_source(reader, settings | common)
    if source.warning is not None:
        say(f"WARNING: {source.warning}")
    reading = read_source(source, paths, images, **checks)
    if source.warning is not None:
        reading.notes.append(source.warning)
    inputs: dict[str, str | Path] = {}
    for number, path in enumerate(paths):
        for name, file in source.inputs(path).items():
            inputs[name if number == 0 or name != "input" else f"{name}_{number}"] = file
    return reading, inputs
