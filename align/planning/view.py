"""A plan in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from align.data.audit_report import duration, size
from align.planning.plans import Plan
from align.planning.rows import spread
from align.planning.training import PlannedTraining


def print_plan(training: PlannedTraining, console: Console) -> None:
    """What is trained on what, memory and time for each layout, and the paper's row if there is one."""
    shape, tokens = training.meta.shape, spread(list(training.rows))
    kept = "an adapter" if shape.adapter else "weights"
    console.print(
        f"{training.name}: {kept} of {shape.trainable_parameters / 1e6:,.1f} million parameters, batch "
        f"{training.step.batch} a GPU; {tokens['rows']:,} rows, {tokens['middle']} tokens in the middle one "
        f"and {tokens['most']} in the longest",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    table = Table(title=f"time on {training.gpu.name}", title_justify="left")
    for column in ("GPUs", "shared by", "memory of one", "fits", "rows/s", "one pass", "reference, once"):
        table.add_column(column, justify="left" if column == "shared by" else "right")
    for plan in training.plans:
        table.add_row(*plan_cells(plan))
    console.print(table)
    first = training.plans[0].memory
    parts = {name: getattr(first, name) for name in first.__dataclass_fields__}
    told = ", ".join(f"{name} {size(n)}" for name, n in parts.items() if n)
    console.print(f"of the first row: {told}", soft_wrap=True)
    if training.reported is not None:
        row = training.reported
        figures = {
            "refusal rate": row.refusal_rate,
            "rationality": row.rationality,
            "helpfulness": row.helpfulness,
            "MMMU": row.mmmu,
        }
        told = ", ".join(f"{name} {value}" for name, value in figures.items() if value is not None)
        console.print(f"reported by the paper for {row.model}, {row.method}: {told}", soft_wrap=True)


def plan_cells(plan: Plan) -> list[str]:
    """GPUs, label, memory, smallest GPU, rows a second, one pass, reference."""
    start = [str(plan.layout.gpus), plan.layout.label]
    if plan.refused:
        return [*start, f"refused: {plan.refused}", "", "", "", ""]
    fits = "none" if plan.fits_gb is None else f"{plan.fits_gb} GB"
    bound = " *" if plan.bound_by_sending else ""
    return [
        *start,
        size(plan.memory.total),
        fits,
        f"{plan.rows_per_second:,.1f}{bound}",
        duration(plan.epoch_seconds),
        duration(plan.reference_seconds) if plan.reference_seconds else "",
    ]
