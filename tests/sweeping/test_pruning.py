"""A job that looks bad is ended: what the search says of its probes, and what becomes of its processes."""

import json
import sys
import time
from pathlib import Path

import optuna
import pytest

from align.sweeping.guard import marked
from align.sweeping.plan import Plan
from align.sweeping.running import run_guarded
from align.sweeping.search import open_study, pruner

SEARCH = {"seed": 0, "prune": {"by": "refusal_rate", "trials": 2, "steps": 6}}


@pytest.mark.parametrize(("declined", "pruned"), [(1, True), (3, False)])
def test_a_probe_below_the_median_of_earlier_jobs_prunes(tmp_path: Path, declined: int, pruned: bool) -> None:
    study = open_study(tmp_path, SEARCH)
    for value in (0.4, 0.6):
        trial = study.ask()
        for step in (5, 10):
            trial.report(value, step)
        study.tell(trial, value)
    number = study.ask().number
    watch = pruner(tmp_path, Plan("sweep", search=SEARCH), number)  # as another process would
    assert watch(tmp_path) is None

    def probe(step: int, count: int) -> None:
        with (tmp_path / "probe.jsonl").open("a") as stream:
            for i in range(4):
                row = {"step": step, "question_id": f"q{i}", "image": "i.png", "question": "?", "grader": "g"}
                row |= {"category": "False_Premises", "response": "x"}
                stream.write(json.dumps(row | {"state": "abstain" if i < count else "answer"}) + "\n")

    probe(0, 0)
    probe(5, 0)
    assert watch(tmp_path) is None  # before the first step, and in the steps without pruning
    probe(10, declined)
    why = watch(tmp_path)
    assert (why is not None) == pruned
    if pruned:
        assert why == "at step 10 refusal_rate is 0.25, below the median of earlier jobs there"
    told = study.get_trials()[number].intermediate_values
    assert told == {5: 0.0, 10: declined / 4}
    assert study.get_trials()[number].state == optuna.trial.TrialState.RUNNING


def test_a_command_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    child = "import subprocess, sys, time; print('here', flush=True); "
    child += "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)"
    log, mark = tmp_path / "log", str(tmp_path)
    started = time.monotonic()
    ended = run_guarded(
        [sys.executable, "-c", child],
        log=log,
        mark=mark,
        watch=lambda: "enough" if "here" in log.read_text().split("\n", 1)[1] else None,
        every=0.1,
    )
    assert ended.stopped == "enough"
    assert ended.status < 0
    assert time.monotonic() - started < 300
    assert [p for p in marked(mark) if p.status() != "zombie"] == []
