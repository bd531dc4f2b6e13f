"""Set benchmarked models side by side: tables, figures as files, and the report page.

    python evaluate/compare.py runs='{base: runs/a, sft: runs/b, dpo: runs/c}' out=runs/demo
    python evaluate/compare.py runs='{base: runs/a, dpo: [runs/dpo-0, runs/dpo-1]}'     repeats: other seeds

Each run is a folder that evaluate/benchmark.py wrote. All must hold the same questions: otherwise the program
names those that differ and ends with exit status 1. docs/report.md explains the page and the files.
"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig
from rich.console import Console

from align.reporting.comparison import compare_runs
from align.reporting.examples import choose_examples
from align.reporting.exports.tracked_comparison import track_comparison
from align.reporting.exports.writing import check_outputs, write_outputs
from align.reporting.page import render_page
from align.reporting.runs import concerns, inputs_of, load_runs
from align.reporting.terminal import comparison_tables
from align.reporting.thumbnails import megabytes
from align.run import run_folder, to_plain, write_run_json
from align.tracking.tracking import Tracking
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="compare")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder, console = to_plain(cfg), run_folder(), Console()
    check_outputs(config["outputs"])
    tracking = Tracking(config, folder, job_type="compare")
    budget = megabytes(cfg.images)
    runs = load_runs(config["runs"], task=cfg.task)
    comparison = compare_runs(runs, base=cfg.base, resamples=cfg.resamples, seed=cfg.seed)
    page, problems = None, concerns(runs)
    if "html" in config["outputs"]:
        page, problems = render_page(
            comparison,
            runs,
            problems=problems,
            examples=cfg.examples,
            title=cfg.title,
            images=budget,
            folder=folder,
        )

    written = write_outputs(
        folder, config["outputs"], comparison, page=page, title=cfg.title, problems=problems
    )
    write_run_json(folder, config=cfg, seeds=cfg.seed, inputs=inputs_of(runs))
    with tracking.run(), tracking.guarded("comparison"):
        shown = choose_examples(runs, comparison["base"], cfg.examples)
        track_comparison(tracking, comparison, runs, shown, folder=folder, written=written)

    for table in comparison_tables(comparison):
        console.print(table)
    for problem in problems:
        console.print(f"note: {problem}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for line in map(str, written):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
