"""What a run leaves behind so that it can be understood and repeated: its folder and `run.json`."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from omegaconf import DictConfig, OmegaConf

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
    digest the caller already knows, such as a model's; `results` are figures worth keeping beside them.
    Only the main process of a distributed run should call it.

    Returns the path. Raises `FileNotFoundError` if an input does not exist.
    """
    started = psutil.Process().create_time()
    record = {
        "config": _hide_secrets(to_plain(config)),
        "seeds": {"seed": seeds} if isinstance(seeds, int) else dict(seeds),
        "inputs": {
            name: {"path": str(path), "sha256": content_digest(path)} for name, path in sorted(inputs.items())
        }
        | {name: {"sha256": digest} for name, digest in sorted((digests or {}).items())},
        "results": dict(results or {}),
        "packages": package_versions(),
        "git": git_state(Path(__file__).resolve().parent),
        "hardware": hardware(),
        "command": psutil.Process().cmdline(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 1),
    }
    path = Path(folder) / "run.json"
    write_json(path, record)
    return path


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
    """Commit of the checkout that holds `folder` and whether it has changes; None outside a checkout."""
    if not any((parent / ".git").exists() for parent in [folder, *folder.parents]):
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
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


def _hide_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "<hidden>" if isinstance(item, str) and str(key).endswith(_SECRETS) else _hide_secrets(item)
            for key, item in value.items()
        }
    return [_hide_secrets(item) for item in value] if isinstance(value, list) else value


OmegaConf.register_new_resolver("run_dir", _run_dir, replace=True)
