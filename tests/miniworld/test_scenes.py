import random

import numpy as np
import pytest

from align.miniworld.scenes import CELL, COLORS, HELD_OUT, RGB, SHAPES, SIDE, Scene, Thing, draw, make_scene


def test_same_seed_same_scene_other_seed_another():
    assert make_scene(random.Random(3)) == make_scene(random.Random(3))
    scenes = {make_scene(random.Random(seed)) for seed in range(300)}
    assert len(scenes) == 300


def test_things_stay_in_cells_of_their_own():
    rng = random.Random(0)
    for _ in range(2000):
        scene = make_scene(rng, part=rng.choice(("seen", "combinations")), alike=rng.random() < 0.5)
        cells = [thing.cell for thing in scene.things]
        assert len(set(cells)) == len(cells)
        assert cells == sorted(cells), "reading order"
        for thing in scene.things:
            for position in (thing.x, thing.y):
                assert position % CELL - thing.radius - 1 >= 0
                assert position % CELL + thing.radius + 1 < CELL


def test_held_out_combinations_cover_each_shape_and_color_once():
    assert sorted(shape for shape, _ in HELD_OUT) == sorted(SHAPES)
    assert sorted(color for _, color in HELD_OUT) == sorted(COLORS)


@pytest.mark.parametrize("alike", [False, True])
def test_parts_keep_combinations_apart(alike):
    rng = random.Random(1)
    for _ in range(500):
        seen = make_scene(rng, "seen", alike=alike)
        assert not {(t.shape, t.color) for t in seen.things} & HELD_OUT
    for _ in range(500):
        scene = make_scene(rng, "combinations", alike=alike)
        assert {(t.shape, t.color) for t in scene.things} & HELD_OUT


def test_alike_makes_things_share_an_attribute():
    rng = random.Random(2)
    sharing = 0
    for _ in range(200):
        things = make_scene(rng, count=3, alike=True).things
        sharing += len({t.shape for t in things}) < 3 or len({t.color for t in things}) < 3
    assert sharing > 180


@pytest.mark.parametrize("shape", SHAPES)
def test_drawing_shows_the_thing_where_it_is_and_nothing_elsewhere(shape):
    scene = Scene("white", (Thing(shape, "blue", "large", x=48, y=47, radius=13),))
    picture = draw(scene)
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.dtype == np.uint8
    blue = np.abs(picture.astype(int) - RGB["blue"]).sum(-1) < 10
    rows, columns = np.where(blue)
    assert blue.sum() > 100
    assert 34 <= rows.min() <= rows.max() <= 60
    assert 35 <= columns.min() <= columns.max() <= 61
    outside = picture.copy()
    outside[33:62, 34:63] = RGB["white"]
    assert (outside == RGB["white"]).all()
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 3, "edges are antialiased"


def test_every_shape_looks_different():
    pictures = [draw(Scene("black", (Thing(s, "red", "large", 48, 47, 13),))) for s in SHAPES]
    for i, first in enumerate(pictures):
        for second in pictures[:i]:
            assert (first != second).any(-1).sum() > 60


def test_round_trip():
    scene = make_scene(random.Random(5))
    assert Scene.from_dict(scene.to_dict()) == scene
