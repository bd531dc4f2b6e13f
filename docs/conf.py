"""Sphinx's settings: `make docs` builds the pages of this folder into docs/_build/html.

The pages are written for two readers: a code host, which shows the files as they are, and this site. So
they are plain Markdown with relative links. What a link on the site needs beyond that is done here, while a
page is read: a link to a file outside of docs/ goes to the page of docs/project/ that shows that file.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from align import __version__

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

project = "mohoalign"
author = "The mohoalign authors"
copyright = "The mohoalign authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx_copybutton", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4  # the anchors that a code host makes
myst_fence_as_directive = ["mermaid"]

# A page with a diagram loads mermaid from its public home. Without a network the diagram's text is shown.
mermaid_version = "11.12.1"
mermaid_fullscreen = False

html_theme = "furo"
html_title = "mohoalign"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False

linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False  # code hosts make their anchors in the browser
linkcheck_ignore = [r"http://(127\.0\.0\.1|localhost)"]

OUTSIDE = {
    "README.md": "project/readme",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "samples/photos/ATTRIBUTION.md": "project/attribution",
    "samples/photos/README.md": "project/photographs",
    "benchmarks/README.md": "project/measurements",
}
"""Files beside docs/ that have a page here, by their path from the root."""

_LINK = re.compile(r"(?<!\\)(\]\()([^)\s]+)(\))")
_FENCED = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)


def relinked(text: str, file: Path, page: str) -> str:
    """The text of `file` with relative links as `page` (a page's name, without .md) has to write them."""
    here = (DOCS / page).parent

    def target(match: re.Match[str]) -> str:
        path, mark, anchor = match[2].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match[0]
        found = (file.parent / path).resolve()
        inside = found.relative_to(ROOT).as_posix() if found.is_relative_to(ROOT) else None
        if inside in OUTSIDE:
            found = DOCS / f"{OUTSIDE[inside]}.md"
        elif f"{inside}/README.md" in OUTSIDE:
            found = DOCS / f"{OUTSIDE[f'{inside}/README.md']}.md"
        return f"{match[1]}{os.path.relpath(found, here)}{mark}{anchor}{match[3]}"

    parts, end = [], 0
    for code in _FENCED.finditer(text):  # what stands in code is no link
        parts += [_LINK.sub(target, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(target, text[end:])])


def show_files_from_outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Sphinx's event for each page that is read: `source[0]` is its text, which may be changed."""
    shown = {name: file for file, name in OUTSIDE.items()}.get(page)
    file = ROOT / shown if shown else DOCS / f"{page}.md"
    if file.is_file():
        source[0] = relinked(file.read_text(encoding="utf-8"), file, page)


def setup(app: Sphinx) -> None:
    app.connect("source-read", show_files_from_outside)
