"""The report: one HTML file that needs nothing else, from a comparison and its runs.

Model responses are hostile text. Jinja escapes everything, the samples browser's script sets texts as text,
and the page's content policy allows no script but the page's own (by hash), no request, and no image but
those inside it and, where it is opened from disk, files.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from align import __version__
from align.records import Problem
from align.reporting import findings, wording
from align.reporting.browser import make_browser
from align.reporting.examples import Example, choose_examples, failing_questions
from align.reporting.images import ImageError, data_uri
from align.reporting.page_record import record_rows
from align.reporting.page_sections import sections
from align.reporting.plane import make_plane
from align.reporting.runs import BenchmarkRun

PALETTE = 8  # model colors of the style sheet; further models start over
LONGEST = 4000  # characters of a response among the examples; the samples browser has all of it
STYLES = ("style.css", "browser.css")


def render_page(
    comparison: dict[str, Any],
    runs: Sequence[BenchmarkRun],
    *,
    problems: Sequence[Problem] = (),
    examples: int = 20,
    title: str = "Honesty report",
    images: int = 0,
    folder: Path | None = None,
) -> tuple[str, list[Problem]]:
    """The page, and all problems: the given ones and the images that can't be shown.

    An image that is missing or broken leaves a placeholder and a problem; the page is complete otherwise.
    `images` is how many bytes of pictures of the samples browser are in the page (those of the examples
    always are); the others are found by their path from `folder`, where the page is going to be.
    """
    chosen = choose_examples(runs, comparison["base"], examples)
    cards, unseen = _cards(chosen, runs)
    browser, thumbnails = make_browser(runs, comparison["base"], budget=images, folder=folder)
    for (root, image), message in thumbnails.unreadable.items():
        unseen.setdefault(f"{root}\x1f{image}", Problem(file=str(root), field="image", message=message))
    problems = [*problems, *_folded(list(unseen.values()), thumbnails.wanted)]
    pages = environment()

    def text_of(name: str) -> str:
        return pages.loader.get_source(pages, name)[0]  # type: ignore[union-attr]

    scripts = [text_of("script.js"), text_of("browser.js")]
    page = pages.get_template("report.html").render(
        title=title,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        comparison=comparison,
        models=comparison["models"],
        tests=comparison["tests"],
        base=comparison["base"],
        best=findings.best_model(comparison),
        tone={name: index % PALETTE for index, name in enumerate(comparison["models"])},
        headline=findings.headline(comparison),
        findings=findings.findings(comparison),
        rules=findings.RULES,
        plane=make_plane(comparison["models"]),
        cards=cards,
        n_shown=sum(len(example.question_ids) for example in chosen),
        n_failures=sum(example.kind == "failure" for example in chosen),
        n_failing=len(failing_questions(runs, comparison["base"])),
        n_questions=len(runs[0].graded),
        n_images=len({row.image for row in runs[0].graded}),
        **sections(comparison),
        browser=browser,
        repeated=any(run.repeats for run in runs),
        problems=problems,
        record=record_rows(runs),
        run_json=[(run.name, json.dumps(run.record, indent=2, ensure_ascii=False)) for run in runs],
        graders=sorted({grader for run in runs for grader in run.graders}),
        who_width=min(8.0, max(2.4, 0.6 * max(len(wording.display(name)) for name in comparison["models"]))),
        wording=wording,
        # All of these are files of this package, or base64: not input.
        style=Markup("\n".join(map(text_of, STYLES))),
        scripts=[Markup(script) for script in scripts],
        script_hashes=Markup(" ".join(map(_csp_hash, scripts))),
        browser_data=Markup(browser.data),
        browser_pictures=Markup(browser.pictures),
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
        mark=wording.mark,
        mark_interval=wording.mark_interval,
        mark_points=wording.mark_points,
        signed=wording.signed,
        signed_interval=wording.signed_interval,
        visible=wording.visible,
        shortened=shortened,
    )
    return made


def shortened(text: str) -> str:
    """The beginning of a text that is very long, and how much more there is."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} […] ({len(text) - LONGEST:,} more characters in the samples browser)"


def _folded(unseen: list[Problem], images: int) -> list[Problem]:
    """Images that can't be shown, one by one where they are few."""
    if len(unseen) <= 12:
        return unseen
    more = f"{len(unseen):,} of {images:,} images can't be shown; the first: {unseen[0].message}"
    return [unseen[0].model_copy(update={"message": more})]


def _csp_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _cards(
    chosen: Sequence[Example], runs: Sequence[BenchmarkRun]
) -> tuple[list[dict[str, Any]], dict[str, Problem]]:
    """What the template shows of each example, and a problem for each image that can't be shown."""
    problems: dict[str, Problem] = {}
    cards = []
    for example in chosen:
        scenes = []
        for id in example.question_ids:
            row = runs[0].by_id[id]
            uri = None
            try:
                uri = data_uri(runs[0].data_root, row.image)
            except ImageError as error:
                problem = Problem(file=runs[0].main.file, row_id=id, field="image", message=str(error))
                problems[f"{runs[0].data_root}\x1f{row.image}"] = problem
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
