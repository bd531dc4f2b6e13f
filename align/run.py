"""What a run leaves behind so that it can be understood and repeated: its folder and `run.json`.

`evaluate/reproduce.py` repeats a run from that file.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from omegaconf import DictConfig, OmegaConf

from align.extensions import loaded_extensions
from align.records import write_json

PACKAGES = (
    "mohoalign",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "deepspeed",
    "hydra-core",
    "inspect-ai",
    "wandb",
    "numpy",
    "pillow",
)
HIDDEN = "<hidden>"
_SECRETS = ("api_key", "_token", "password", "secret")


def write_run_json(
    folder: str | Path,
    *,
    config: DictConfig | Mapping[str, Any],
    seeds: Mapping[str, int] | int,
    inputs: Mapping[str, str | Path],
    digests: Mapping[str, str] | None = None,
    results: Mapping[str, Any] | None = None,
) -> Path:
    """Write `folder/run.json`: what is needed to repeat a run and to tell two runs apart.

    `inputs` are files or folders, recorded with the digest of their content; `digests` are inputs whose
    digest the caller already knows, such as a model's; `results` are figures worth keeping beside them, and
    what calls took in them (tokens, dollars) is added up as `cost`. Only the main process of a distributed
    run should call it.

    Returns the path. Raises `FileNotFoundError` if an input does not exist.
    """
    started = psutil.Process().create_time()
    results = dict(results or {})
    record = {
        **program(),
        "config": hide_secrets(to_plain(config)),
        "seeds": {"seed": seeds} if isinstance(seeds, int) else dict(seeds),
        "inputs": {
            name: {"path": str(path), "sha256": content_digest(path)} for name, path in sorted(inputs.items())
        }
        | {name: {"sha256": digest} for name, digest in sorted((digests or {}).items())},
        "results": results,
        "cost": cost_of(results),
        "packages": package_versions(),
        "extensions": {
            name: None if file is None else content_digest(file) for name, file in loaded_extensions().items()
        },
        "git": git_state(Path(__file__).resolve().parent),
        "hardware": hardware(),
        "command": shown_overrides(psutil.Process().cmdline()),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 1),
    }
    path = Path(folder) / "run.json"
    write_json(path, record)
    return path


def program() -> dict[str, Any]:
    """The program that is running: its file (from the root of its checkout), overrides and working directory.

    `overrides` are those of the command line, None outside of Hydra.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get() if HydraConfig.initialized() else None
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    file = None if main is None else Path(main).resolve()
    checkout = Path(__file__).resolve().parents[1]
    inside = file is not None and file.is_relative_to(checkout)
    return {
        "program": None if file is None else str(file.relative_to(checkout) if inside else file),
        "job": None if hydra is None else hydra.job.name,
        "overrides": None if hydra is None else shown_overrides(hydra.overrides.task),
        "cwd": str(Path.cwd()),
    }


def cost_of(results: Mapping[str, Any]) -> dict[str, float] | None:
    """What calls took, added up over all parts of `results` that say so; None where no part does.

    `dollars` are of the calls whose price is known, and are left out where none is.
    """
    total: dict[str, float] = {}
    for part in _parts_with_tokens(results):
        for name in ("calls", "attempts", "input_tokens", "output_tokens", "dollars"):
            if isinstance(part.get(name), int | float):
                total[name] = total.get(name, 0) + part[name]
    return total or None


def _parts_with_tokens(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if "input_tokens" in value:
            yield value
            return  # its parts are what it adds up
        for item in value.values():
            yield from _parts_with_tokens(item)


def files_digest(root: str | Path, names: Iterable[str]) -> str:
    """One digest of the files `names` below `root`, by name and content: of the images that a run uses.

    A name that has no file counts as such, so that the file's appearing changes the digest.
    """
    total = hashlib.sha256()
    for name in sorted(set(names)):
        file = Path(root) / name
        total.update(f"{name}\x1f{content_digest(file) if file.is_file() else 'missing'}\n".encode())
    return total.hexdigest()


def to_plain(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """A config with its interpolations resolved, as plain dictionaries and lists."""
    if isinstance(config, DictConfig):
        return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
    return dict(config)


def content_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, or of a folder's relative file names and bytes in sorted order."""
    path = Path(path)
    if path.is_dir():
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            total.update(f"{file.relative_to(path).as_posix()}\x1f{content_digest(file)}\n".encode())
        return total.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide what a run does; those not installed are left out."""
    found = {"python": platform.python_version()}
    installed = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}
    found.update({name: importlib.metadata.version(name) for name in PACKAGES if name in installed})
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that holds `folder`, and whether it has changes; None outside a checkout.

    `diff` is a digest of the changes (of tracked files, and of those that git neither tracks nor ignores):
    two runs with the same commit and the same digest ran the same code.
    """
    if not any((parent / ".git").exists() for parent in [folder, *folder.parents]):
        return None

    def git(*arguments: str, given: bytes | None = None) -> bytes:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], input=given, capture_output=True, check=True, timeout=30
        ).stdout

    try:
        commit = git("rev-parse", "HEAD").decode().strip()
        if not git("status", "--porcelain"):
            return {"commit": commit, "changed": False}
        new = git("ls-files", "--others", "--exclude-standard", "--full-name", "-z", ":/")
        names = [name for name in new.split(b"\0") if name]
        top = Path(git("rev-parse", "--show-toplevel").decode().strip())
        changes = hashlib.sha256(git("diff", "HEAD", "--binary", "--no-ext-diff"))
        for name in sorted(names):
            file = top / os.fsdecode(name)
            changes.update(b"\0" + name + b"\0" + (content_digest(file).encode() if file.is_file() else b""))
        return {"commit": commit, "changed": True, "diff": changes.hexdigest()[:16]}
    except (OSError, subprocess.SubprocessError) as error:
        # No git program, a checkout of another owner, no commit yet: a run must not fail for it.
        return {"commit": None, "error": str(error)}


def hardware() -> dict[str, Any]:
    """CPU, memory and, in a process that uses torch, its threads and accelerators."""
    torch = sys.modules.get("torch")  # not imported for this: it would take longer than many a step of data
    found = {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }
    if torch is not None:
        found["torch_threads"] = torch.get_num_threads()
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def run_folder() -> Path:
    """The folder of the Hydra run that is going on."""
    from hydra.core.hydra_config import HydraConfig

    return Path(HydraConfig.get().runtime.output_dir)


def _run_dir(program: str, out: str | None) -> str:
    """`out`, or `runs/<program>/<date-time>`; all processes of one launch agree on the time."""
    if out:
        return str(out)
    if int(os.environ.get("WORLD_SIZE", "1")) > int(os.environ.get("LOCAL_WORLD_SIZE", "1")):
        raise ValueError("give out=FOLDER when a run spans several nodes: they have to agree on one folder")
    # The launcher's processes import at different speeds and would name different seconds.
    process = psutil.Process(os.getppid()) if "LOCAL_RANK" in os.environ else psutil.Process()
    stamp = time.strftime("%Y-%m-%d/%H-%M-%S", time.localtime(process.create_time()))
    return f"runs/{program}/{stamp}"


def hide_secrets(value: Any) -> Any:
    """A configuration with `HIDDEN` in place of keys, tokens and passwords."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if isinstance(item, str) and str(key).endswith(_SECRETS) else hide_secrets(item)
            for key, item in value.items()
        }
    return [hide_secrets(item) for item in value] if isinstance(value, list) else value


def shown_overrides(overrides: Iterable[str]) -> list[str]:
    """Arguments of a command line with `HIDDEN` in place of the same."""
    shown = []
    for override in overrides:
        name, given, _ = override.partition("=")
        shown.append(f"{name}={HIDDEN}" if given and name.endswith(_SECRETS) else override)
    return shown


OmegaConf.register_new_resolver("run_dir", _run_dir, replace=True)
