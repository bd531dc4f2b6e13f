"""recipes/sweep.py as a user runs it, with stand-ins for the recipes and the benchmark."""

import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.program


def test_a_grid_is_run_recorded_and_summed_up_and_a_larger_one_runs_only_what_is_new(sweeps: Any) -> None:
    said = sweeps.run("-m", "method=dpo,simpo", "lora.r=8", "seed=0,1", "tracking=none")
    assert "1 job in" in said  # the base
    assert "4 jobs in" in said
    assert "method=simpo is best" in said
    methods = [next(w for w in start["words"] if w.startswith("method")) for start in sweeps.starts()]
    assert sorted(methods) == ["method=dpo"] * 2 + ["method=simpo"] * 2
    asked = sweeps.benchmarks()
    assert sum(not any(word.startswith("adapter=") for word in words) for words in asked) == 1
    assert len({word for words in asked for word in words if word.startswith("cache=")}) == 1
    found = sweeps.summary()
    assert found["counts"] == {"feasible": 4}
    assert found["axes"] == ["method", "seed"]
    [best] = [group for group in found["configurations"] if group["settings"] == found["best"]["settings"]]
    assert best["mean"] == pytest.approx(0.6 + 0.005 - 0.05)  # over two seeds
    assert best["sd"] == pytest.approx(0.01 / 2**0.5)
    assert {level["value"]: level["mean"] for level in found["effects"]["method"]} == {
        "dpo": pytest.approx(0.455),
        "simpo": pytest.approx(0.555),
    }
    assert any("optimistic" in note for note in found["notes"])

    said = sweeps.run("-m", "method=dpo,simpo", "lora.r=8", "seed=0,1,2", "tracking=none")
    assert "4 of 6 jobs are done already" in said
    assert len(sweeps.starts()) == 6
    assert len(sweeps.benchmarks()) == 7
    against = sweeps.summary()["best_against_next"]
    assert against["best"] == "method=simpo"
    assert against["tests"]["refusal_rate"]["p_crossed"] is not None  # three seeds are enough for it
    csv = (sweeps.out / "summary.csv").read_text().splitlines()
    assert len(csv) == 7
    assert csv[0].startswith("rank,job,method,seed,state,objective,above_floor,refusal_rate")

    said = sweeps.run("-m", "method=dpo,simpo", "benchmark.batch_size=4", expect=1)
    assert "holds a sweep with benchmark as it comes, and this one has batch_size=4" in said


def test_jobs_that_die_are_recorded_and_the_others_go_on(sweeps: Any) -> None:
    words = ("-m", "+fault=exception,memory,once,figure,rows,none", "tracking=none")
    said = sweeps.run(*words, expect=1)
    jobs = sweeps.jobs()
    by_fault = {next(w for w in words.split() if "fault" in w)[7:]: job for words, job in jobs.items()}
    assert by_fault["none"]["state"] == "feasible"
    assert by_fault["exception"]["reason"] == "training: exit status 1"
    assert by_fault["exception"]["tail"][-1] == "ValueError: the loss is not finite"
    assert "SIGKILL" in by_fault["memory"]["reason"]
    assert by_fault["memory"]["tail"][-1] == "step 3"
    assert by_fault["figure"]["state"] == by_fault["rows"]["state"] == "failed"
    assert "no figure refusal_rate" in by_fault["figure"]["reason"]
    assert "3 of 20 questions of miniworld have no response" in by_fault["rows"]["reason"]
    assert by_fault["figure"]["objective"] is by_fault["rows"]["objective"] is None
    assert "failed: +fault=exception: training: exit status 1 (" in said
    page = (sweeps.out / "summary.html").read_text()
    assert "ValueError: the loss is not finite" in page

    # Again: what failed is tried once more, from its checkpoint; what is done is left.
    sweeps.run(*words, expect=1)
    once = next(job for words, job in sweeps.jobs().items() if "fault=once" in words)
    assert once["state"] == "feasible"
    first, second = sweeps.starts(once["job"])
    assert "resume=false" in first["words"]
    assert "resume=true" in second["words"]
    assert len(sweeps.starts(by_fault["none"]["job"])) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_is_stopped_leaves_nothing_running_and_goes_on(
    sweeps: Any, wait_for: Callable[..., Any], number: signal.Signals
) -> None:
    words = ("-m", "seed=0,1", "tracking=none")
    sweep = sweeps.start(*words, pace=60)
    wait_for(lambda: list(sweeps.out.glob("jobs/*/train/checkpoint.json")))
    started = psutil.Process(sweep.pid).children(recursive=True)
    assert len(started) == 2  # a guard and the recipe
    sweep.send_signal(number)
    assert sweep.wait(60) in (143, -signal.SIGKILL)
    wait_for(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in started))
    assert len(sweeps.starts()) == 1

    said = sweeps.run("summarize=" + str(sweeps.out))
    assert "2 of 2 jobs are not at their end" in said
    assert sweeps.summary()["best"] is None
    sweeps.run(*words)
    first, again, other = (start["words"] for start in sweeps.starts())
    assert sum("resume=true" in start for start in (first, again, other)) == 1
    assert sweeps.summary()["counts"] == {"feasible": 2}
    assert len(sweeps.benchmarks()) == 3


def test_workers_that_a_dead_launcher_left_are_ended(sweeps: Any, wait_for: Callable[..., Any]) -> None:
    sweeps.run("+fault=worker", "+wait=0.5", "tracking=none", expect=1)
    [file] = sweeps.out.glob("jobs/*/train/worker.pid")
    worker = int(file.read_text())  # may wait to be buried by its new parent
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE


def test_a_command_that_is_wrong_ends_with_a_message_and_starts_nothing(sweeps: Any) -> None:
    said = sweeps.run("-m", "lora.rank=8,16", expect=1)
    assert "dpo does not take lora.rank=8" in said
    assert "Traceback" not in said
    assert not (sweeps.out / "sweep.json").exists()


def test_a_base_that_fails_costs_no_training_and_a_wrong_word_of_the_benchmark_neither(sweeps: Any) -> None:
    words = ("-m", "seed=0,1", "tracking=none")
    said = sweeps.run(*words, "benchmark.batch_size=0", expect=1)
    assert "was not benchmarked (the benchmark: exit status 1" in said
    assert sweeps.starts() == []
    sweeps.run(*words, "benchmark.batch_size=0", "objective.floor=null", expect=1)  # nothing hangs on it
    assert len(sweeps.starts()) == 2
    assert sweeps.summary()["counts"] == {"failed": 2}

    sweeps.run(*words, "benchmark.batch_size=4")
    assert len(sweeps.starts()) == 2  # what was trained is kept
    assert sweeps.summary()["counts"] == {"feasible": 2}
    assert len(sweeps.summary()["base"]) == 1


def test_jobs_side_by_side_have_a_gpu_each_and_the_users_own_configurations(sweeps: Any) -> None:
    mine = sweeps.folder / "my configs"
    (mine / "method").mkdir(parents=True)
    own = (sweeps.home / "configs" / "method" / "dpo.yaml").read_text()
    (mine / "method" / "mine.yaml").write_text(own)
    words = ("--config-dir", "my configs", "method=mine", "seed=0,1", "+meet=2", "tracking=none")
    sweeps.run(*words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "gpus=[0,1]")
    starts = sweeps.starts()
    assert sorted(start["gpu"] for start in starts) == ["0", "1"]
    for program in (*(start["words"] for start in starts), *sweeps.benchmarks()):
        assert f"--config-dir={mine}" in program
    assert sweeps.summary()["counts"] == {"feasible": 2}


SEARCH = ("search=optuna", "search.trials=5", "search.prune.trials=9", "tracking=none")


def test_a_search_goes_on_with_what_it_knows(sweeps: Any, wait_for: Callable[..., Any]) -> None:
    words = (*SEARCH, "trainer.learning_rate=interval(0.1,0.9)", "method=choice(dpo,simpo,orpo)")
    sweep = sweeps.start(*words, pace=0.4)
    wait_for(lambda: len(list(sweeps.out.glob("jobs/*/benchmark/run.json"))) > 1)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    before = len(sweeps.starts())

    sweeps.run(*words)
    found = sweeps.summary()
    assert len(found["jobs"]) == 5
    assert before < len(sweeps.starts()) <= 6  # one of them may have gone on
    for job in found["jobs"]:
        if job["method"] == "orpo" and job["objective"] is not None:
            assert job["state"] == "infeasible"
    assert found["best"]["settings"]["method"] in ("dpo", "simpo")


def test_a_search_over_models_compares_each_with_its_own_base(sweeps: Any) -> None:
    words = ("search=optuna", "search.trials=4", "search.parallel=2", "search.prune=null", "tracking=none")
    sweeps.run(*words, "model.revision=choice(a,b)", "trainer.learning_rate=interval(0.1,0.9)")
    found = sweeps.summary()
    assert {job["model.revision"] for job in found["jobs"]} == {"a", "b"}
    assert found["counts"] == {"feasible": 4}
    assert [base["status"] for base in found["base"]] == ["finished"] * 2

    said = sweeps.run(*words, "model.revision=choice(a,b,c)", "trainer.learning_rate=0.5", expect=1)
    assert "holds a search over model.revision=a,b trainer.learning_rate=interval(0.1,0.9), and this" in said
