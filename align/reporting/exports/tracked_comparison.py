"""What a comparison tells its trackers: figures in the summary, tables with images, plots, the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from align.reporting import wording
from align.reporting.examples import Example
from align.reporting.exports.tidy import COLUMNS, tidy_rows
from align.reporting.exports.tracked_benchmark import benchmark_artifact
from align.reporting.runs import BenchmarkRun
from align.tracking.artifacts import REPORT, of_files
from align.tracking.pictures import shown_image
from align.tracking.tracker import Table
from align.tracking.tracking import Tracking


def track_comparison(
    tracking: Tracking,
    comparison: Mapping[str, Any],
    runs: Sequence[BenchmarkRun],
    examples: Sequence[Example],
    *,
    folder: Path,
    written: Sequence[Path],
) -> None:
    """Tell of a comparison whose files, `written`, lie in `folder`.

    - summary: `MODEL/FIGURE`, and `MODEL/TASK/FIGURE` of tasks other than the honesty one;
    - tables: `figures` (every row of `exports.tidy`) and `examples`, the chosen questions with their images
      and what each model said;
    - plots, in W&B: refusal against over-refusal, rates as bars, and risk over coverage where there is one;
    - `report`, the page, if there is one;
    - lineage: the benchmarks are used, the files are made.
    """
    if not tracking.on:
        return
    tracking.record(folder / "run.json")
    with tracking.guarded("uses"):
        tracking.uses(*(benchmark_artifact(one.folder) for run in runs for one in run.all_runs))
    with tracking.guarded("figures"):
        tracking.summary(_summary(comparison))
        rows = [[row[column] for column in COLUMNS] for row in tidy_rows(comparison)]
        tracking.table("figures", Table(COLUMNS, rows))
    with tracking.guarded("examples"):
        tracking.table("examples", _examples(runs, examples))
    tracking.with_wandb(lambda wandb, run: run.log(_plots(wandb, comparison)))
    for page in written:
        if page.suffix == ".html":
            tracking.page("report", page)
    with tracking.guarded("made"):
        tracking.made(of_files(folder, written, REPORT))


def _summary(comparison: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for row in tidy_rows(comparison):
        if row["group"] == "all":
            where = row["model"] if row["task"] == comparison["task"] else f"{row['model']}/{row['task']}"
            found[f"{where}/{row['metric']}"] = row["value"]
    return found


def _examples(runs: Sequence[BenchmarkRun], examples: Sequence[Example]) -> Table:
    columns = ["question_id", "category", "question", "image", "truth"]
    columns += [f"{run.name}: {what}" for run in runs for what in ("response", "verdict")]
    rows = []
    for id in (id for example in examples for id in example.question_ids):
        row = runs[0].by_id[id]
        truth = ", ".join(row.answers) or row.known_reason
        cells = [id, row.category, row.question, shown_image(runs[0].data_root, row.image), truth]
        for run in runs:
            cells += [run.by_id[id].response, wording.outcome(run.by_id[id]).label]
        rows.append(cells)
    return Table(columns, rows)


def _plots(wandb: Any, comparison: Mapping[str, Any]) -> dict[str, Any]:
    models = comparison["models"]
    plots = {}
    both = [
        [name, model["over_refusal_rate"], model["refusal_rate"]]
        for name, model in models.items()
        if model["over_refusal_rate"] is not None and model["refusal_rate"] is not None
    ]
    if both:
        table = wandb.Table(columns=["model", "over_refusal_rate", "refusal_rate"], data=both)
        title = "Unanswerable questions declined, against answerable ones declined"
        plots["over_refusal_plane"] = wandb.plot.scatter(
            table, "over_refusal_rate", "refusal_rate", title=title
        )
    for rate, (label, what, _) in wording.RATES.items():
        bars = [[name, model[rate]] for name, model in models.items() if model[rate] is not None]
        if bars:
            table = wandb.Table(columns=["model", rate], data=bars)
            plots[f"bars/{rate}"] = wandb.plot.bar(table, "model", rate, title=f"{label}: {what}")
    curves = {
        name: views["all"]["curve"]
        for name, views in comparison["risk_coverage"].items()
        if views["all"] is not None
    }
    if curves:
        plots["risk_coverage"] = wandb.plot.line_series(
            xs=[[x for x, _ in curve] for curve in curves.values()],
            ys=[[y for _, y in curve] for curve in curves.values()],
            keys=list(curves),
            title="Risk over coverage",
            xname="coverage",
        )
    return plots
