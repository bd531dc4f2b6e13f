"""The report: one HTML file that needs nothing else, from a comparison and its runs.

Model responses are hostile text. Jinja escapes everything, and the page's content policy allows no
script but its own (by hash), no request, and no image but those inside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from align import __version__
from align.records import Problem
from align.reporting import wording
from align.reporting.examples import Example, choose_examples, failing_questions
from align.reporting.images import ImageError, data_uri
from align.reporting.plane import make_plane
from align.reporting.runs import BenchmarkRun

PALETTE = 8  # model colors of the style sheet; further models start over


def render_page(
    comparison: dict[str, Any],
    runs: Sequence[BenchmarkRun],
    *,
    problems: Sequence[Problem] = (),
    examples: int = 20,
    title: str = "Honesty report",
) -> tuple[str, list[Problem]]:
    """The page, and all problems: the given ones and the images that can't be shown.

    An image that is missing or broken leaves a placeholder and a problem; the page is complete otherwise.
    """
    chosen = choose_examples(runs, comparison["base"], examples)
    cards, missing = _cards(chosen, runs)
    problems = [*problems, *missing]
    pages = environment()
    script = pages.loader.get_source(pages, "script.js")[0]  # type: ignore[union-attr]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = pages.get_template("report.html").render(
        title=title,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        comparison=comparison,
        models=comparison["models"],
        tests=comparison["tests"],
        base=comparison["base"],
        best=wording.best_model(comparison),
        tone={name: index % PALETTE for index, name in enumerate(comparison["models"])},
        headline=wording.headline(comparison),
        findings=wording.findings(comparison),
        plane=make_plane(comparison["models"]),
        cards=cards,
        n_shown=sum(len(example.question_ids) for example in chosen),
        n_failures=sum(example.kind == "failure" for example in chosen),
        n_failing=len(failing_questions(runs, comparison["base"])),
        n_questions=len(runs[0].graded),
        n_images=len({row.image for row in runs[0].graded}),
        problems=problems,
        record=_record(runs),
        run_json=[(run.name, json.dumps(run.record, indent=2, ensure_ascii=False)) for run in runs],
        graders=sorted({grader for run in runs for grader in run.graders}),
        # Both are files of this package, not input.
        style=Markup(pages.loader.get_source(pages, "style.css")[0]),  # type: ignore[union-attr]
        script=Markup(script),
        script_digest=digest,
        who_width=min(8.0, max(2.4, 0.6 * max(len(wording.display(name)) for name in comparison["models"]))),
        wording=wording,
    )
    return page, problems


def environment() -> Environment:
    """The templates of pages: everything is escaped, and an undefined name is an error."""
    made = Environment(
        loader=PackageLoader("align.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        percent=wording.percent,
        interval=wording.interval,
        points=wording.points,
        p_value=wording.p_value,
        display=wording.display,
        category=wording.category_label,
        part=wording.part_label,
    )
    return made


def _cards(
    chosen: Sequence[Example], runs: Sequence[BenchmarkRun]
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """What the template shows of each example, with its images."""
    problems = []
    cards = []
    for example in chosen:
        scenes = []
        for id in example.question_ids:
            row = runs[0].by_id[id]
            uri = None
            try:
                uri = data_uri(runs[0].data_root, row.image)
            except ImageError as error:
                file = str(runs[0].folder / "samples.jsonl")
                problems.append(Problem(file=file, row_id=id, field="image", message=str(error)))
            responses = [(run.name, run.by_id[id], wording.outcome(run.by_id[id])) for run in runs]
            scenes.append({"row": row, "uri": uri, "responses": responses})
        cards.append({"kind": example.kind, "scenes": scenes, "caption": _caption(scenes)})
    return cards, problems


def _caption(scenes: Sequence[dict[str, Any]]) -> str | None:
    if len(scenes) < 2:
        return None
    first, second = (scene["row"] for scene in scenes)
    if first.question == second.question:
        return "Same words, two images"
    if first.image == second.image:
        return "Same image, two questions"
    return "Twins"


def _record(runs: Sequence[BenchmarkRun]) -> list[tuple[str, list[str]]]:
    """How each run was made: `(field, its value for each run)`, one value where all are equal."""
    columns = [_record_of(run) for run in runs]
    rows = []
    for field in dict.fromkeys(field for column in columns for field in column):
        values = [column.get(field, "–") for column in columns]
        rows.append((field, values[:1] if len(set(values)) == 1 else values))
    return rows


def _record_of(run: BenchmarkRun) -> dict[str, str]:
    record = run.record
    fields = {
        "Task": run.results["task"],
        **{f"Model {key}": "none" if value is None else value for key, value in run.results["model"].items()},
        "Grader": ", ".join(run.graders),
        "Git commit": _commit(record.get("git")),
        "Seeds": _flat(record.get("seeds")),
        "Packages": _flat(record.get("packages")),
        "Hardware": _flat(record.get("hardware")),
        "Started": record.get("started"),
        "Seconds": record.get("wall_seconds"),
        "Folder": str(run.folder),
    }
    return {field: "–" if value is None else _flat(value) for field, value in fields.items()}


def _commit(git: dict[str, Any] | None) -> str:
    if not git or not git.get("commit"):
        return "not in a git checkout"
    return git["commit"] + (", with local changes" if git.get("changed") else "")


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_flat(item) for item in value) or "none"
    return "–" if value is None else str(value)
