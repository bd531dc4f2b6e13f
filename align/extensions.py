"""Modules of a user's own: imported when a name is asked for that this project does not have.

    MOHOALIGN_EXTENSIONS=my_loss.py,my_package.readers python recipes/dpo.py ...

An installed package needs no variable: it names its modules as entry points of the group
`mohoalign.extensions`. What a module adds to, when it is imported: `training.losses.add_term`,
`data.sources.SOURCES`, `evaluation.general.registry.BENCHMARKS`, `models.families.FAMILIES` (docs/extending).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

VARIABLE = "MOHOALIGN_EXTENSIONS"
GROUP = "mohoalign.extensions"

_loaded: dict[str, Path | None] | None = None


def load_extensions() -> None:
    """Import what the variable and the entry points name, the first time that this is called.

    Raises `FileNotFoundError` for a file, `ModuleNotFoundError` for a module that is not there, and what the
    module raises.
    """
    global _loaded
    if _loaded is not None:
        return
    _loaded = {}  # before the imports, which may look up a name themselves
    for entry in importlib.metadata.entry_points(group=GROUP):
        _keep(entry.value, entry.load())
    for name in filter(None, (part.strip() for part in os.environ.get(VARIABLE, "").split(","))):
        _keep(name, _from_file(Path(name)) if name.endswith(".py") else importlib.import_module(name))


def loaded_extensions() -> dict[str, Path | None]:
    """The modules that were imported, by the name that they were given, each with its file."""
    return dict(_loaded or {})


def _keep(name: str, module: object) -> None:
    assert _loaded is not None
    file = getattr(module, "__file__", None)
    _loaded[name] = None if file is None else Path(file)


def _from_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise FileNotFoundError(f"{VARIABLE} names {file}, which is not in {Path.cwd()}: give its path")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses and pickle look their module up
    spec.loader.exec_module(module)
    return module
