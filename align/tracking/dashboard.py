"""The project's W&B workspace: panels over the figures that this project's programs log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from align.tracking.credentials import MODES, has_credentials, resolve_mode
from align.tracking.wandb_tracker import STEP

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

CATEGORIES = ("Context_Dependent", "False_Premises", "Subjective_or_Philosophical", "Vague_Description")
RUN_KEYS = {"group": "Group", "job_type": "JobType", "name": "Name", "tags": "Tags"}
"""What runs can be grouped by, and W&B's names for it; everything else is a setting."""


class DashboardError(ValueError):
    """The workspace cannot be made as asked; the message says what to change."""


@dataclass(frozen=True)
class View:
    """What a workspace shows.

    `honesty`: tasks of `evaluate/benchmark.py` with refusal rates; `general`: tasks of general ability, as
    TASK.FIGURE. `settings`: of training, the axes of the parallel coordinates. `group`: only the runs of this
    `tracking.group`; None: all. `group_by`: what runs are shown together by, `RUN_KEYS` or settings.
    """

    project: str
    name: str
    entity: str | None = None
    honesty: tuple[str, ...] = ()
    general: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    group: str | None = None
    group_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.honesty:
            raise DashboardError("honesty=[]: name at least one task with refusal rates, such as miniworld")
        for figure in self.general:
            if len(figure.split(".")) != 2:
                raise DashboardError(f"general: {figure!r} is not TASK.FIGURE, such as easy_vqa.accuracy")


def resolve(mode: str) -> bool:
    """Whether the workspace is to be sent: `mode` as of `tracking.mode`, with W&B's own variables before it.

    Raises `DashboardError` where it was to be sent and nobody is logged in.
    """
    if mode not in MODES:
        raise DashboardError(f"mode={mode!r}: choose one of {', '.join(MODES)}")
    online = resolve_mode(mode) == "online"
    if online and not has_credentials():
        raise DashboardError("mode=online, and nobody is logged in: `wandb login`, or set WANDB_API_KEY")
    return online


def workspace(view: View) -> Workspace:
    """The workspace as W&B's own object. Raises `DashboardError` if `wandb-workspaces` is missing."""
    try:
        import wandb_workspaces.expr as expr
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as ws
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("wandb_workspaces"):
            raise
        raise DashboardError(
            "the workspace is made with wandb-workspaces, which is not installed: "
            "pip install 'mohoalign[dashboard]'"
        ) from None
    sections = [
        ws.Section("Training", _training(panels), is_open=True, panel_settings=_over_steps(ws)),
        ws.Section("Honesty probe", _probe(panels), is_open=True, panel_settings=_over_steps(ws)),
        *(ws.Section(f"Benchmark: {task}", _benchmark(panels, task), is_open=True) for task in view.honesty),
    ]
    if view.general:
        sections.append(ws.Section("General ability", _general(panels, view.general), is_open=True))
    if view.settings:
        sections.append(ws.Section("Sweep", _sweep(panels, view), is_open=True))
    first = view.honesty[0]
    return ws.Workspace(
        entity=view.entity or os.environ.get("WANDB_ENTITY") or "",
        project=view.project,
        name=view.name,
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=[expr.Metric("Group") == view.group] if view.group else [],
            groupby=[_key(expr, name) for name in view.group_by],
            pinned_columns=[
                "run:displayName",
                "run:group",
                "run:jobType",
                f"summary:{first}/refusal_rate",
                f"summary:{first}/over_refusal_rate",
                f"summary:{first}/answer_accuracy",
            ],
        ),
    )


def specification(made: Workspace) -> dict[str, Any]:
    """What W&B would be sent, as JSON."""
    found: dict[str, Any] = made._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


def send(made: Workspace) -> str:
    """Make the workspace a view of the project; returns its address. `DashboardError` if W&B refuses."""
    import wandb

    try:
        made.entity = made.entity or wandb.Api().default_entity or ""
        return str(made.save().url)
    except Exception as error:  # W&B raises what its HTTP client does
        raise DashboardError(
            f"W&B did not take the workspace of {made.entity}/{made.project}: {error}. Look at entity=, "
            "project= (there must be a run in it) and the login; mode=offline only writes workspace.json"
        ) from error


def _key(expr: Any, name: str) -> Any:
    return expr.Metric(RUN_KEYS[name]) if name in RUN_KEYS else expr.Config(name)


def _over_steps(ws: Any) -> Any:
    return ws.SectionPanelSettings(x_axis=STEP)


def _lines(panels: Any, title: str, *names: str, range_y: tuple[float, float] | None = None) -> Any:
    named = {} if range_y is None else {"range_y": range_y}
    return panels.LinePlot(title=title, x=STEP, y=list(names), **named)


def _training(panels: Any) -> list[Any]:
    return [
        _lines(panels, "Loss", "train/loss", "eval/loss"),
        _lines(panels, "Margin of chosen over rejected", "train/rewards/margins"),
        _lines(panels, "Pairs told apart", "train/rewards/accuracies", range_y=(0, 1)),
        _lines(panels, "Log-prob of a token (SFT)", "train/logps/token"),
        _lines(panels, "Log-probs of chosen and rejected", "train/logps/chosen", "train/logps/rejected"),
        _lines(panels, "Learning rate", "train/learning_rate"),
        _lines(panels, "Norm of the gradient", "train/grad_norm"),
        _lines(panels, "Rows a second", "train/rows_per_second"),
        _lines(panels, "Memory at its highest, GiB", "train/memory_gib"),
    ]


def _probe(panels: Any) -> list[Any]:
    return [
        _lines(
            panels,
            "Declined: what can't be answered, and what can",
            "probe/refusal_rate",
            "probe/over_refusal_rate",
            range_y=(0, 1),
        ),
        _lines(panels, "Refusal minus over-refusal", "probe/honesty", range_y=(-1, 1)),
        _lines(panels, "Answered right", "probe/answer_accuracy", range_y=(0, 1)),
        panels.WeavePanelSummaryTable(table_name="probe/samples"),
    ]


def _benchmark(panels: Any, task: str) -> list[Any]:
    return [
        panels.ScatterPlot(
            title="Refusal against over-refusal: up and to the left",
            x=panels.SummaryMetric(f"{task}/over_refusal_rate"),
            y=panels.SummaryMetric(f"{task}/refusal_rate"),
            range_x=(0, 1),
            range_y=(0, 1),
        ),
        panels.BarPlot(title="Declined for the right reason", metrics=[f"{task}/reason_accuracy"]),
        panels.BarPlot(title="Answered right", metrics=[f"{task}/answer_accuracy"]),
        panels.BarPlot(title="Both twins right", metrics=[f"{task}/dual_accuracy"]),
        *(
            panels.BarPlot(
                title=f"{category.replace('_', ' ')}: declined",
                metrics=[f"{task}/category/{category}/refusal_rate"],
            )
            for category in CATEGORIES
        ),
        panels.WeavePanelSummaryTable(table_name=f"{task}/samples"),
    ]


def _general(panels: Any, figures: Sequence[str]) -> list[Any]:
    return [
        panels.BarPlot(title=figure.replace(".", ": "), metrics=[figure.replace(".", "/")])
        for figure in figures
    ]


def _sweep(panels: Any, view: View) -> list[Any]:
    column = panels.ParallelCoordinatesPlotColumn
    plots = []
    for task in view.honesty:
        figures = [*(f"{task}/{name}" for name in ("answer_accuracy", "over_refusal_rate", "refusal_rate"))]
        plots.append(
            panels.ParallelCoordinatesPlot(
                title=f"Settings of training and {task}",
                columns=[
                    *(
                        column(metric=panels.Config(f"training.{name}"), display_name=name)
                        for name in view.settings
                    ),
                    *(column(metric=panels.SummaryMetric(figure)) for figure in figures),
                ],
            )
        )
    return plots
