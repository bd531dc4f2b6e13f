import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from report_folders import edit_samples

from align.evaluation.metrics import is_right
from align.reporting.comparison import compare_runs
from align.reporting.page import render_page
from align.reporting.runs import concerns, load_runs
from align.reporting.wording import category_label, outcome

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>{{ 7*7 }}</b>"


class Page(HTMLParser):
    """Tags with their attributes, the text, and what stands in `script` and `style`."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, html):
        super().__init__()
        self.tags, self.scripts, self.data, self.open, self.text, self.unbalanced = [], [], {}, [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attrs = self.tags[-1][1]
            if attrs.get("type") == "text/plain":
                self.data[attrs["id"]] = data
            else:
                self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]

    @property
    def words(self):
        return re.sub(r"\s+", " ", "".join(self.text))


def render(runs, **options):
    html, problems = render_page(compare_runs(runs, resamples=100), runs, problems=concerns(runs), **options)
    page = Page(html)
    assert page.unbalanced == []
    assert page.open == []
    return html, page, problems


def test_the_page_loads_nothing_from_outside(runs):
    html, page, problems = render(runs)
    assert problems == []
    assert not re.search(r"https?://|@import|url\(", html)
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            if name in attrs:
                assert attrs[name].startswith(("data:image/", "#")), (tag, attrs)
    assert page.all("link") == []
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; img-src data:")
    assert len(page.scripts) == 2
    for script in page.scripts:  # otherwise a browser would refuse the page's own script
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_contents(runs):
    _, page, _ = render(runs)
    words = page.words
    assert "DPO declines 90.0% of the questions that the image can’t answer, up from 0%" in words
    for heading in ("Every model, both directions", "Honest, or just shy?", "20 questions, every answer"):
        assert heading in words
    for label in (
        "False premise",
        "Vague description",
        "Context dependent",
        "Subjective",
        "Held-out phrasings",
    ):
        assert label in words
    assert len(page.all("img")) == 20
    assert "made it up" in words
    assert "declined, right reason" in words
    assert "Where a tuned model fails" in words
    assert "digest-dpo" in words
    assert "0123456789abcdef, with local changes" in words
    anchors = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for attrs in page.all("a")} <= anchors


def test_bars_have_the_length_of_their_rate(runs):
    _, page, _ = render(runs)
    widths = [attrs["width"] for attrs in page.all("rect") if attrs.get("class") in ("tint", "fill")]
    assert "90.0%" in widths or any(width.startswith("90") for width in widths)
    assert all(0 <= float(width.rstrip("%")) <= 100 for width in widths)


def test_hostile_text_stays_text(folders):
    def change(rows):
        return [
            row | {"response": HOSTILE, "question": HOSTILE, "answers": [], "known_reason": HOSTILE}
            for row in rows
        ]

    for folder in folders.values():
        edit_samples(folder, change)
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(record | {"config": HOSTILE, "started": HOSTILE}))
    runs = load_runs({f"{HOSTILE}{name}": folder for name, folder in folders.items()})
    html, page, _ = render(runs, title=HOSTILE)
    assert len(page.all("script")) == 4
    assert not any("alert" in script for script in page.scripts)
    assert all(re.fullmatch(r"[A-Za-z0-9+/=]*", data) for data in page.data.values())
    assert page.all("b") == [{}] * len(page.all("b"))  # only the table heads' own
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs in page.all("img"))
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "{{ 7*7 }}" in page.words
    assert "<script>alert" not in html


def test_a_missing_image_leaves_a_placeholder_and_a_problem(runs):
    for image in (runs[0].data_root / "images").iterdir():
        image.unlink()
    _, page, problems = render(runs)
    assert page.all("img") == []
    assert "image not found" in page.words
    assert len(problems) == len({row.image for row in runs[0].graded}) == 12
    assert "field `image`" in str(problems[0])
    assert "does not exist" in page.words


@pytest.mark.parametrize("change", ["photos", "one model", "only unanswerable", "only answerable", "failed"])
def test_other_inputs_make_a_page_too(folders, change):
    def alter(rows):
        if change == "photos":  # no parts, no twins, nothing known but the state
            drop = ("part", "twin", "reason", "correct", "known_reason")
            return [{key: value for key, value in row.items() if key not in drop} for row in rows]
        if change == "only unanswerable":
            return [row for row in rows if row["category"] != "Answerable"]
        if change == "only answerable":
            return [row for row in rows if row["category"] == "Answerable"]
        if change == "failed":
            gone = {
                "state": "failed",
                "error": "no answer in 60 s",
                "response": None,
                "reason": None,
                "correct": None,
            }
            return [row | gone for row in rows]
        return rows

    for folder in folders.values():
        edit_samples(folder, alter)
    if change == "one model":
        folders = {"base": folders["base"]}
    _, page, _ = render(load_runs(folders))
    words = page.words
    assert not re.search(r"\b(None|nan)\b", words)
    assert {
        "photos": "answered, not graded",
        "one model": "Where the model fails",
        "only unanswerable": "No model has both rates",
        "only answerable": "was asked no unanswerable question",
        "failed": "no answer in 60 s",
    }[change] in words


def test_no_examples(runs):
    _, page, _ = render(runs, examples=0)
    assert page.all("img") == []
    assert "#examples" not in [attrs["href"] for attrs in page.all("a")]


def test_many_models_reuse_the_palette(folders):
    runs = load_runs({f"model-{i}": folders["dpo"] for i in range(11)})
    _, page, _ = render(runs)
    tones = {attrs["class"] for attrs in page.all("tr") if attrs.get("class", "").startswith("m")}
    assert tones == {f"m{i}" for i in range(8)}


def test_a_very_long_response_is_cut_among_the_examples_and_whole_in_the_browser(folders):
    long = "x" * 1_000_000

    def change(rows):
        return [row | {"response": long} if row["question_id"] == "u3" else row for row in rows]

    for folder in folders.values():
        edit_samples(folder, change)
    runs = load_runs(folders)
    html, page, _ = render(runs, examples=1000)
    assert "996,000 more characters in the samples browser" in page.words
    assert len(html) < 1_000_000
    data = json.loads(gzip.decompress(base64.b64decode(page.data["samples-data"])))
    at = data["columns"]["id"].index("u3")
    assert data["answers"][0]["text"][at] == long


def test_the_browser_holds_every_row_of_every_model(runs):
    _, page, _ = render(runs)
    data = json.loads(gzip.decompress(base64.b64decode(page.data["samples-data"])))
    columns = data["columns"]
    assert columns["id"] == [row.question_id for row in runs[0].graded]
    assert [data["groups"][group] for group in columns["group"]] == [
        category_label(row.category) for row in runs[0].graded
    ]
    for i, id in enumerate(columns["id"]):
        assert columns["id"][columns["twin"][i]] == runs[0].by_id[id].twin
        for run, answers in zip(runs, data["answers"], strict=True):
            assert answers["text"][i] == run.by_id[id].response
            assert data["outcomes"][answers["outcome"][i]]["label"] == outcome(run.by_id[id]).label
            assert answers["right"][i] == is_right(run.by_id[id])
