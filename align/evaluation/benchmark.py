"""One task of a benchmark run as a folder: what was asked for, Inspect's log, graded samples and results.

A folder belongs to one configuration: another is refused, so that results are never mixed. Responses are
kept by the subject's cache as they come, so a run that was cut off asks nothing twice, and what failed is
asked again.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, EvalSampleSummary, read_eval_log_sample, read_eval_log_sample_summaries
from inspect_ai.model import Model

from align.evaluation.general.figures import clusters_of
from align.evaluation.kinds import BenchmarkTask, Row
from align.evaluation.response_facts import Facts, read_facts, summarize_facts
from align.evaluation.scorers import is_whole
from align.evaluation.subject import Subject
from align.records import read_records, write_json, write_records
from align.run import files_digest

# Inspect loads every package that has tasks for it, and this one says at each start what it could do besides.
logging.getLogger("inspect_evals").setLevel(logging.WARNING)

CONFIGURATION, SAMPLES, RESULTS, LOGS = "configuration.json", "samples.jsonl", "results.json", "logs"
HOW_MADE = ("images", "responses", "judging")
"""What results.json says of how its rows came about: it is kept when a finished task is read again."""

_FLUSHES = 20
"""Each flush copies the whole log: their number is bounded, or it would take longer than the model does."""


class BenchmarkError(Exception):
    """The benchmark cannot be run, or has not come to its end; the message says what to do."""


def configuration(benchmark: BenchmarkTask, subject: Subject, judge: str | None) -> dict[str, Any]:
    """Everything that can change a result: two runs are the same exactly when this is.

    `judge` is the digest of the judge, None where only the task's own grader is at work.
    """
    return {
        "task": benchmark.name,
        "questions": benchmark.digest,
        "n": len(benchmark.task.dataset),
        "grader": benchmark.grader,
        "judge": judge,
        **subject.describe(),
    }


def claim_folder(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Make `folder` that of this configuration.

    Raises `BenchmarkError` if it is another's: the message names what differs.
    """
    wanted = json.loads(json.dumps(wanted))  # as it is read back: a tuple is a list there
    file = folder / CONFIGURATION
    if not file.exists():
        taken = [name for name in (SAMPLES, RESULTS, LOGS) if (folder / name).exists()]
        if taken:
            raise BenchmarkError(
                f"{folder} holds {', '.join(taken)} of unknown configuration ({CONFIGURATION} is missing): "
                "choose another out=, or remove them"
            )
        write_json(file, wanted)
        return
    found = json.loads(file.read_text(encoding="utf-8"))
    different = [
        f"{name} is {found.get(name)!r} there and {wanted.get(name)!r} now"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if different:
        raise BenchmarkError(
            f"{folder} holds results of another configuration: {'; '.join(different)}. Choose another out=, "
            "or remove the folder"
        )


def finished(folder: Path, benchmark: BenchmarkTask) -> tuple[list[Row], dict[str, Any]] | None:
    """The graded rows of a task that came to its end, and what `results.json` says of how they came about.

    None where the task is unfinished, where a row has an error, and where an image is no longer what it was:
    the cache has the responses to the others, so only the questions about that image are asked again.
    """
    if not (folder / RESULTS).exists():
        return None
    results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    made = {name: results.get(name) for name in HOW_MADE}
    rows: list[Row] = read_records(folder / SAMPLES, benchmark.row)
    if any(row.error for row in rows) or made["images"] != images_digest(benchmark):
        return None
    return rows, made


def images_digest(benchmark: BenchmarkTask) -> str:
    """Of the images that the task's questions are about: their names and their content."""
    return files_digest(benchmark.data_root, benchmark.images)


def respond(
    folder: Path, benchmark: BenchmarkTask, subject: Subject, model: Model, *, log_images: bool = True
) -> tuple[list[Row], dict[str, Any]]:
    """Ask the model every question of the task.

    Returns one graded row each, failed ones included, and how they came about: `images`, the digest of the
    images, and `responses`, see `response_facts.summarize_facts`.

    Raises `BenchmarkError` if Inspect stops before the end.
    """
    images = images_digest(benchmark)  # before: of an image that changes meanwhile it must be the old one
    log = run_task(benchmark.task, subject, model, folder / LOGS, log_images=log_images)
    file = _local(log.location)
    for other in (folder / LOGS).glob("*.eval"):
        if other.resolve() != file.resolve():
            other.unlink()  # of an attempt that was cut off: its responses are in the cache
    rows, facts = collect(benchmark, file)
    responses = summarize_facts(
        facts, clusters_of(rows), limit=subject.generate_config()["max_tokens"], dollars=subject.dollars
    )
    return rows, {"images": images, "responses": responses}


def run_task(task: Task, subject: Subject, model: Model, logs: Path, *, log_images: bool) -> EvalLog:
    """Let Inspect ask the model all of a task's samples, and write a log into the folder `logs`.

    Raises `BenchmarkError` if Inspect stops before the end.
    """
    with _two_at_work():
        log = eval(
            task,
            model=model,
            display="none",
            log_dir=str(logs),
            max_samples=subject.max_connections,
            max_connections=subject.max_connections,
            # A sample that fails is recorded as failed; the others go on.
            fail_on_error=False,
            log_buffer=max(subject.max_connections, len(task.dataset) // _FLUSHES),
            log_images=log_images,
            # Both cost a third of the time of a small model's run, and serve a viewer that watches it live.
            log_realtime=False,
            score_display=False,
            log_model_api=False,
            ctl_server=False,
            **subject.generate_config(),
        )[0]
    if log.status != "success":
        reason = log.error.message if log.error else f"Inspect's log has the status {log.status!r}"
        raise BenchmarkError(
            f"the run stopped before its end ({reason}): the same command goes on from there"
        )
    return log


def collect(benchmark: BenchmarkTask, log: Path) -> tuple[list[Row], list[Facts | None]]:
    """The log as graded rows, one for each sample of the task, failed ones included, and the facts of each.

    A row without a response has no facts.
    """
    summaries = {str(summary.id): summary for summary in read_eval_log_sample_summaries(str(log))}
    found = [_row(benchmark, sample, summaries.get(str(sample.id)), log) for sample in benchmark.task.dataset]
    return [row for row, _ in found], [facts for _, facts in found]


def write_results(
    folder: Path,
    benchmark: BenchmarkTask,
    subject: Subject,
    rows: Sequence[Row],
    *,
    images: str,
    responses: Mapping[str, Any],
    judging: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `samples.jsonl`, then `results.json`, whose existence means that the task is complete.

    `images` and `responses` are as `respond` gives them; `judging` is what each judge's calls took.
    """
    summary = {
        "task": benchmark.name,
        "kind": benchmark.kind,
        "model": subject.identity(),
        "data_root": benchmark.data_root,
        "images": images,
        "responses": responses,
        "judging": judging,
        **benchmark.summarize(rows),
    }
    write_records(folder / SAMPLES, rows)
    write_json(folder / RESULTS, summary)
    return summary


def _row(
    benchmark: BenchmarkTask, sample: Sample, summary: EvalSampleSummary | None, log: Path
) -> tuple[Row, Facts | None]:
    if summary is not None and summary.error is None and summary.scores:
        [score] = summary.scores.values()
        facts = read_facts(score.metadata or {})
        if is_whole(score):
            return benchmark.read(score), facts
        whole = read_eval_log_sample(str(log), summary.id)
        return benchmark.read(next(iter((whole.scores or {}).values()))), facts
    missing = "the sample is not in the log" if summary is None else "the sample has no score"
    return benchmark.failed(sample, (summary.error if summary is not None else None) or missing), None


def _local(uri: str) -> Path:
    return Path(url2pathname(urlparse(uri).path)) if uri.startswith("file:") else Path(uri)


@contextmanager
def _two_at_work() -> Iterator[None]:
    """Let Inspect's event loop and the model's thread run side by side.

    Measured on two busy cores, 2,400 questions to the embedded model: 40 s instead of 60 s and more.
    Inspect keeps many small objects alive, which the garbage collector goes through again and again. A
    model's thread that comes back from an operator waits for the interpreter for up to a switch interval,
    which is longer than a small model's operators take. And torch takes every core, the loop's too.
    """
    thresholds, interval, threads = gc.get_threshold(), sys.getswitchinterval(), torch.get_num_threads()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    sys.setswitchinterval(0.0005)
    torch.set_num_threads(max(1, threads - 1))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
