"""The pages as readers get them: links and anchors on a code host, the site, what is generated."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from pages import ROOT, all_pages, anchors_of, links_of

PAGES = [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in all_pages()]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links and images name a file in the checkout, and anchors a heading, as on a code host."""
    broken = []
    for link in links_of(page):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            assert not link.startswith("http://localhost"), link
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / unquote(path)).resolve()
        if not target.exists():
            broken.append(f"{link}: there is no such file")
        elif not target.is_relative_to(ROOT):
            broken.append(f"{link}: leads out of the checkout")
        elif anchor and target.suffix == ".md" and unquote(anchor) not in anchors_of(target):
            broken.append(f"{link}: no such heading, but {', '.join(sorted(anchors_of(target)))}")
    assert not broken, f"{page.relative_to(ROOT)}:\n" + "\n".join(broken)


def test_headings_have_the_anchors_of_a_code_host(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# What decides: `both` ways\n## A, b & c\n## Twice\n## Twice\n# snake_case-x!\n")
    assert anchors_of(page) == {
        "what-decides-both-ways",
        "a-b--c",
        "twice",
        "twice-1",
        "snake_case-x",
    }


def test_the_configuration_page_is_what_the_configurations_say() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_has_a_row_with_its_comment(tmp_path: Path) -> None:
    generate = _generate()
    file = tmp_path / "x.yaml"
    file.write_text(
        "# The file's.\ndefaults:\n  - model: tiny\na: 1  # beside # twice\n# above\n# it\nb: 'x # y'\nc:\n"
        "  d: [1,\n      2]\n  e: 'x'  # of 'e', \"e\"\nhydra:\n  job: 1\n"
    )
    assert [(s.path, s.default, s.text) for s in generate.settings_of(file)] == [
        ("a", "1", "beside # twice"),
        ("b", "'x # y'", "above it"),
        ("c.d", "[1, 2]", ""),
        ("c.e", "'x'", "of 'e', \"e\""),
    ]
    assert generate.defaults_of(file) == [("model", "tiny")]
    assert generate.first_comment(file) == "The file's."


def _generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """Every page is in the table of contents, every link of the site leads to a page or a file."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    readme = (site / "project" / "readme.html").read_text(encoding="utf-8")
    assert 'href="../training.html"' in readme, "links of the README lead to the site's pages"
    training = (site / "training.html").read_text(encoding="utf-8")
    assert "fonts.googleapis" not in readme + training, "pages are readable without a network"
