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
from inspect_ai import eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSampleSummary, read_eval_log_sample, read_eval_log_sample_summaries
from inspect_ai.model import Model

from align.evaluation.kinds import BenchmarkTask, Row
from align.evaluation.scorers import is_whole
from align.evaluation.subject import Subject
from align.records import read_records, write_json, write_records

# Inspect loads every package that has tasks for it, and this one says at each start what it could do besides.
logging.getLogger("inspect_evals").setLevel(logging.WARNING)

CONFIGURATION, SAMPLES, RESULTS, LOGS = "configuration.json", "samples.jsonl", "results.json", "logs"

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


def finished(folder: Path, benchmark: BenchmarkTask) -> list[Row] | None:
    """The graded rows of a task that came to its end without an error in any row, else None."""
    if not (folder / RESULTS).exists():
        return None
    rows: list[Row] = read_records(folder / SAMPLES, benchmark.row)
    return None if any(row.error for row in rows) else rows


def respond(
    folder: Path, benchmark: BenchmarkTask, subject: Subject, model: Model, *, log_images: bool = True
) -> tuple[list[Row], dict[str, int]]:
    """Ask the model every question of the task.

    Returns one graded row each, failed ones included, and what it took beyond what the cache held:
    `input_tokens` and `output_tokens`.

    Raises `BenchmarkError` if Inspect stops before the end.
    """
    with _two_at_work():
        log = eval(
            benchmark.task,
            model=model,
            display="none",
            log_dir=str(folder / LOGS),
            max_samples=subject.max_connections,
            max_connections=subject.max_connections,
            # A sample that fails is recorded as failed; the others go on.
            fail_on_error=False,
            log_buffer=max(subject.max_connections, len(benchmark.task.dataset) // _FLUSHES),
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
    file = _local(log.location)
    for other in (folder / LOGS).glob("*.eval"):
        if other.resolve() != file.resolve():
            other.unlink()  # of an attempt that was cut off: its responses are in the cache
    usage = log.stats.model_usage.values()
    return collect(benchmark, file), {
        "input_tokens": sum(each.input_tokens for each in usage),
        "output_tokens": sum(each.output_tokens for each in usage),
    }


def collect(benchmark: BenchmarkTask, log: Path) -> list[Row]:
    """The log as graded rows, one for each sample of the task, failed ones included."""
    summaries = {str(summary.id): summary for summary in read_eval_log_sample_summaries(str(log))}
    return [_row(benchmark, sample, summaries.get(str(sample.id)), log) for sample in benchmark.task.dataset]


def write_results(
    folder: Path, benchmark: BenchmarkTask, subject: Subject, rows: Sequence[Row], **more: Any
) -> dict[str, Any]:
    """Write `samples.jsonl`, then `results.json`, whose existence means that the task is complete."""
    summary = {
        "task": benchmark.name,
        "kind": benchmark.kind,
        "model": subject.identity(),
        "data_root": benchmark.data_root,
        **more,
        **benchmark.summarize(rows),
    }
    write_records(folder / SAMPLES, rows)
    write_json(folder / RESULTS, summary)
    return summary


def _row(benchmark: BenchmarkTask, sample: Sample, summary: EvalSampleSummary | None, log: Path) -> Row:
    if summary is not None and summary.error is None and summary.scores:
        [score] = summary.scores.values()
        if is_whole(score):
            return benchmark.read(score)
        whole = read_eval_log_sample(str(log), summary.id)
        return benchmark.read(next(iter((whole.scores or {}).values())))
    missing = "the sample is not in the log" if summary is None else "the sample has no score"
    return benchmark.failed(sample, (summary.error if summary is not None else None) or missing)


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
