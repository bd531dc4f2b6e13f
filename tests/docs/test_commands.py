"""Every command that users read is right, and is run here, or says what runs it or why it is not run.

- All commands of our programs, run or not, and those in sentences: the program is there, and its
  configuration composes with exactly these settings. A renamed option fails the page that shows the old one.
- A command without a mark (`pages.py` has their form) is run in a folder like a fresh checkout, page after
  page, with fewer questions and steps (`SMALLER`). So is a block of Python.
"""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pages import (
    REASONS,
    ROOT,
    SHELLS,
    Command,
    Mark,
    all_pages,
    blocks_of,
    commands_of,
    inline_commands,
    simple_commands,
)
from programs import Call, call_of, composed
from workshop import Workshop

PAGES = [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in all_pages()]

TRAINING = {
    "trainer.max_steps": 2,
    "trainer.per_device_train_batch_size": 4,
    "trainer.save_steps": 2,
    "probe.unanswerable": 2,
    "probe.answerable": 2,
    "probe.every": 2,
}
SMALLER = {
    "recipes/sft.py": TRAINING,
    "recipes/dpo.py": TRAINING,
    "recipes/simpo.py": TRAINING,
    "recipes/orpo.py": TRAINING,
    "data_prep/sample_responses.py": {"sampling.max_new_tokens": 8},
    "data_prep/build_pairs.py": {"mix.total": 64},
    "data_prep/build_sft.py": {"mix.total": 64},
    "evaluate/benchmark.py": {
        "decoding.max_new_tokens": 16,
        "task.miniworld.limit": 8,
        "task.easy_vqa.limit": 8,
        "task.mohobench.limit": 8,
        "task.corruption.limit": 2,
        "task.corruption.severities": "[1,5]",
    },
    "recipes/merge.py": {
        "dtype": "float32"
    },  # of two steps, float16 would round away too much, and it says so
    "evaluate/compare.py": {"resamples": 50},
}
"""Settings that are added to a command where the program has them: the same steps on less."""

HARMLESS = {"mohoalign", "eval", "mkdir", "cp", "cat", "ls", "export", "head", "printf", "echo"}
"""Other commands that are run as they stand."""


def commands_on(page: Path) -> list[Command]:
    return [command for block in blocks_of(page) for command in commands_of(block)]


# --- Right --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_commands_compose(page: Path, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    texts = [(str(command), command.text) for command in commands_on(page)]
    texts += [(f"{page.name}: `{text}`", text) for text in inline_commands(page)]
    wrong = []
    for where, text in texts:
        for words in simple_commands(text):
            try:
                if words[0] == "make":
                    targets_exist(words[1:])
                call = call_of(words, tmp_path)
                if call and call.config_name and not call.asks_only:
                    composed(call, tmp_path)
                elif call and not call.config_name:
                    options_exist(call)
            except Exception as error:
                wrong.append(f"{where}\n    {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_marks_say_what_is_so(page: Path) -> None:
    for block in blocks_of(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.language not in SHELLS:
            starts = ("python ", "accelerate launch ", "mohoalign ", "make ")
            hidden = [line for line in block.text.splitlines() if line.startswith(starts)]
            assert block.file or not hidden, f"{where}: commands stand in a block that is not marked as sh"
        commands = commands_of(block)
        for mark in block.marks:
            if mark.only is not None:
                assert any(mark.only in c.text for c in commands), f"{where}: no command has {mark.only!r}"
            if mark.kind == "not run":
                assert mark.text.startswith(REASONS), f"{where}: {mark.text!r}: give one of {REASONS} first"
            if mark.kind == "run by":
                assert_runs(mark, [c for c in commands if c.mark == mark], where)


def assert_runs(mark: Mark, commands: list[Command], where: str) -> None:
    """The named file, or test, is there, and its code names the programs that the commands call."""
    file, _, test = mark.text.partition("::")
    assert (ROOT / file).is_file(), f"{where}: there is no {file}"
    text = (ROOT / file).read_text(encoding="utf-8")
    if test:
        tests = {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}
        assert test in tests, f"{where}: {file} has no {test}"
    for command in commands:
        for words in simple_commands(command.text):
            call = call_of(words, ROOT)
            named = call.file.stem if call else words[1] if words[0] == "mohoalign" else words[0]
            assert names(ast.parse(text), named), f"{where}: {file} does not run {named}"


def names(tree: ast.AST, program: str) -> bool:
    """Whether code imports or calls a program, or has its name or file as a word of a string, docstrings not.

    `method=dpo` and `runs/dpo` are no words that name it.
    """
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words = node.value.split()
            found |= {*words, *(name.removesuffix(".py") for name in file_names(words))}
        elif isinstance(node, ast.Call):
            found.add(ast.unparse(node.func).removesuffix(".main"))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return program in found


def file_names(words: list[str]) -> list[str]:
    return [Path(word).name for word in words if word.endswith(".py")]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('run("dpo", "out=x")', True),
        ('run(f"{python} recipes/dpo.py", ROOT)', True),
        ("import dpo", True),
        ("dpo.main()", True),
        ('"""Runs dpo."""  # and dpo again', False),
        ('run("sft", "method=dpo", "out=runs/dpo")', False),
        ("dpo_losses(dpo=1)", False),
    ],
)
def test_a_mark_is_held_by_code_that_names_the_program(code: str, found: bool) -> None:
    assert names(ast.parse(code), "dpo") is found


# --- Run ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    from align.miniworld.dataset import build_questions

    folder = tmp_path_factory.mktemp("docs")
    build_questions(folder / "data" / "miniworld", train=40, test=20)
    shop = Workshop(folder)
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def done() -> set[tuple[str, ...]]:
    """What has been run: pages repeat each other's commands."""
    return set()


@pytest.mark.program
@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page: Path, workshop: Workshop, done: set[tuple[str, ...]]) -> None:
    write_files(page, workshop.folder)
    for block in blocks_of(page):
        if block.language == "python" and not block.file and not block.marks:
            (workshop.folder / "block.py").write_text(block.text, encoding="utf-8")
            ended = workshop.run(workshop.folder / "block.py", PYTHONPATH=str(workshop.folder))
            assert ended.status == 0, f"{page.relative_to(ROOT)}:{block.line}\n{ended.output}"
        for command in commands_of(block):
            if command.mark is None:
                run(command, workshop, done)


def run(command: Command, workshop: Workshop, done: set[tuple[str, ...]]) -> None:
    words = simple_commands(command.text)
    if words[0][0] == "make":
        for line in made_by(words[0][1:], workshop):
            run(Command(command.page, command.line, line, None), workshop, done)
        return
    if words[0][0] == "inspect":
        inspect = Path(sys.executable).with_name("inspect")
        ended = workshop.run(inspect, *words[0][1:], "--limit", "8", "--display", "none")
        assert ended.status == 0, f"{command}\n{ended.output}"
        return
    calls = [call_of(each, workshop.folder) for each in words]
    if not any(calls):
        assert all(each[0] in HARMLESS for each in words), f"{command}: mark it, or add it to HARMLESS"
        ended = workshop.shell(command.text)
        assert ended.status == 0, f"{command}\n{ended.output}"
        return
    for call in calls:
        assert call is not None, f"{command}: give the program a line of its own"
        arguments = [*call.arguments, *smaller(call, workshop.folder)]
        if (call.name, *arguments) in done:
            continue
        ended = workshop.run(call.file, *arguments, **call.environment)
        assert ended.status == 0, f"{command}\n{ended.output}"
        done.add((call.name, *arguments))


def smaller(call: Call, folder: Path) -> list[str]:
    """The settings of `SMALLER` that the program has."""
    if call.name not in SMALLER or call.asks_only:
        return []
    config = composed(call, folder)[0]
    found = []
    for name, value in SMALLER[call.name].items():
        group, _, key = name.rpartition(".")
        there = OmegaConf.select(config, group) if group else config
        if there is not None and key in there and not (name == "probe.every" and there[key] is None):
            found.append(f"{name}={value}")
    return found


def made_by(targets: list[str], workshop: Workshop) -> list[str]:
    """The programs that `make` would run for the targets, in an environment that is set up."""
    venv = workshop.folder / ".venv"
    if not venv.exists():
        (venv / "bin").mkdir(parents=True)
        for name in ("bin/python", "installed", "installed-dev"):
            (venv / name).touch()
    shown = subprocess.run(
        [shutil.which("make") or "make", "-n", *targets],
        cwd=workshop.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in shown.stdout.splitlines() if call_of(shlex.split(line), ROOT)]
    assert lines, f"make {' '.join(targets)} runs no program: mark it"
    return lines


def targets_exist(targets: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([\w-]+(?: [\w-]+)*):", makefile, re.MULTILINE))
    names = {name for line in known for name in line.split()}
    if missing := [target for target in targets if "=" not in target and target not in names]:
        raise ValueError(f"the Makefile has no target {', '.join(missing)}")


def options_exist(call: Call) -> None:
    """Of a program that reads its options with argparse."""
    source = call.file.read_text(encoding="utf-8")
    for option in call.arguments:
        if option.startswith("--"):
            assert f'"{option.partition("=")[0]}"' in source, f"{call.name} has no {option}"


def write_files(page: Path, folder: Path) -> None:
    """The files that a page has its reader write."""
    for block in blocks_of(page):
        if block.file:
            file = folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
