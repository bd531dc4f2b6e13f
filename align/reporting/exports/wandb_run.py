"""The comparison as a Weights & Biases run: figures in its summary, tables with images, plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from align.data.images import BadImage, open_image, resolve_image
from align.reporting import wording
from align.reporting.examples import Example
from align.reporting.exports.tidy import COLUMNS, tidy_rows
from align.reporting.runs import BenchmarkRun
from align.training.tracking import finish_tracking, set_up_tracking

_SHOWN_PIXELS = 256  # the longer side of an image in the table: enough to see what was asked about


def log_to_wandb(
    comparison: Mapping[str, Any],
    runs: Sequence[BenchmarkRun],
    examples: Sequence[Example],
    *,
    settings: Mapping[str, Any],
    folder: Path,
    config: Mapping[str, Any],
) -> str:
    """Log the comparison as one run (configs/tracking). Returns a line that says where it went.

    - summary: `MODEL/FIGURE`, and `MODEL/TASK/FIGURE` of tasks other than the honesty one;
    - tables: `figures` (every row of `exports.tidy`) and `examples`, the chosen questions with their images
      and what each model said;
    - plots: refusal against over-refusal, rates as bars, and risk over coverage where there is one.

    Does nothing unless the settings name wandb.
    """
    said = set_up_tracking(settings, folder, run_name=f"compare-{folder.name}")
    if said == "W&B: off":
        return said
    import wandb

    run = wandb.init(job_type="compare", config=dict(config))
    try:
        run.summary.update(_summary(comparison))
        rows = [[row[column] for column in COLUMNS] for row in tidy_rows(comparison)]
        run.log(
            {
                "figures": wandb.Table(columns=list(COLUMNS), data=rows),
                "examples": _examples(wandb, runs, examples),
                **_plots(wandb, comparison),
            }
        )
    finally:
        finish_tracking()
    return said


def _summary(comparison: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for row in tidy_rows(comparison):
        if row["group"] == "all":
            where = row["model"] if row["task"] == comparison["task"] else f"{row['model']}/{row['task']}"
            found[f"{where}/{row['metric']}"] = row["value"]
    return found


def _examples(wandb: Any, runs: Sequence[BenchmarkRun], examples: Sequence[Example]) -> Any:
    columns = ["question_id", "category", "question", "image", "truth"]
    columns += [f"{run.name}: {what}" for run in runs for what in ("response", "verdict")]
    table = wandb.Table(columns=columns)
    for id in (id for example in examples for id in example.question_ids):
        row = runs[0].by_id[id]
        truth = ", ".join(row.answers) or row.known_reason
        cells = [id, row.category, row.question, _image(wandb, runs[0].data_root, row.image), truth]
        for run in runs:
            cells += [run.by_id[id].response, wording.outcome(run.by_id[id]).label]
        table.add_data(*cells)
    return table


def _image(wandb: Any, root: Path, name: str) -> Any:
    """The image, or nothing where it can't be shown; the report lists that among the problems."""
    try:
        image: Image.Image = open_image(resolve_image(name, root))
    except (BadImage, ValueError):
        return None
    image.thumbnail((_SHOWN_PIXELS, _SHOWN_PIXELS))
    return wandb.Image(image)


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
