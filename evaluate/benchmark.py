"""Benchmark a model, with or without an adapter, on one task or several.

    python evaluate/benchmark.py out=runs/base                              the embedded model and task
    python evaluate/benchmark.py adapter=runs/dpo/adapter out=runs/tuned    with an adapter
    python evaluate/benchmark.py task=[miniworld,easy_vqa,corruption]       several tasks
    python evaluate/benchmark.py --help                                     your own model, questions, judge
    accelerate launch --num_processes 8 evaluate/benchmark.py ...           on eight GPUs (docs/multi-node.md)

Leaves run.json and a folder for each task: samples.jsonl (every graded response), results.json (figures
with 95 % intervals) and logs/, which `inspect view --log-dir FOLDER/TASK/logs` opens with the images.
Responses are kept as they come: a run that was cut off goes on with the same command, and asks nothing twice.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from align.evaluation.benchmark import (
    claim_folder,
    configuration,
    finished,
    respond,
    write_results,
)
from align.evaluation.judging import judge_rows, task_judge
from align.evaluation.kinds import make_task
from align.evaluation.progress import progress_bar
from align.evaluation.response_facts import truncation_note
from align.evaluation.sharding import ask_shares, device_of_process, joined, main_first
from align.evaluation.subject import make_subject, refuse_idle_settings
from align.evaluation.summary_table import failures, headline, results_table
from align.judging.making import models_in
from align.launch import here
from align.reporting.corruption_figure import plot_corruption
from align.reporting.exports.tracked_benchmark import track_benchmark
from align.run import program, run_folder, to_plain, write_run_json
from align.tracking.tracking import Tracking
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="benchmark")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, console = to_plain(cfg), run_folder(), Console()
    cache = Path(cfg.cache or folder / "responses.sqlite")
    failed: list[str] = []
    results = {}
    try:
        tracking = Tracking(config, folder, job_type="benchmark")
        with joined(config, folder), ExitStack() as stack:
            refuse_idle_settings(config, program()["overrides"])
            subject = make_subject(config | {"device": device_of_process(config["device"])})
            with main_first():
                tasks = [make_task(name, settings) for name, settings in config["task"].items()]
            judges = {
                task.name: task_judge(
                    config.get("judge"), task, folder / task.name / "judge", seed=cfg.decoding.seed
                )
                for task in tasks
            }
            for task in tasks:
                judge = judges[task.name]
                claim_folder(folder / task.name, configuration(task, subject, judge and judge.digest))
            model = None
            if here().world > 1:
                model = ask_shares(
                    tasks, subject, folder, cache, batch=cfg.batch_size, console=console, stack=stack
                )
                if not here().main:
                    return
            for task in tasks:
                for problem in task.problems:
                    console.print(f"not read: {problem}", style="yellow", markup=False, soft_wrap=True)
                judge, place = judges[task.name], folder / task.name
                rows, made = finished(place, task) or (None, {})
                if rows is None:
                    model = model or stack.enter_context(subject.open(cache))
                    with progress_bar(console, f"{subject.label}: {task.name}", len(task.task.dataset)):
                        # The log would hold megabytes of noise for each question about a photograph.
                        keep = cfg.log_images and task.kind != "corruption"
                        rows, made = respond(place, task, subject, model, log_images=keep)
                    if judge is not None:
                        rows = judge_rows(rows, task, judge, subject)
                        made["judging"] = {each.name: each.used for each in models_in(judge)}
                results[task.name] = write_results(place, task, subject, rows, **made)
                if task.kind == "corruption" and results[task.name]["refusal_rate"] is not None:
                    plot_corruption(results[task.name], place / "corruption.png")
                console.print(results_table(results[task.name]))
                if note := truncation_note(results[task.name]["responses"]):
                    console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
                failed += failures(rows, str(place / "samples.jsonl"))
        if model is not None or not (folder / "run.json").exists():
            write_run_json(
                folder,
                config=cfg,
                seeds=cfg.decoding.seed,
                inputs={name: path for task in tasks for name, path in task.inputs.items()},
                digests={"model": subject.digest}
                | {f"{task.name} samples": task.digest for task in tasks}
                | {f"images of {name}": summary["images"] for name, summary in results.items()}
                | {f"judge of {name}": judge.digest for name, judge in judges.items() if judge},
                results={name: headline(summary) for name, summary in results.items()}
                | {
                    "responses": {name: summary["responses"] for name, summary in results.items()},
                    "judges": {name: summary["judging"] or {} for name, summary in results.items()},
                },
            )
        with tracking.run():
            track_benchmark(tracking, folder, config)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from error

    console.print(str(folder), markup=False, highlight=False, soft_wrap=True)
    for line in failed:
        console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    if failed and not cfg.allow_failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
