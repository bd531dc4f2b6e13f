"""The command that runs a program: plain Python, or `accelerate launch` for one that trains.

A program that can share its work between processes, such as the benchmark, is launched where the launcher's
options ask for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from align.cli.programs import Program, ProgramError, home

LAUNCH_OPTIONS = (
    "--accelerate",
    "--num_processes",
    "--num_machines",
    "--machine_rank",
    "--main_process_ip",
    "--main_process_port",
    "--gpu_ids",
)
"""`--accelerate` chooses a file of configs/accelerate/, or any other; the rest are accelerate's own."""

_ONLY_ASK = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--version", "--shell-completion"}
"""What Hydra answers without running the program: no launcher is needed for it."""


def command_for(program: Program, arguments: Sequence[str]) -> list[str]:
    """The command line that runs `program`, from the path of this Python on. Raises `ProgramError`."""
    options, rest = split_options(arguments)
    launched = program.launched or (program.may_be_launched and bool(options))
    if options and not launched:
        raise ProgramError(
            f"{next(iter(options))} is for programs that run through `accelerate launch`, and "
            f"{program.group}/{program.file.name} runs in one process: leave it out"
        )
    plain = [sys.executable, str(program.file), *rest]
    if not launched or _ONLY_ASK & {argument.partition("=")[0] for argument in rest}:
        return plain
    # --quiet: the program has said what went wrong, and accelerate's own traceback would bury it.
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--quiet"]
    chosen = options.pop("--accelerate", None)
    if chosen is not None:
        launch += accelerate_config(chosen)
    for name, value in options.items():
        launch += [name, value]
    return [*launch, *plain[1:]]


def split_options(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The launcher's options, and what is left for the program."""
    options: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, given, value = argument.partition("=")
        if name not in LAUNCH_OPTIONS:
            rest.append(argument)
            continue
        if not given:
            if not waiting:
                raise ProgramError(f"{name} needs a value")
            value = waiting.pop(0)
        options[name] = value
    return options, rest


def accelerate_config(chosen: str) -> list[str]:
    """accelerate's arguments for a configuration: a name in configs/accelerate/, or a file."""
    folder = home() / "configs" / "accelerate"
    file = folder / f"{chosen}.yaml"
    if not file.is_file():
        file = Path(chosen)
        if not file.is_file():
            names = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
            raise ProgramError(f"--accelerate {chosen}: no such file, and none of {names}")
    return ["--config_file", str(file), *_deepspeed_file(file)]


def _deepspeed_file(config: Path) -> list[str]:
    """Where DeepSpeed's settings are, if the configuration names them from the root of the checkout.

    accelerate looks from the working directory, where they need not be.
    """
    import yaml

    settings = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
    named = (settings.get("deepspeed_config") or {}).get("deepspeed_config_file")
    if not named or Path(named).is_file() or not (home() / named).is_file():
        return []
    return ["--deepspeed_config_file", str(home() / named)]
