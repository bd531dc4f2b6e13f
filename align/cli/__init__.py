"""`mohoalign`: one command that lists the programs of data_prep/, recipes/ and evaluate/, and runs them.

    mohoalign                                   the programs, a line each
    mohoalign dpo method=ipo seed=1             recipes/dpo.py, through `accelerate launch`
    mohoalign benchmark out=runs/base           evaluate/benchmark.py
    mohoalign doctor                            what is installed here, and what works

Nothing heavy is imported here: the list must be there at once, and a program takes the place of this process.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence

from align import __version__
from align.cli.launching import LAUNCH_OPTIONS, command_for
from align.cli.programs import GROUPS, Program, ProgramError, all_programs, find_program

COMMANDS = {
    "doctor": "Say what is installed here, what works, and what to do about the rest; --json for programs.",
    "completion": "Print what completes this command in your shell: completion bash, completion zsh.",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(given)
        sys.stdout.flush()
    except ProgramError as error:
        raise SystemExit(f"mohoalign: {error}") from error
    except BrokenPipeError:  # whoever read, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: list[str]) -> None:
    show = bool(given) and given[0] == "--show"
    if show:
        given = given[1:]
    first, rest = (given[0], given[1:]) if given else ("--help", [])
    if first in ("--help", "-h", "help"):
        if rest and rest[0] not in COMMANDS:
            print(find_program(rest[0]).docstring())
            return
        print(overview())
    elif first == "--version":
        print(f"mohoalign {__version__}")
    elif first == "doctor":
        from align.doctor import main as doctor

        doctor(rest)
    elif first == "completion":
        from align.cli.completion import script_for

        print(script_for(rest[0] if rest else ""))
    elif first == "--complete":  # what the shell's script asks
        from align.cli.completion import candidates

        print("\n".join(candidates(rest)))
    elif first.startswith("-"):
        raise ProgramError(f"no such option: {first}. See `mohoalign --help`")
    else:
        command = command_for(find_program(first), rest)
        if show:
            print(shlex.join(command))
            return
        sys.stdout.flush()
        os.execv(command[0], command)


def overview() -> str:
    """The programs by group, with the first line of each one's docstring."""
    programs = all_programs()
    lines = ["usage: mohoalign [--show] PROGRAM [setting=value ...]", ""]
    width = max(len(name) for name in [*COMMANDS, *(program.name for program in programs)])
    for folder, title in GROUPS.items():
        here = [program for program in programs if program.group == folder]
        lines += [f"{title} ({folder}/)", *_rows([(p.name, p.summary()) for p in here], width), ""]
    lines += ["this command", *_rows(list(COMMANDS.items()), width), ""]
    lines += [
        "`mohoalign help PROGRAM` tells what a program does, `mohoalign PROGRAM --help` its settings.",
        "`--show` before the program prints what would be run. Training programs go through",
        f"`accelerate launch` and take {', '.join(LAUNCH_OPTIONS)};",
        "with one of these, `benchmark` runs in several processes, too.",
    ]
    return "\n".join(lines)


def _rows(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    wide = max(60, min(shutil.get_terminal_size((110, 24)).columns, 120))
    shown = []
    for name, text in rows:
        first, *more = textwrap.wrap(text, wide - width - 4) or [""]
        shown += [f"  {name:<{width}}  {first}", *(" " * (width + 4) + line for line in more)]
    return shown


__all__ = ["COMMANDS", "Program", "main", "overview"]
