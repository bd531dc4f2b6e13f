"""The files that runs hand on to one another, under names and digests that both sides find by themselves.

W&B knows an artifact by its name and the digests of its files. The program that wrote a file and the one that
reads it need not have met: each makes the name from where the file lies and the digests from its content, so
that "made by" and "used by" fall on the same version, whichever run is uploaded first.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from align.run import content_digest

DATASET, MODEL, BENCHMARK, REPORT = TYPES = ("dataset", "model", "benchmark", "report")

_LONGEST = 120  # W&B takes names of 128 characters
_MOST_FILES = 1000  # a folder of images would make an artifact that no page shows
_ELSEWHERE = 3  # parts of a path outside the working directory that make its name


@dataclass(frozen=True)
class Artifact:
    """Something that a run read or made.

    `files` maps names inside the artifact to files; `stated` are small documents that stand for something
    that has no file here, such as a model of the hub. `digest` is the SHA-256 that `run.json` has, or the
    digest that is known of a model. `description` and `metadata` say more and do not tell versions apart.
    """

    name: str
    type: str
    digest: str
    files: dict[str, Path] = field(default_factory=dict)
    stated: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def alias(self) -> str:
        """The version's name that is made from its content, the same in every project."""
        return f"sha256-{self.digest[:12]}"

    def named(self, name: str) -> Artifact:
        """The same artifact under another name."""
        return replace(self, name=_clean(name))

    def told(self, description: str | None = None, metadata: Mapping[str, Any] | None = None) -> Artifact:
        """The same artifact, with more said of it."""
        return replace(
            self,
            description=description or self.description,
            metadata=self.metadata | dict(metadata or {}),
        )


def of_path(path: str | Path, type: str) -> Artifact:
    """An artifact of a file, or of all files of a folder; of very many files only their common digest."""
    path = Path(path)
    digest = content_digest(path)
    metadata = {"path": str(path), "sha256": digest}
    if path.is_dir():
        files = {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}
        if len(files) > _MOST_FILES:
            stated = {"content.json": json.dumps({"files": len(files), "sha256": digest})}
            return Artifact(name_of(path), type, digest, stated=stated, metadata=metadata)
    else:
        files = {path.name: path}
    return Artifact(name_of(path), type, digest, files, metadata=metadata)


def of_files(folder: str | Path, files: Iterable[Path], type: str) -> Artifact:
    """An artifact of some files of a folder, which has the folder's name."""
    folder = Path(folder)
    found = {path.relative_to(folder).as_posix(): path for path in sorted(files)}
    digests = {name: content_digest(path) for name, path in found.items()}
    total = digests_digest(digests)
    return Artifact(name_of(folder), type, total, found, metadata={"path": str(folder), "sha256": digests})


def of_model(reference: str | Path, digest: str) -> Artifact:
    """An artifact of a base model, a folder or a name of the hub: its weights' digest, without files."""
    name = name_of(reference) if Path(reference).is_dir() else _clean(str(reference))
    stated = {"model.json": json.dumps({"digest": digest})}
    return Artifact(name, MODEL, digest, stated=stated, metadata={"name": str(reference), "digest": digest})


def digests_digest(digests: Mapping[str, str]) -> str:
    """One SHA-256 of several, by name."""
    lines = "".join(f"{name}\x1f{digest}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def name_of(path: str | Path) -> str:
    """A name made from where a file lies: `data/miniworld/pairs.jsonl` gives `data-miniworld-pairs`.

    The path below the working directory, or its last three parts where it lies elsewhere.
    """
    path = Path(path).resolve()
    here = Path.cwd().resolve()
    inside = path.is_relative_to(here) and path != here
    parts = list(path.relative_to(here).parts) if inside else list(path.parts[-_ELSEWHERE:])
    if path.is_file():
        parts[-1] = path.stem
    return _clean("-".join(parts))


def _clean(name: str) -> str:
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    return cleaned[-_LONGEST:].strip("-.") or "files"
