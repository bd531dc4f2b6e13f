"""Chains of programs: which override goes where, and what becomes of a step that fails or is told to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from align.chain import Step, given, override, settings_of

ROOT = Path(__file__).parents[1]
LINE = [
    "model=hub",
    "+model.x=1",
    "models=2",
    "+ingest.seed=1",
    "++ingest.split.test=0.5",
    "~endpoint",
    "out=a.b",
]


def test_overrides_go_to_those_they_are_meant_for() -> None:
    assert given("model", overrides=LINE) == ("model=hub", "+model.x=1")
    assert given("endpoint", "out", overrides=LINE) == ("~endpoint", "out=a.b")
    assert settings_of("ingest", overrides=LINE) == ("seed=1", "split.test=0.5")
    assert settings_of("audit", overrides=LINE) == ()


@pytest.mark.parametrize(
    "value",
    [
        "a/b-c.jsonl",
        "my pics",
        "it's here",
        "a,b",
        "{x}",
        "null pics",
        "x=y",
        "$(w)",
        "null",
        "2024",
        "back\\",
    ],
)
def test_a_value_reaches_hydra_as_it_is(value: str) -> None:
    [parsed] = OverridesParser.create().parse_overrides([override("images", value)])
    assert parsed.value() == value


def test_the_command_that_is_shown_is_the_command_that_a_shell_runs() -> None:
    step = Step("ingest", ("images='my pics'", "source.map={a: b}", "out=it\\'s", "input='a\"$b'"))
    shown = str(step).replace("mohoalign ingest", f"{sys.executable} -c 'import sys; print(sys.argv[1:])'")
    said = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(list(step.overrides))


_CHAIN = """
import sys
from dataclasses import dataclass
from align import chain
class Step(chain.Step):
    command = property(lambda self: [sys.executable, "-c", *self.overrides])
chain.run_steps([Step("first", (sys.argv[1],)), Step("second", ("print('came to the second')",))])
"""


def test_a_failed_step_ends_the_chain_with_its_name() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHAIN, "raise SystemExit(3)"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1
    assert "first ended with status 3" in done.stderr
    assert "came to the second" not in done.stdout


def test_a_step_ends_with_the_chain(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    step = (
        f"import os, time, pathlib; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", _CHAIN, step], cwd=ROOT) as process:
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
