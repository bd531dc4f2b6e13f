"""The terminal shows the figures that matter, and counts rows by the time that training took."""

from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from align.training import pace
from align.training.console import ConsoleProgress, peak_memory_mib


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setenv("RANK", "0")
    return now


def started(step: int = 0) -> tuple[ConsoleProgress, Any, Any]:
    progress = ConsoleProgress("pairs")
    state = SimpleNamespace(global_step=step, max_steps=40, is_world_process_zero=True)
    args = SimpleNamespace(
        train_batch_size=4, gradient_accumulation_steps=2, world_size=3, device=torch.device("cpu")
    )
    progress.on_train_begin(args, state, None)
    return progress, args, state


def test_a_line_has_the_figures_that_matter(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress, args, state = started(step=10)
    state.global_step, clock[0] = 20, 112.0
    logs = {"loss": 0.51234, "rewards/accuracies": 0.75, "rewards/margins": 1.25, "learning_rate": 1e-5}
    progress.on_log(args, state, None, logs=logs)
    line = capsys.readouterr().out
    assert line.startswith(
        "step    20/40  loss 0.512  accuracy 0.75  margin 1.25  lr 1.00e-05  20 pairs/s  memory "
    )
    assert line.endswith(" GiB\n")


def test_the_time_of_probes_does_not_slow_the_pairs_down(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress, args, state = started()
    state.global_step, clock[0] = 10, 119.0
    probed = {"probe/refusal_rate": 0.875, "probe/over_refusal_rate": 0.0625, "probe/answer_accuracy": 0.5}
    progress.on_log(args, state, None, logs=probed | {"probe/honesty": 0.8125, "probe/seconds": 7.0})
    assert capsys.readouterr().out == (
        "step    10/40  probe: refusal 0.88  over-refusal 0.06  answers right 0.50  honesty 0.81\n"
    )
    progress.on_log(args, state, None, logs={"loss": 1.0})
    assert "  20 pairs/s  " in capsys.readouterr().out
    progress.on_log(args, state, None, logs={"train_runtime": 12.0, "loss": 1.0})
    progress.on_log(args, state, None, logs={"grad_norm": 1.0})
    assert capsys.readouterr().out == ""


def test_the_bar_carries_the_latest_figures(clock: list[float]) -> None:
    progress, args, state = started()
    shown: list[str] = []
    progress.bar = SimpleNamespace(set_postfix_str=shown.append)  # type: ignore[assignment]
    state.global_step, clock[0] = 10, 112.0
    progress.on_log(args, state, None, logs={"loss": 0.5, "rewards/margins": 2.0, "learning_rate": 0.1})
    progress.on_log(args, state, None, logs={"probe/refusal_rate": 1.0, "probe/over_refusal_rate": 0.25})
    words = shown[-1].split("  ")
    assert words[:3] == ["loss 0.5", "margin 2", "20 pairs/s"]
    assert words[3].startswith("memory ")
    assert words[4:] == ["refusal 1.00", "over-refusal 0.25"]


def test_other_processes_say_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress, args, state = started()
    state.is_world_process_zero = False
    progress.on_log(args, state, None, logs={"loss": 0.5})
    assert capsys.readouterr().out == ""


def test_peak_memory_is_in_mebibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = psutil.Process().memory_info().rss / 2**20
    assert 0.9 * now < peak_memory_mib("cpu") < psutil.virtual_memory().total / 2**20
    asked = []
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: asked.append(device) or 3 * 2**20)
    assert peak_memory_mib("cuda:1") == 3
    assert asked == [torch.device("cuda:1")]
