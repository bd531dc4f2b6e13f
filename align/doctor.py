"""`mohoalign doctor`: what is installed here, what works, and what to do about the rest.

Nothing is taken from a version number alone: a product is computed in bf16, a layer in four bits is run,
packages are imported. What imports large packages runs in another process, so that one that crashes or hangs
costs its own line only. Keys are looked for by name; their values are never read into a line.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

OK, MISSING, BROKEN = "ok", "missing", "broken"
_SECONDS = 180  # for one check, its imports included
_MARK = "mohoalign-doctor:"


@dataclass(frozen=True)
class Finding:
    """One line: its state, what was found, and what to do unless it is ok."""

    name: str
    state: str
    found: str
    todo: str = ""


def main(arguments: Sequence[str] = ()) -> None:
    """Print the findings; status 1 if anything is broken."""
    if unknown := [argument for argument in arguments if argument != "--json"]:
        raise SystemExit(f"mohoalign doctor: no such option: {unknown[0]}. There is --json")
    findings = examine()
    if "--json" in arguments:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        wide = max(len(finding.name) for finding in findings)
        for finding in findings:
            print(f"{finding.state:<8} {finding.name:<{wide}}  {finding.found}")
            if finding.todo:
                print(f"{'':<8} {'':<{wide}}  -> {finding.todo}")
    raise SystemExit(1 if any(finding.state == BROKEN for finding in findings) else 0)


def examine() -> list[Finding]:
    """All checks, in the order in which they are shown."""
    findings = []
    for name, check in _HERE.items():
        findings += _guarded(name, check)
    return findings + _elsewhere(list(_APART))


def _guarded(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except Exception as error:  # whatever a broken package raises: it is this check's finding
        shown = " ".join(str(error).split())[:300]
        return [
            Finding(name, BROKEN, f"{type(error).__name__}: {shown}", "reinstall it, or mend what it names")
        ]


def _elsewhere(names: Sequence[str]) -> list[Finding]:
    """Run the checks of `_APART` in a process; go on behind a check that crashes or hangs it."""
    findings: list[Finding] = []
    left = list(names)
    while left:
        command = [sys.executable, "-c", "from align.doctor import _child; _child()", *left]
        why = "crashed"
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
            output = done.stdout
            why = f"the check ended with status {done.returncode}: {done.stderr.strip()[-200:]}"
        except subprocess.TimeoutExpired as stop:
            output = (stop.stdout or b"").decode() if isinstance(stop.stdout, bytes) else stop.stdout or ""
            why = f"no result within {_SECONDS} s"
        for line in output.splitlines():
            if line.startswith(_MARK):
                name, rows = json.loads(line.removeprefix(_MARK))
                findings += [Finding(**row) for row in rows]
                left.remove(name)
        if left and not (why.startswith("the check ended with status 0")):
            findings.append(Finding(left.pop(0), BROKEN, why, "reinstall it for this torch and driver"))
    return findings


def _child() -> None:
    for name in sys.argv[1:]:
        rows = [asdict(finding) for finding in _guarded(name, _APART[name])]
        print(f"\n{_MARK}{json.dumps([name, rows])}", flush=True)


def _python() -> list[Finding]:
    from align import __version__

    found = f"{platform.python_version()}, mohoalign {__version__}, {platform.platform()}"
    return [Finding("python", OK, found)]


def _programs() -> list[Finding]:
    from align.cli.programs import ProgramError, all_programs, home

    try:
        return [Finding("programs", OK, f"{len(all_programs())} in {home()}")]
    except ProgramError as error:
        return [Finding("programs", BROKEN, "not found", str(error))]


def _packages() -> list[Finding]:
    from packaging.requirements import Requirement

    findings = []
    for text in importlib.metadata.requires("mohoalign") or []:
        need = Requirement(text)
        extra = re.search(r"extra == ['\"]([^'\"]+)", text)
        if extra and extra[1] == "dev":
            continue
        install = f"pip install 'mohoalign[{extra[1]}]'" if extra else "pip install --upgrade mohoalign"
        try:
            version = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            state = MISSING if extra else BROKEN
            findings.append(Finding(need.name, state, "not installed", install))
            continue
        if need.specifier.contains(version, prereleases=True):
            findings.append(Finding(need.name, OK, version))
        else:
            findings.append(Finding(need.name, BROKEN, f"{version}, and {need.specifier} is needed", install))
    return findings


def _machine() -> list[Finding]:
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    return [
        Finding("cores", OK, f"{cores}"),
        Finding("memory", OK, f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB are free"),
    ]


def _disk() -> list[Finding]:
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    findings = []
    for name, folder in (("disk of the hub's cache", home), ("disk of runs/", Path.cwd() / "runs")):
        there = folder
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free / 2**30
        found = f"{free:.1f} GiB are free ({folder})"
        if not os.access(there, os.W_OK):
            findings.append(Finding(name, BROKEN, f"{there} cannot be written", "give another folder"))
        elif free < 1:
            findings.append(Finding(name, BROKEN, found, "make room: a checkpoint would not fit"))
        else:
            findings.append(Finding(name, OK, found))
    return findings


def _accounts() -> list[Finding]:
    from align.tracking.credentials import has_credentials

    logged_in = has_credentials()
    findings = [
        Finding("W&B", OK, "logged in")
        if logged_in
        else Finding("W&B", OK, "nobody is logged in: runs are kept offline", "`wandb login` to send them")
    ]
    token = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "token"
    hub = bool(os.environ.get("HF_TOKEN")) or token.is_file()
    findings.append(
        Finding("hub login", OK, "present")
        if hub
        else Finding("hub login", MISSING, "no token", "`hf auth login`, for gated and private models only")
    )
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        findings.append(
            Finding(name, OK, "present")
            if os.environ.get(name)
            else Finding(name, MISSING, "not set", f"export {name}=... to judge with this provider's models")
        )
    return findings


def _gpu() -> list[Finding]:
    import torch

    from align.models.stored import why_no_gpu

    if not torch.cuda.is_available():
        driver = shutil.which("nvidia-smi") is not None
        return [Finding("GPU", BROKEN if driver else MISSING, "none for torch", why_no_gpu())]
    rows = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB are free"
        rows.append(Finding(f"GPU {number}", OK, f"{torch.cuda.get_device_name(number)}, {memory}"))
    return rows


def _bf16() -> list[Finding]:
    import torch

    place = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    left, right = torch.randn(64, 64, device=place), torch.randn(64, 64, device=place)
    error = ((left.bfloat16() @ right.bfloat16()).float() - left @ right).abs().max().item()
    if error > 1.0:  # rounding to 8 bits makes about 0.1 of sums of 64 products
        return [Finding("bf16", BROKEN, f"a product is wrong by {error:.3g} on {place}", "use float32")]
    return [Finding("bf16", OK, f"a product on {place}")]


def _flex() -> list[Finding]:
    import torch
    from torch.nn.attention.flex_attention import flex_attention

    place = "cuda" if torch.cuda.is_available() else "cpu"
    run = torch.compile(flex_attention) if place == "cuda" else flex_attention
    q, k, v = (torch.randn(1, 1, 128, 16, device=place) for _ in range(3))
    wanted = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    if not torch.allclose(run(q, k, v), wanted, atol=1e-2):
        return [Finding("FlexAttention", BROKEN, "other than SDPA", "model.attn_implementation=sdpa")]
    found = "compiled, on cuda" if place == "cuda" else "on the CPU, not compiled"
    return [Finding("FlexAttention", OK, found)]


def _four_bits() -> list[Finding]:
    if importlib.util.find_spec("bitsandbytes") is None:
        return [Finding("4-bit layer", MISSING, "no bitsandbytes", "pip install 'mohoalign[gpu]'")]
    import bitsandbytes
    import torch

    place = "cuda" if torch.cuda.is_available() else "cpu"
    layer = bitsandbytes.nn.Linear4bit(64, 64, bias=False, quant_type="nf4", compute_dtype=torch.float32)
    weight = layer.weight.data.clone().to(place)
    layer = layer.to(place)
    row = torch.randn(4, 64, device=place)
    error = (layer(row) - row @ weight.T).abs().max().item()
    if error > 1.0:
        return [Finding("4-bit layer", BROKEN, f"wrong by {error:.3g} on {place}", "model.quantization=null")]
    return [Finding("4-bit layer", OK, f"NF4 on {place}")]


def _importable(name: str, shown: str, install: str) -> Callable[[], list[Finding]]:
    def check() -> list[Finding]:
        if importlib.util.find_spec(name) is None:
            return [Finding(shown, MISSING, "not installed", install)]
        module = importlib.import_module(name)
        return [Finding(shown, OK, f"{getattr(module, '__version__', '')} is imported")]

    return check


_HERE: dict[str, Callable[[], list[Finding]]] = {
    "python": _python,
    "programs": _programs,
    "packages": _packages,
    "machine": _machine,
    "disk": _disk,
    "accounts": _accounts,
}
_APART: dict[str, Callable[[], list[Finding]]] = {
    "GPU": _gpu,
    "bf16": _bf16,
    "FlexAttention": _flex,
    "4-bit layer": _four_bits,
    "torchvision works": _importable(
        "torchvision", "torchvision works", "pip install torchvision: Qwen-VL processors need it"
    ),
    "DeepSpeed works": _importable("deepspeed", "DeepSpeed works", "pip install 'mohoalign[gpu]'"),
    "vLLM works": _importable("vllm", "vLLM works", "pip install vllm, in an environment of its own"),
}
