"""The corruption curves, as data and as a picture."""

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text
from PIL import Image

from align.evaluation.corruption_results import summarize_corruption
from align.records import UNANSWERABLE, Graded
from align.reporting.corruption_figure import draw, plot_corruption
from align.reporting.corruption_plot import make_corruption
from align.reporting.corruption_reference import PAPER_CHANGES, PAPER_CONTRAST

# Of ten questions of each category, declined: (each unanswerable category, answerable).
DECLINED = {
    "raw": (2, 0),
    "shot-1": (4, 1),
    "shot-4": (9, 6),
    "contrast-3": (5, 2),
    "blank": (10, 8),
    "no-image": (7, 10),
}


def results(*, reasons: bool = True, answerable: bool = True, **label: str) -> dict[str, Any]:
    rows = []
    for condition, counts in DECLINED.items():
        for category in (*UNANSWERABLE, "Answerable")[: 5 if answerable else 4]:
            for i in range(10):
                declined = i < counts[category == "Answerable"]
                reason = ("right" if i % 2 else "wrong") if reasons and declined else None
                rows.append(
                    Graded(
                        question_id=f"{category}-{i}",
                        image=f"{i}",
                        question="?",
                        category=category,
                        response="x",
                        state="abstain" if declined else "answer",
                        correct=None if declined or category != "Answerable" else i % 3 > 0,
                        reason=reason if category != "Answerable" else None,
                        condition=condition,
                        grader="hand",
                    )
                )
    return {"model": {"name": "m", "label": "a model"} | label, **summarize_corruption(rows)}


def test_a_curve_goes_from_raw_through_the_severities_of_its_kind() -> None:
    made = results()
    data = make_corruption({"base": made, "tuned": made})
    assert data is not None
    assert (data.models, data.kinds) == (("base", "tuned"), ("shot", "contrast"))
    assert set(data.categories) == {*UNANSWERABLE, "Answerable"}
    assert set(data.rates) == {"refusal_rate", "over_refusal_rate", "reason_accuracy", "answer_accuracy"}
    vague = data.curve("tuned", "refusal_rate", "shot", "Vague_Description")
    assert vague is not None
    assert [(m.severity, m.condition, m.value, m.n) for m in vague.marks] == [
        (0, "raw", 0.2, 10),
        (1, "shot-1", 0.4, 10),
        (4, "shot-4", 0.9, 10),
    ]
    measured = made["by_condition"]["shot-4"]["by_category"]["Vague_Description"]
    assert list(vague.marks[2].interval or ()) == measured["intervals"]["refusal_rate"]
    overall = data.curve("base", "refusal_rate", "contrast")
    assert overall is not None
    assert [(m.value, m.n) for m in overall.marks] == [(0.2, 40), (0.5, 40)]
    control = data.curve("base", "over_refusal_rate", "shot", "Answerable")
    assert control is not None
    assert [(m.value, m.n) for m in control.marks] == [(0.0, 10), (0.1, 10), (0.6, 10)]
    assert data.curve("base", "over_refusal_rate", "shot") is None


def test_blank_and_no_image_are_levels() -> None:
    data = make_corruption({"m": results()})
    assert data is not None
    for condition, declined, over in (("blank", 1.0, 0.8), ("no-image", 0.7, 1.0)):
        level = data.level("m", "refusal_rate", condition, "False_Premises")
        control = data.level("m", "over_refusal_rate", condition, "Answerable")
        assert level is not None
        assert control is not None
        assert (level.mark.value, level.mark.severity) == (declined, None)
        assert control.mark.value == over
    assert all(mark.condition not in ("blank", "no-image") for s in data.series for mark in s.marks)


def test_what_was_not_measured_is_no_curve() -> None:
    data = make_corruption({"m": results(reasons=False, answerable=False)})
    assert data is not None
    assert data.rates == ("refusal_rate",)
    assert "Answerable" not in data.categories
    assert make_corruption({}) is None


@pytest.mark.parametrize("reasons", [True, False])
def test_the_picture_shows_every_rate_under_every_condition(reasons: bool) -> None:
    data = make_corruption({"m": results(reasons=reasons)})
    assert data is not None
    figure = draw(data, "m")
    axes = figure.axes
    assert len(axes) == 2 * 3  # declined and right; shot, contrast, nothing to see
    assert [axis.get_title(loc="left") for axis in axes[:3]] == [
        "Shot noise",
        "Low contrast",
        "Nothing to see",
    ]
    curves = [container.lines[0].get_ydata().tolist() for container in axes[0].containers]
    assert sorted(curves) == sorted([[0.2, 0.4, 0.9]] * 4 + [[0.0, 0.1, 0.6]])
    assert [label.get_text() for label in axes[2].get_xticklabels()] == ["blank", "no\nimage"]
    named = {text.get_text() for text in axes[2].texts}
    assert named == {"False premise", "Vague description", "Context dependent", "Subjective", "Answerable"}
    assert {text.get_text() for text in axes[5].texts} == (named if reasons else {"Answerable"})


def test_labels_of_lines_that_end_together_do_not_touch() -> None:
    data = make_corruption({"m": results()})
    assert data is not None
    figure = draw(data, "m")
    figure.canvas.draw()
    # Of the words alone: an annotation's own box takes its line along.
    boxes = sorted((Text.get_window_extent(text) for text in figure.axes[2].texts), key=lambda box: box.y0)
    # Text boxes have air above and below: a few hundredths of their height may meet.
    assert all(low.y1 <= high.y0 + 0.1 * low.height for low, high in pairwise(boxes))
    page = figure.bbox
    assert all(box.x1 <= page.x1 and box.y0 >= page.y0 for box in boxes)


def test_files_are_whole_and_the_same_each_time(tmp_path: Path) -> None:
    made = results(label="a $model$ of <b>mine</b>")
    folder = tmp_path / "new"
    for name in ("one.png", "one.svg", "two.svg"):
        plot_corruption(made, folder / name)
    assert {file.name for file in folder.iterdir()} == {"one.png", "one.svg", "two.svg"}
    assert (folder / "one.svg").read_bytes() == (folder / "two.svg").read_bytes()
    with Image.open(folder / "one.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width > 1000
    texts = [element.text for element in ET.parse(folder / "one.svg").iter() if element.tag.endswith("text")]
    assert "a $model$ of <b>mine</b>: what it says when it sees less" in texts


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in .png or .svg"):
        plot_corruption(results(), tmp_path / "curves.pdf")
    nothing = {"model": {"label": "m"}, "by_condition": {}}
    with pytest.raises(ValueError, match="no rate that was measured"):
        plot_corruption(nothing, tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_the_papers_figures_are_of_kinds_and_categories_that_there_are() -> None:
    assert all(set(changes) == {"contrast", "gaussian", "shot"} for changes in PAPER_CHANGES.values())
    assert set(PAPER_CONTRAST) == set(UNANSWERABLE)
