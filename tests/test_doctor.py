"""A broken check costs its own line, and a key's value is never shown."""

from __future__ import annotations

import os

import pytest

from align import doctor


def test_a_check_that_raises_is_a_finding() -> None:
    def bad() -> list[doctor.Finding]:
        raise OSError("libcudart.so: cannot open shared object file")

    (found,) = doctor._guarded("package", bad)
    assert (found.state, found.name) == (doctor.BROKEN, "package")
    assert "libcudart.so" in found.found


def test_keys_are_present_or_not_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-value")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    found = {each.name: each for each in doctor._accounts()}
    assert found["OPENAI_API_KEY"].state == doctor.OK
    assert found["ANTHROPIC_API_KEY"].state == doctor.MISSING
    assert "the-value" not in str(found)


def test_a_process_that_crashes_costs_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    crash = "import os; os._exit(3)"
    real = doctor.subprocess.run
    monkeypatch.setattr(
        doctor.subprocess, "run", lambda command, **how: real([command[0], "-c", crash], **how)
    )
    found = doctor._elsewhere(["GPU", "bf16"])
    assert [(each.name, each.state) for each in found] == [("GPU", doctor.BROKEN), ("bf16", doctor.BROKEN)]
    assert "status 3" in found[0].found


def test_nothing_here_is_broken_by_the_environment() -> None:
    assert os.cpu_count()
    assert {each.name for each in doctor._machine()} == {"cores", "memory"}
