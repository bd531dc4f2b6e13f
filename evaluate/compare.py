"""Set benchmarked models side by side: a table, `comparison.json`, and the report page.

    python evaluate/compare.py runs='{base: runs/a, sft: runs/b, dpo: runs/c}' out=runs/demo

Each run is a folder that evaluate/benchmark.py wrote (samples.jsonl, results.json, run.json). All must hold
the same questions: otherwise the program names those that differ and ends with exit status 1.
"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from align.records import DataError, atomic_write, write_json
from align.reporting.comparison import compare_runs
from align.reporting.page import render_page
from align.reporting.runs import concerns, inputs_of, load_runs
from align.reporting.terminal import comparison_table
from align.run import run_folder, write_run_json


@hydra.main(version_base="1.3", config_path="../configs", config_name="compare")
def main(cfg: DictConfig) -> None:
    console = Console()
    folder = run_folder()
    try:
        runs = load_runs(OmegaConf.to_container(cfg, resolve=True)["runs"])
        comparison = compare_runs(runs, base=cfg.base, resamples=cfg.resamples, seed=cfg.seed)
    except DataError as error:
        raise SystemExit(str(error)) from error

    page, problems = render_page(
        comparison,
        runs,
        problems=concerns(runs),
        examples=cfg.examples,
        title=cfg.title,
        images=cfg.images,
        folder=folder,
    )
    write_json(folder / "comparison.json", comparison)
    with atomic_write(folder / "report.html") as stream:
        stream.write(page)
    write_run_json(
        folder,
        config=cfg,
        seeds=cfg.seed,
        inputs=inputs_of(runs),
    )

    console.print(comparison_table(comparison))
    for problem in problems:
        console.print(f"note: {problem}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for file in ("comparison.json", "report.html"):
        console.print(str(folder / file), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
