"""What the tower is taught: labels fit what is drawn, and no odd look shows a held-out combination."""

import random

import numpy as np
import torch

from align.miniworld.patches import (
    MOST_ALIKE,
    PATCH_CLASSES,
    UNNAMED,
    Look,
    PatchHeads,
    _odd_color,
    patch_batch,
    patch_labels,
)
from align.miniworld.scenes import COLORS, GRID, HELD_OUT, RGB, SHAPES, SIDE, SIZES, make_scene, mask_of

AT = {name: place for place, name in enumerate(PATCH_CLASSES)}


def test_labels_say_what_each_patch_shows() -> None:
    scene = make_scene(random.Random(3), count=4, alike=True)
    looks = [Look(t.shape, t.color, mask_of(t.shape, t.radius), RGB[t.color]) for t in scene.things]
    labels = patch_labels(scene, looks)
    shown = {row * GRID + column: thing for thing in scene.things for row, column in [thing.cell]}
    for patch in range(GRID * GRID):
        assert labels[patch, AT["place"]] == patch
        thing = shown.get(patch)
        if thing is None:
            assert labels[patch, [AT["shape"], AT["color"], AT["size"], AT["same_shape"]]].tolist() == [0] * 4
            continue
        assert labels[patch, AT["shape"]] == 1 + SHAPES.index(thing.shape)
        assert labels[patch, AT["color"]] == 1 + COLORS.index(thing.color)
        assert labels[patch, AT["size"]] == 1 + SIZES.index(thing.size)
        alike = sum(other.shape == thing.shape for other in scene.things)
        assert labels[patch, AT["same_shape"]] == min(alike, MOST_ALIKE)


def test_what_has_no_name_is_not_asked() -> None:
    scene = make_scene(random.Random(4), count=2)
    looks = [Look(None, "red", np.ones((17, 17, 1), np.float32), RGB["red"])]
    looks += [Look(t.shape, None, mask_of(t.shape, t.radius), (1, 2, 3)) for t in scene.things[1:]]
    labels = patch_labels(scene, looks)
    row, column = scene.things[0].cell
    patch = labels[row * GRID + column]
    unnamed = {name for name in PATCH_CLASSES if patch[AT[name]] == UNNAMED}
    assert unnamed == {"shape", "size", "same_shape", "same_color"}


def test_batches_are_deterministic_pictures_with_named_and_odd_things() -> None:
    images, labels = patch_batch(random.Random(0), 30)
    again, _ = patch_batch(random.Random(0), 30)
    assert all(np.array_equal(a, b) for a, b in zip(images, again, strict=True))
    assert images[0].shape == (SIDE, SIDE, 3)
    for name in ("shape", "color"):
        named = labels[..., AT[name]]
        assert (named == UNNAMED).any()
        assert (named > 0).any()


def test_no_odd_color_comes_near_a_held_out_combination() -> None:
    rng = random.Random(1)
    names = np.asarray([RGB[color] for color in COLORS], float)
    scene = make_scene(rng)
    for _ in range(300):
        shape = rng.choice(SHAPES)
        rgb = _odd_color(shape, scene, rng)
        nearest = COLORS[int(((names - rgb) ** 2).sum(1).argmin())]
        assert (shape, nearest) not in HELD_OUT


def test_the_heads_skip_what_has_no_name() -> None:
    torch.manual_seed(0)
    heads = PatchHeads(16)
    features = torch.randn(2, GRID * GRID, 16, requires_grad=True)
    _, labels = patch_batch(random.Random(5), 2)
    labels[..., AT["color"]] = UNNAMED
    labels[0, 0, AT["color"]] = 1
    loss, right = heads(features, labels)
    assert torch.isfinite(loss)
    assert right.keys() == PATCH_CLASSES.keys()
    loss.backward()
    color = heads.heads[AT["color"]]
    assert torch.isfinite(color.weight.grad).all()
