"""How a program ends when something of the user's is wrong: a message and the next step, not a traceback.

    @hydra.main(...)
    @ends_with_message
    def main(cfg): ...

Two kinds of errors end so. Those that this project raises itself (a `raise` in `align/` or in the program)
say what is wrong and what to change. Those that come out of a library for a reason that a user can mend (a
full disk, no memory, a missing package, no access to a model) are put in other words. Everything else is a
bug, and its traceback is what is needed. HYDRA_FULL_ERROR=1 shows the traceback of any of them.
"""

from __future__ import annotations

import errno
import functools
import linecache
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

R = TypeVar("R")

FULL = "HYDRA_FULL_ERROR"
_OURS = Path(__file__).resolve().parent


def ends_with_message(main: Callable[..., R]) -> Callable[..., R]:
    """Decorate a main, below `@hydra.main`: what a user can mend ends it with a message and status 1."""

    @functools.wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> R:
        try:
            return main(*args, **kwargs)
        except Exception as error:
            message = None if os.environ.get(FULL) not in (None, "", "0") else explain(error)
            if message is None:
                raise
            print(f"\n{_who()}{message}\n({FULL}=1 shows where it happened)", file=sys.stderr, flush=True)
            raise SystemExit(1) from error

    return guarded


def explain(error: BaseException) -> str | None:
    """What to tell the user; None for an error that is nobody's but the program's."""
    if _raised_by_us(error) or type(error).__name__ == "ValidationError":  # pydantic's names field and value
        return f"{error}"
    return next(filter(None, map(_of_the_machine, _chain(error))), None)


def _who() -> str:
    rank = os.environ.get("RANK", "0")
    return "" if rank == "0" else f"[process {rank}] "


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from: trainers and loaders wrap what the system said."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return found


def _of_the_machine(error: BaseException) -> str | None:
    text = str(error)
    if _is_full(error, text):
        return _disk_full(error)
    if _is_out_of_memory(error, text):
        return _out_of_memory(text)
    if "Unable to find address for: " in text:  # gloo's, about a variable that the user set
        return (
            f"this host has no network {text.rpartition(': ')[2].split()[0]}: GLOO_SOCKET_IFNAME names the "
            "one that leads to the other nodes (`ip addr` lists them)"
        )
    if _is_of_another_process(error, text):
        return (
            f"another process of this launch has ended, or cannot be reached: {text.splitlines()[0]}\n"
            "What stopped it stands in its own messages, which may be on another node. When that is mended, "
            "the same command on every node goes on; training does with resume=true"
        )
    return None


def _is_of_another_process(error: BaseException, text: str) -> bool:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, torch.distributed.DistError) or "gloo/transport" in text


def _is_full(error: BaseException, text: str) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # safetensors and torch.save tell it in words only.
    return "No space left on device" in text or "PytorchStreamWriter failed writing" in text


def _disk_full(error: BaseException) -> str:
    from align.run import run_folder

    named = getattr(error, "filename", None)
    try:
        folder = Path(named).resolve().parent if named else run_folder().resolve()
    except ValueError:  # outside of Hydra
        folder = Path.cwd()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    quota = " (a quota is used up)" if getattr(error, "errno", None) == errno.EDQUOT else ""
    return (
        f"the disk of {folder} is full{quota}: {free / 2**20:,.0f} MiB are free"
        + (f", writing {named}" if named else "")
        + ".\nOutputs appear under their names only when they are whole, so none is cut off. Make room "
        "(`du -sh runs/* cache ~/.cache/huggingface` shows what is large; for training, "
        "trainer.save_total_limit=1 keeps one checkpoint and trainer.save_only_model=true leaves the "
        "optimizer out of it), or give out=FOLDER on another disk. Then the same command; training goes on "
        "with resume=true"
    )


def _is_out_of_memory(error: BaseException, text: str) -> bool:
    torch = sys.modules.get("torch")  # which is there if it raised something
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, MemoryError) or "DefaultCPUAllocator: can't allocate memory" in text


def _out_of_memory(text: str) -> str:
    first = re.split(r"(?<=[.!])\s", text.strip(), maxsplit=2)
    said = " ".join(first[:2]) or "no memory left"
    return (
        f"out of memory: {said}\n"
        "Lower what is in memory at once: batch_size (of rows that are asked together), model.max_pixels (of "
        "each image), model.dtype=bfloat16 on a GPU, model.quantization=4bit. `nvidia-smi` shows whether "
        "another program holds memory on this GPU"
    )


def _raised_by_us(error: BaseException) -> bool:
    """Whether the error was raised by a `raise` of this project or of the program that runs."""
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    file = Path(last.tb_frame.f_code.co_filename).resolve()
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    inside = file.is_relative_to(_OURS) or (program is not None and file == Path(program).resolve())
    # `int(value)` in our code raises a ValueError too, and tells a user nothing.
    return inside and linecache.getline(str(file), last.tb_lineno).lstrip().startswith("raise ")
