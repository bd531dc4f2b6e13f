"""The command, as a shell runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from align.cli import overview
from align.cli.completion import candidates
from align.cli.launching import command_for
from align.cli.programs import ProgramError, all_programs, find_program

ROOT = Path(__file__).parents[1]


def test_every_program_is_listed_with_its_first_line() -> None:
    shown = " ".join(overview().split())
    files = [file for folder in ("data_prep", "recipes", "evaluate") for file in (ROOT / folder).glob("*.py")]
    assert len(all_programs()) == len(files) == len({program.name for program in all_programs()})
    for program in all_programs():
        assert program.summary()
        assert f"{program.name} {program.summary()}" in shown


@pytest.mark.program
def test_the_list_is_there_at_once() -> None:
    heavy = "{'torch', 'hydra', 'numpy'}"
    code = f"import sys; from align.cli import main; main([]); assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)


@pytest.mark.program
def test_a_reader_that_has_read_enough_is_no_error() -> None:
    listing = f"{sys.executable} -m align.cli"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {listing} | true"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_trains_goes_through_the_launcher_and_the_rest_does_not() -> None:
    dpo = command_for(find_program("dpo"), ["--accelerate", "cpu", "--num_processes=2", "method=ipo"])
    place = str(ROOT / "configs/accelerate/cpu.yaml")
    assert dpo[3:] == [
        *("launch", "--quiet", "--config_file", place, "--num_processes", "2"),
        *(str(ROOT / "recipes/dpo.py"), "method=ipo"),
    ]
    assert command_for(find_program("dpo"), ["--help"])[1:] == [str(ROOT / "recipes/dpo.py"), "--help"]
    pairs = command_for(find_program("build-pairs"), ["seed=1"])
    assert pairs[1:] == [str(ROOT / "data_prep/build_pairs.py"), "seed=1"]
    with pytest.raises(ProgramError, match="runs in one process"):
        command_for(find_program("build_pairs"), ["--accelerate", "cpu"])
    alone, shared = (command_for(find_program("benchmark"), o) for o in ([], ["--num_processes", "2"]))
    assert alone[1:] == [str(ROOT / "evaluate/benchmark.py")]
    assert shared[3:] == ["launch", "--quiet", "--num_processes", "2", str(ROOT / "evaluate/benchmark.py")]
    with pytest.raises(ProgramError, match="none of cpu, ddp"):
        command_for(find_program("dpo"), ["--accelerate", "nothing"])


def test_deepspeeds_file_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = command_for(find_program("dpo"), ["--accelerate", "zero2"])
    assert command[command.index("--deepspeed_config_file") + 1] == str(ROOT / "configs/deepspeed/zero2.json")


def test_a_misspelt_program_is_told_its_neighbours() -> None:
    with pytest.raises(ProgramError, match="Did you mean benchmark"):
        find_program("benchmrk")


@pytest.fixture(autouse=True)
def one_application_a_process() -> Iterator[None]:
    """A shell asks for one completion a process: Hydra can't be set up twice."""
    GlobalHydra.instance().clear()
    yield
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dp"], "dpo "),
        (["dpo", "meth"], "method="),
        (["dpo", "method=ip"], "method=ipo "),
        (["dpo", "trainer=gpu", "trainer.learn"], "trainer.learning_rate="),
        (["dpo", "--accelerate", "zero2_"], "zero2_offload "),
    ],
)
def test_completion(words: list[str], expected: str) -> None:
    assert expected in candidates(words)
