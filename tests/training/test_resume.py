"""Where a stopped run goes on, and when a new one would overwrite an old one."""

from pathlib import Path

import pytest
import torch

from align.training.resume import held, keep_start, last_whole_checkpoint, start_or_resume


def checkpoint(
    folder: Path,
    step: int,
    state: str | None = '{"global_step": 1}',
    states: tuple[str, ...] = ("rng_state.pth",),
) -> Path:
    path = folder / "checkpoints" / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if state is not None:
        (path / "trainer_state.json").write_text(state)
    for name in states:
        torch.save({}, path / name)
    return path


def test_the_newest_whole_checkpoint_is_taken(tmp_path: Path) -> None:
    assert last_whole_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 101, state=None)  # killed before the state was written
    checkpoint(tmp_path, 102, state='{"global_step": 10')  # killed while it was written
    (tmp_path / "checkpoints" / "checkpoint-notes").mkdir()
    assert last_whole_checkpoint(tmp_path) == newest
    assert start_or_resume(tmp_path, resume=True) == str(newest)


def test_a_checkpoint_waits_for_every_process(tmp_path: Path) -> None:
    both = checkpoint(tmp_path, 2, states=("rng_state_0.pth", "rng_state_1.pth"))
    checkpoint(tmp_path, 4, states=("rng_state_0.pth",))  # killed before the other process had written
    torn = checkpoint(tmp_path, 6, states=("rng_state_0.pth", "rng_state_1.pth")) / "rng_state_1.pth"
    torn.write_bytes(torn.read_bytes()[:-10])  # killed while it wrote
    assert last_whole_checkpoint(tmp_path, processes=2) == both
    assert start_or_resume(tmp_path, resume=True, processes=2) == str(both)
    assert last_whole_checkpoint(tmp_path) is None


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path: Path) -> None:
    checkpoint(tmp_path, 2, state=None)
    assert start_or_resume(tmp_path, resume=True) is None


@pytest.mark.parametrize("left", ["checkpoints", "adapter"])
def test_an_earlier_run_is_not_overwritten(tmp_path: Path, left: str) -> None:
    assert start_or_resume(tmp_path, resume=False) is None
    (tmp_path / left).mkdir()
    with pytest.raises(ValueError, match=r"holds an earlier run\. Give resume=true"):
        start_or_resume(tmp_path, resume=False)
    assert start_or_resume(tmp_path, resume=False, check=False) is None


def test_a_run_is_resumed_with_what_it_started_with(tmp_path: Path) -> None:
    facts = {"model": "ab", "rows": "cd", "trainer": {"betas": (0.9, 0.99), "lr": 1e-3, "save_steps": 50}}
    keep_start(tmp_path, facts, resume=False)
    keep_start(tmp_path, facts | {"trainer": facts["trainer"] | {"save_steps": 10}}, resume=True)
    with pytest.raises(
        ValueError, match=r"model was 'ab' and is 'ef'; trainer\.lr was 0\.001 and is 0\.1\. Give"
    ):
        keep_start(
            tmp_path, {"model": "ef", "rows": "cd", "trainer": facts["trainer"] | {"lr": 0.1}}, resume=True
        )
    with pytest.raises(ValueError, match="extra was None and is 1"):
        keep_start(tmp_path, facts | {"extra": 1}, resume=True)
    keep_start(tmp_path, facts | {"extra": 1}, resume=True, check=False)


def test_a_run_that_died_before_it_was_recorded_can_be_resumed(tmp_path: Path) -> None:
    keep_start(tmp_path, {"model": "ab"}, resume=True)
    with pytest.raises(ValueError, match="model was"):
        keep_start(tmp_path, {"model": "cd"}, resume=True)


def test_two_programs_do_not_train_in_one_folder(tmp_path: Path) -> None:
    with held(tmp_path):
        with pytest.raises(ValueError, match="another program trains in"), held(tmp_path):
            pass
        with held(tmp_path, hold=False):  # the other processes of the launch
            pass
    with held(tmp_path):  # free again
        pass
