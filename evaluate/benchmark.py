"""Benchmark a model, with or without an adapter, on one task.

    python evaluate/benchmark.py out=runs/base                              the embedded model and task
    python evaluate/benchmark.py adapter=runs/dpo/adapter out=runs/tuned    with an adapter
    python evaluate/benchmark.py --help                                     your own model and questions

Leaves in the folder: samples.jsonl (every graded response), results.json (rates with 95 % intervals),
run.json, and logs/, which `inspect view --log-dir FOLDER/logs` opens with the images. A run that was cut off
goes on with the same command.
"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig
from rich.console import Console

from align.evaluation.adapter_check import InactiveAdapterError
from align.evaluation.benchmark import (
    BenchmarkError,
    Subject,
    claim_folder,
    collect,
    configuration,
    finished,
    make_task,
    run,
    write_results,
)
from align.evaluation.progress import progress_bar
from align.evaluation.summary_table import failures, results_table
from align.records import DataError
from align.run import run_folder, to_plain, write_run_json


@hydra.main(version_base="1.3", config_path="../configs", config_name="benchmark")
def main(cfg: DictConfig) -> None:
    config, folder, console = to_plain(cfg), run_folder(), Console()
    subject = Subject(**config["model"] | {"adapter": config["adapter"]}, **config["decoding"])
    try:
        task = make_task(config["task"])
        claim_folder(folder, configuration(cfg.task.name, task, subject))
        graded = finished(folder)
        if graded is None:
            with progress_bar(console, subject.name, total=len(task.dataset)):
                log = run(
                    folder,
                    task,
                    subject,
                    batch_size=cfg.batch_size,
                    device=cfg.device,
                    log_images=cfg.log_images,
                )
            graded = collect(task, log)
            write_run_json(
                folder,
                config=cfg,
                seeds=cfg.decoding.seed,
                inputs={"questions": task.metadata["questions"]},
                digests={"model": subject.digest},
            )
        summary = write_results(folder, cfg.task.name, task, subject, graded)
    except (BenchmarkError, DataError, InactiveAdapterError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from error

    console.print(results_table(summary))
    console.print(str(folder), markup=False, highlight=False, soft_wrap=True)
    failed = failures(graded, str(folder / "samples.jsonl"))
    for line in failed:
        console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    if failed and not cfg.allow_failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
