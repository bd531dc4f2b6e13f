"""The page that ingest leaves: right counts, pictures inside, hostile text escaped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import align
from align.data.mohobench import read_mohobench
from align.data.report import ingest_report
from align.data.split import split_questions
from align.records import Problem
from align.reporting.data_page import histogram, render_data_page

PHOTOS = Path(align.__file__).parent.parent / "samples/photos"


@pytest.fixture(scope="module")
def page() -> str:
    reading = read_mohobench(PHOTOS / "mohobench.json", PHOTOS / "images")
    digests = {name: facts.digest for name, facts in reading.images.items()}
    questions = split_questions(reading.questions, {"train": 0.8, "test": 0.2}, digests=digests)
    hostile = "</script><script>alert(1)</script>"
    questions[0] = questions[0].model_copy(update={"question": hostile, "source": f"<b>{hostile}"})
    questions = [q for q in questions if q.image == questions[0].image]
    report = ingest_report(reading, questions, None)
    report["near_duplicates"] = [["clock.jpg", "camera.jpg"]]
    problems = [
        Problem(file="x", line=n, field="image", message=f"missing image: '{n}.jpg' is not in images")
        for n in range(300)
    ]
    return render_data_page(
        questions, report, images=reading.images, root=PHOTOS / "images", problems=problems, examples=20
    )


def test_the_page_asks_for_nothing_and_escapes_everything(page: str) -> None:
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "alert(1)" in page
    assert page.count("<script>") == 1
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page


def test_its_counts_are_those_of_the_questions(page: str) -> None:
    assert "14 questions about 1 images" in page
    rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', page, re.DOTALL)
    totals = {name: re.findall(r"<td>(\d+)</td>", cells)[-1] for name, cells in rows}
    assert totals["Answerable"] == "6"
    assert totals["False premise"] == "2"
    assert totals["All"] == "14"
    assert page.count('class="panel"><div class="ask">') == 14


def test_problems_are_counted_by_kind_and_listed_up_to_a_limit(page: str) -> None:
    assert re.search(r"missing image: … is not in images</span>.*?<b>300</b>", page, re.DOTALL)
    assert page.count("is not in images</td>") == 200
    assert "has all 300" in page


def test_near_duplicates_are_shown_side_by_side(page: str) -> None:
    figures = re.findall(r"<figure><img [^>]*>(.*?)</figure>", page)
    assert figures == ["clock.jpg", "camera.jpg"]


def test_every_value_is_in_one_bin() -> None:
    bins = histogram([1, 4, 5, 44, 45, 46, 900], (1, 5, 45, 46), whole=True)
    assert [(b.label, b.count) for b in bins] == [
        ("1 to 4", 2),
        ("5 to 44", 2),
        ("45", 1),
        ("46 and more", 2),
    ]
    assert [(b.label, b.count) for b in histogram([0.0, 0.5, 7], (0.0, 0.5))] == [
        ("0 to 0.5", 1),
        ("0.5 and more", 2),
    ]
