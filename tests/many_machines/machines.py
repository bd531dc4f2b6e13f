"""Two machines on this one, and the programs that reach them: ssh, and Slurm's srun and scontrol.

Where it is allowed (root on Linux), a machine is a network namespace of its own, and both are joined by a
virtual cable, so that nothing reaches the other over loopback. Elsewhere, as in most CI containers, both are
this host.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_SSH = """#!/bin/bash
# ssh -tt HOST LINE
[[ $1 == -tt && $# == 3 ]] || exit 255
exec machine "$2" bash -c "$3"
"""
_SRUN = """#!/bin/bash
# srun --kill-on-bad-exit=1 --label COMMAND...: one task on each node
[[ $1 == --kill-on-bad-exit=1 && $2 == --label ]] || exit 255
shift 2
read -ra hosts <<< "$MACHINES"
for rank in "${!hosts[@]}"; do
    SLURM_NODEID=$rank machine "${hosts[rank]}" "$@" &
done
status=0
for _ in "${hosts[@]}"; do wait -n || status=$?; done
exit "$status"
"""
_SCONTROL = """#!/bin/bash
# scontrol show hostnames LIST
[[ "$1 $2 $3" == "show hostnames nodes[1-2]" ]] && printf '%s\\n' "$MAIN_HOST" another
"""
_MACHINE = """#!/bin/bash
# machine HOST COMMAND...: run it there
host=$1
shift
if [[ $SEPARATE ]]; then exec ip netns exec "$host" "$@"; fi
exec "$@"
"""


@dataclass(frozen=True)
class Machines:
    """`names`, and the address of the first for the second; `separate`: in namespaces of their own."""

    names: tuple[str, str]
    address: str
    separate: bool
    bin: Path

    def environment(self, home: Path) -> dict[str, str]:
        """Of a user at a shell from which ssh, srun and mohoalign are reached, who never set anything up."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("WANDB_", "ACCELERATE_", "HF_", "SLURM_", "NCCL_", "GLOO_"))
            and name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        }
        network = {"GLOO_SOCKET_IFNAME": "net0"} if self.separate else {}
        return (
            kept
            | network
            | {
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                "HOME": str(home),
                "COLUMNS": "200",
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": "1",
                "DS_ACCELERATOR": "cpu",
                "MACHINES": " ".join(self.names),
                "SEPARATE": "1" if self.separate else "",
                "MAIN_HOST": self.address,  # what srun's nodes are called where there is no name service
                "MAIN_ADDRESS": self.address,
            }
        )


@contextmanager
def two_machines(folder: Path) -> Iterator[Machines]:
    programs = folder / "bin"
    programs.mkdir()
    launcher = f'#!/bin/bash\nexec {sys.executable} -m align.cli "$@"\n'
    files = {"ssh": _SSH, "srun": _SRUN, "scontrol": _SCONTROL, "machine": _MACHINE, "mohoalign": launcher}
    for name, text in files.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    names = (f"node-a-{os.getpid()}", f"node-b-{os.getpid()}")
    separate = _namespaces(names)
    try:
        yield Machines(names, "10.77.0.1" if separate else "127.0.0.1", separate, programs)
    finally:
        for name in names if separate else ():
            _ip("netns", "del", name)


def _namespaces(names: tuple[str, str]) -> bool:
    first, second = names
    commands = [
        ["netns", "add", first],
        ["netns", "add", second],
        ["link", "add", "net0", "netns", first, "type", "veth", "peer", "name", "net0", "netns", second],
        ["-n", first, "addr", "add", "10.77.0.1/24", "dev", "net0"],
        ["-n", second, "addr", "add", "10.77.0.2/24", "dev", "net0"],
        *(["-n", name, "link", "set", each, "up"] for name in names for each in ("lo", "net0")),
    ]
    if all(_ip(*command) for command in commands):
        return True
    for name in names:
        _ip("netns", "del", name)
    return False


def _ip(*words: str) -> bool:
    try:
        return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
