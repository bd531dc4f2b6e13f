"""The tables of docs/planning.md and docs/experiments.md, between marks that the pages hold.

Nothing in them is typed: models are in shapes.yaml, the paper's figures where the leaderboard has them,
settings in configs/, and what was measured in benchmarks/results/plan_check.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra import compose

from align.data.audit_report import duration
from align.planning.gpus import GPUS
from align.planning.models import known_models
from align.planning.plans import LAYOUTS, Plan
from align.planning.training import find_reported, plan_training
from align.records import atomic_write
from align.run import to_plain

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "benchmarks" / "results" / "plan_check.json"

KINDS = {
    "LoRA": [],
    "QLoRA": ["model.quantization=4bit"],
    "full": ["lora=full", "method=orpo"],  # which needs no reference: with one it could not be sharded
}
"""How the page trains each model, as overrides of recipes/plan.py."""


def write_pages(folder: Path) -> list[Path]:
    """Write all tables of the pages in `folder` anew. Inside of a Hydra program, or where its compose works.

    Returns the pages. Raises `ValueError` for a page without one of its marks.
    """
    pages = {"planning.md": planning_tables(), "experiments.md": experiment_tables()}
    written = []
    for name, tables in pages.items():
        path = folder / name
        text = path.read_text(encoding="utf-8")
        for mark, table in tables.items():
            text = _put(text, mark, table, path)
        with atomic_write(path) as stream:
            stream.write(text)
        written.append(path)
    return written


def planning_tables() -> dict[str, str]:
    tables = {
        "gpus": gpu_table(),
        "measured": measured_table(json.loads(MEASURED.read_text(encoding="utf-8"))),
    }
    for model in known_models():
        if model.reported is None or model.name == "7B":  # the rows of Table 3 have a page of their own
            tables[model.name] = model_table(model.id)
    return tables


def experiment_tables() -> dict[str, str]:
    return {"rows": rows_table()}


def gpu_table() -> str:
    lines = ["| GPU | memory that programs find | products | link |", "|---|---|---|---|"]
    for gpu in GPUS:
        rates = f"{gpu.flops / 1e12:.0f} TFLOP/s | {gpu.link / 1e9:.0f} GB/s"
        lines.append(f"| {gpu.name} | {gpu.memory_gib} GiB | {rates} |")
    return "\n".join(lines)


def measured_table(record: Mapping[str, Any]) -> str:
    """What was measured, and what the plan says over it."""
    lines = ["| training | memory | planned / measured | operations, planned / counted |"]
    lines.append("|---|---|---|---|")
    for name, case in record["cases"].items():
        said, was = case["predicted"], case["measured"]
        flops = f"{said['flops'] / was['flops']:.2f}" if "flops" in was else ""
        lines.append(
            f"| {name} | {was['memory'] / 2**20:,.0f} MiB | {said['memory'] / was['memory']:.2f} | {flops} |"
        )
    return "\n".join(lines)


def model_table(id: str) -> str:
    """Kinds of training by layouts: memory of one GPU, the smallest that it fits, rows a second."""
    lines = [
        "| training | GPUs | shared by | GiB a GPU | fits | GiB, batch 1 | fits | rows/s | 10,000 pairs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, overrides in KINDS.items():
        usual = plan_training(_planned([f"model.name={id}", "model=hub", *overrides]))
        small = plan_training(
            _planned([f"model.name={id}", "model=hub", "trainer.per_device_train_batch_size=1", *overrides])
        )
        for plan, one in zip(usual.plans, small.plans, strict=True):
            lines.append(f"| {' | '.join(_cells(kind, plan, one))} |")
    return "\n".join(lines)


def _cells(kind: str, plan: Plan, one: Plan) -> list[str]:
    start = [kind, str(plan.layout.gpus), plan.layout.label]
    if plan.refused:
        return [*start, f"refused: {plan.refused}", "", "", "", "", ""]
    sent = "\\*" if plan.bound_by_sending else ""
    return [
        *start,
        _gib(plan),
        _fits(plan),
        _gib(one),
        _fits(one),
        f"{plan.rows_per_second:,.1f}{sent}",
        _for_10_000(plan),
    ]


def rows_table() -> str:
    """The rows of Table 3: command, memory on one GPU, time, and what the paper reports."""
    lines = [
        "| row | program | GiB | fits | 10,000 pairs | refusal % | rationality | helpfulness | MMMU |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, program in table3_rows().items():
        said = find_reported(_composed(program, name).get("reported"))
        figures = ["", "", "", ""]
        if said is not None and not name.endswith("_ours"):
            found = (said.refusal_rate, said.rationality, said.helpfulness, said.mmmu)
            figures = ["" if value is None else f"{value:.2f}" for value in found]
        lines.append(f"| `{name}` | {' | '.join([f'`{program}`', *_costs(name, program), *figures])} |")
    return "\n".join(lines)


def table3_rows() -> dict[str, str]:
    """The program of each row, by the row's name; the models in the paper's order."""
    programs = {
        "vanilla": "evaluate/benchmark.py",
        "sft": "recipes/sft.py",
        "dpo": "recipes/dpo.py",
        "simpo": "recipes/simpo.py",
        "orpo": "recipes/orpo.py",
        "ours": "recipes/dpo.py",
    }
    models = ("qwen2_5_vl_7b", "internvl2_5_8b", "internvl2_5_2b")
    return {f"{model}_{kind}": program for model in models for kind, program in programs.items()}


def _costs(name: str, program: str) -> list[str]:
    if not program.startswith("recipes/"):
        return ["", "", ""]
    plan = plan_training(_planned([f"experiment=table3/{name}"]), LAYOUTS[:1]).plans[0]
    return [_gib(plan), _fits(plan), _for_10_000(plan)]


def _for_10_000(plan: Plan) -> str:
    return duration((plan.epoch_seconds + plan.reference_seconds) * 10_000 / plan.rows)


def _planned(overrides: list[str]) -> dict[str, Any]:
    return to_plain(compose("plan", overrides=overrides))


def _composed(program: str, name: str) -> dict[str, Any]:
    return to_plain(compose(Path(program).stem, overrides=[f"experiment=table3/{name}"]))


def _gib(plan: Plan) -> str:
    return f"{plan.memory.total / 2**30:,.1f}"


def _fits(plan: Plan) -> str:
    return "none" if plan.fits_gb is None else f"{plan.fits_gb} GB"


def _put(text: str, mark: str, table: str, path: Path) -> str:
    begin, end = f"<!-- plan: {mark} -->", "<!-- plan: end -->"
    found = re.search(f"{re.escape(begin)}\n.*?{re.escape(end)}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{path}: no {begin} ... {end} to put a table between")
    return text[: found.start()] + f"{begin}\n{table}\n{end}" + text[found.end() :]
