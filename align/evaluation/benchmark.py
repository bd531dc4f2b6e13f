"""A benchmark run as a folder: what was asked for, Inspect's log, graded samples and results.

A folder belongs to one configuration. A run that was cut off goes on from its log, and what failed is
tried again; another configuration is refused, so that results are never mixed.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
import transformers
from inspect_ai import Task, eval, eval_retry
from inspect_ai.log import (
    EvalSampleSummary,
    list_eval_logs,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
)

from align.evaluation.batching import WAITING_BATCHES
from align.evaluation.metrics import summarize_groups
from align.evaluation.scorers import graded_of, graded_record, grader_digest, is_whole, question_of
from align.evaluation.tasks import miniworld, mohobench
from align.models.loading import reference_digest
from align.records import Graded, Question, read_records, stable_id, write_json, write_records

logger = logging.getLogger(__name__)

TASKS: dict[str, Callable[..., Task]] = {"miniworld": miniworld, "mohobench": mohobench}

CONFIGURATION, SAMPLES, RESULTS, LOGS = "configuration.json", "samples.jsonl", "results.json", "logs"

_FLUSHES = 20
"""Each flush copies the whole log, so their number is bounded: a killed run loses at most a twentieth."""


class BenchmarkError(Exception):
    """The benchmark cannot be run, or has not come to its end; the message says what to do."""


@dataclass(frozen=True)
class Subject:
    """The model that is benchmarked, and how it decodes."""

    name: str
    adapter: str | None
    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int
    dtype: str = "auto"
    attn_implementation: str | None = None
    trust_remote_code: bool = False
    revision: str | None = None
    parts: Mapping[str, Sequence[str]] | None = None
    quantization: str | None = None
    max_pixels: int | None = None

    @cached_property
    def digest(self) -> str:
        return reference_digest(self.name, self.adapter, revision=self.revision)


def make_task(settings: Mapping[str, Any]) -> Task:
    """The Inspect task of a `task` config: its `name`, and the task's own arguments beside it."""
    arguments = dict(settings)
    name = arguments.pop("name")
    if name not in TASKS:
        raise BenchmarkError(f"task.name is {name!r}: choose from {', '.join(TASKS)}")
    return TASKS[name](**arguments)


def configuration(task_name: str, task: Task, subject: Subject) -> dict[str, Any]:
    """Everything that can change a result: two runs are the same exactly when this is."""
    return {
        "task": task_name,
        "questions": stable_id(*sorted(s.metadata["record"] for s in task.dataset if s.metadata)),
        "n": len(task.dataset),
        "grader": grader_digest(),
        "model": subject.name,
        "model_digest": subject.digest,
        "dtype": subject.dtype,
        "attn_implementation": subject.attn_implementation,
        "quantization": subject.quantization,
        "max_pixels": subject.max_pixels,
        "max_new_tokens": subject.max_new_tokens,
        "temperature": subject.temperature,
        "top_p": subject.top_p,
        "seed": subject.seed if subject.temperature > 0 else None,
    }


def claim_folder(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Make `folder` that of this configuration.

    Raises `BenchmarkError` if it is another's: the message names what differs.
    """
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


def finished(folder: Path) -> list[Graded] | None:
    """The graded rows of a run that came to its end with no failed row, else None."""
    if not (folder / RESULTS).exists():
        return None
    graded = read_records(folder / SAMPLES, Graded)
    return None if any(row.state == "failed" for row in graded) else graded


def run(
    folder: Path,
    task: Task,
    subject: Subject,
    *,
    batch_size: int,
    device: str = "auto",
    log_images: bool = True,
) -> Path:
    """Run the task, or go on with the run that `folder/logs` holds. Returns the file of the finished log.

    Raises `BenchmarkError` if Inspect stops before the end, and what loading the model raises.
    """
    model_args = {
        "adapter": subject.adapter,
        "batch_size": batch_size,
        "dtype": subject.dtype,
        "device": device,
        "attn_implementation": subject.attn_implementation,
        "trust_remote_code": subject.trust_remote_code,
        "revision": subject.revision,
        "parts": subject.parts,
        "quantization": subject.quantization,
        "max_pixels": subject.max_pixels,
    }
    how: dict[str, Any] = {
        "log_dir": str(folder / LOGS),
        "max_samples": WAITING_BATCHES * batch_size,
        "max_connections": WAITING_BATCHES * batch_size,
        # A sample that fails is recorded as failed; the others go on.
        "fail_on_error": False,
        "log_buffer": max(batch_size, len(task.dataset) // _FLUSHES),
        "log_images": log_images,
        # Both cost a third of the time of a small model's run, and serve a viewer that watches it live.
        "log_realtime": False,
        "score_display": False,
        "log_model_api": False,
        "ctl_server": False,
    }
    _set_aside_cut_off(folder / LOGS)
    previous = _most_complete_log(folder / LOGS)
    transformers.utils.logging.disable_progress_bar()  # there is one bar already
    with _two_at_work():
        if previous is None:
            log = eval(
                task,
                model=f"align/{subject.name}",
                model_args=model_args,
                display="none",
                max_tokens=subject.max_new_tokens,
                temperature=subject.temperature,
                top_p=subject.top_p if subject.temperature > 0 else None,
                seed=subject.seed if subject.temperature > 0 else None,
                **how,
            )[0]
        else:
            unfinished = read_eval_log(str(previous))
            # Batch size and device may change between the two parts of a run; the rest is as it was.
            unfinished.eval.model_args = model_args
            log = eval_retry(unfinished, **how)[0]
    if log.status != "success":
        reason = log.error.message if log.error else f"Inspect's log has the status {log.status!r}"
        raise BenchmarkError(
            f"the run stopped before its end ({reason}): the same command goes on from there"
        )
    finished_log = _local(log.location)
    for other in _logs(folder / LOGS):
        if other != finished_log:
            other.unlink()
    return finished_log


def collect(task: Task, log: Path) -> list[Graded]:
    """The log as graded rows, one for each question of the task, failed ones included."""
    summaries = {str(summary.id): summary for summary in read_eval_log_sample_summaries(str(log))}
    return [_graded(question_of(s.metadata or {}), summaries.get(str(s.id)), log) for s in task.dataset]


def write_results(
    folder: Path, task_name: str, task: Task, subject: Subject, graded: list[Graded]
) -> dict[str, Any]:
    """Write `samples.jsonl`, then `results.json`, whose existence means that the run is complete."""
    summary = {
        "task": task_name,
        "model": {"name": subject.name, "adapter": subject.adapter, "digest": subject.digest},
        "data_root": (task.metadata or {})["data_root"],
        **summarize_groups(graded),
    }
    write_records(folder / SAMPLES, graded)
    write_json(folder / RESULTS, summary)
    return summary


def _graded(question: Question, summary: EvalSampleSummary | None, log: Path) -> Graded:
    if summary is not None and summary.error is None and summary.scores:
        [score] = summary.scores.values()
        if is_whole(score):
            return graded_of(score)
        sample = read_eval_log_sample(str(log), summary.id)
        return graded_of(next(iter((sample.scores or {}).values())))
    missing = "the sample is not in the log" if summary is None else "the sample has no score"
    error = (summary.error if summary is not None else None) or missing
    # Inspect reads the images itself, and its error for a missing one doesn't say which.
    error = f"{question.image}: {error}"
    return graded_record(question, None, state="failed", grader="none", error=error)


def _most_complete_log(folder: Path) -> Path | None:
    def answered(log: Path) -> int:
        return sum(s.error is None and s.completed for s in read_eval_log_sample_summaries(str(log)))

    return max(_logs(folder), key=answered, default=None)


def _set_aside_cut_off(folder: Path) -> None:
    """Rename logs that a kill cut off while Inspect wrote them, so that nothing reads them again.

    Inspect rewrites the whole file at each flush; without its end no part of it can be read.
    """
    for log in folder.glob("*.eval"):
        if not zipfile.is_zipfile(log):
            aside = log.with_name(log.name + ".cut-off")
            log.rename(aside)
            logger.warning("%s was cut off while it was written; its questions are asked again", aside)


def _logs(folder: Path) -> list[Path]:
    return [_local(info.name) for info in list_eval_logs(str(folder))] if folder.is_dir() else []


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
