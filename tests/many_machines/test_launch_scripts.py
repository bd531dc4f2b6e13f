"""What the scripts of examples/ tell the nodes, with stand-ins for ssh and Slurm that write it down."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def launch(script: str, words: list[str], folder: Path, stand_ins: dict[str, str], **variables: str) -> str:
    for name, text in stand_ins.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SRUN_"))}
    done = subprocess.run(
        ["bash", str(ROOT / script), *words],
        env=kept | variables | {"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(("asked", "given"), [({"SLURM_CPUS_PER_TASK": "64"}, "64"), ({}, "unset")])
def test_a_step_of_slurm_has_the_jobs_cores(asked: dict[str, str], given: str, tmp_path: Path) -> None:
    job = {
        "SLURM_JOB_NODELIST": "n",
        "SLURM_JOB_ID": "7",
        "SLURM_GPUS_ON_NODE": "8",
        "SLURM_JOB_NUM_NODES": "2",
    }
    stand_ins = {"scontrol": "echo node-a", "srun": 'echo "${SRUN_CPUS_PER_TASK-unset} $PROCESSES"'}
    said = launch("examples/slurm/launch.sbatch", ["dpo"], tmp_path, stand_ins, **job, **asked)
    assert said == f"{given} 16\n"


def test_ssh_hands_on_what_runs_depend_on_and_no_key(tmp_path: Path) -> None:
    handed_on = {
        "NCCL_SOCKET_IFNAME": "ib0",
        "GLOO_SOCKET_IFNAME": "ib0",
        "OMP_NUM_THREADS": "4",
        "MOHOALIGN_EXTENSIONS": "my_loss.py,my readers.py",
        "HF_HOME": "/disk/a cache",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "offline",
        "WANDB_PROJECT": "p",
        "WANDB_ENTITY": "e",
        "WANDB_DIR": "/disk/wandb",
    }
    keys = {"WANDB_API_KEY": "secret-1", "HF_TOKEN": "secret-2", "OPENAI_API_KEY": "secret-3"}
    # The line is run as the shell over there would, in an empty environment.
    stand_ins = {
        "ssh": 'echo "$*" >>"$LOG"; exec env -i PATH=/usr/bin:/bin bash -c "$3"',
        "mohoalign": 'echo "-- $*"; exec env',
    }
    log = tmp_path / "log"
    said = launch(
        "examples/ssh/launch.sh", ["a", "8", "dpo"], tmp_path, stand_ins, **handed_on, **keys, LOG=str(log)
    )
    assert "-- dpo --num_machines 1 --machine_rank 0 --num_processes 8" in said
    there = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert {name: there.get(name) for name in handed_on} == handed_on
    assert "secret" not in log.read_text() + said
