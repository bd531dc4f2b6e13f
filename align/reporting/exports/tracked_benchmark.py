"""What a benchmark tells its trackers: its figures, some of its samples, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from align.evaluation.counting import FIGURES
from align.models.loading import reference_digest
from align.records import Graded, Scored
from align.reporting.run_folders import RECORD, RESULTS, SAMPLES, TaskRows, read_folder
from align.tracking.artifacts import BENCHMARK, DATASET, MODEL, Artifact, of_files, of_model, of_path
from align.tracking.pictures import shown_image
from align.tracking.tracker import Table
from align.tracking.tracking import Tracking

_OF_TRAINING = ("method", "losses", "lora", "trainer", "seed", "data", "model")
"""Settings of the run that made an adapter that stand with the adapter's benchmark, so that a sweep's results
can be set against them."""

COLUMNS = ("task", "group", "figure", "value", "low", "high")


def track_benchmark(tracking: Tracking, folder: Path, config: Mapping[str, Any]) -> None:
    """Tell of the benchmark that lies finished in `folder`, made with `config`.

    - summary: `TASK/FIGURE`, and `TASK/GROUP/FIGURE` by category and part (of corruption: by condition);
    - tables: `figures`, with intervals, and `TASK/samples`, some questions with image and response;
    - lineage: the questions, the base and the adapter are used, the results are made. The settings that the
      adapter was trained with are in the configuration, as `training`.
    """
    if not tracking.on:
        return
    with tracking.guarded("benchmark"):
        tasks, record = read_folder(folder.name, folder)
        _tell(tracking, folder, config, tasks, record)


def _tell(
    tracking: Tracking,
    folder: Path,
    config: Mapping[str, Any],
    tasks: Mapping[str, TaskRows],
    record: Mapping[str, Any],
) -> None:
    model = next(iter(tasks.values())).results["model"]
    with tracking.guarded("config"):
        if trained := training_of(config.get("adapter")):
            tracking.config({"training": trained})
    tracking.config({"model_label": model.get("label")})
    tracking.record(folder / RECORD)
    with tracking.guarded("uses"):
        tracking.uses(*_inputs(record, config, model))
    rows = [[task.name, *cells] for task in tasks.values() for cells in _figures(task.results)]
    tracking.summary(
        {
            "/".join((task, figure) if group == "all" else (task, group, figure)): value
            for task, group, figure, value, _, _ in rows
        }
    )
    tracking.table("figures", Table(COLUMNS, rows))
    for task in tasks.values():
        with tracking.guarded("table"):
            tracking.table(f"{task.name}/samples", _samples(task, tracking.settings.examples))
    counts = {name: len(task.rows) for name, task in tasks.items()}
    tracking.made(benchmark_artifact(folder).told(metadata={"samples": counts}))


def benchmark_artifact(folder: Path) -> Artifact:
    """The results in a benchmark's folder, or in the folder of one of its tasks."""
    if (folder / SAMPLES).is_file() and not (folder / RECORD).is_file():
        folder = folder.parent
    files = [path for name in (SAMPLES, RESULTS) for path in (*folder.glob(f"*/{name}"), folder / name)]
    return of_files(folder, [path for path in files if path.is_file()], BENCHMARK)


def training_of(adapter: str | None) -> dict[str, Any] | None:
    """Settings of the run that made an adapter here, from the `run.json` beside it."""
    record = None if adapter is None else Path(adapter).resolve().parent / RECORD
    if record is None or not record.is_file():
        return None
    config = json.loads(record.read_text(encoding="utf-8"))["config"]
    return {name: config[name] for name in _OF_TRAINING if name in config}


def _inputs(
    record: Mapping[str, Any], config: Mapping[str, Any], model: Mapping[str, Any]
) -> Iterator[Artifact]:
    for known in record["inputs"].values():
        if "path" in known and Path(known["path"]).exists():
            yield of_path(known["path"], DATASET)
    if config.get("endpoint") is not None:
        yield of_model(model["name"], model["digest"])
    else:
        base = config["model"]
        yield of_model(base["name"], reference_digest(base["name"], revision=base.get("revision")))
    if adapter := model.get("adapter"):
        yield of_path(adapter, MODEL) if Path(adapter).is_dir() else of_model(adapter, model["digest"])


def _figures(results: Mapping[str, Any]) -> Iterator[list[Any]]:
    """`group`, figure, value and interval of everything in a results.json that has a value."""
    if results["kind"] == "general":
        groups = {"all": results, **{f"part/{name}": part for name, part in results["by_part"].items()}}
        for group, part in groups.items():
            for name, figure in part["figures"].items():
                if figure["value"] is not None:
                    yield [group, name, figure["value"], *(figure["interval"] or (None, None))]
        return
    summaries = {"all": results}
    for kind in ("category", "part", "condition"):
        found = results.get(f"by_{kind}") or {}
        summaries |= {f"{kind}/{name}": summary for name, summary in found.items()}
    for group, summary in summaries.items():
        for name in FIGURES:
            if summary.get(name) is not None:
                yield [group, name, summary[name], *(summary["intervals"].get(name) or (None, None))]


def _samples(task: TaskRows, count: int) -> Table:
    """As many rows as are to be shown, from all parts of the task."""
    columns = ["id", "group", "image", "question", "gold", "response", "state", "right"]
    rows: Sequence[Graded | Scored] = task.rows
    chosen = rows[:: max(1, -(-len(rows) // count))] if count else []
    return Table(columns, [_cells(row, task.data_root) for row in chosen])


def _cells(row: Graded | Scored, root: Path) -> list[Any]:
    image = shown_image(root, row.image)
    if isinstance(row, Scored):
        gold = ", ".join(row.gold)
        return [row.sample_id, row.part, image, row.prompt, gold, row.response, row.state, row.score]
    group = row.category if row.condition is None else f"{row.category}, {row.condition}"
    known = ", ".join(row.answers) or row.known_reason
    right = row.reason if row.state == "abstain" else row.correct
    shown = None if right is None else str(right)
    return [row.question_id, group, image, row.question, known, row.response, row.state, shown]
