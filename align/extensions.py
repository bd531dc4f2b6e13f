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
from contextlib import suppress
from pathlib import Path
from types import ModuleType

VARIABLE = "MOHOALIGN_EXTENSIONS"
GROUP = "mohoalign.extensions"

_loaded: dict[str, Path | None] | None = None
_failed: Exception | None = None


def load_extensions() -> None:
    """Import what the variable and the entry points name, the first time that this is called.

    Raises `FileNotFoundError` for a file, `ModuleNotFoundError` for a module that is not there, `ValueError`
    for a file that has the name of another module, and what the module raises; each time that this is called.
    """
    global _loaded, _failed
    if _failed is not None:
        raise _failed  # whoever looks a name up later would be told that it is unknown
    if _loaded is not None:
        return
    _loaded = {}  # before the imports, which may look up a name themselves
    try:
        for entry in importlib.metadata.entry_points(group=GROUP):
            _keep(entry.value, entry.load())
        for name in filter(None, (part.strip() for part in os.environ.get(VARIABLE, "").split(","))):
            _keep(name, _from_file(Path(name)) if name.endswith(".py") else importlib.import_module(name))
    except Exception as error:
        _failed = error
        raise


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
    known = _known(file.stem)
    if known is not None and known.is_file() and known.samefile(file):
        return importlib.import_module(file.stem)  # it can be, or has been, imported as any other
    if known is not None:
        raise ValueError(
            f"{VARIABLE} names {file}, but there is a module {file.stem} already ({known}), which whoever "
            f"imports it would miss: give the file another name, such as my_{file.name}"
        )
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses and pickle look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.stem]
        raise
    return module


def _known(name: str) -> Path | None:
    """Where the module of this name is that is loaded or could be imported; None if there is none."""
    loaded = sys.modules.get(name)
    spec = None
    if loaded is None:
        with suppress(ImportError, ValueError):  # a name with a dot, of no package
            spec = importlib.util.find_spec(name)
        if spec is None or (spec.origin is None and spec.submodule_search_locations is not None):
            return None  # the last is a mere folder of this name
    origin = getattr(loaded, "__file__", None) if spec is None else spec.origin
    return Path(origin or "built in")
