"""Which programs there are, and where: nothing about them is written down twice.

Programs are files of data_prep/, recipes/ and evaluate/, which are no packages. They are found beside
`align/` in a checkout, and in `align/_programs/` of an installed wheel, together with the configs/ that they
read.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GROUPS = {"data_prep": "prepare data", "recipes": "train", "evaluate": "measure"}


class ProgramError(Exception):
    """The command line cannot be run as it is; the message says what to change."""


@dataclass(frozen=True)
class Program:
    """One program's file. What is known of it is read from its source, which is not imported."""

    file: Path

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def group(self) -> str:
        return self.file.parent.name

    def docstring(self) -> str:
        return ast.get_docstring(_parsed(self.file)) or ""

    def summary(self) -> str:
        return self.docstring().partition("\n")[0]

    @property
    def launched(self) -> bool:
        """Whether it is for `accelerate launch`: its docstring shows the command."""
        return f"accelerate launch {self.group}/{self.file.name}" in self.docstring()

    @property
    def may_be_launched(self) -> bool:
        """Whether it runs in one process, or in several where one asks for them: its docstring shows that."""
        return f"accelerate launch --num_processes 8 {self.group}/{self.file.name}" in self.docstring()

    def config_name(self) -> str | None:
        """Its configuration in configs/, as it tells Hydra; None for a program without one."""
        for node in ast.walk(_parsed(self.file)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "hydra.main":
                for keyword in node.keywords:
                    if keyword.arg == "config_name" and isinstance(keyword.value, ast.Constant):
                        return str(keyword.value.value)
        return None


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def home() -> Path:
    """The folder that holds the programs' folders and configs/. Raises `ProgramError` where there is none."""
    package = Path(__file__).resolve().parents[1]
    for place in (package.parent, package / "_programs"):
        if all((place / folder).is_dir() for folder in (*GROUPS, "configs")):
            return place
    raise ProgramError(
        f"the programs are neither beside {package} nor in it: this installation lacks them. Install from a "
        "checkout, with `pip install --editable .` or `pip install .` in it"
    )


def all_programs() -> list[Program]:
    """In the order of `GROUPS`, by name."""
    place = home()
    return [
        Program(file)
        for group in GROUPS
        for file in sorted((place / group).glob("*.py"))
        if not file.name.startswith("_")
    ]


def find_program(name: str) -> Program:
    """By its name, with dashes or underscores. Raises `ProgramError` that names those that look alike."""
    wanted = name.removesuffix(".py").rpartition("/")[2].replace("-", "_")
    programs = {program.name: program for program in all_programs()}
    if wanted in programs:
        return programs[wanted]
    alike = difflib.get_close_matches(wanted, [*programs, "doctor", "completion"], n=3)
    hint = f"Did you mean {' or '.join(alike)}?" if alike else "`mohoalign` lists them"
    raise ProgramError(f"there is no program {name!r}. {hint}")
