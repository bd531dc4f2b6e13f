"""The summary of a sweep from what lies in its folder: who is best, what is said beside it, and the page."""

import base64
import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from align.records import write_json
from align.sweeping.job import State
from align.sweeping.plan import Job, Plan, write_plan
from align.sweeping.summary import summarize_sweep, write_summary

HOSTILE = "</script><script>alert(1)</script>"
OBJECTIVE = {
    "maximize": "refusal_rate - over_refusal_rate",
    "task": None,
    "report": None,
    "floor": {"figure": "answer_accuracy", "below_base": 0.02, "least": None},
}


def results(refusal: float, over: float, accuracy: float) -> dict[str, Any]:
    rates = {"refusal_rate": refusal, "over_refusal_rate": over, "answer_accuracy": accuracy}
    return {"kind": "honesty", "n": 100, "n_failed": 0, "intervals": {}} | rates


class Folder:
    """A sweep's folder, job by job."""

    def __init__(self, out: Path) -> None:
        self.out, self.jobs = out, [Job("base-0", None, (), (), ())]
        self.leave("base-0", out / "base-0", State("finished"), results(0.0, 0.0, 0.99))

    def leave(self, id: str, folder: Path, state: State, found: dict[str, Any] | None) -> None:
        write_json(folder / "state.json", asdict(state))
        if found is not None:
            write_json(folder / "benchmark" / "miniworld" / "results.json", found)

    def add(self, *words: str, state: State | None = None, found: dict[str, Any] | None = None) -> str:
        id = f"dpo-{len(self.jobs)}"
        self.jobs.append(Job(id, "dpo", words, words, (), base="base-0", label=" ".join(words)))
        self.leave(id, self.out / "jobs" / id, state or State("finished"), found)
        return id

    def summary(self, **plan: Any) -> Any:
        write_plan(
            self.out, Plan(**{"name": HOSTILE, "objective": OBJECTIVE, "jobs": tuple(self.jobs)} | plan)
        )
        return summarize_sweep(self.out)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "sweep")


def test_the_best_is_a_configuration_without_a_job_below_the_floor(folder: Folder) -> None:
    lucky = [
        folder.add("lora.r=8", f"seed={s}", found=results(r, 0.0, 0.99)) for s, r in ((0, 0.99), (1, 0.5))
    ]
    steady = [
        folder.add("lora.r=16", f"seed={s}", found=results(r, 0.0, 0.98)) for s, r in ((0, 0.8), (1, 0.9))
    ]
    folder.add("lora.r=32", "seed=0", found=results(1.0, 0.0, 0.99))
    folder.add("lora.r=32", "seed=1", found=results(1.0, 0.0, 0.96))
    folder.add("lora.r=64", "seed=0", found=results(1.0, 0.0, 0.99))
    folder.add("lora.r=64", "seed=1", state=State("failed", "training: exit status 1"))
    summary = folder.summary()
    assert summary.best.settings == {"lora.r": "16"}
    assert summary.best.mean == pytest.approx(0.85)
    assert [group.settings["lora.r"] for group in summary.configurations] == ["16", "8", "32", "64"]
    assert [group.eligible for group in summary.configurations] == [True, True, False, False]
    assert {o.job.id: o.verdict for o in summary.outcomes}[lucky[0]] == "feasible"
    assert f"jobs/{steady[1]}/" not in summary.command  # it repeats the job, and does not touch it
    assert "lora.r=16 seed=1" in summary.command
    assert any("best of 4 configurations" in note and "optimistic" in note for note in summary.notes)
    assert any("too few for a test" in note for note in summary.notes)


def test_the_front_is_what_no_other_beats_in_both(folder: Folder) -> None:
    rates = {"a": (0.9, 0.1), "b": (0.8, 0.02), "c": (0.85, 0.1), "d": (0.8, 0.05), "e": (0.5, 0.0)}
    ids = {name: folder.add(f"method={name}", found=results(*pair, 0.99)) for name, pair in rates.items()}
    assert [outcome.job.id for outcome in folder.summary().front] == [ids["e"], ids["b"], ids["a"]]


def test_a_sweep_that_still_runs_says_so_and_one_without_a_base_ranks_nothing(folder: Folder) -> None:
    folder.add("lora.r=8", found=results(0.9, 0.0, 0.99))
    folder.add("lora.r=16", state=State("training"))
    summary = folder.summary()
    assert "1 of 2 jobs are not at their end: all of this is so far" in summary.notes
    assert {o.verdict: o.reason for o in summary.outcomes}["unfinished"] == "cut off while at training"

    write_json(folder.out / "base-0" / "state.json", asdict(State("benchmark")))
    assert {o.reason for o in folder.summary().outcomes if o.objective} == {"the base is not measured yet"}
    write_json(folder.out / "base-0" / "state.json", asdict(State("failed", "no memory")))
    assert folder.summary().best is None
    assert write_summary(folder.out) == 1


def test_what_is_chosen_on_the_probe_is_reported_on_the_benchmark(folder: Folder) -> None:
    for name, declined, benchmark in (("a", 3, 0.5), ("b", 1, 0.9)):
        id = folder.add(f"method={name}", found=results(benchmark, 0.0, 0.99))
        fields = {"step": 5, "image": "i.png", "question": "?", "grader": "g", "response": "x"}
        rows = [fields | {"question_id": f"q{i}", "category": "False_Premises"} for i in range(4)]
        rows = [row | {"state": "abstain" if i < declined else "answer"} for i, row in enumerate(rows)]
        rows += [fields | {"question_id": "p", "category": "Answerable", "state": "answer", "correct": True}]
        run = folder.out / "jobs" / id / "train"
        run.mkdir()
        (run / "probe.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert folder.summary().best.settings == {"method": "b"}
    chosen = folder.summary(objective=OBJECTIVE | {"task": "probe"})
    assert chosen.best.settings == {"method": "a"}
    assert chosen.best.mean == 0.75
    assert chosen.outcomes[0].shown(chosen.task)["refusal_rate"] == 0.5
    assert "chosen on the last probe of training, reported on miniworld" in " ".join(chosen.notes)
    assert not any("optimistic" in note for note in chosen.notes)

    missing = folder.summary(objective=OBJECTIVE | {"task": "miniworld", "report": "other"})
    assert {o.reason for o in missing.outcomes} == {
        "objective: objective.report: there are no results of the task other"
    }


def test_words_and_logs_are_hostile_text(folder: Folder) -> None:
    folder.add(f"method={HOSTILE}", f"lora.r='{HOSTILE}'", found=results(0.9, 0.0, 0.99))
    folder.add("method==1+1", "lora.r=8", found=results(0.7, 0.1, 0.9))
    folder.add(
        "method=c", "lora.r=4", state=State("failed", HOSTILE, "jobs/x/train.log", (HOSTILE, "\u202e"))
    )
    folder.summary(command=(HOSTILE,))
    assert write_summary(folder.out) == 1
    page = (folder.out / "summary.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    assert "alert(1)" not in "".join(scripts)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in page
    assert page.count("<script") == 2
    assert "\u202e" not in page
    assert "⟦U+202E⟧" in page
    assert "http" not in re.sub(r"http-equiv", "", page)  # nothing is fetched
    lines = (folder.out / "summary.md").read_text().splitlines()
    assert not any("<script" in line.replace("\\<", "") for line in lines if not line.startswith("    "))
    assert ",'=1+1," in (folder.out / "summary.csv").read_text()
    found = json.loads((folder.out / "summary.json").read_text())
    assert found["counts"] == {"feasible": 1, "infeasible": 1, "failed": 1}
    assert found["jobs"][2]["tail"][0] == HOSTILE


def test_a_search_over_numbers_has_a_scale_and_not_a_list(folder: Folder) -> None:
    for i in range(12):
        rate = 1e-5 * 2**i
        folder.add(f"trainer.learning_rate={rate}", found=results(0.5 + i / 30, 0.0, 0.99))
    folder.add("trainer.learning_rate=1e-3", state=State("pruned", "at step 5 it is 0.1, below the median"))
    folder.summary(search={"kind": "optuna"})
    assert write_summary(folder.out) == 0
    page = (folder.out / "summary.html").read_text()
    assert "at step 5 it is 0.1, below the median" in page
    assert page.count('class="dot-job feasible"') == 12
    assert ">0.000453<" in page  # the middle of a logarithmic scale from 1e-5 to 0.02048
    assert any(
        "favours lucky trials" in note
        for note in json.loads((folder.out / "summary.json").read_text())["notes"]
    )
