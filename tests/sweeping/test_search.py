"""A search that goes on: what it makes of a study that an earlier one left."""

from pathlib import Path

import optuna
import pytest

from align.sweeping.objective import Objective
from align.sweeping.plan import Composer
from align.sweeping.search import Search, open_study
from align.sweeping.words import take_apart

SETTINGS = {"trials": 2, "parallel": 2, "seed": 0, "prune": None}


def test_a_trial_that_was_killed_while_it_was_drawn_is_no_trial(tmp_path: Path) -> None:
    open_study(tmp_path, SETTINGS).ask()  # RUNNING, without a value
    words = take_apart(["lora.r=8,16", "model.revision=a,b", "tracking=none"], set())
    composer = Composer(name="s", recipe=None, benchmark=())
    search = Search(tmp_path, words, SETTINGS, Objective("refusal_rate"), composer)
    trials = search.next_trials()
    assert [number for number, _, _ in trials] == [1, 2]
    for _, job, base in trials:
        assert job.settings().keys() >= {"lora.r", "model.revision"}
        assert job.base == base.id
        assert f"model.revision={job.settings()['model.revision']}" in base.benchmark
    assert [trial.state for trial in search.study.get_trials()] == [
        optuna.trial.TrialState.FAIL,
        *[optuna.trial.TrialState.RUNNING] * 2,
    ]


def test_every_value_of_the_space_is_checked_before_a_trial(tmp_path: Path) -> None:
    words = take_apart(["method=dpo,simpo,dppo", "lora.r=8,16"], set())
    composer = Composer(name="s", recipe=None, benchmark=())
    search = Search(tmp_path, words, SETTINGS, Objective("refusal_rate"), composer)
    with pytest.raises(ValueError, match="method=dppo: there are"):
        search.check()
    assert search.study.get_trials() == []
