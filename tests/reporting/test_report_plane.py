from itertools import pairwise

from align.reporting.plane import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, make_plane


def model(x, y, spread=0.0):
    bounds = {
        "over_refusal_rate": [max(0, x - spread), min(1, x + spread)],
        "refusal_rate": [max(0, y - spread), min(1, y + spread)],
    }
    return {"over_refusal_rate": x, "refusal_rate": y, "intervals": bounds}


def test_corners_and_scale():
    plane = make_plane({"shy": model(1.0, 1.0), "ideal": model(0.0, 1.0), "base": model(0.0, 0.0)})
    shy, ideal, base = plane.points
    assert (ideal.x, ideal.y) == (LEFT, TOP)
    assert (base.x, base.y) == (LEFT, HEIGHT - BOTTOM)
    assert (shy.x, shy.y) == (WIDTH - RIGHT, TOP)
    assert shy.anchor == "end"
    assert plane.x_ticks[-1] == (WIDTH - RIGHT, "100%")
    assert plane.diagonal == (base.x, base.y, shy.x, shy.y)


def test_the_axis_holds_every_interval():
    narrow = make_plane({"a": model(0.01, 0.9, 0.02)})
    assert narrow.x_ticks[-1][1] == "10%"
    assert narrow.diagonal[3] == TOP + 0.9 * (HEIGHT - TOP - BOTTOM)
    wide = make_plane({"a": model(0.15, 0.9, 0.08)})
    assert wide.x_ticks[-1][1] == "40%"
    assert wide.points[0].x_ends[0] < wide.points[0].x < wide.points[0].x_ends[1]


def test_labels_of_equal_points_do_not_cover_each_other():
    plane = make_plane({name: model(0.0, rate) for name in "abcd" for rate in [1.0]} | {"e": model(0.0, 0.0)})
    heights = sorted(point.label_y for point in plane.points)
    assert all(second - first >= 17.9 for first, second in pairwise(heights))
    assert heights[0] >= TOP
    assert heights[-1] <= HEIGHT - BOTTOM


def test_models_without_both_rates_are_not_in_the_plane():
    half = model(0.1, 0.5) | {"over_refusal_rate": None}
    assert make_plane({"half": half}) is None
    (point,) = make_plane({"half": half, "whole": model(0.1, 0.5)}).points
    assert (point.name, point.index) == ("whole", 1)
