"""The page of a sweep: one HTML file that needs nothing else, in the style of the report.

Words of a command line and lines of logs are hostile text. Jinja escapes them, and the page's content policy
allows no script but the page's own, by hash, and no request.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

from jinja2 import ChoiceLoader, PackageLoader
from markupsafe import Markup

from align import __version__
from align.reporting import wording
from align.reporting.page import environment
from align.sweeping.analysis import best_job, setting
from align.sweeping.job import job_folder
from align.sweeping.plots import make_effect, make_parallel, make_pareto
from align.sweeping.summary import (
    LABELS,
    SIGNS,
    Summary,
    figure_text,
    headline,
    spread_text,
    value_text,
)


def render_page(summary: Summary) -> str:
    """The page as text."""
    shared = environment()
    assert shared.loader is not None
    pages = shared.overlay(loader=ChoiceLoader([PackageLoader("align.sweeping", "templates"), shared.loader]))

    def text_of(name: str) -> str:
        assert pages.loader is not None
        return pages.loader.get_source(pages, name)[0]

    # Files of this package, not input.
    scripts = [text_of("script.js"), text_of("sweep.js")]
    best = summary.best
    return pages.get_template("sweep.html").render(
        summary=summary,
        title=summary.plan.name,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        headline=headline(summary),
        counts=summary.counts(),
        best=best,
        best_job=None if best is None else best_job(best),
        parallel=make_parallel(summary),
        pareto=make_pareto(summary),
        effects=[make_effect(effect) for effect in summary.effects],
        setting=setting,
        labels=LABELS,
        signs=SIGNS,
        value=value_text,
        figure=figure_text,
        spread=spread_text,
        folder_of=lambda outcome: str(job_folder(summary.out, outcome.job)),
        wording=wording,
        style=Markup(text_of("style.css") + text_of("sweep.css")),
        scripts=[Markup(script) for script in scripts],
        script_hashes=Markup(" ".join(map(_hash, scripts))),
    )


def _hash(script: str) -> str:
    """How the page's content policy names a script that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
